"""Rates in the plane by the transfer operator, and where paths leave."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import ndtr

from sgdlimits.exact.errors import OutOfReach
from sgdlimits.exact.killed_chains import quasi_stationary

from .line import MOST_WIDENINGS, ROUNDING, WIDER, Found, seen as check_seen
from .plane_steps import PlaneSteps
from .region import Region, region_of

FINE = (1.3, 1.65, 2.1, 2.7)  # nodes per width of a step
LEAST = 1e-26
SETTLED = 1e-8
SPARE = 1e-10  # of the rate: mass at a side where the box is cut
SELDOM = 1e-13  # of the rate: mass of a node that is left out
TYPICAL = 0.35  # quantile of the spacings in the box: its corners see no path
MOST_ENTRIES = 4e7
REACH = 9.0
Array = np.ndarray


def plane_rate(
    steps: PlaneSteps, margin: Callable[[Array], Array], start: Array, spread: Array, seen: Array
) -> Found:
    """Rate of leaving {margin < 0}, refined until two resolutions agree.

    Parameters
    ----------
    margin : function of positions (P, 2) with values (P,)
    start, spread : arrays (2,)
        The minimum, and standard deviations about it.
    seen : array (k, 2)
        Places which the box must hold with room: the minimum, the saddle.
    """
    factor = np.ones((2, 2))
    coarse = _at(steps, margin, _box(seen, spread, factor), FINE[0])
    for _ in range(MOST_WIDENINGS):
        if max(coarse[4]) <= SPARE * coarse[0]:
            break
        factor = np.where(np.reshape(coarse[4], (2, 2)) > SPARE * coarse[0], factor * WIDER, factor)
        coarse = _at(steps, margin, _box(seen, spread, factor), FINE[0])
    else:
        raise OutOfReach(
            "paths wander so far from the minimum that no box holds them: let the score close the basin on that side"
        )
    check_seen(coarse[0])
    before, error, keep = coarse, np.inf, _seldom(coarse)
    for fine in FINE[1:]:
        found = _at(steps, margin, _box(seen, spread, factor), fine, keep)
        error, before = abs(found[0] - before[0]) + ROUNDING * found[0], found
        if error <= SETTLED * found[0]:
            break
    rate, nodes, law, exits, _ = before
    return Found(rate, error, nodes, law, f"{len(nodes)} nodes", *exits)


def _seldom(coarse) -> Callable[[Array], Array]:
    """Which nodes of a finer mesh see paths that could matter to the rate."""
    from scipy.spatial import cKDTree

    rate, nodes, law = coarse[:3]
    tree = cKDTree(nodes)
    return lambda points: law[tree.query(points, workers=1)[1]] > SELDOM * rate


def _box(seen: Array, spread: Array, factor: Array) -> Array:
    return np.array([seen.min(axis=0), seen.max(axis=0)]) + REACH * spread * factor * np.array([[-1.0], [1.0]])


def _at(steps, margin, box, fine, keep=None):
    sample = np.stack(np.meshgrid(*(np.linspace(*box[:, i], 21) for i in range(2)), indexing="ij"), -1).reshape(-1, 2)
    sample = sample[margin(sample) < 0]
    spacing = _spacing(steps, sample) if len(sample) else _spacing(steps, box.mean(axis=0)[None])
    region = region_of(margin, box, spacing, fine, keep)
    killed, through = _leaving(steps, region)
    law, rate = quasi_stationary(_matrix(steps, region, killed), killed)
    flux = law @ through[0], [law @ each for each in through[1:]]
    points, shares = _exits(region, *flux)
    nodes = region.nodes
    rim = 1.5 * np.array(spacing)
    cut = region.outer
    sides = [float(law[cut & (nodes[:, i] < box[0, i] + rim[i])].sum()) for i in range(2)]
    sides += [float(law[cut & (nodes[:, i] > box[1, i] - rim[i])].sum()) for i in range(2)]
    return rate, nodes, law, (points, shares / (shares.sum() or 1.0)), sides


def _spacing(steps: PlaneSteps, w: Array) -> tuple[float, float]:
    """Conditional standard deviations of a step, over how fast the mean moves where that is faster than w."""
    inverse = np.linalg.inv(steps.moments(w)[1])
    narrow = 1 / np.sqrt(np.einsum("pii->pi", inverse))
    for i in range(2):
        move = np.zeros(2)
        move[i] = 1e-5 * narrow[:, i].min()
        slope = (steps.moments(w + move)[0] - steps.moments(w - move)[0]) / (2 * move[i])
        narrow[:, i] /= np.maximum(1.0, np.sqrt(np.einsum("pi,pij,pj->p", slope, inverse, slope)) * narrow[:, i])
    return float(np.quantile(narrow[:, 0], TYPICAL)), float(np.quantile(narrow[:, 1], TYPICAL))


def _leaving(steps: PlaneSteps, region: Region) -> tuple[Array, tuple[Array, Array, Array]]:
    """P(z outside), (n,), and by where: (n, line ends), below all lines, above all lines."""
    n, ends = len(region.nodes), sum(2 * len(line.intervals) for line in region.lines)
    sides, below, above = np.zeros((n, ends)), np.zeros(n), np.zeros(n)
    for weight, means, covariances in steps.parts(region.nodes):
        sy = np.sqrt(covariances[:, 1, 1])
        slope = covariances[:, 0, 1] / covariances[:, 1, 1]
        sx = np.sqrt(np.maximum(covariances[:, 0, 0] - slope * covariances[:, 0, 1], 1e-300))
        if region.below is not None:
            below += weight * ndtr((region.below - means[:, 1]) / sy)
        if region.above is not None:
            above += weight * ndtr((means[:, 1] - region.above) / sy)
        place = 0
        for line in region.lines:
            away = (line.y - means[:, 1]) / sy
            near = np.flatnonzero(np.abs(away) < 40)
            here = weight * line.weight * np.exp(-(away[near] ** 2) / 2) / (np.sqrt(2 * np.pi) * sy[near])
            middle = means[near, 0] + slope[near] * (line.y - means[near, 1])
            for number, (low, high, left_exit, right_exit) in enumerate(line.intervals):
                if left_exit:
                    out = ndtr((low - middle) / sx[near])
                    if number:  # not what lies in the interval before, or beyond it
                        out = out - ndtr((line.intervals[number - 1][1] - middle) / sx[near])
                    sides[near, place] += here * out
                if right_exit and number == len(line.intervals) - 1:
                    sides[near, place + 1] += here * ndtr((middle - high) / sx[near])
                place += 2
    return sides.sum(axis=1) + below + above, (sides, below, above)


def _exits(region: Region, sides: Array, ends: list[Array]) -> tuple[Array, Array]:
    points = [(x, line.y) for line in region.lines for low, high, *_ in line.intervals for x in (low, high)]
    shares = list(sides)
    for y, share in ((region.below, ends[0]), (region.above, ends[1])):
        if y is not None:
            line = region.lines[0 if y == region.below else -1]
            x = np.mean([line.intervals[0][0], line.intervals[-1][1]]) if line.intervals else 0.0
            points.append((float(x), y))
            shares.append(share)
    return np.array(points), np.array(shares, dtype=float)


def _matrix(steps: PlaneSteps, region: Region, killed: Array):
    from scipy.sparse import csr_matrix, diags, vstack

    n, rows, entries = len(region.nodes), [], 0
    chunk = max(1, int(1e6 / n))
    for first in range(0, n, chunk):
        w = region.nodes[first : first + chunk]
        masses = steps.density(w, region.nodes) * region.weights
        if steps.singular:  # the node itself gets what the others leave of the mass that stays
            masses[np.arange(len(w)), first + np.arange(len(w))] = 0.0
        masses[masses < LEAST] = 0.0
        rows.append(csr_matrix(masses))
        entries += rows[-1].nnz
        if entries > MOST_ENTRIES:
            raise OutOfReach(
                f"more than {MOST_ENTRIES:g} entries of the transfer operator would be needed: "
                'pass method="splitting"'
            )
    matrix = vstack(rows).tocsr()
    if steps.singular:
        matrix = matrix + diags(1 - killed - np.asarray(matrix.sum(axis=1)).ravel())
    return matrix
