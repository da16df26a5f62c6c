"""How the time to leave a well grows, and the preference for width, along ladders of exact numbers."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from sgdlimits import compare
from sgdlimits.discrete.escape import HarmonicWell, LandscapeDescent, LossNoise, MultiplicativeNoise, matched
from sgdlimits.exact.errors import InvalidInput, OutOfReach
from sgdlimits.problems.wells import Wells

from .basins import ADDITIVE, ENDINGS, HOMOGENIZED, MULTIPLICATIVE, RATE, TOLERANCE, Setting, loss_noise

STEP, STRENGTH = 0.1, 2.5  # step size at curvature 1, and factor of the slope, of ladders with known exponents
ROUND = math.pi * math.sqrt(2)  # width at which a well of depth 1 has curvature 1
WIDTHS = 5  # of a ladder
OWN = "multiplicative, the study's wells"


def exit_times(setting: Setting, quick: bool = False) -> tuple[Any, list[str]]:
    """`compare.exit_scaling` of additive, multiplicative and loss-proportional noise, at walls and in smooth wells.

    Parameters
    ----------
    setting : Setting
        Whose landscape, enlarged, is the last ladder where it is of `Wells`.
    quick : bool
        Without the wells of loss-proportional noise.

    Returns
    -------
    compare.ExitScaling, and sentences on what is left out.
    """
    noise = MultiplicativeNoise(STRENGTH, 1.0)
    makes: dict[str, Any] = {
        "additive, wall": lambda r: LandscapeDescent(HarmonicWell(1.0, r), STEP, 1.0),
        "additive, smooth wells": lambda s: LandscapeDescent(_enlarged([1, 2], s), STEP, 4.0),
        "multiplicative, wall": lambda r: LandscapeDescent(HarmonicWell(1.0, r), STEP, noise),
        "loss-proportional, smooth wells": lambda s: LandscapeDescent(_enlarged([1, 2], s), STEP, LossNoise(1, 0.5)),
    }
    rungs = {
        "additive, wall": np.linspace(0.8, 2.0, 5), "additive, smooth wells": np.linspace(1.0, 2.2, 6),
        "multiplicative, wall": np.geomspace(4.0, 128.0, 6),
        "loss-proportional, smooth wells": np.geomspace(2.0, 32.0, 5),
    }  # fmt: skip
    if quick:
        del makes["loss-proportional, smooth wells"], rungs["loss-proportional, smooth wells"]
    wells = setting.landscape
    if not isinstance(wells, Wells):
        return compare.exit_scaling(makes, rungs), [f"{OWN}: no ladder, as {wells.label} cannot be enlarged"]

    def own(size: float) -> LandscapeDescent:
        larger = Wells(wells.widths * size, wells.depths * size**2, wells.positions * size, wells.start * size)
        return replace(setting.descent(), landscape=larger)

    try:
        return compare.exit_scaling(makes | {OWN: own}, rungs | {OWN: np.geomspace(1.0, 32.0, 6)}), []
    except InvalidInput as error:
        return compare.exit_scaling(makes, rungs), [f"{OWN}: left out, as {error}"]


def _enlarged(widths: list[float], size: float) -> Wells:
    """Of curvature about 1 at the first minimum, whatever the size: the barrier is its square."""
    return Wells(np.array(widths) * ROUND * size, size**2)


def preference(setting: Setting, sharp: float, wide: float, barrier: float) -> Any:
    """`compare.width_preference` between a sharp well and one of growing width, at equal rates of leaving a third.

    Parameters
    ----------
    setting : Setting
        Whose step size and noise are taken.
    sharp, wide : float
        Widths; the well of the start, between the two, has their geometric mean.
    barrier : float
    """
    middle = math.sqrt(sharp * wide)

    def make(width: float) -> dict[str, LandscapeDescent]:
        wells = Wells([sharp, middle, width], barrier)
        here = replace(setting, landscape=replace(wells, start=float(wells.minima[1])))
        alike = matched(
            here.descent(), lambda level: LandscapeDescent(here.landscape, here.step_size, level**2), by=RATE,
            near=2 * setting.additive, tolerance=TOLERANCE,
        )  # fmt: skip
        return {
            MULTIPLICATIVE: here.descent(), ADDITIVE + ENDINGS[RATE]: alike.descent,
            f"{HOMOGENIZED}'s noise{ENDINGS[RATE]}": loss_noise(here, RATE)[1].descent,
        }  # fmt: skip

    return compare.width_preference(make, np.geomspace(sharp, wide, WIDTHS))


def preference_or_why(setting: Setting, sharp: float, wide: float, barrier: float) -> tuple[Any, str]:
    """`preference`, or None with the sentence why no noise could be matched, where paths hardly ever leave say."""
    try:
        return preference(setting, sharp, wide, barrier), ""
    except (InvalidInput, OutOfReach) as error:
        return None, str(error)
