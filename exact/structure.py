"""How noise couples the modes of a process on least squares: what a `NoiseMap` declares, and routes follow from.

In modes the decay of a mode is its own; what couples modes is the noise.
"""

from __future__ import annotations

from enum import Enum, IntEnum


class Structure(Enum):
    """How the covariance of the noise depends on the moments of the modes; what holds of one holds of those below it.

    COMMUTING: not at all: decay and noise commute as maps of covariances, and each entry moves by itself.
    RANK_ONE: diagonal plus rank one. An entry off the diagonal depends on itself and on the means of its two modes;
    one on the diagonal besides on one weighted sum of all variances. Variances so close among themselves.
    GENERAL: every entry may depend on every entry.
    """

    COMMUTING = "commuting"
    RANK_ONE = "diagonal plus rank one"
    GENERAL = "general"


class Moments(IntEnum):
    """Which moments are asked or carried along; each includes those before it."""

    MEAN = 0
    VARIANCES = 1
    COVARIANCES = 2
