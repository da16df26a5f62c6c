"""Butcher tableaus of stochastic Runge-Kutta methods; the tests check their order conditions as identities.

A is the weight of drifts and B of diffusions in a stage, alpha and beta those of the result. Index 0 belongs to the
stages at which the drift is taken, 1 and 2 to those of the diffusion.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np


def _rows(*rows: tuple[float, ...]) -> np.ndarray:
    size = len(rows)
    out = np.zeros((size, size))
    for i, row in enumerate(rows):
        out[i, : len(row)] = row
    return out


class DriftStages:
    """A method whose drift is taken in stages."""

    a0: np.ndarray

    @property
    def c0(self) -> np.ndarray:
        """Times of the drift's stages."""
        return self.a0.sum(axis=1)


class Stages(DriftStages):
    """A method whose diffusion is taken in stages of its own, too."""

    a1: np.ndarray

    @property
    def c1(self) -> np.ndarray:
        """Times of the diffusion's stages."""
        return self.a1.sum(axis=1)


@dataclass(frozen=True, eq=False)
class AdditiveTableau(DriftStages):
    """SRA methods: strong order 1.5 for additive noise."""

    a0: np.ndarray
    b0: np.ndarray
    c1: tuple[float, ...]
    alpha: tuple[float, ...]
    beta1: tuple[float, ...]
    beta2: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class ElementwiseTableau(Stages):
    """SRI methods of strong order 1.5 for diagonal or scalar noise."""

    a0: np.ndarray
    a1: np.ndarray
    b0: np.ndarray
    b1: np.ndarray
    alpha: tuple[float, ...]
    beta1: tuple[float, ...]
    beta2: tuple[float, ...]
    beta3: tuple[float, ...]
    beta4: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class WeakTableau(Stages):
    """RI methods of weak order 2 for any noise; stages of index 2 start at x and need no drift."""

    a0: np.ndarray
    a1: np.ndarray
    b0: np.ndarray
    b1: np.ndarray
    b2: np.ndarray
    alpha: tuple[float, ...]
    beta1: tuple[float, ...]
    beta2: tuple[float, ...]
    beta3: tuple[float, ...]
    beta4: tuple[float, ...]


SRA1 = AdditiveTableau(
    a0=_rows((), (3 / 4,)),
    b0=_rows((), (3 / 2,)),
    c1=(1.0, 0.0),
    alpha=(1 / 3, 2 / 3),
    beta1=(1.0, 0.0),
    beta2=(-1.0, 1.0),
)

SRA3 = AdditiveTableau(
    a0=_rows((), (1,), (1 / 4, 1 / 4)),
    b0=_rows((), (), (1, 1 / 2)),
    c1=(1.0, 0.0, 0.0),
    alpha=(1 / 6, 1 / 6, 2 / 3),
    beta1=(1.0, 0.0, 0.0),
    beta2=(-1.0, 1.0, 0.0),
)

SRIW1 = ElementwiseTableau(
    a0=_rows((), (3 / 4,), (), ()),
    a1=_rows((), (1 / 4,), (1,), (0, 0, 1 / 4)),
    b0=_rows((), (3 / 2,), (), ()),
    b1=_rows((), (1 / 2,), (-1,), (-5, 3, 1 / 2)),
    alpha=(1 / 3, 2 / 3, 0.0, 0.0),
    beta1=(-1.0, 4 / 3, 2 / 3, 0.0),
    beta2=(-1.0, 4 / 3, -1 / 3, 0.0),
    beta3=(2.0, -4 / 3, -2 / 3, 0.0),
    beta4=(-2.0, 5 / 3, -2 / 3, 1.0),
)

SRIW2 = ElementwiseTableau(
    a0=_rows((), (1,), (1 / 4, 1 / 4), ()),
    a1=_rows((), (1 / 4,), (1,), (0, 0, 1 / 4)),
    b0=_rows((), (), (1, 1 / 2), ()),
    b1=_rows((), (-1 / 2,), (1,), (2, -1, 1 / 2)),
    alpha=(1 / 6, 1 / 6, 2 / 3, 0.0),
    beta1=(-1.0, 4 / 3, 2 / 3, 0.0),
    beta2=(1.0, -4 / 3, 1 / 3, 0.0),
    beta3=(2.0, -4 / 3, -2 / 3, 0.0),
    beta4=(-2.0, 5 / 3, -2 / 3, 1.0),
)

RI6 = WeakTableau(
    a0=_rows((), (1,), ()),
    a1=_rows((), (1,), (1,)),
    b0=_rows((), (1,), ()),
    b1=_rows((), (1,), (-1,)),
    b2=_rows((), (1,), (-1,)),
    alpha=(1 / 2, 1 / 2, 0.0),
    beta1=(1 / 2, 1 / 4, 1 / 4),
    beta2=(0.0, 1 / 2, -1 / 2),
    beta3=(-1 / 2, 1 / 4, 1 / 4),
    beta4=(0.0, 1 / 2, -1 / 2),
)

_P, _Q = 214 / 513 * sqrt(1105 / 991), 491 / 513 * sqrt(221 / 4955)
DRI1 = WeakTableau(
    a0=_rows((), (1 / 2,), (-1, 2)),
    a1=_rows((), (342 / 491,), (342 / 491,)),
    b0=_rows((), ((6 - sqrt(6)) / 10,), ((3 + 2 * sqrt(6)) / 5,)),
    b1=_rows((), (3 * sqrt(38 / 491),), (-3 * sqrt(38 / 491),)),
    b2=np.array([[0.0, 0.0, 0.0], [-_P, -_Q, -_Q], [_P, _Q, _Q]]),
    alpha=(1 / 6, 2 / 3, 1 / 6),
    beta1=(193 / 684, 491 / 1368, 491 / 1368),
    beta2=(0.0, sqrt(491 / 38) / 6, -sqrt(491 / 38) / 6),
    beta3=(-4955 / 7072, 4955 / 14144, 4955 / 14144),
    beta4=(0.0, -sqrt(4955 / 221) / 8, sqrt(4955 / 221) / 8),
)
