"""Covariances of noises in modes, affine in first and second moments, each with its structure.

In modes the decay of a mode is its own; what couples modes is the noise. `noise(second, mean)` is its expected
covariance (d, d), given second moments (d, d) and means (d,) of the modes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

import numpy as np


class Structure(Enum):
    """How the covariance of a noise depends on the moments of the modes; what holds of one holds of those below it.

    COMMUTING: not at all: decay and noise commute as maps of covariances, and each entry moves by itself.
    RANK_ONE: diagonal plus rank one. An entry off the diagonal depends on itself and on the means of its two modes;
    one on the diagonal besides on one weighted sum of all variances. Variances so close among themselves.
    GENERAL: every entry may depend on every entry.
    """

    COMMUTING = "commuting"
    RANK_ONE = "diagonal plus rank one"
    GENERAL = "general"


class NoiseMap(ABC):
    """A noise of mean zero in modes."""

    structure: ClassVar[Structure]

    @abstractmethod
    def __call__(self, second: np.ndarray, mean: np.ndarray) -> np.ndarray:
        """Expected covariance (d, d)."""

    def table(self) -> np.ndarray | None:
        """Matrix from packed moments of (modes, 1) to the packed covariance, less what is the same everywhere.

        None where there is none, or reading it would not pay.
        """
        return None


class DiagonalNoise(NoiseMap):
    """A noise whose variances follow from variances and means alone."""

    @abstractmethod
    def variances(self, squares: np.ndarray, mean: np.ndarray) -> np.ndarray:
        """Diagonal (d,) of the expected covariance, from the diagonal (d,) of the second moments."""


@dataclass(frozen=True, eq=False)
class ConstantNoise(DiagonalNoise):
    """The same covariance (d, d) everywhere; it need not commute with the Hessian."""

    covariance: np.ndarray
    structure: ClassVar[Structure] = Structure.COMMUTING

    def __call__(self, second: np.ndarray, mean: np.ndarray) -> np.ndarray:
        return self.covariance

    def variances(self, squares: np.ndarray, mean: np.ndarray) -> np.ndarray:
        return np.diagonal(self.covariance)


@dataclass(frozen=True, eq=False)
class RankOneNoise(DiagonalNoise):
    """diag(spread) * level + (own_i own_j P_ij), with P the second moment about -offsets.

    level = floor + slope . mean + coupling . diag(second). Homogenized SGD has the first part alone, with Gaussian
    features comes the second.

    Attributes
    ----------
    spread, coupling, slope : (d,) arrays
        `spread` and `coupling` are proportional.
    floor : float
    own, offsets : (d,) arrays
    """

    spread: np.ndarray
    coupling: np.ndarray
    slope: np.ndarray
    floor: float
    own: np.ndarray
    offsets: np.ndarray
    structure: ClassVar[Structure] = Structure.RANK_ONE

    def __call__(self, second: np.ndarray, mean: np.ndarray) -> np.ndarray:
        cross = np.outer(mean, self.offsets)
        noise = self.own[:, None] * self.own * (second + cross + cross.T + np.outer(self.offsets, self.offsets))
        noise[np.diag_indices_from(noise)] = self.variances(np.diagonal(second).copy(), mean)
        return noise

    def variances(self, squares: np.ndarray, mean: np.ndarray) -> np.ndarray:
        level = self.floor + mean @ self.slope + squares @ self.coupling
        about = squares + 2 * mean * self.offsets + self.offsets**2
        return self.own * self.own * about + level * self.spread


@dataclass(frozen=True, eq=False)
class SampledNoise(NoiseMap):
    """factor * (covariance of one sample's gradient) + diag(added), over finitely many samples.

    Attributes
    ----------
    covariance : (second, mean) -> (d, d)
        Of one sample's gradient.
    factor : float
    added : (d,) array
    features : () -> (n, r) array
        Samples in the modes on which they act, for bounds; made when it is called.
    eigenvalues : (r,) array
        Of the Hessian on these modes, the first ones.
    cost : float
        Multiplications of one evaluation.
    fourth_moments : () -> matrix or None
        The table of `covariance`.
    """

    covariance: Callable[[np.ndarray, np.ndarray], np.ndarray]
    factor: float
    added: np.ndarray
    features: Callable[[], np.ndarray]
    eigenvalues: np.ndarray
    cost: float
    fourth_moments: Callable[[], np.ndarray | None]
    structure: ClassVar[Structure] = Structure.GENERAL

    def __call__(self, second: np.ndarray, mean: np.ndarray) -> np.ndarray:
        noise = self.factor * self.covariance(second, mean)
        if self.added.any():
            noise[np.diag_indices_from(noise)] += self.added
        return noise

    def table(self) -> np.ndarray | None:
        found = self.fourth_moments()
        return None if found is None else self.factor * found
