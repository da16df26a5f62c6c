"""The forms in which a basin is given, and what the operators need of one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sgdlimits.exact.errors import InvalidInput, OutOfReach, kind
from sgdlimits.problems.landscapes import Basin, Landscape

from .models import StepModel

FIRST, GROWTH, FARTHEST = 1e-3, 1.15, 1e6  # of the way that is looked at from the start
HALVINGS = 100
RAYS = 12  # in the plane


def basin_of(process: Any, basin: Any, model: StepModel | None) -> Basin:
    """A basin from what was passed.

    Raises
    ------
    InvalidInput
        If it is none, none is known, or it does not hold the minimum.
    """
    if basin is None:
        if model is None or model.basin is None:
            raise InvalidInput(
                "basin is missing: pass a Basin(score, level, start), a landscape, or on a line a pair (lower, upper); "
                "only a LandscapeDescent brings its own"
            )
        return model.basin
    if isinstance(basin, Landscape):
        return basin.basin
    if isinstance(basin, (tuple, list)) and len(basin) == 2 and np.ndim(basin) == 1:
        start = float(model.minimum[0]) if model is not None else sum(basin) / 2
        if model is not None and model.dimension != 1:
            raise InvalidInput(f"a pair (lower, upper) is a basin on a line, but the process has {model.dimension} "
                               "coordinates: pass a Basin(score, level, start)")  # fmt: skip
        return Basin.interval(basin[0], basin[1], start)
    if not isinstance(basin, Basin):
        raise InvalidInput(f"basin must be a Basin, a landscape or a pair (lower, upper), got {kind(basin)}")
    if model is not None and basin.dimension != model.dimension:
        raise InvalidInput(f"the basin has dimension {basin.dimension}, but the process has {model.dimension}")
    if model is not None and not basin.inside(model.minimum[None])[0]:
        raise InvalidInput(
            f"the minimum {np.round(model.minimum, 6).tolist()} lies outside the basin, so what is left is no escape: "
            "raise its level"
        )
    return basin


def line_ends(basin: Basin) -> tuple[float, float]:
    """The interval about the start in which a basin on a line is inside; an end without a find is infinite.

    Raises
    ------
    OutOfReach
        If neither end is found.
    """
    start = float(basin.start[0])
    ends = []
    for sign in (-1.0, 1.0):
        steps = FIRST * GROWTH ** np.arange(math.ceil(math.log(FARTHEST / FIRST) / math.log(GROWTH)))
        inside = basin.inside((start + sign * steps)[:, None])
        if inside.all():
            ends.append(sign * math.inf)
            continue
        place = int(np.argmin(inside))
        low, high = (steps[place - 1] if place else 0.0), steps[place]
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if basin.inside(np.array([[start + sign * middle]]))[0] else (low, middle)
        ends.append(start + sign * high)
    if math.isinf(ends[0]) and math.isinf(ends[1]):
        raise OutOfReach("the basin has no end within 1e6 of its start, so no rate could be seen: lower its level")
    return ends[0], ends[1]


def edge_points(basin: Basin, start: np.ndarray) -> np.ndarray:
    """Points (k, d) of the basin's edge on rays from a point inside.

    Raises
    ------
    InvalidInput
        If no ray meets the edge.
    """
    if basin.dimension == 2:
        angles = 2 * np.pi * np.arange(RAYS) / RAYS + 0.1
        rays = np.column_stack([np.cos(angles), np.sin(angles)])
    else:
        rays = np.concatenate([np.eye(basin.dimension), -np.eye(basin.dimension)])
    points = []
    for ray in rays:
        reach = 1e-3
        while reach < 1e6 and basin.inside((start + reach * ray)[None])[0]:
            reach *= 1.3
        low, high = reach / 1.3, reach
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if basin.inside((start + middle * ray)[None])[0] else (low, middle)
        if reach < 1e6:
            points.append(start + high * ray)
    if not points:
        raise InvalidInput("the basin has no edge on any ray from the minimum, so nothing escapes from it")
    return np.array(points)
