"""What power laws of data and target make of the loss: terms with their constants, and exponents. Derived.

With D = diag(j^(-2 alpha)), w_j = j^(-alpha - beta), features W^T x, and G = D^(1/2) W W^T D^(1/2), descent without
noise has the loss w^T (1 - eta G)^(2k) w / 2. For d features and large k, t = 2 eta k:

- spectrum: sum_j w_j^2 exp(-t j^(-2 alpha)) / 2, an integral over j, falls as t^(-(2 alpha + 2 beta - 1)/(2 alpha));
- floor: w^T (1 - P) w / 2, P the projection on the d features; (1 - P) is kappa / (D + kappa) on average, with
  sum_j D_j / (D_j + kappa) = d, so that kappa ~ d^(-2 alpha) and the floor ~ d^(-2 alpha + max(0, 1 - 2 beta));
- distortion (2 beta > 1): the resolvent of G is that of D m(z), with m = 1 - (1/d) sum_j D_j / (D_j - z) to first
  order. At x > kappa the imaginary part of m is (pi / (2 alpha d)) x^(-1/(2 alpha)), which the heads j, of weight
  j^(-2 beta), spread over all x: sum_j j^(-2 beta) / (2 d) times the integral of x^(-1/(2 alpha)) exp(-t x) over
  2 alpha, which falls as t^(-(1 - 1/(2 alpha)));
- kernel: SGD's noise gives a loss of one step k steps later as eta^2 / B sum_j D_j^2 exp(-t D_j), of exponent
  2 - 1/(2 alpha). With n the sum of the kernel, the loss is (noiseless / (1 - n)) + kernel (sum of losses) / (1 - n).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import gamma

import numpy as np

from sgdlimits.exact.errors import InvalidInput, positive, real_number

from .equivalent import Equivalent

SPECTRUM, DISTORTION, KERNEL, FLOOR = TERMS = ("spectrum", "distortion", "kernel", "floor")


@dataclass(frozen=True)
class PowerLaws:
    """Exponents of data and target, of which the spectrum must be summable and so must the target.

    Attributes
    ----------
    alpha : float
        Above 1/2.
    beta : float
        With 2 alpha + 2 beta > 1.
    """

    alpha: float
    beta: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "alpha", positive("alpha", self.alpha))
        object.__setattr__(self, "beta", real_number("beta", self.beta))
        if not self.alpha > 0.5:
            raise InvalidInput(
                f"alpha must be above 1/2, so that the trace of the data stays finite in high dimension, got "
                f"{self.alpha:g}: below it the step size itself goes with the dimension, and no exponent here holds"
            )
        if not 2 * self.alpha + 2 * self.beta > 1:
            raise InvalidInput(
                f"2 alpha + 2 beta must be above 1, so that the target's variance is finite, got alpha = "
                f"{self.alpha:g}, beta = {self.beta:g}: raise beta"
            )

    @property
    def distorted(self) -> bool:
        """Whether the distortion by the features is a term of its own."""
        return 2 * self.beta > 1

    @property
    def exponents(self) -> dict[str, float]:
        """With which each term falls: in steps, the floor in the dimension."""
        a, b = self.alpha, self.beta
        found = {SPECTRUM: (2 * a + 2 * b - 1) / (2 * a), KERNEL: 2 - 1 / (2 * a)}
        if self.distorted:
            found[DISTORTION] = 1 - 1 / (2 * a)
        return found | {FLOOR: 2 * a - max(0.0, 1 - 2 * b)}

    @cached_property
    def frontier(self) -> tuple[float, float]:
        """Exponents of the smallest loss, and of the dimension that has it, in steps times dimension.

        With d = f^x and k = f^(1 - x) the loss falls with the least of the terms' exponents, which are linear in x: the
        best x is where two of them cross.
        """
        e = self.exponents
        lines = [(e[SPECTRUM], -e[SPECTRUM]), (e[KERNEL], -e[KERNEL]), (0.0, e[FLOOR])]
        if self.distorted:
            lines.append((e[DISTORTION], 1 - e[DISTORTION]))
        places = {
            (c - a) / (b - d)
            for i, (a, b) in enumerate(lines)
            for c, d in lines[i + 1 :]
            if b != d and 0 <= (c - a) / (b - d) <= 1
        }
        return max((min(a + b * x for a, b in lines), x) for x in places)

    @property
    def balanced(self) -> tuple[str, ...]:
        """The terms that are alike along the frontier."""
        e, (loss, x) = self.exponents, self.frontier
        sizes = {SPECTRUM: e[SPECTRUM] * (1 - x), KERNEL: e[KERNEL] * (1 - x), FLOOR: e[FLOOR] * x}
        if self.distorted:
            sizes[DISTORTION] = e[DISTORTION] * (1 - x) + x
        return tuple(name for name in TERMS if name in sizes and abs(sizes[name] - loss) < 1e-9)

    def at(self, dimension: int, ambient: int, step_size: float, batch_size: int) -> Terms:
        """The terms at one size."""
        return Terms(self, dimension, ambient, step_size, batch_size)


@dataclass(frozen=True)
class Terms:
    """The terms of the loss with their constants."""

    laws: PowerLaws
    dimension: int
    ambient: int
    step_size: float
    batch_size: int

    @cached_property
    def _data(self) -> tuple[np.ndarray, np.ndarray]:
        j = np.arange(1, self.ambient + 1, dtype=float)
        return j ** (-2 * self.laws.alpha), j ** (-2 * self.laws.beta)

    @cached_property
    def kappa(self) -> float:
        """Size of the smallest eigenvalues."""
        from scipy.optimize import brentq

        variances, _ = self._data
        if self.dimension >= self.ambient:
            return float(variances[-1])

        def missing(log: float) -> float:
            return float((variances / (variances + np.exp(log))).sum()) - self.dimension

        return float(np.exp(brentq(missing, np.log(variances[-1]) - 60.0, np.log(variances.sum()) + 1.0)))

    @cached_property
    def floor(self) -> float:
        """Loss that no step takes away."""
        if self.dimension >= self.ambient:
            return 0.0
        variances, heads = self._data
        return float(0.5 * (variances * heads * self.kappa / (variances + self.kappa)).sum())

    @property
    def feedback(self) -> float:
        """n, the sum of the kernel over all steps."""
        scaled = self.step_size * self._data[0]
        return float((scaled / (2 - scaled)).sum()) / self.batch_size

    def noiseless(self, steps: np.ndarray) -> dict[str, np.ndarray]:
        """Terms (k,) of the loss without noise, above the floor."""
        a, time = self.laws.alpha, 2 * self.step_size * np.asarray(steps, dtype=float)
        e = self.laws.exponents
        found = {SPECTRUM: gamma(e[SPECTRUM]) / (4 * a) * time ** -e[SPECTRUM]}
        if self.laws.distorted:
            heads = float(self._data[1].sum()) / self.dimension
            found[DISTORTION] = heads * gamma(e[DISTORTION]) / (4 * a) * time ** -e[DISTORTION]
        return found

    def kernel(self, steps: np.ndarray) -> np.ndarray:
        """The kernel (k,)."""
        a, time = self.laws.alpha, 2 * self.step_size * np.asarray(steps, dtype=float)
        power = self.laws.exponents[KERNEL]
        return self.step_size**2 / self.batch_size * gamma(power) / (2 * a) * time**-power

    def loss(self, steps: np.ndarray) -> dict[str, np.ndarray]:
        """Terms (k,) of the loss of SGD; the kernel's with the losses of all steps before."""
        left = 1 - self.feedback
        found = {name: values / left for name, values in self.noiseless(steps).items()}
        variances, heads = self._data
        # Of all steps and the heads alone, where the sum over steps ends; else of the steps so far.
        lost = heads / (2 * self.step_size * (1 - self.step_size * variances / 2)) / 2
        weight = 1 - np.exp(-2 * self.step_size * np.outer(np.asarray(steps, dtype=float), variances))
        found[KERNEL] = self.kernel(steps) * (weight @ lost) / left**2
        return found | {FLOOR: np.full(len(steps), self.floor / left)}

    @cached_property
    def _equivalent(self) -> Equivalent:
        return Equivalent(self._data[0], self.dimension, self.kappa)

    def mean_noiseless(self, steps: np.ndarray) -> np.ndarray:
        """Mean over draws (k,) of the loss without noise, above the floor, in this dimension: no limit is taken."""
        variances, heads = self._data
        powers = 2 * np.asarray(steps)[:, None]
        return 0.5 * self._equivalent.mean(variances * heads, lambda z: (1 - self.step_size * z) ** powers)

    def mean_kernel(self, steps: np.ndarray) -> np.ndarray:
        """Mean over draws (k,) of the kernel in this dimension."""
        powers = 2 * np.asarray(steps)[:, None]
        every = np.ones(self.ambient)
        return self._equivalent.mean(
            every, lambda z: (self.step_size * z) ** 2 / self.batch_size * (1 - self.step_size * z) ** powers
        )

    def mean_loss(self, steps: np.ndarray) -> np.ndarray:
        """The loss of SGD (k,): the mean without noise in this dimension, and the terms that noise adds."""
        parts = self.loss(steps)
        return self.mean_noiseless(steps) / (1 - self.feedback) + parts[KERNEL] + parts[FLOOR]
