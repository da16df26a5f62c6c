"""Rates with momentum on a line: the transfer operator on pairs (position before, position).

With Nesterov's momentum the first of a pair is where the last step led before momentum was added. It follows from the
first and the new position, and lies between nodes: its mass goes to those of its panel, by their Lagrange polynomials.
"""

from __future__ import annotations

import math

import numpy as np

from sgdlimits.exact.errors import OutOfReach
from sgdlimits.exact.killed_chains import Factors, quasi_stationary

from .line import (
    MOST_WIDENINGS,
    NODES,
    SPARE,
    WIDER,
    Found,
    Interval,
    lagrange,
    panels,
    product_rows,
    refined,
    seen,
    through_ends,
)
from .steps import LineSteps, NesterovSteps

LEAST = 1e-24  # of a step's mass: less goes nowhere
FAST = 10.5  # standard deviations of the velocity that the pairs hold
MOST_ENTRIES = 4e7


def pair_rate(steps: LineSteps, momentum: float, interval: Interval, drift: float) -> Found:
    """Rate of leaving an interval under z = mean(y) + momentum (y - x) + a random move, or as `NesterovSteps`.

    Parameters
    ----------
    drift : float
        Largest |mean(y) - y| where paths are seen.
    """
    factor, speed = 1.0, 1.0
    coarse = _at(steps, momentum, interval, drift, factor, speed, 8.0)
    for _ in range(MOST_WIDENINGS):
        open_end, fast = coarse[1]
        if max(open_end, fast) <= SPARE * coarse[0]:
            break
        factor *= WIDER if open_end > SPARE * coarse[0] else 1.0
        speed *= WIDER if fast > SPARE * coarse[0] else 1.0
        coarse = _at(steps, momentum, interval, drift, factor, speed, 8.0)
    else:
        raise OutOfReach("paths with momentum wander farther than the nodes hold them: name both ends of the basin")
    seen(coarse[0])
    return refined(lambda widths: _at(steps, momentum, interval, drift, factor, speed, widths), coarse)


def _at(steps, momentum, interval, drift, factor, speed, widths):
    from scipy.sparse import csr_matrix

    lower, upper = interval.cut(factor)
    mesh = panels(steps, lower, upper, widths, interval.start)
    nodes, n = mesh.nodes, mesh.nodes.size
    nesterov = isinstance(steps, NesterovSteps)
    wide = float(np.max(steps.width(nodes)))
    reach = speed * (FAST * wide / math.sqrt(1 - momentum**2) + drift / (1 - momentum))
    near = np.abs(nodes[:, None] - nodes) <= reach  # (before, now)
    place = _numbered(near)
    between = np.abs(nodes[:, None] - nodes) <= reach * (1 + momentum) / momentum if nesterov else near
    landing = _numbered(between) if nesterov else place
    count, pieces, entries = int(near.sum()), [], 0
    down, up = np.zeros(count), np.zeros(count)
    for j in range(n):
        before = np.flatnonzero(near[:, j])
        w = np.full(before.size, nodes[j])
        v = momentum * (steps.carried(w) - nodes[before] if nesterov else w - nodes[before])
        down[place[before, j]] = steps.leaving(w, v, interval.lower, np.inf)
        up[place[before, j]] = steps.leaving(w, v, -np.inf, interval.upper)
        after = np.arange(n) if nesterov else np.flatnonzero(near[j])
        if steps.singular:
            masses = product_rows(steps, mesh, w, v, widths)[:, after]
        else:
            masses = steps.density(w, v, np.broadcast_to(nodes[after], (w.size, after.size))) * mesh.weights[after]
        row, column = np.nonzero(np.abs(masses) > LEAST)
        kept = np.full(row.size, j) if not nesterov else before[row]
        inside = landing[kept, after[column]] >= 0
        row, column, kept = row[inside], column[inside], kept[inside]
        pieces.append((masses[row, column], place[before[row], j], landing[kept, after[column]]))
        entries += row.size
        if entries > MOST_ENTRIES:
            raise OutOfReach(
                f"momentum {momentum:g} needs more than {MOST_ENTRIES:g} entries of the transfer operator: raise "
                'step_size, or pass method="splitting"'
            )
    values, rows, columns = (np.concatenate(part) for part in zip(*pieces))
    matrix = csr_matrix((values, (rows, columns)), shape=(count, int(between.sum())))
    if nesterov:
        matrix = Factors(matrix, _given_on(mesh, momentum, between, place, count))
    law, rate = quasi_stationary(matrix, down + up)
    full = np.zeros((n, n))
    full[near] = law
    masses = full.sum(axis=0)
    open_end = (masses[:NODES].sum() if lower > interval.lower else 0.0) + (
        masses[-NODES:].sum() if upper < interval.upper else 0.0
    )
    edge = near & (np.abs(nodes[:, None] - nodes) > 0.92 * reach)
    left_out = float(open_end), float(np.abs(full[edge]).sum())
    return rate, left_out, nodes[:, None], masses, *through_ends(interval, law, down, up)


def _numbered(pairs: np.ndarray) -> np.ndarray:
    """Place of each pair among those that are held, -1 of the others."""
    place = np.full(pairs.shape, -1, dtype=np.int64)
    place[pairs] = np.arange(int(pairs.sum()))
    return place


def _given_on(mesh, momentum, between, place, count):
    """From (before, position after) to (where the step led, position after): a matrix of Lagrange polynomials."""
    from scipy.sparse import csr_matrix

    before, after = np.nonzero(between)
    led = (mesh.nodes[after] + momentum * mesh.nodes[before]) / (1 + momentum)
    first, weights = lagrange(mesh, led)
    columns = place[first[:, None] + np.arange(NODES), after[:, None]]
    rows = np.broadcast_to(np.arange(before.size)[:, None], columns.shape)
    held = columns >= 0
    return csr_matrix((weights[held], (rows[held], columns[held])), shape=(before.size, count))
