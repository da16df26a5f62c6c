"""First and second moments of diffusions with linear drift and state-dependent noise, exactly.

In modes dz_i = -r_i z_i dt + noise of covariance scale * N dt, with N linear in the first and second moments:

    mean' = -r mean,    cov'_ij = -(r_i + r_j) cov_ij + scale * N_ij(cov + mean mean^T, mean).

The covariance about the mean is what moves, so a start at a point loses no digits. Derived.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .linear_maps import exponential_action, pack_symmetric, unpack_symmetric
from .moment_maps import NoiseCircuit, NoiseMap

TINY = np.finfo(float).tiny


@dataclass(frozen=True, eq=False)
class MomentFlow:
    """The moment equations of one diffusion.

    Attributes
    ----------
    rates : array (d,)
        r, per unit of the time that `propagate` takes.
    scale : float
    noise : callable
        (second (d, d), mean (d,)) -> (d, d), the matrix N.
    """

    rates: np.ndarray
    scale: float
    noise: NoiseMap

    def propagate(
        self, mean: np.ndarray, covariance: np.ndarray, times: Sequence[float]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Means (times, d) and covariances (times, d, d) at increasing times from 0 on."""
        d = self.rates.size
        size = d * (d + 1) // 2
        decay = self.rates[:, None] + self.rates
        constant = self.noise(np.zeros((d, d)), np.zeros(d))
        unit = length_unit(mean, covariance, self.scale / max(float(decay.max()), TINY) * constant)

        # Lengths are counted in `unit`: squares, means and 1 then have one size, and none drowns the others.
        def generator(vector: np.ndarray) -> np.ndarray:
            spread, square = (unpack_symmetric(vector[i * size : (i + 1) * size], d) for i in range(2))
            first, one = vector[2 * size : -1], vector[-1]
            noise = (self.noise(unit**2 * (spread + square), unit * first) + (one - 1) * constant) / unit**2
            parts = self.scale * noise - decay * spread, -decay * square
            return np.concatenate([*map(pack_symmetric, parts), -self.rates * first, [0.0]])

        scaled = mean / unit
        start = [pack_symmetric(covariance / unit**2), pack_symmetric(np.outer(scaled, scaled)), scaled, np.ones(1)]
        states = exponential_action(generator, np.concatenate(start), times)
        means = np.exp(-np.outer(times, self.rates)) * mean
        return means, unit**2 * unpack_symmetric(states[:, :size], d)

    @property
    def circuit(self) -> NoiseCircuit:
        """Noise -> stationary covariance -> noise; the mean must settle in every mode that has noise."""
        decay = self.rates[:, None] + self.rates
        moving = (self.rates[:, None] > 0) & (self.rates > 0)
        return NoiseCircuit(self.noise, np.where(moving, self.scale / np.where(moving, decay, 1.0), 0.0))


def length_unit(mean: np.ndarray, covariance: np.ndarray, added: np.ndarray) -> float:
    """A power of two of the size of positions with these moments, or of what noise adds to them; 1 if all vanish."""
    square = max(float(np.square(mean).max()), float(np.abs(covariance).max()), float(np.abs(added).max()))
    return float(2.0 ** np.rint(np.log2(square) / 2)) if 0 < square < np.inf else 1.0


def propagate_rank_one(
    rates: np.ndarray, weights: np.ndarray, coupling: np.ndarray, slope: np.ndarray, floor: float,
    mean: np.ndarray, covariance: np.ndarray, times: Sequence[float],
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """The same for N = diag(weights) * l, l = floor + slope . mean + coupling . E z^2, at the cost of one
    eigenproblem (d, d).

    The variances v close: v' = (-2 diag(rates) + weights coupling^T) v + weights * l(mean); off the diagonal the
    covariance decays. `weights` and `coupling` must be proportional (the matrix is then symmetrised by a scaling).
    """
    means = np.exp(-np.outer(times, rates)) * mean
    covariances = np.exp(-np.multiply.outer(np.asarray(times), rates[:, None] + rates)) * covariance
    root = np.sqrt(weights * coupling)
    growth, basis = np.linalg.eigh(np.diag(-2 * rates) + np.outer(root, root))
    scale = np.sqrt(np.divide(weights, coupling, out=np.ones_like(weights), where=coupling > 0))
    start = basis.T @ (np.diagonal(covariance) / scale)
    entry = basis.T @ (weights / scale)
    forcing = np.concatenate([[floor], slope * mean, coupling * mean**2])
    decays = np.concatenate([[0.0], rates, 2 * rates])
    for index, time in enumerate(times):
        driven = _convolved(growth, decays, float(time)) @ forcing
        variances = scale * (basis @ (np.exp(growth * time) * start + entry * driven))
        np.fill_diagonal(covariances[index], variances)
    return means, covariances


def _convolved(growth: np.ndarray, decays: np.ndarray, time: float) -> np.ndarray:
    """Integrals (d, m) of exp(growth_i (t - u)) exp(-decay_j u) over u from 0 to t, without cancellation."""
    gap = (growth[:, None] + decays) * time
    small = np.abs(gap) < 1.0
    safe = np.where(gap == 0, 1.0, np.where(small, gap, 1.0))
    near = time * np.exp(-decays * time) * np.where(gap == 0, 1.0, np.expm1(safe) / safe)
    divisor = np.where(small, 1.0, growth[:, None] + decays)
    far = (np.exp(growth * time)[:, None] - np.exp(-decays * time)) / divisor
    return np.where(small, near, far)
