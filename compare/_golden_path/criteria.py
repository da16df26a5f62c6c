"""What would falsify the golden path, each as a test on seeds with a stated level. Derived.

Gaps are differences of losses of arms that share starts, seed by seed: means with Student's t, so that a ratio of means
is asked without dividing: mean(gap) > margin mean(drop) is a test of mean(gap - margin drop) > 0, and the interval of
the ratio is Fieller's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from sgdlimits.compare.estimates import band_quantile, fieller, heaviest_share, student_quantile

HOLDS, MARGINAL, FAILS, VOID = "holds", "marginal", "fails", "void"
POWER = 0.8  # with which the number of seeds that is told would decide
PART = 0.1  # of itself, by which a gap must fall towards the end of a run to be no plateau
CARRIED = 0.5  # of a variance, that one seed carries where it is said
NAMES = {
    "F1": "the snapped run joins the low-noise run",
    "F2": "noise does not help",
    "F3": "the functions are those of the low-noise run",
    "F4": "noise does not beat the noiseless run",
}


@dataclass(frozen=True)
class Criterion:
    """A verdict on one way to fail.

    Attributes
    ----------
    name : {"F1", "F2", "F3", "F4"}
    verdict : {"holds", "marginal", "fails", "void"}
        holds: the interval lies within the margin; fails: outside; marginal: neither; void: it cannot be measured.
    value, lower, upper : float
        What is judged, with its interval: nan where there is none.
    margin : float
    level : float
        Probability of each wrong verdict, holds and fails, at the margin's edge or at zero.
    against : str
        The baseline.
    at : float
        Steps after the drop at which it is worst; nan of a mean over a window.
    needed : float
        About how many seeds would decide; nan where it is decided, inf where no number would.
    why : str
        A sentence.
    """

    name: str
    verdict: str
    value: float = math.nan
    lower: float = math.nan
    upper: float = math.nan
    margin: float = math.nan
    level: float = math.nan
    against: str = ""
    at: float = math.nan
    needed: float = math.nan
    why: str = ""
    notes: tuple[str, ...] = field(default=())

    @property
    def claim(self) -> str:
        """What is said to hold."""
        return NAMES[self.name]


def joins(
    gaps: np.ndarray, drop: np.ndarray, steps: np.ndarray, margin: float, level: float, window: float = 0.25
) -> Criterion:
    """F1: whether the gap, over that at the drop, ends within the margin: two one-sided tests, and their opposite.

    Outside the margin it fails if the gap is a plateau: towards the end it falls by less than a tenth of itself.

    Parameters
    ----------
    gaps : (R, K) array
        L_snapped - L_low of each seed at the recorded steps after the drop, less what the noiseless arms differ by.
    drop : (R,) array
        L_high - L_low at the drop; negative where noise helped.
    steps : (K,) array
        After the drop.
    margin, level : float
    window : float
        The last part of the steps, over which gaps are averaged.
    """
    end = gaps[:, steps >= steps[-1] * (1 - window)].mean(axis=1)
    value, low, high = fieller(end, drop, level)
    if math.isnan(value):
        why = "the runs do not differ at the drop by more than their error, so that a part of that has no meaning"
        return Criterion("F1", VOID, margin=margin, level=level, needed=seeds_for(drop, level), why=why)
    if drop.mean() < 0:
        end, drop, gaps = -end, -drop, -gaps
    above, below = end - margin * drop, end + margin * drop
    if _surely_positive(above, level) or _surely_positive(-below, level):
        verdict, then = _plateau(_sides(value) * gaps, _sides(value) * end, steps, window, level)
        why = f"{value:.3g} of the gap at the drop is left, {then}"
    elif _surely_positive(-above, level) and _surely_positive(below, level):
        verdict, why = HOLDS, f"at most {max(abs(low), abs(high)):.2g} of the gap at the drop is left"
    else:
        verdict, why = MARGINAL, f"between {low:.2g} and {high:.2g} of the gap at the drop is left"
    seeds = math.nan
    if verdict == MARGINAL and low <= margin and high >= -margin:
        seeds = max(seeds_for(side, level) for side in ((above,) if value > 0 else (below,)))
    return Criterion(
        "F1", verdict, value, low, high, margin, level, "low", needed=seeds, why=why, notes=_doubts(above, level)
    )  # fmt: skip


def _sides(value: float) -> float:
    return -1.0 if value < 0 else 1.0


def _plateau(gaps: np.ndarray, end: np.ndarray, steps: np.ndarray, window: float, level: float) -> tuple[str, str]:
    """Whether gaps (R, K), positive at their end (R,), fall no more, and a word on it.

    Compared with the looks just before the last part: from those on, a power -1/4 of time falls by a tenth of itself.
    """
    before = steps[-1] * (1 - window)
    middle = (steps >= before / 2) & (steps < before)
    middle = middle if middle.any() else (steps > 0) & (steps < before)
    if not middle.any():
        return MARGINAL, "and no look before the last part says whether it still falls: record more"
    earlier = gaps[:, middle].mean(axis=1)
    over = (1 - PART) * earlier - end
    if _surely_positive(over, level):
        return MARGINAL, "and it still falls: run longer"
    if _surely_positive(-over, level):
        return FAILS, f"a plateau: towards the end it falls by less than {PART:g} of itself"
    return MARGINAL, "and whether it still falls is not known: run longer, or more seeds"


def does_not_help(
    name: str, gaps: np.ndarray, scale: np.ndarray, steps: np.ndarray, margin: float, level: float, against: str
) -> Criterion:
    """F2 and F4: whether a noisy run is ahead of a quieter one at any recorded step, by a band that holds at all.

    Parameters
    ----------
    name : {"F2", "F4"}
    gaps : (R, K) array
        Loss of the noisy run less that of the other.
    scale : (K,) array
        The larger of the two mean losses, of which the margin is a part; the other's where the noisy run is ahead.
    steps : (K,) array
    margin, level : float
        It holds where the band lies above -margin scale, fails where it lies below zero somewhere.
    against : str
    """
    means, influence = gaps.mean(axis=0), (gaps - gaps.mean(axis=0)) / math.sqrt(len(gaps) * (len(gaps) - 1))
    errors = np.sqrt(np.square(influence).sum(axis=0))
    half = band_quantile(influence, 1 - 2 * level, len(gaps) - 1) * errors
    lower, upper = (means - half) / scale, (means + half) / scale
    where = int(np.argmin(upper))
    if upper[where] < 0:
        verdict, why = FAILS, f"it is ahead by {-means[where] / scale[where]:.2g} of the loss {steps[where]:g} steps on"
        why += ", less than the margin" if (lower > -margin).all() else ""
    elif (lower > -margin).all():
        where, verdict = int(np.argmin(lower)), HOLDS
        most = -lower[where]
        why = f"it is nowhere ahead by more than {most:.2g} of the loss" if most > 0 else "it is behind at every look"
    else:
        where, verdict = int(np.argmin(lower)), MARGINAL
        why = f"it may be ahead by {-lower[where]:.2g} of the loss, over the margin {margin:g}, or not at all"
    seeds = seeds_for(gaps[:, where] + margin * scale[where], level) if verdict == MARGINAL else math.nan
    return Criterion(
        name, verdict, float(means[where] / scale[where]), float(lower[where]), float(upper[where]), margin, level,
        against, float(steps[where]), seeds, why, _doubts(gaps[:, where], level),
    )  # fmt: skip


def same_functions(
    distances: np.ndarray, baselines: Mapping[str, np.ndarray], margin: float, level: float
) -> tuple[Criterion, ...]:
    """F3: whether the snapped run is farther from the low-noise run, at equal loss, than two runs are anyway.

    Parameters
    ----------
    distances : (R,) array
        Between the functions of snapped and low-noise run of each seed.
    baselines : mapping from names to (R,) arrays
        Of pairs of runs that differ in something else.
    margin, level : float
        It holds where the distance is surely below (1 + margin) baseline, fails where it is surely above the baseline.

    Returns
    -------
    One `Criterion` a baseline; `value` is the ratio of the means.
    """
    found = []
    for name, baseline in baselines.items():
        value, low, high = fieller(distances, baseline, level)
        if math.isnan(value):
            why = f"the distance '{name}' is not above zero by its error"
            found.append(Criterion("F3", VOID, margin=margin, level=level, against=name, why=why))
            continue
        over, within = distances - baseline, (1 + margin) * baseline - distances
        if _surely_positive(over, level):
            verdict = FAILS
        else:
            verdict = HOLDS if _surely_positive(within, level) else MARGINAL
        seeds = seeds_for(over if value > 1 else within, level) if verdict == MARGINAL else math.nan
        why = f"the snapped and the low-noise run are {value:.3g} times as far apart as '{name}'"
        found.append(
            Criterion(
                "F3", verdict, value, low, high, margin, level, name, needed=seeds, why=why, notes=_doubts(over, level)
            )
        )
    return tuple(found)


def seeds_for(values: np.ndarray, level: float) -> float:
    """About how many seeds show the sign of a mean of values (R,), were mean and spread what they look like."""
    mean, spread = abs(float(values.mean())), float(values.std(ddof=1))
    if mean == 0:
        return math.inf
    need = student_quantile(1 - 2 * level, math.inf) + student_quantile(2 * POWER - 1, math.inf)
    return max(math.ceil((need * spread / mean) ** 2), len(values) + 1)


def _surely_positive(values: np.ndarray, level: float) -> bool:
    """Student's one-sided test: values without spread are known."""
    error = float(values.std(ddof=1)) / math.sqrt(len(values))
    return float(values.mean()) > student_quantile(1 - 2 * level, len(values) - 1) * error


def _doubts(values: np.ndarray, level: float) -> tuple[str, ...]:
    """What to beware of: one seed that carries all, and skewed seeds, by the first term of Edgeworth's expansion."""
    found, rest, n = [], values - values.mean(), len(values)
    share = float(heaviest_share(rest[:, None])[0])
    if share > CARRIED:
        found.append(f"one seed carries {share:.0%} of the variance: the interval may not cover, run more seeds")
    spread, t = float(np.sqrt(np.mean(rest**2))), student_quantile(1 - 2 * level, math.inf)
    skewness = abs(float(np.mean(rest**3))) / spread**3 if spread > 0 else 0.0
    wrong = skewness * (2 * t**2 + 1) * math.exp(-0.5 * t**2) / math.sqrt(2 * math.pi) / (6 * math.sqrt(n))
    if wrong > level / 2 and skewness > 2 * math.sqrt(6 * (n - 2) / ((n + 1) * (n + 3))):
        found.append(
            f"the seeds are skewed, so that a verdict may be wrong with some {100 * (level + wrong):.0f} %, not "
            f"{100 * level:g} %: run more seeds"
        )
    return tuple(found)
