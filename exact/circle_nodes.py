"""Nodes of the transfer operator on the circle, and its rows: the loops of `circle_growth`, compiled."""

from __future__ import annotations

import numpy as np

from .compiling import compiled

NEGLIGIBLE = 36.0  # log of a weight below which a node is left out
SPACING = 2e-3  # of a table in a logarithm: its cubics are right to 1e-13
LANES = 16  # points that go through a recurrence together
FACTOR = 3.0  # from one panel to the next, away from a point that needs fine ones


@compiled
def graded_edges(low, high, width, centres, nears, edges):
    """Edges of panels of about `width` between two ends, finer about each centre down to its `near`; how many."""
    whole = int((high - low) / width) + 1
    count = 0
    for i in range(whole + 1):
        edges[count] = low + (high - low) * i / whole
        count += 1
    for i in range(centres.size):
        if not nears[i] < width or not low < centres[i] < high:
            continue
        edges[count] = centres[i]
        count += 1
        away = nears[i]
        while away < FACTOR * width:
            for side in (-1.0, 1.0):
                edge = centres[i] + side * away
                if low < edge < high:
                    edges[count] = edge
                    count += 1
            away *= FACTOR
    found = np.sort(edges[:count])
    kept = 1
    edges[0] = found[0]
    for i in range(1, count):
        if found[i] > edges[kept - 1]:
            edges[kept] = found[i]
            kept += 1
    return kept


@compiled
def _looked_up(place, table):
    """By Hermite's cubics; what the table ends with beyond it."""
    at = place / SPACING + (table.shape[0] - 1) / 2
    if not at > 0:
        return table[0, 0]
    if at >= table.shape[0] - 1:
        return table[-1, 0]
    i = int(at)
    t = at - i
    value = table[i, 0] * (1 + 2 * t) * (1 - t) ** 2 + table[i + 1, 0] * t * t * (3 - 2 * t)
    return value + SPACING * t * (1 - t) * (table[i, 1] * (1 - t) - table[i + 1, 1] * t)


@compiled
def across(still, spread, logs, points, weights, turns, last, width, nearest, orders, table):
    """A u = still + spread g (n, 2), g ~ N(0, 1), at nodes of g that gather where A u vanishes, or turns past an axis.

    Parameters
    ----------
    table : (n, 2) array
        Of `table_of`: the cosine of the place, by the logarithm of the ratio of parts.

    Returns
    -------
    (3, points) array
        log |A u|, the cosine of its place and its log weight, without nodes that count in no moment up to `orders`.
    """
    edges, centres, nears = np.empty(1024), np.empty(turns.size), np.empty(turns.size)
    found, count = np.empty((3, 1024)), 0
    for r in range(logs.size):
        for i in range(turns.size):  # where, in the complex plane, a function of the angle is singular: at tan = i turn
            turn = 1j * turns[i]
            zero = -(still[r, 0] - turn * still[r, 1]) / (spread[r, 0] - turn * spread[r, 1])
            centres[i], nears[i] = zero.real, max(abs(zero.imag), nearest)
        panels = graded_edges(-last, last, width, centres, nears, edges) - 1
        if count + panels * points.size > found.shape[1]:
            more = np.empty((3, 2 * (count + panels * points.size)))
            for p in range(count):
                more[0, p], more[1, p], more[2, p] = found[0, p], found[1, p], found[2, p]
            found = more
        for e in range(panels):
            wide = edges[e + 1] - edges[e]
            for p in range(points.size):
                g = edges[e] + wide * points[p]
                first, second = still[r, 0] + spread[r, 0] * g, still[r, 1] + spread[r, 1] * g
                weight = logs[r] + np.log(wide * weights[p]) - g * g / 2 - 0.5 * np.log(2 * np.pi)
                size = 0.5 * np.log(first * first + second * second)
                if max(weight, weight + orders * size) > -NEGLIGIBLE:
                    tangent = np.log(abs(first) / abs(second)) if second != 0 else np.inf
                    found[0, count], found[1, count], found[2, count] = size, _looked_up(tangent, table), weight
                    count += 1
    return found[:, :count].copy()


@compiled
def rows_of(starts, powers, cosines, sines, terms):
    """Sums of exp(powers) times the functions at places of these cosines (and sines, if any), (directions, terms)."""
    rows = np.zeros((starts.size - 1, terms))
    waves = sines.size > 0
    half = terms // 2 if waves else terms - 1
    double, before, now = np.empty(LANES), np.empty(LANES), np.empty(LANES)
    last, other = np.empty(LANES), np.empty(LANES)
    sums = np.empty((terms, LANES))
    for i in range(starts.size - 1):
        sums[:] = 0.0
        for p in range(starts[i], starts[i + 1], LANES):
            for lane in range(LANES):
                q = min(p + lane, starts[i + 1] - 1)
                mass = np.exp(powers[q]) if q == p + lane else 0.0
                double[lane], before[lane], now[lane] = 2 * cosines[q], mass, mass * cosines[q]
                last[lane], other[lane] = 0.0, mass * sines[q] if waves else 0.0
            sums[0] += before
            for j in range(1, half + 1):
                for lane in range(LANES):
                    sums[j, lane] += now[lane]
                    following = double[lane] * now[lane] - before[lane]
                    before[lane] = now[lane]
                    now[lane] = following
            if waves:
                for j in range(half + 1, terms):
                    for lane in range(LANES):
                        sums[j, lane] += other[lane]
                        following = double[lane] * other[lane] - last[lane]
                        last[lane] = other[lane]
                        other[lane] = following
        for j in range(terms):
            rows[i, j] = sums[j].sum()
    return rows
