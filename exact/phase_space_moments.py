"""Moments of diffusions whose modes are several numbers, a position and a velocity; noise enters by one. Derived.

Mode i holds z_i (s,), with dz_i = B_i z_i dt + e dM_i, and the martingale has d<M_i, M_j> = scale N_ij dt, N linear in
the first and second moments of the positions, the first number of each mode. Then

    m_i' = B_i m_i,    V_ij' = B_i V_ij + V_ij B_j^T + e e^T scale N_ij,

V_ij (s, s) the covariances of the numbers of two modes. Those about the mean move, so that a start at a point loses no
digits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from .linear_maps import exponential_states
from .moment_flows import length_unit
from .noise_feedback import NoiseFeedback, Responses
from .noise_maps import ConstantNoise, NoiseMap
from .routes import Moments, Route, choose_route, feedback_of


@dataclass(frozen=True, eq=False)
class PhaseSpaceFlow:
    """The moment equations of one such diffusion; a protocol of `routes.Equations`.

    Attributes
    ----------
    drifts : (d, s, s) array
        B, per unit of the time that `propagate` takes.
    entry : (s,) array
        e.
    scale : float
    noise : NoiseMap
        N, of the positions.
    """

    drifts: np.ndarray
    entry: np.ndarray
    scale: float
    noise: NoiseMap

    discrete: ClassVar[bool] = False
    spectral: ClassVar[bool] = False
    paired: ClassVar[bool] = False

    @property
    def dimension(self) -> int:
        """Number of modes d."""
        return len(self.drifts)

    @property
    def numbers(self) -> int:
        """s."""
        return self.entry.size

    @property
    def noise_scale(self) -> float:
        """What N is multiplied by."""
        return self.scale

    @cached_property
    def mean_decays(self) -> np.ndarray:
        """Rate (d,) at which the slowest number of a mode decays."""
        return -np.linalg.eigvals(self.drifts).real.max(axis=1)

    def propagate(
        self, mean: np.ndarray, spread: np.ndarray | None, times: Sequence[float] | np.ndarray,
        route: Route | None = None, report: Callable[[int], None] | None = None,
    ) -> tuple[np.ndarray, np.ndarray | None]:  # fmt: skip
        """Mean positions (times, d) at increasing times, and what the route keeps of their covariances.

        Parameters
        ----------
        mean : (d,) array
            Of the positions; the other numbers start at zero.
        spread : (d, d) or (d,) array, or None
            Of the positions at the start, as the route carries it.
        report : callable, optional
            Is told how much more of the time is done.
        """
        times = np.asarray(times, dtype=float)
        route = choose_route(self, ("covariance",), len(times)) if route is None else route
        flows = self._flows(times)
        means = flows[:, :, 0, 0] * mean
        if spread is None:
            if report is not None:
                report(int(times[-1]))
            return means, None
        whole = route.carried is Moments.COVARIANCES
        states = self._alone(spread, times, whole) if isinstance(self.noise, ConstantNoise) else self._coupled(
            mean, spread, times, whole
        )  # fmt: skip
        kept, now = np.empty((times.size,) + (mean.size,) * route.kept), 0.0
        for index, state in enumerate(states):
            if report is not None:
                report(int(times[index] - now))
                now = times[index]
            kept[index] = np.diagonal(state) if whole and route.kept is not Moments.COVARIANCES else state
        return means, kept

    def _flows(self, times: np.ndarray) -> np.ndarray:
        """exp(t B) (times, d, s, s)."""
        from scipy.linalg import expm

        return expm(times[:, None, None, None] * self.drifts)

    def _alone(self, spread: np.ndarray, times: np.ndarray, whole: bool) -> Iterator[np.ndarray]:
        """A noise that does not see the modes: what it adds to each pair is an integral, found with it (van Loan).

        With G = [[-B_i, e e^T], [0, B_j^T]], exp(t G) = [[., X], [0, exp(t B_j)^T]] has exp(t B_i) X for that integral.
        """
        from scipy.linalg import expm

        noise: Any = self.noise
        d, s = self.dimension, self.numbers
        rows, columns = np.triu_indices(d) if whole else (np.arange(d), np.arange(d))
        block = np.zeros((rows.size, 2 * s, 2 * s))
        block[:, :s, :s] = -self.drifts[rows]
        block[:, s:, s:] = np.swapaxes(self.drifts, 1, 2)[columns]
        block[:, :s, s:] = np.outer(self.entry, self.entry)
        constant = self.scale * np.broadcast_to(noise.covariance, (d, d))[rows, columns]
        # In short stretches, joined by doubling: the blocks -B_i grow, and would drown what fades.
        fastest = max(1.0, float(np.abs(self.drifts).sum(axis=2).max()))
        for time, flow in zip(times, self._flows(times)):
            halvings = max(0, int(np.ceil(np.log2(max(time, 1e-300) * fastest))))
            each = expm(time / 2**halvings * block)
            right = each[:, s:, s:]  # exp(t B_j)^T
            left = expm(time / 2**halvings * self.drifts)[rows]
            added = left @ each[:, :s, s:]
            for _ in range(halvings):
                added = added + left @ added @ right
                left, right = left @ left, right @ right
            start = spread[rows, columns] if whole else spread
            pairs = flow[rows, 0, 0] * flow[columns, 0, 0] * start + constant * added[:, 0, 0]
            if not whole:
                yield pairs
                continue
            found = np.empty((d, d))
            found[rows, columns] = found[columns, rows] = pairs
            yield found

    def _coupled(self, mean: np.ndarray, spread: np.ndarray, times: np.ndarray, whole: bool) -> Iterator[np.ndarray]:
        """Any noise, by the exponential of the generator of all covariances, of products of means, of means and 1.

        Where only variances are carried, the noise closes on them.
        """
        d, s = self.dimension, self.numbers
        shape = (d, s, d, s) if whole else (d, s, s)
        size = int(np.prod(shape))
        start = np.zeros(shape)
        if whole:
            start[:, 0, :, 0] = spread
        else:
            start[:, 0, 0] = spread
        constant = self._noise(np.zeros((d, d) if whole else d), np.zeros(d), whole)
        unit = length_unit(mean, spread if whole else np.diag(spread), self.scale * _square(constant))

        def moved(pairs: np.ndarray) -> np.ndarray:
            if whole:
                half = np.einsum("iab,ibjc->iajc", self.drifts, pairs)
                return half + np.transpose(half, (2, 3, 0, 1))
            half = self.drifts @ pairs
            return half + np.swapaxes(half, 1, 2)

        def positions(pairs: np.ndarray) -> np.ndarray:
            return pairs[:, 0, :, 0] if whole else pairs[:, 0, 0]

        def enters(noise: np.ndarray) -> np.ndarray:
            both = np.outer(self.entry, self.entry)
            if whole:
                return np.transpose(noise[..., None, None] * both, (0, 2, 1, 3))
            return noise[:, None, None] * both

        # Lengths are counted in `unit`: squares, means and 1 then have one size, and none drowns the others.
        def generator(vector: np.ndarray) -> np.ndarray:
            pairs, products = (vector[i * size : (i + 1) * size].reshape(shape) for i in range(2))
            first, one = vector[2 * size : -1].reshape(d, s), vector[-1]
            second = unit**2 * (positions(pairs) + positions(products))
            noise = (self._noise(second, unit * first[:, 0], whole) + (one - 1) * constant) / unit**2
            change = moved(pairs) + self.scale * enters(noise)
            means = np.einsum("iab,ib->ia", self.drifts, first)
            return np.concatenate([change.ravel(), moved(products).ravel(), means.ravel(), [0.0]])

        first = np.zeros((d, s))
        first[:, 0] = mean / unit
        products = np.einsum("ia,jb->iajb", first, first) if whole else first[:, :, None] * first[:, None, :]
        vector = np.concatenate([start.ravel() / unit**2, products.ravel(), first.ravel(), [1.0]])
        for state in exponential_states(generator, vector, times):
            found = unit**2 * positions(state[:size].reshape(shape))
            yield (found + found.T) / 2 if whole else found

    def _noise(self, second: np.ndarray, mean: np.ndarray, whole: bool) -> np.ndarray:
        noise: Any = self.noise
        return noise(second, mean) if whole else noise.variances(second, mean)

    def responses(self) -> Responses:
        """What a constant noise leaves of the positions for ever, about mean zero; none where a mode is frozen."""
        moving = self.mean_decays > 0
        safe = np.where(moving[:, None, None], self.drifts, -np.eye(self.numbers))
        one, both = np.eye(self.numbers), np.outer(self.entry, self.entry)
        width = self.numbers**2

        def of_pairs(first: np.ndarray, second: np.ndarray) -> np.ndarray:
            both_sides = np.einsum("pac,be->pabce", first, one) + np.einsum("ac,pbe->pabce", one, second)
            forced = np.broadcast_to(both.reshape(width, 1), (len(first), width, 1))
            return -self.scale * np.linalg.solve(both_sides.reshape(-1, width, width), forced)[:, 0, 0]

        def covariances() -> np.ndarray:
            d = self.dimension
            rows = (of_pairs(np.broadcast_to(safe[i], safe.shape), safe) for i in range(d))
            return np.where(moving[:, None] & moving, np.array(list(rows)), 0.0)

        return Responses(covariances, np.where(moving, of_pairs(safe, safe), 0.0), np.ones(self.dimension))

    @cached_property
    def feedback(self) -> NoiseFeedback:
        """Noise -> stationary covariance -> noise."""
        return feedback_of(self)

    def proved_stable(self) -> bool:
        """Whether a cheap bound shows that second moments settle: none is known."""
        return False


def _square(constant: np.ndarray) -> np.ndarray:
    return np.diag(constant) if constant.ndim == 1 else constant
