"""Clauset, Shalizi and Newman (2009): a Pareto law above a threshold that is fitted too, and whether it holds."""

from __future__ import annotations

from typing import Any

import numpy as np

from sgdlimits.compare.estimates import confidence_level, normal_quantile
from sgdlimits.exact.errors import flag, seed_number, whole_number

from .choices_of_k import distances, grid_of
from .doubts import judged, no_pure_power
from .lognormal_tails import compared
from .result import TailEstimate
from .samples import Tail, count_of, tail_of

IMPLAUSIBLE = 0.1  # p-value below which the authors drop the power law
AT_ONCE = 2_000_000  # numbers of resamples that are held in memory together


def power_law(
    sample: Any, k: int | float | None = None, *, side: str = "both", centre: str = "none", confidence: float = 0.95,
    resamples: int = 200, goodness: bool = True, seed: int = 0,
    independent: bool = False,
) -> TailEstimate:
    """A Pareto law above a fitted threshold: the index of the survival function, P(|X| > t) ~ t^-index.

    The index is the authors' alpha, an exponent of the density, less one; so is the `alpha` of the package powerlaw.
    The threshold x_min is where the Kolmogorov-Smirnov distance is least, among order statistics 12 % apart. The
    interval is that of a normal law of log index, with the deviation of a bootstrap that chooses x_min afresh in every
    resample; the p-value is that of samples of the fitted law with the body resampled, x_min chosen afresh too.

    Parameters
    ----------
    sample : (n,) array
        Independent values, in the order in which they came.
    k : int, float or None
        Values above x_min, as a count or a fraction of n below one, if they are known.
    side : {"both", "right", "left"}
        |x|, x or -x.
    centre : {"none", "median", "auto"}
        As in `hill`.
    confidence : float
    resamples : int
        Of each bootstrap, at least 100; the p-value is known to 0.5 / sqrt(resamples). 200 of 10^4 values take about
        a second, of 10^6 a minute or two.
    goodness : bool
        Whether to take the p-value, which doubles the time.
    seed : int
    independent : bool
        Whether the values are known to be independent: clusters are then chance, and not looked for.

    Returns
    -------
    TailEstimate
        `details`: `threshold` (x_min), `ks`, `p_value`, and against the lognormal law above x_min `vuong` (negative
        where the lognormal fits better), its `vuong_p`, and `nested_p`, of the power law as a limit of lognormals.

    Raises
    ------
    InvalidInput
        If the sample shows nothing (too short, not finite, zeros, ties), or an argument cannot be used.
    """
    confidence, seed = confidence_level(confidence), seed_number(seed)
    resamples, goodness = whole_number("resamples", resamples, 100, 10**6), flag("goodness", goodness)
    tail = tail_of(sample, side, centre, independent)
    grid = grid_of(tail.most) if k is None else np.array([count_of(k, tail)])
    generator = np.random.Generator(np.random.Philox(seed))
    found, gammas = distances(tail.logs[None], grid)
    best = int(found[0].argmin())
    count, ks, gamma = int(grid[best]), float(found[0, best]), float(gammas[0, best])
    above = tail.above(count)
    spread = float(np.log(_refits(tail, grid, resamples, _resampled, generator)[1]).std())
    factor = np.exp(normal_quantile(confidence) * spread)
    warnings = no_pure_power(above)
    details = {"ks": ks}
    if goodness:

        def synthetic(tail: Tail, rows: int, generator: np.random.Generator) -> np.ndarray:
            return _synthetic(tail, rows, generator, count, gamma)

        details["p_value"] = float(np.mean(_refits(tail, grid, resamples, synthetic, generator)[0] >= ks))
        if details["p_value"] <= IMPLAUSIBLE:
            warnings += (
                f"a Pareto law above {tail.threshold(count):.4g} does not hold: p = {details['p_value']:.3g}, "
                f"at least {IMPLAUSIBLE:g} is asked",
            )
    rival = compared(above, tail.threshold(count))
    details |= {"vuong": rival.vuong, "vuong_p": rival.vuong_p, "nested_p": rival.nested_p}
    if rival.preferred in ("lognormal", "either"):
        warnings += (rival.sentence,)
    method = "Clauset-Shalizi-Newman" if k is None else "Pareto law"
    ends = float(1 / gamma / factor), float(1 / gamma * factor)
    return judged(tail, 1 / gamma, *ends, confidence, count, method, warnings, details)


def _refits(
    tail: Tail, grid: np.ndarray, resamples: int, draw: Any, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    # Least distance and its gamma for each of the samples drawn, (resamples,) each.
    rows = max(1, AT_ONCE // tail.n)
    least, shapes = [], []
    for start in range(0, resamples, rows):
        found, gammas = distances(draw(tail, min(rows, resamples - start), generator), grid)
        best = found.argmin(axis=1)[:, None]
        least.append(np.take_along_axis(found, best, axis=1)[:, 0])
        shapes.append(np.take_along_axis(gammas, best, axis=1)[:, 0])
    return np.concatenate(least), np.concatenate(shapes)


def _resampled(tail: Tail, rows: int, generator: np.random.Generator) -> np.ndarray:
    # Sorted logarithms (rows, m) of resamples: sorted uniforms are partial sums of exponentials over their total.
    sums = generator.standard_exponential((rows, len(tail.logs) + 1)).cumsum(axis=1)
    return tail.logs[(len(tail.logs) * (sums[:, :-1] / sums[:, -1:])).astype(int).clip(max=tail.most)]


def _synthetic(tail: Tail, rows: int, generator: np.random.Generator, count: int, gamma: float) -> np.ndarray:
    # Sorted logarithms (rows, m): each value is of the fitted tail with probability count / m, else of the body.
    m = len(tail.logs)
    logs = tail.logs[generator.integers(count, m, (rows, m))]
    heavy = generator.random((rows, m)) < count / m
    logs[heavy] = tail.logs[count] + gamma * generator.standard_exponential(int(heavy.sum()))
    logs.sort(axis=1)
    return logs[:, ::-1]
