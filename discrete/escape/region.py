"""A basin in the plane as Gauss-Legendre nodes: lines across it, with the intervals in which they lie inside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from sgdlimits.exact.errors import OutOfReach

Array = np.ndarray
SCAN = 401  # points of a line that are looked at
HALVINGS = 60
SPARE_NODES = 8
MOST_NODES = 12000


@dataclass(frozen=True, eq=False)
class Line:
    """One line y: its weight, and intervals (first, last, whether the path has left before the first, after the last).
    """

    y: float
    weight: float
    intervals: tuple[tuple[float, float, bool, bool], ...]


@dataclass(frozen=True, eq=False)
class Region:
    """Nodes (n, 2) and weights (n,) of the part of a basin inside a box; `outer` (n,) marks those at its cut sides.

    `below` and `above` are the ends of the lines, None where the box cuts them.
    """

    lines: tuple[Line, ...]
    nodes: Array
    weights: Array
    outer: Array
    below: float | None
    above: float | None


@lru_cache(maxsize=256)
def _legendre(count: int) -> tuple[Array, Array]:
    from scipy.special import roots_legendre

    return roots_legendre(count)


def region_of(
    margin: Callable[[Array], Array], box: Array, spacing: tuple[float, float], fine: float,
    keep: Callable[[Array], Array] | None = None,
) -> Region:  # fmt: skip
    """Lay nodes over {margin < 0} in a box.

    Parameters
    ----------
    margin : function of positions (P, 2) with values (P,)
    box : array (2, 2)
        Lower and upper corner.
    spacing : (float, float)
        Widths that must be resolved, in x and y.
    fine : float
        Nodes per width.
    keep : function of nodes (n, 2) with values (n,), optional
        Which nodes are worth keeping.
    """
    (left, bottom), (right, top) = box
    xs = np.linspace(left, right, SCAN)

    def least(y: float) -> float:
        values = margin(np.column_stack([xs, np.full(SCAN, y)]))
        place = int(values.argmin())
        ends = xs[max(place - 1, 0)], xs[min(place + 1, SCAN - 1)]
        inner = np.linspace(*ends, 33)
        return min(float(values[place]), float(margin(np.column_stack([inner, np.full(33, y)])).min()))

    ys = np.linspace(bottom, top, SCAN)
    open_ = np.array([least(y) < 0 for y in ys])
    if not open_.any():
        raise OutOfReach("the basin is too small to be found on a grid about its start: change the unit of the score")
    first, last = int(open_.argmax()), SCAN - 1 - int(open_[::-1].argmax())
    below = None if first == 0 else _edge(least, ys[first], ys[first - 1])
    above = None if last == SCAN - 1 else _edge(least, ys[last], ys[last + 1])
    y, y_weights = _along(bottom if below is None else below, top if above is None else above, spacing[1], fine,
                          below is not None and above is not None)  # fmt: skip
    lines, nodes, weights, outer = [], [], [], []
    rim = 1.5 * spacing[1]
    for level, weight in zip(y, y_weights, strict=True):
        intervals = _intervals(margin, xs, float(level))
        lines.append(Line(float(level), float(weight), intervals))
        cut_line = below is None and level < bottom + rim or above is None and level > top - rim
        for low, high, left_exit, right_exit in intervals:
            count = int(np.ceil(fine * (high - low) / spacing[0])) + SPARE_NODES
            t, own = _legendre(count)
            x = low + (high - low) * (t + 1) / 2
            nodes.append(np.column_stack([x, np.full(count, level)]))
            weights.append(own * (high - low) / 2 * weight)
            rim_x = 1.5 * spacing[0]
            outer.append(cut_line | (x < low + rim_x) & (not left_exit) | (x > high - rim_x) & (not right_exit))
        if sum(map(len, nodes)) > (MOST_NODES if keep is None else 4 * MOST_NODES):
            raise OutOfReach(
                f"the noise of one step is so small beside the basin that more than {MOST_NODES} nodes would be "
                'needed: raise step_size, pass method="splitting", or ask for escape.kramers, near at small step sizes'
            )
    points = np.concatenate(nodes)
    kept = np.ones(len(points), dtype=bool) if keep is None else keep(points)
    found = (points[kept], np.concatenate(weights)[kept], np.concatenate(outer)[kept])
    return Region(tuple(lines), *found, below, above)


def _edge(least: Callable[[float], float], inside: float, outside: float) -> float:
    for _ in range(HALVINGS):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if least(middle) < 0 else (inside, middle)
    return inside


def _along(low: float, high: float, spacing: float, fine: float, closing: bool) -> tuple[Array, Array]:
    """Nodes and weights on (low, high); `closing`: for widths that close like a root at both ends."""
    half, middle = (high - low) / 2, (high + low) / 2
    count = int(np.ceil(fine * 2 * half / spacing)) + SPARE_NODES
    if not closing:
        t, weight = _legendre(count)
        return middle + half * t, half * weight
    t, weight = _legendre(int(np.ceil(count * np.pi / 2)))
    angle = np.pi / 2 * t
    return middle + half * np.sin(angle), half * np.pi / 2 * np.cos(angle) * weight


def _intervals(margin: Callable[[Array], Array], xs: Array, y: float) -> tuple[tuple[float, float, bool, bool], ...]:
    inside = margin(np.column_stack([xs, np.full(xs.size, y)])) < 0
    if not inside.any():
        # Near a tip the whole interval lies between two points: look there.
        values = margin(np.column_stack([xs, np.full(xs.size, y)]))
        place = int(values.argmin())
        ends = xs[max(place - 1, 0)], xs[min(place + 1, xs.size - 1)]
        if ends[1] - ends[0] < 1e-9 * (xs[-1] - xs[0]) or xs.size < SCAN:
            return ()
        return _intervals(margin, np.linspace(*ends, SCAN), y) if ends[1] - ends[0] < xs[-1] - xs[0] else ()
    changes = np.flatnonzero(np.diff(inside.astype(int)))
    outs, ins = xs[changes + inside[changes]], xs[changes + ~inside[changes]]
    for _ in range(HALVINGS):
        middle = (outs + ins) / 2
        good = margin(np.column_stack([middle, np.full(middle.size, y)])) < 0
        ins, outs = np.where(good, middle, ins), np.where(good, outs, middle)
    found = list(ins)
    if inside[0]:
        found.insert(0, xs[0])
    if inside[-1]:
        found.append(xs[-1])
    pairs = [(float(found[i]), float(found[i + 1])) for i in range(0, len(found), 2)]
    return tuple(
        (a, b, not (inside[0] and a == xs[0]), not (inside[-1] and b == xs[-1])) for a, b in pairs
    )
