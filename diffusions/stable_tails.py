"""Tail index of the stationary law of Langevin's equation with stable noise, from how its drift grows far out. Derived.

Jumps beyond t have probability t^-index a unit of time. Under a drift inward like |x|^growth, 0 <= growth <= 1, one of
size t is back after a time like t^(1 - growth), so that P(|X| > t) falls like t^-(index + growth - 1): an inward linear
drift keeps the index of the increments, a bounded one takes 1 off.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from sgdlimits.exact.errors import NoStationaryLaw
from sgdlimits.exact.tail_index import TailIndex

if TYPE_CHECKING:
    from .stable_langevin import StableLangevin

RADII = (1e6, 1e8)  # in units of the scale, where the drift is looked at
DIRECTIONS = 64
NEAR = 0.02  # of a growth that counts as 0 or 1
SEED = 7


def langevin_tail_index(process: StableLangevin) -> TailIndex:
    """From the drift along random directions and the axes, at two radii.

    Raises
    ------
    NoStationaryLaw
        If somewhere the drift is not inward, or explicit steps do not come back from far out.
    """
    d, length = int(process.dimension or 1), process.step_size / process.substeps
    draw = np.random.Generator(np.random.Philox(SEED)).standard_normal((DIRECTIONS, d))
    rays = np.concatenate([draw / np.linalg.norm(draw, axis=1, keepdims=True), np.eye(d), -np.eye(d)])
    unit = float(np.abs(process.scale).max()) or 1.0
    sizes, inward, after = [], [], []
    for radius in RADII:
        at = radius * unit
        with np.errstate(over="ignore", invalid="ignore"):
            pull = process.drift(0.0, at * rays)
            sizes.append(np.linalg.norm(pull, axis=1))
            inward.append(-(pull * rays).sum(axis=1))
            after.append(np.linalg.norm(at * rays + length * pull, axis=1) / at)
    out = ~(inward[1] > 0) | ~(sizes[1] > 0)
    if out.any():
        raise NoStationaryLaw(
            f"far out the drift of {process.label} does not point inward in {int(out.sum())} of {len(rays)} directions "
            "that were looked at, so that no stationary law is known; add a ridge, or a gradient that grows", math.nan,
        )  # fmt: skip
    growth = np.log(sizes[1] / sizes[0]) / math.log(RADII[1] / RADII[0])
    least = float(growth.min())
    if growth.max() > 1 + NEAR or (after[1] >= 1).any():
        raise NoStationaryLaw(
            f"from far out an explicit step of {process.label} does not come back (it ends at {after[1].max():.3g} "
            "times the distance), so that large jumps throw it out and there is no stationary law; lower step_size, or "
            "raise substeps", math.nan,
        )  # fmt: skip
    if abs(least - 1) < NEAR:
        if process.index == 2:
            return TailIndex(math.inf, 0.0, "normal increments under an inward linear drift", proved=False, note=SEEN)
        note = f"{SEEN}: of the stationary law, and of the position after any number of steps"
        return TailIndex(process.index, 0.0, "index of one increment: the drift is inward and linear", note=note,
                         proved=False)  # fmt: skip
    if process.index == 2:
        return TailIndex(math.inf, 0.0, "normal increments under an inward drift", proved=False, note=SEEN)
    least = 0.0 if abs(least) < NEAR else least
    index = process.index + least - 1
    if index <= 0:
        raise NoStationaryLaw(
            f"the drift of {process.label} grows like |x|^{least:.3g} at most, too weak for jumps of index "
            f"{process.index:g}: without a first moment of the time back there is no stationary law", math.nan,
        )  # fmt: skip
    return TailIndex(
        index, NEAR if least else 0.0, f"jumps that return under a drift like |x|^{least:.3g}",
        note=f"{SEEN}; the position after finitely many steps has the index {process.index:g} of one increment",
        proved=False,
    )  # fmt: skip


SEEN = "the growth of the drift was seen along rays, not proved"
