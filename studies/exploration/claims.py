"""Claims about multiplicative noise and heavy tails, each with what is computed here and a verdict.

A function a claim; what is judged is what the study computed, or the setting in its arguments.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sgdlimits.compare.text_table import number, rounded
from sgdlimits.discrete import SGD
from sgdlimits.exact.errors import NoStationaryLaw
from sgdlimits.problems import StreamingLeastSquares
from sgdlimits.studies.verdicts import COMMON, FAILS, HOLDS, PART, UNDECIDED, Verdict

from .basins import ADDITIVE, ENDINGS, MULTIPLICATIVE, RATE, SPREAD, Basins
from .published_grid import PublishedGrid

GRID = "a common reading of the published grid"
GUESS = "a guess: the index of the recurrence linearised at the minimum"
ALIKE = 0.01  # relative, within which indices are called equal
AGREES, DIFFERS = "agrees", "differs"


def _of(word: str) -> str:
    return {AGREES: HOLDS, DIFFERS: FAILS}.get(word, UNDECIDED)


def _greater(one: float, other: float) -> str:
    return UNDECIDED if math.isnan(one) or math.isnan(other) else HOLDS if one > other else FAILS


def of_basins(found: Basins) -> list[Verdict]:
    """What multiplicative noise is said to do, by exact numbers: at equal spread and at equal rate of leaving."""
    where, alike = found.setting.name, ADDITIVE + ENDINGS[RATE]
    spread = ADDITIVE + ENDINGS[SPREAD]
    rates = [found.long_run(name, "rate") for name in (MULTIPLICATIVE, spread)]
    shares = [found.long_run(name, "long_time") for name in (MULTIPLICATIVE, alike)]
    times, how = _passages(found, alike)
    return [
        Verdict(f"multiplicative noise of equal spread leaves a sharp well sooner ({where})", COMMON, "a higher rate",
                f"{number(rates[0])} a step, additive {number(rates[1])}", _greater(*rates)),
        Verdict(f"multiplicative noise prefers the widest well, at equal rates of leaving ({where})", COMMON,
                "more of the time there in the long run",
                f"{number(shares[0])} of the time, additive {number(shares[1])}", _greater(*shares)),
        Verdict(f"multiplicative noise finds the widest well sooner, at equal rates of leaving ({where})", COMMON,
                "fewer steps until it is entered", how, _greater(times[1], times[0])),
    ]  # fmt: skip


def _passages(found: Basins, other: str) -> tuple[tuple[float, float], str]:
    """Mean steps to the target, exact or where intervals leave no doubt of their order, else nan; and words."""
    ends, said = [], []
    for label, name in ((MULTIPLICATIVE, MULTIPLICATIVE), (ADDITIVE, other)):
        exact = found.exact(name, "passage")
        if not found.has(name):
            ends.append((0.0, math.inf))
            said.append(f"{label} left out")
        elif math.isnan(exact):
            here = found.exploration.dataset.sel(process=name, quantity="passage")
            ends.append((float(here["lower"]), float(here["upper"])))
            said.append(f"{label} {bounds(*ends[-1])} steps by paths")
        else:
            ends.append((exact, exact))
            said.append(f"{label} {number(exact)} steps, exact")
    apart = ends[0][0] > ends[1][1] or ends[1][0] > ends[0][1]
    return ((ends[0][0], ends[1][0]) if apart else (math.nan, math.nan)), "; ".join(said)


def bounds(low: float, high: float) -> str:
    """The ends of an interval, which may be open above."""
    return f"more than {number(low, 3)}" if math.isinf(high) else f"{number(low, 3)} to {number(high, 3)}"


def of_exit_times(scaling: Any, left_out: Sequence[str] = ()) -> list[Verdict]:
    """Laws of the time to leave, each with the other law as its control; ladders that were left out stay undecided."""
    claims = []
    for row in scaling.summary():
        power = row["predicted_family"] == "power"
        law = "a power of the radius, the tail index" if power else "exponential in the barrier, by the exact exponent"
        ratio = row["control_residual"] / max(row["residual"], 1e-300)
        predicted = "" if math.isnan(row["predicted"]) else f", predicted {number(row['predicted'])}"
        claims.append(Verdict(
            f"time to leave: {row['process']}", GUESS if row["guess"] else "derived", law,
            f"{row['family']}, exponent {rounded(row['exponent'], row['exponent_error'])} "
            f"+- {number(row['exponent_error'], 1)}{predicted}; residual of the control {number(ratio, 2)} "
            "times as large",
            _of(row["verdict"]),
        ))  # fmt: skip
    for sentence in left_out:
        name, _, why = sentence.partition(": ")
        law = "a power of the radius, the tail index"
        claims.append(Verdict(f"time to leave: {name}", GUESS, law, why, UNDECIDED))
    return claims


def of_width(found: Any, why_not: str = "") -> Verdict:
    """Of `compare.width_preference`: the first process against the second, at the largest ratio of widths; undecided
    where it could not be computed."""
    claim = "preference for width grows faster under multiplicative noise, at equal rates of leaving"
    said = "a larger ratio of times, wide over sharp, at every ratio of widths"
    if found is None:
        return Verdict(claim, COMMON, said, f"nothing, as {why_not}", UNDECIDED)
    data = found.dataset
    names = data["process"].values.tolist()[:2]
    ratios = [data["ratio_time"].sel(process=name).values for name in names]
    widths = (data["wide"] / data["sharp"]).values[0]
    known = np.isfinite(ratios[0]) & np.isfinite(ratios[1])
    more = ratios[0][known][1:] > ratios[1][known][1:]
    verdict = UNDECIDED if not more.size else HOLDS if more.all() else FAILS if not more.any() else PART
    return Verdict(
        claim, COMMON, said,
        f"at ratio {number(float(widths[-1]), 3)}: {names[0]} {number(float(ratios[0][-1]))}, {names[1]} "
        f"{number(float(ratios[1][-1]))}; exact", verdict,
    )  # fmt: skip


def of_networks(correlations: Mapping[str, Any]) -> list[Verdict]:
    """Heavier tails generalise better: the rank correlation's own verdict, per task."""
    claims = []
    for name, found in correlations.items():
        if found is None:
            claims.append(Verdict(f"heavier tails generalise better ({name})", COMMON, "a positive rank correlation",
                                  "too few cells with numbers", UNDECIDED))  # fmt: skip
            continue
        rows = [row for row in found.table() if row["method"] == "spearman"]
        rows = [row | {"by": row["estimator"].replace("_", " ")} for row in rows]
        plain = [row for row in rows if not row["given"]]
        said = ", ".join(
            f"{row['by']} {number(row['value'], 2)} [{number(row['lower'], 2)}, {number(row['upper'], 2)}]"
            for row in plain
        )
        held = ", ".join(
            f"{row['by']} {number(row['value'], 2)} {row['verdict']}" for row in rows if row["given"]
        )
        claims.append(Verdict(
            f"heavier tails generalise better ({name})", COMMON, "a positive rank correlation of index and test error",
            f"Spearman's {said}; at equal training risk {held}", found.verdict,
        ))  # fmt: skip
    return claims


