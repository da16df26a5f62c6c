"""Batches of rows drawn by probabilities that a pilot has learnt: an index to some digits, in a tenth of the time.

`tilted_steps.TiltedRows` looks at every row at every step of every path, and draws in proportion to |A u|^order. What a
row contributes depends mostly on the row, though, not on u: one list of probabilities, learnt from the batches that
carry a small population, draws nearly as well at the price of plain draws, and of batches of several rows better. Any
list is allowed, as p / q is in the weight.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sgdlimits.ensembles.populations import resample
from sgdlimits.ensembles.random import Noise, Purpose
from sgdlimits.exact.compiling import compiled

from .linear_rule import LinearRule
from .tilted_steps import PLACES, PLAIN, TiltedSteps

PILOT, ROWS, START = (128, 512), 16384, 97  # fewest and most paths; rows they draw; purpose of their first normals
FIRST_PATH = 2**40  # its numbers, which no population has
ROUNDS, GENERATIONS = 8, 12  # of learning
KEPT = 0.3  # of what earlier rounds saw: errors of a probability multiply over the rows of a batch
DEFENCE = 0.2  # part of the draws that stays plain


@dataclass(frozen=True, eq=False)
class LearntRows(TiltedSteps):
    """Batches of rows (n, r), drawn with replacement by `weights` (n,), which add up to 1."""

    order: float
    rule: LinearRule
    rows: np.ndarray
    batch_size: int
    weights: np.ndarray

    @cached_property
    def _cumulated(self) -> np.ndarray:
        return np.cumsum(self.weights)

    @cached_property
    def _ratios(self) -> np.ndarray:
        return -np.log(len(self.rows) * self.weights)

    @cached_property
    def _pushes(self) -> np.ndarray:
        return self.rule.scale * self.rows @ self.rule.lift.T

    def drawn(self, k: int, u: np.ndarray, noise: Noise) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows (P, batch_size) of the batches of step k, A u (P, D) of these, and log p / q (P,)."""
        numbers = noise.uniforms(PLACES, k, self.batch_size) * self._cumulated[-1]
        split = self.rule.split(u)
        places, pushed, ratio = np.empty(numbers.shape, np.int64), split.base.copy(), np.zeros(len(u))
        _push(numbers, self._cumulated, self._ratios, self.rows, self._pushes, split.look, places, pushed, ratio)
        return places, np.concatenate([pushed, split.rest], axis=1), ratio

    def move(self, k: int, u: np.ndarray, noise: Noise) -> tuple[np.ndarray, np.ndarray]:
        return self.drawn(k, u, noise)[1:]


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
    first = Noise(seed, noise.paths[:1])
    u = noise.normals(START, 0, len(rule.spread)) @ np.linalg.cholesky(rule.spread).T
    k, carried = 0, np.zeros(n)
    for _ in range(ROUNDS):
        steps = LearntRows(order, rule, rows, batch_size, weights)
        carried *= KEPT
        for _ in range(GENERATIONS):
            u /= np.linalg.norm(u, axis=1, keepdims=True)
            drawn, u, ratio = steps.drawn(k, u, noise)
            logs = order * np.log(np.linalg.norm(u, axis=1)) + ratio
            shares = np.exp(logs - logs.max())
            carried += np.bincount(drawn.ravel(), np.repeat(shares / shares.sum(), batch_size), n)
            u = u[resample(logs, float(first.uniforms(Purpose.RESAMPLING, k, 1)[0, 0]))]
            k += 1
        weights = DEFENCE / n + (1 - DEFENCE) * carried / carried.sum()
    return LearntRows(order, rule, rows, batch_size, weights)


@compiled
def _push(numbers, cumulated, ratios, rows, pushes, look, places, pushed, ratio):
    """Draw a row for each number, and take what it pushes from its path."""
    paths, batch = numbers.shape
    last, r = cumulated.size - 1, rows.shape[1]
    for p in range(paths):
        for b in range(batch):
            low, high = 0, last
            while low < high:
                middle = (low + high) // 2
                if cumulated[middle] <= numbers[p, b]:
                    low = middle + 1
                else:
                    high = middle
            along = 0.0
            for i in range(r):
                along += rows[low, i] * look[p, i]
            for i in range(r):
                pushed[p, i] -= along * pushes[low, i]
            places[p, b] = low
            ratio[p] += ratios[low]
