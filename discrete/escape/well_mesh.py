"""Nodes on a line that resolve the law of a step, however its width varies, and quantiles of a law at them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sgdlimits.exact.errors import OutOfReach

from .steps import LineSteps

Array = np.ndarray
NODES = 16  # a panel
MOST_NODES = 2500
VARIES = 0.4  # of a width, how far width may vary over what one resolves
MOVE, LOST = 1e-3, 1e-12  # of a width, over which its derivatives are taken, and what rounding is of a difference
WITHIN = np.linspace(0, 1, 17)  # of a panel, where it must be fine enough


@dataclass(frozen=True, eq=False)
class Mesh:
    """Nodes and weights (n,) of Gauss and Legendre on panels with ends (K + 1,)."""

    ends: Array
    nodes: Array
    weights: Array


def mesh_of(steps: LineSteps, ends: Array, widths: float, most: int = MOST_NODES) -> Mesh:
    """Panels that resolve the law of a step, none across one of the places `ends` (from the first to the last of them).

    At most `most` nodes in all.

    Raises
    ------
    OutOfReach
        If that takes too many nodes.
    """
    from scipy.special import roots_legendre

    def size(x: Any) -> Array:
        at = np.asarray(x)
        return widths * np.minimum(steps.width(at) / steps.steepness(at), VARIES * _variation(steps, at))

    found = [float(ends[0])]
    for a, b in zip(ends[:-1], ends[1:]):
        # From the end where panels are short: the other may be so far that rounding there is longer than they are.
        turned = bool(size(np.array([a]))[0] > size(np.array([b]))[0])
        origin, away, span = float(b if turned else a), -1.0 if turned else 1.0, float(b - a)
        reached = [0.0]
        while reached[-1] < span:
            ahead = float(size(origin + away * np.array(reached[-1:]))[0])
            while ahead > (least := float(size(origin + away * np.minimum(reached[-1] + ahead * WITHIN, span)).min())):
                ahead = max(least, ahead / 2)
            reached.append(reached[-1] + ahead)
            if (len(found) + len(reached)) * NODES > most:
                raise OutOfReach(
                    f"the noise of one step is so small beside the landscape that more than {most} nodes would "
                    "be needed: raise step_size or the noise"
                )
        # Shrunk to end where they should.
        inner = [origin + away * x * span / reached[-1] for x in reached[1:-1]]
        found += [*(reversed(inner) if turned else inner), float(b)]
    t, weight = roots_legendre(NODES)
    edges = np.array(found)
    half = np.diff(edges)[:, None] / 2
    return Mesh(edges, (edges[:-1, None] + half * (t + 1)).ravel(), (half * weight).ravel())


def _variation(steps: LineSteps, at: Array) -> Array:
    """How far from places (P,) the width of the law of a step is another, (P,); inf where it never is."""
    width = steps.width(at)
    move = MOVE * width
    ahead, behind = steps.width(at + move), steps.width(at - move)
    with np.errstate(all="ignore"):
        slope, bend = np.abs(ahead - behind) / (2 * move), np.abs(ahead + behind - 2 * width) / move**2
        scales = width / slope, np.sqrt(width / np.where(bend > LOST * width / move**2, bend, 0.0))
    return np.fmin(np.fmin(*scales), np.inf)


def quantiles(law: Array, nodes: Array, shares: Any) -> Array:
    """Quantiles of a law given by masses at the nodes of panels of 16 nodes each, exact as far as the panels are."""
    from numpy.polynomial import legendre
    from scipy.special import eval_legendre, roots_legendre

    t, weight = roots_legendre(NODES)
    masses, x = law.reshape(-1, NODES), nodes.reshape(-1, NODES)
    half = (x[:, -1] - x[:, 0]) / (t[-1] - t[0])
    middle = (x[:, -1] + x[:, 0]) / 2
    polynomials = np.array([(2 * k + 1) / 2 * eval_legendre(k, t) for k in range(NODES)])
    before = np.r_[0.0, np.cumsum(masses.sum(axis=1))] / law.sum()
    found = []
    for share in np.atleast_1d(shares):
        k = min(int(np.searchsorted(before, share, side="right")) - 1, len(masses) - 1)
        rise = legendre.legint(polynomials @ masses[k], lbnd=-1) / law.sum()
        low, high = -1.0, 1.0
        for _ in range(60):
            place = (low + high) / 2
            low, high = (place, high) if before[k] + legendre.legval(place, rise) < share else (low, place)
        found.append(middle[k] + half[k] * (low + high) / 2)
    return np.array(found)
