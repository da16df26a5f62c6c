"""What linear drift makes of stable noise: the law of the integral over [0, t] of exp(-K s) S dL_s.

Its characteristic function at u is exp(-integral over [0, t] of |S' exp(-K' s) u|_a^a ds), with the a-norm for
independent coordinates of L and the Euclidean one for isotropic L. Where that is the norm of a fixed matrix, the
integral is that matrix times one stable vector: where K S = S diag(r) for independent coordinates, K S S' + S S' K' =
2 r S S' for isotropic L, and always at index 2. Derived.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .errors import InvalidInput

SAME = 1e-10  # relative, within which two matrices are the same


@dataclass(frozen=True, eq=False)
class StableConvolution:
    """The stochastic convolution of a drift matrix with a stable process.

    Parameters
    ----------
    drift : (d, d) array
        K; any signs.
    columns : (d, m) array
        S.
    index : float
    isotropic : bool
        Whether L is rotation invariant; otherwise its coordinates are independent.
    """

    drift: np.ndarray
    columns: np.ndarray
    index: float
    isotropic: bool

    @cached_property
    def rates(self) -> np.ndarray | None:
        """Decay (m,) of each column, where every column keeps its direction, or one for all; None elsewhere."""
        k, s = self.drift, self.columns
        size = max(float(np.abs(k).max(initial=0.0)), 1e-300)
        if self.isotropic:
            shape = s @ s.T
            moved = k @ shape + shape @ k.T
            rate = float(np.trace(moved) / (2 * max(float(np.trace(shape)), 1e-300)))
            fits = np.abs(moved - 2 * rate * shape).max() <= SAME * size * max(float(np.abs(shape).max()), 1e-300)
            return np.full(s.shape[1], rate) if fits else None
        square = np.square(s).sum(axis=0)
        moved = k @ s
        rates = (s * moved).sum(axis=0) / np.where(square > 0, square, 1.0)
        fits = np.abs(moved - s * rates) <= SAME * size * np.sqrt(square)
        return rates + (square == 0) if fits.all() else None  # a column of zeros has any rate

    @property
    def closed(self) -> bool:
        """Whether the law is that of a matrix times one stable vector."""
        return self.rates is not None or self.index == 2

    @property
    def slowest(self) -> float:
        """Least real part of an eigenvalue of the drift."""
        return float(np.linalg.eigvals(self.drift).real.min())

    def flow(self, time: float) -> np.ndarray:
        """exp(-K time) (d, d)."""
        from scipy.linalg import expm

        if not np.any(self.drift - np.diag(np.diag(self.drift))):
            return np.diag(np.exp(-time * np.diag(self.drift)))
        return expm(-time * self.drift)

    def matrix(self, time: float) -> np.ndarray:
        """The fixed matrix (d, m) of the law at a time, which may be inf where the drift pulls back.

        Raises
        ------
        InvalidInput
            If there is none.
        """
        if self.rates is not None:
            return self.columns * weights(self.rates, time, self.index)
        if self.index != 2:
            raise InvalidInput(
                f"the law of stable noise of index {self.index:g} under this drift is no matrix times one stable "
                "vector: the columns of scale must be eigenvectors of rates (for isotropic noise, rates must be a "
                "multiple of the identity)"
            )
        values, vectors = np.linalg.eigh(self._gramian(time))
        return np.ascontiguousarray(vectors * np.sqrt(np.maximum(values, 0.0)))

    def scale(self, time: float, direction: np.ndarray) -> float:
        """Scale of the law along a direction (d,): closed, or by adaptive quadrature to a relative 1e-9."""
        a = self.index
        if self.closed:
            return self._norm(self.matrix(time).T @ direction)
        if time == 0:
            return 0.0
        from scipy.integrate import quad

        def power(s: float) -> float:
            return self._norm(self.columns.T @ (self.flow(s).T @ direction)) ** a

        # Panels that double from the fastest time; an infinite one ends where e^-40 of the integrand is left.
        fastest = float(np.abs(np.linalg.eigvals(self.drift)).max())
        end = 40 / (a * self.slowest) if math.isinf(time) else time
        ends, width = [0.0], 1 / max(fastest, 1 / end)
        while ends[-1] < end:
            ends.append(min(ends[-1] + width, end))
            width *= 2
        parts = [quad(power, low, high, epsabs=0, epsrel=1e-9, limit=500)[0] for low, high in zip(ends, ends[1:])]
        return float(sum(parts) ** (1 / a))

    def _norm(self, v: np.ndarray) -> float:
        order = 2.0 if self.isotropic else self.index
        largest = float(np.abs(v).max(initial=0.0))
        return largest * float((np.abs(v / largest) ** order).sum() ** (1 / order)) if largest else 0.0

    def _gramian(self, time: float) -> np.ndarray:
        """Integral over [0, time] of exp(-K s) S S' exp(-K' s), by Van Loan's block exponential (1978).

        Of a short time, which is then doubled: of a long one the two blocks would lose each other's digits.
        """
        from scipy.linalg import expm

        from .matrix_equations import solve_lyapunov

        noise, k, d = self.columns @ self.columns.T, self.drift, len(self.drift)
        if math.isinf(time):
            return solve_lyapunov(k, noise)
        doublings = max(0, math.ceil(math.log2(max(time * float(np.linalg.norm(k)), 1.0))))
        block = expm(time / 2**doublings * np.block([[k, noise], [np.zeros((d, d)), -k.T]]))
        found, flow = block[d:, d:].T @ block[:d, d:], block[d:, d:].T
        for _ in range(doublings):
            found, flow = found + flow @ found @ flow.T, flow @ flow
        return (found + found.T) / 2


def weights(rates: np.ndarray, time: float, index: float) -> np.ndarray:
    """(integral over [0, time] of exp(-index rate s) ds)^(1 / index), for each rate."""
    if math.isinf(time):
        return (1 / (index * rates)) ** (1 / index)
    decay = index * rates
    safe = np.where(decay == 0, 1.0, decay)
    return np.where(decay == 0, time, -np.expm1(-safe * time) / safe) ** (1 / index)
