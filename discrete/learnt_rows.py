"""Batches of rows drawn by probabilities that a pilot has learnt: an index to some digits, in a tenth of the time.

`tilted_steps.TiltedRows` looks at every row at every step of every path, and draws in proportion to |A u|^order. What a
row contributes depends mostly on the row, though, not on u: one list of probabilities, learnt from the batches that
carry a small population, draws nearly as well at the price of plain draws, and of batches of several rows better. Any
list is allowed, as p / q is in the weight. Pilot and populations run in one kernel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from sgdlimits.ensembles.initial import draw_initial, initial_state
from sgdlimits.ensembles.normals import unit_interval
from sgdlimits.ensembles.populations import Growth, grow_groups
from sgdlimits.ensembles.random import Noise, Purpose, path_word64
from sgdlimits.exact.compiling import compiled
from sgdlimits.exact.errors import InvalidInput

from .linear_rule import LinearRule
from .tilted_steps import PLACES, PLAIN

PILOT, ROWS, START = (128, 512), 16384, 97  # fewest and most paths; rows they draw; purpose of their first normals
FIRST_PATH = 2**40  # its numbers, which no population has
ROUNDS, GENERATIONS = 8, 12  # of learning
KEPT = 0.3  # of what earlier rounds saw: errors of a probability multiply over the rows of a batch
DEFENCE = 0.2  # part of the draws that stays plain
BELOW = 1e-12  # relative: a guide to cumulated probabilities leads below, whatever the rounding


@dataclass(frozen=True, eq=False)
class LearntRows:
    """Growth of E |y|^order under batches of rows (n, r), drawn with replacement by `weights` (n,), which add up to 1.
    """

    order: float
    rule: LinearRule
    rows: np.ndarray
    batch_size: int
    weights: np.ndarray

    @cached_property
    def _cumulated(self) -> np.ndarray:
        return np.cumsum(self.weights)

    @cached_property
    def _guide(self) -> np.ndarray:
        """For each of n equal parts of (0, 1) a row that is drawn by none of its numbers but the first (n,)."""
        ends = self._cumulated
        return np.searchsorted(ends, np.arange(ends.size) / ends.size * ends[-1] * (1 - BELOW), side="right")

    @cached_property
    def _ratios(self) -> np.ndarray:
        return -np.log(len(self.rows) * self.weights)

    @cached_property
    def _rows(self) -> np.ndarray:
        return np.ascontiguousarray(self.rows)

    @cached_property
    def _pushes(self) -> np.ndarray:
        return np.ascontiguousarray(self.rule.scale * self.rows @ self.rule.lift.T)

    def advance(
        self, u: np.ndarray, noise: Noise, first: int, generations: int, burn_in: int, carried: np.ndarray
    ) -> tuple[float, float]:
        """Directions (P, D), which are moved, through generations numbered from `first`.

        Parameters
        ----------
        carried : (n,) array, or empty
            To which the shares of the batches that held a row are added.

        Returns
        -------
        Mean log weight of a generation after the burn-in, and the least effective number of parents.
        """
        rule = self.rule
        total, fewest = _advance(
            u, np.uint64(noise.seed), noise.paths, self.order, first, generations, burn_in, self.batch_size,
            self._cumulated, self._guide, self._ratios, self._rows, self._pushes,
            *(np.ascontiguousarray(matrix.T) for matrix in (rule.base, rule.look, rule.rest)), carried,
        )  # fmt: skip
        if math.isnan(total):
            raise InvalidInput("a population of directions died out, or left the range of numbers: raise paths")
        return total / (generations - burn_in), fewest

    def grow(self, spread: np.ndarray, *, generations: int, seed: int, **options: Any) -> Growth:
        """Growth rate by populations, whose directions start as those of N(0, spread); options as `grow_groups`."""
        # One number more than is used: populations of `tilted_steps` begin so, with a log weight.
        initial = initial_state((np.zeros(len(spread) + 1), np.pad(spread, (0, 1))), len(spread) + 1)
        nothing = np.zeros(0)

        def population(size: int, first: int, burn_in: int) -> tuple[float, float]:
            noise = Noise(seed, np.arange(first, first + size, dtype=np.int64))
            u = np.ascontiguousarray(draw_initial(initial, noise, first)[:, :-1])
            return self.advance(u, noise, 0, generations, burn_in, nothing)

        return grow_groups(population, generations=generations, halves=False, **options)


def learnt_rows(order: float, rule: LinearRule, rows: np.ndarray, batch_size: int, seed: int) -> LearntRows:
    """With probabilities in proportion to what rows bring to E |A u|^order, in a population of that order."""
    n = len(rows)
    weights = np.full(n, 1 / n)
    if order <= PLAIN:
        return LearntRows(order, rule, rows, batch_size, weights)
    # What a row could do at most: a rare one, whose own direction decides, is not found by plain draws.
    could = order * np.log1p(rule.scale * np.linalg.norm(rows @ rule.look, axis=1) * np.linalg.norm(
        rows @ rule.lift.T, axis=1
    ))  # fmt: skip
    could = np.exp(could - could.max())
    weights = 0.5 / n + 0.5 * could / could.sum()
    noise = Noise(seed, np.arange(FIRST_PATH, FIRST_PATH + max(PILOT[0], min(PILOT[1], ROWS // batch_size))))
    u = noise.normals(START, 0, len(rule.spread)) @ np.linalg.cholesky(rule.spread).T
    carried = np.zeros(n)
    for k in range(ROUNDS):
        carried *= KEPT
        steps = LearntRows(order, rule, rows, batch_size, weights)
        steps.advance(u, noise, k * GENERATIONS, GENERATIONS, 0, carried)
        weights = DEFENCE / n + (1 - DEFENCE) * carried / carried.sum()
    return LearntRows(order, rule, rows, batch_size, weights)


@compiled
def _advance(
    u, seed, paths, order, first, generations, burn_in, batch, cumulated, guide, ratios, rows, pushes, base, look, rest,
    carried,
):  # fmt: skip
    """Each generation: directions to norm one, a batch for each, weights, and parents by systematic sampling.

    `base`, `look`, `rest` (D, ...) stand transposed.
    """
    p_count, d = u.shape
    n, r = rows.shape
    moved, places = np.empty((p_count, d)), np.empty((p_count, batch), np.int64)
    seen, pushed, kept = np.empty(r), np.empty(r), np.empty(d - r)
    logs, ends = np.empty(p_count), np.empty(p_count)
    whole, total, fewest = cumulated[n - 1], 0.0, float(p_count)
    for generation in range(generations):
        k = first + generation
        top = -np.inf
        for p in range(p_count):
            size = 0.0
            for i in range(d):
                size += u[p, i] * u[p, i]
            size = math.sqrt(size)
            for i in range(d):
                u[p, i] /= size
            seen[:] = 0.0
            pushed[:] = 0.0
            kept[:] = 0.0
            for j in range(d):  # the outer loop: what is added up then runs along the inner one
                for i in range(r):
                    seen[i] += look[j, i] * u[p, j]
                    pushed[i] += base[j, i] * u[p, j]
                for i in range(d - r):
                    kept[i] += rest[j, i] * u[p, j]
            ratio = 0.0
            for b in range(batch):
                unit = unit_interval(path_word64(seed, PLACES, paths[p], k * batch + b))
                place, number = guide[int(unit * n)], unit * whole
                while place < n - 1 and cumulated[place] <= number:
                    place += 1
                along = 0.0
                for i in range(r):
                    along += rows[place, i] * seen[i]
                for i in range(r):
                    pushed[i] -= along * pushes[place, i]
                places[p, b] = place
                ratio += ratios[place]
            square = 0.0
            for i in range(r):
                moved[p, i] = pushed[i]
                square += pushed[i] * pushed[i]
            for i in range(d - r):
                moved[p, r + i] = kept[i]
                square += kept[i] * kept[i]
            logs[p] = order / 2 * math.log(square) + ratio
            if not logs[p] < np.inf:  # nan too
                return np.nan, 0.0
            top = max(top, logs[p])
        if top == -np.inf:
            return np.nan, 0.0
        shares = squares = 0.0
        last = 0
        for p in range(p_count):
            share = math.exp(logs[p] - top)
            shares += share
            squares += share * share
            ends[p] = shares
            logs[p] = share
            if share > 0:
                last = p
        fewest = min(fewest, shares * shares / squares)
        if generation >= burn_in:
            total += top + math.log(shares / p_count)
        if carried.size:
            for p in range(p_count):
                for b in range(batch):
                    carried[places[p, b]] += logs[p] / shares
        mark = unit_interval(path_word64(seed, Purpose.RESAMPLING, paths[0], k))
        parent = 0
        for p in range(p_count):
            while parent < last and ends[parent] <= (p + mark) * (shares / p_count):
                parent += 1
            for i in range(d):
                u[p, i] = moved[parent, i]
    return total, fewest