def of_grid(found: PublishedGrid) -> list[Verdict]:
    """Of the published grid: that stationary laws of infinite variance are what its estimates below 2 show."""
    counts = found.counts
    heavy, law = counts["index up to 2"], found.cells["stationary"].values == 1
    claims = [Verdict(
        "the grid's cells have stationary laws", GRID, "indices of a stationary law are estimated",
        f"{counts['no stationary law']} of {counts['cells']} cells have none",
        HOLDS if law.all() else FAILS if not law.any() else PART,
    )]  # fmt: skip
    if found.runs:
        below = found.cells["published"].values < found.below
        right = below & (found.cells["index"].values <= 2)
        claims.append(Verdict(
            f"an estimate below {number(found.below, 3)}, two standard errors under 2, is that "
            "of a stationary law of index below 2",
            GRID, "all of them",
            f"{int(below.sum())} cells with such estimates, of which {int(right.sum())} have such a law (of all cells "
            f"{heavy})",
            UNDECIDED if not below.any() else HOLDS if right.sum() == below.sum() else PART if right.any() else FAILS,
        ))  # fmt: skip
    return claims


def ratio_alone(batches: Sequence[int] = (1, 2, 4, 8), ratio: float = 0.2, dimension: int = 5) -> Verdict:
    """That the index depends on step size over batch size alone; right in homogenized SGD, not in SGD."""
    said = _indices([(ratio * batch, batch, 0.0) for batch in batches], dimension)
    known = np.array([index for index in said if not math.isnan(index)])
    same = known.size == len(said) and np.ptp(known) <= ALIKE * known.max()
    return Verdict(
        "the tail index is a function of step size / batch size", COMMON, "one index",
        f"step size / batch size {ratio:g}, batch sizes {', '.join(map(str, batches))}: {_listed(said)} (isotropic, "
        f"d = {dimension}; exact)", HOLDS if same else FAILS,
    )  # fmt: skip


def ridge_lightens(
    ridges: Sequence[float] = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0), step_size: float = 0.3, dimension: int = 5
) -> Verdict:
    """That a larger ridge makes tails lighter; right for small ones."""
    found = _indices([(step_size, 1, ridge) for ridge in ridges], dimension)
    steps = [b > a for a, b in zip(found, found[1:])]  # none has a law: not lighter
    return Verdict(
        "a larger ridge makes tails lighter", COMMON, "an index that rises with the ridge",
        f"ridge {', '.join(f'{ridge:g}' for ridge in ridges)}: {_listed(found)} (isotropic, d = {dimension}, step size "
        f"{step_size:g}, batch size 1; exact)", HOLDS if all(steps) else PART if any(steps) else FAILS,
    )  # fmt: skip


def _indices(settings: Sequence[tuple[float, int, float]], dimension: int) -> list[float]:
    """Exact indices of (step size, batch size, ridge); nan without a stationary law."""
    found = []
    for step_size, batch, ridge in settings:
        problem = StreamingLeastSquares(np.ones(dimension), 1.0, np.zeros(dimension), ridge)
        try:
            found.append(float(SGD(problem, step_size, batch).tail_index().index))
        except NoStationaryLaw:
            found.append(math.nan)
    return found


def _listed(indices: Sequence[float]) -> str:
    return ", ".join("no law" if math.isnan(index) else number(index) for index in indices)
