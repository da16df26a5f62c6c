"""Rank correlations of many pairs of samples at once, with intervals over cells and over runs. Derived."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sgdlimits.ensembles.random import Noise, Purpose

from ..estimates import jackknife_error, student_quantile

SPEARMAN, KENDALL = "spearman", "kendall"
LARGEST = 1 - 1e-9  # correlation from which Fisher's transform is as good as infinite


@dataclass(frozen=True)
class Correlation:
    """A rank correlation with its intervals.

    Attributes
    ----------
    value : float
        nan where one side is the same in all cells.
    lower, upper : float
        Hull of the interval over cells (were they drawn again) and of that over runs (were the same cells run again).
    of_cells, of_runs : pairs of float
        The two; nan over runs where no resamples are given.
    """

    value: float
    lower: float
    upper: float
    of_cells: tuple[float, float]
    of_runs: tuple[float, float]


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks (..., n) of values (..., n), ties at their mean."""
    below = (values[..., None, :] < values[..., :, None]).sum(axis=-1)
    same = (values[..., None, :] == values[..., :, None]).sum(axis=-1)
    return below + (same + 1) / 2


def correlation(one: np.ndarray, other: np.ndarray, method: str) -> np.ndarray:
    """Spearman's rho, or Kendall's tau-b, (...) of samples (..., n); nan where one is constant."""
    if method == KENDALL:
        a, b = (np.sign(each[..., None, :] - each[..., :, None]) for each in (one, other))
        axes: tuple[int, ...] = (-2, -1)
    else:
        a, b = (ranks(each) for each in (one, other))
        a, b = (each - each.mean(axis=-1, keepdims=True) for each in (a, b))
        axes = (-1,)
    above, sizes = (a * b).sum(axis=axes), np.square(a).sum(axis=axes) * np.square(b).sum(axis=axes)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(sizes > 0, above / np.sqrt(sizes), np.nan)


def partial(one: np.ndarray, other: np.ndarray, given: np.ndarray | None, method: str) -> np.ndarray:
    """The correlation, or, `given` a third sample, the partial one (...): what is left at equal ranks of the third."""
    plain = correlation(one, other, method)
    if given is None:
        return plain
    first, second = correlation(one, given, method), correlation(other, given, method)
    with np.errstate(invalid="ignore", divide="ignore"):
        rest = np.sqrt((1 - first**2) * (1 - second**2))
        return np.where(rest > 1e-9, np.clip((plain - first * second) / rest, -1, 1), np.nan)


def with_intervals(
    one: np.ndarray, other: np.ndarray, given: np.ndarray | None, method: str, level: float, resamples: int, seed: int,
    one_runs: np.ndarray | None = None, other_runs: np.ndarray | None = None,
) -> Correlation:  # fmt: skip
    """A correlation over cells (n,) with its intervals; `one_runs`, `other_runs` (n, B): of resamples of a cell's runs.

    Over cells: the jackknife error of Fisher's transform with Student's quantile of n - 2 degrees. Over runs: quantiles
    over resamples, one drawn at random in each cell, both sides of the same runs.
    """
    value = float(partial(one, other, given, method))
    if math.isnan(value):
        nothing = (math.nan, math.nan)
        return Correlation(value, -1.0, 1.0, nothing, nothing)
    cells = _over_cells(one, other, given, method, value, level)
    runs = (math.nan, math.nan)
    if one_runs is not None and other_runs is not None:
        runs = _over_runs(one_runs, other_runs, given, method, level, resamples, seed)
    return Correlation(
        value, float(np.nanmin([cells[0], runs[0]])), float(np.nanmax([cells[1], runs[1]])), cells, runs
    )


def _over_cells(
    one: np.ndarray, other: np.ndarray, given: np.ndarray | None, method: str, value: float, level: float
) -> tuple[float, float]:
    n = one.size
    left = np.array([np.delete(np.arange(n), place) for place in range(n)])
    parts = partial(one[left], other[left], None if given is None else given[left], method)
    z = np.arctanh(np.clip(parts[np.isfinite(parts)], -LARGEST, LARGEST))
    if z.size < 3:
        return -1.0, 1.0
    error = float(jackknife_error(z))
    # Independent ranks have this error; a sample by chance in order has too small a one.
    by_chance = kendall_by_chance(one, other) * (1 - value**2) if method == KENDALL else 1 / math.sqrt(n - 1)
    error = max(error, by_chance)
    middle = math.atanh(max(-LARGEST, min(value, LARGEST)))
    half = student_quantile(level, max(n - 2 - (given is not None), 1)) * error
    return math.tanh(middle - half), math.tanh(middle + half)


def kendall_by_chance(one: np.ndarray, other: np.ndarray) -> float:
    """Standard deviation of tau-b of independent samples (n,) with the ties that these have (Kendall 1970)."""
    n = one.size
    ties = [np.unique(each, return_counts=True)[1].astype(float) for each in (one, other)]
    pairs, triples, spread = (
        [float(polynomial(t).sum()) for t in ties]
        for polynomial in (
            lambda t: t * (t - 1), lambda t: t * (t - 1) * (t - 2), lambda t: t * (t - 1) * (2 * t + 5)
        )
    )  # fmt: skip
    variance = (n * (n - 1) * (2 * n + 5) - sum(spread)) / 18
    variance += triples[0] * triples[1] / (9 * n * (n - 1) * (n - 2)) + pairs[0] * pairs[1] / (2 * n * (n - 1))
    return math.sqrt(variance / ((n * (n - 1) - pairs[0]) * (n * (n - 1) - pairs[1]) / 4))


def _over_runs(
    one_runs: np.ndarray, other_runs: np.ndarray, given: np.ndarray | None, method: str, level: float, resamples: int,
    seed: int,
) -> tuple[float, float]:  # fmt: skip
    n, B = one_runs.shape
    noise = Noise(seed, np.arange(resamples)).child("rank correlation")
    drawn = (noise.uniforms(Purpose.RESAMPLING, 0, n) * B).astype(int).clip(max=B - 1)
    places = np.arange(n)
    spread = None if given is None else np.broadcast_to(given, (resamples, n))
    found = partial(one_runs[places, drawn], other_runs[places, drawn], spread, method)
    found = found[np.isfinite(found)]
    if found.size < resamples / 2:
        return -1.0, 1.0
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
