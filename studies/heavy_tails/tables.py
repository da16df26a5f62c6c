"""The tables of the study in words and as rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sgdlimits.compare.text_table import TextTable, number, rounded, wrapped

from . import sweeps
from .optimisers import DEPTHS

if TYPE_CHECKING:
    from sgdlimits.exact.tail_index import TailIndex

    from .optimisers import OptimiserTail
    from .paper_table import TableRow
    from .study import HeavyTailsResult

NUMBERS = {  # column -> long name
    "step_size": "step size",
    "lower": "lower bound on the index of homogenized SGD",
    "upper": "upper bound on the index of homogenized SGD",
    "homogenized": "exact index of homogenized SGD",
    "homogenized_error": "its numerical error",
    "sgd": "exact index of SGD",
    "sgd_error": "half of the 95 % interval of that",
    "nu": "degrees of freedom of Student's t fitted to SGD",
    "nu_lower": "lower end of its interval",
    "nu_upper": "upper end of its interval",
    "student_ks": "Kolmogorov-Smirnov distance to the fitted t",
    "student_p": "its p-value by parametric bootstrap",
    "stable_index": "index of the symmetric stable law fitted to SGD",
    "stable_ks": "Kolmogorov-Smirnov distance to the fitted symmetric stable law",
    "stable_p": "its p-value by parametric bootstrap",
}
OPTIMISER_NUMBERS = {
    "theory": "index that theory gives; infinite: lighter than every power",
    "theory_error": "its numerical error",
    **{
        f"hill_{place}{ending}": f"{what} from the outer {100 * depth:g} %"
        for place, depth in enumerate(DEPTHS, start=1)
        for ending, what in (
            ("_lower", "lower end of the interval of Hill's estimate"), ("", "Hill's estimate"),
            ("_upper", "upper end of the interval of Hill's estimate"),
        )
    },
    "corrected": "Hill's estimate freed of its bias", "corrected_lower": "lower end of its interval",
    "corrected_upper": "upper end of its interval",
}  # fmt: skip
OPTIMISER_TEXTS = {"verdict": "verdict", "derivation": "why theory gives that index"}
OPTIMISER_ROW = ("optimiser", "setting", *OPTIMISER_NUMBERS, *OPTIMISER_TEXTS)
SWEEP_ROW = ("parameter", "value", "setting", *sweeps.NUMBERS, *sweeps.WARNINGS)
ROW = ("data", "batch_size", "ridge", *NUMBERS, "verdict", "notes")
KNOWN = 5e-4  # relative error of an index, below which all its digits that are shown hold


def rows(result: HeavyTailsResult) -> list[dict[str, Any]]:
    """One dict a row of the table."""
    return [_row(row) for row in result.rows]


def _row(row: TableRow) -> dict[str, Any]:
    return {
        "data": row.data, "batch_size": row.batch_size, "ridge": row.ridge, "step_size": row.step_size,
        "lower": row.lower, "upper": row.upper, "homogenized": row.homogenized.index,
        "homogenized_error": row.homogenized.error, "sgd": row.sgd.index, "sgd_error": row.sgd.error,
        "nu": row.student.index, "nu_lower": row.student.lower, "nu_upper": row.student.upper,
        "student_ks": row.student_fit.ks, "student_p": row.student_fit.p_value, "stable_index": row.stable_fit.index,
        "stable_ks": row.stable_fit.ks, "stable_p": row.stable_fit.p_value, "verdict": row.verdict,
        "notes": "; ".join(row.notes),
    }  # fmt: skip


def sweep_rows(result: HeavyTailsResult) -> list[dict[str, Any]]:
    """One dict a value of a parameter."""
    known, found = sweeps.axes(), []
    for name, data in result.sweeps.items():
        for place, value in enumerate(data[name].values.tolist()):
            row = {"parameter": name, "value": value, "setting": known[name].setting}
            columns = (*sweeps.NUMBERS, *sweeps.WARNINGS)
            found.append(row | {column: data[column].values[place].item() for column in columns})
    return found


def sweep_reading(result: HeavyTailsResult) -> str:
    """How often the estimates of the sweeps hold the exact index, computed from the data."""
    counts = []
    for short, side in sweeps.SIDES.items():
        rows = [row for row in sweep_rows(result) if math.isfinite(row[short]) and not row[f"{short}_warning"]]
        held = [row[f"{short}_estimate_lower"] <= row[short] <= row[f"{short}_estimate_upper"] for row in rows]
        counts.append(f"in {sum(held)} of {len(held)} of {side}")
    level = f"{100 * result.study.confidence:g} %"
    return (
        f"Of the estimates without a warning the {level} interval holds the exact index {' and '.join(counts)}: "
        f"it knows nothing of a power that begins farther out than {result.study.paths} ends reach. All numbers: "
        "sweeps.csv."
    )


def optimiser_rows(result: HeavyTailsResult) -> list[dict[str, Any]]:
    """One dict an optimiser."""
    return [_optimiser_row(row) for row in result.optimisers]


def _optimiser_row(row: OptimiserTail) -> dict[str, Any]:
    ends = [end for along in row.along for end in along]
    numbers = (
        row.theory.index, row.theory.error, *ends, row.whole.index, row.whole.lower, row.whole.upper,
    )  # fmt: skip
    named = dict(zip(OPTIMISER_NUMBERS, numbers, strict=True))
    words = {"verdict": row.verdict, "derivation": row.derivation}
    return {"optimiser": row.optimiser, "setting": row.setting} | named | words


def optimiser_grid(result: HeavyTailsResult) -> TextTable:
    """Theory beside Hill's estimate at each depth, those with a power tail first."""
    groups: dict[str, list[tuple[str, ...]]] = {}
    for row in result.optimisers:
        theory = number(row.theory.index) if row.heavy else "infinite" + ", proved" * row.theory.proved
        along = (
            f"{rounded(middle, (high - low) / 2)} ±{number((high - low) / 2, 2)}" for low, middle, high in row.along
        )
        whole = row.whole
        upper = number(whole.upper, 3) if math.isfinite(whole.upper) else "infinite"
        groups.setdefault("a power" if row.heavy else "lighter than every power", []).append(
            (row.name, theory, f"[{number(whole.lower, 3)}, {upper}]", *along, row.outcome)
        )
    columns = ("optimiser", "index by theory", "corrected Hill", *(f"outer {100 * depth:g} %" for depth in DEPTHS))
    return TextTable(
        (*columns, "verdict"), tuple((name, tuple(found)) for name, found in groups.items()), "Light or heavy"
    )  # fmt: skip


def optimiser_reading(result: HeavyTailsResult) -> str:
    """How to read the table of optimisers."""
    level = f"{100 * result.study.confidence:g} %"
    return (
        "Stationary laws on y ~ N(0, 1) with one feature a ~ N(0, 1), batch size 1, or on ten samples of it under the "
        f"logistic loss. Intervals ({level}): of the estimate freed of its bias, and of Hill's from the outer parts of "
        "the sample. Under a power Hill's estimates stay alike but for their bias, and the corrected interval should "
        "hold the index; under a lighter tail they rise outward. Infinite without the word proved: the steps are "
        "proved to be bounded, the drift inward is seen in a simulation."
    )


def optimiser_reasons(result: HeavyTailsResult) -> list[str]:
    """The derivation of each row in a sentence, and what was published against it."""
    reasons = []
    for row in result.optimisers:
        claim = f" But {row.verdict.rpartition('; ')[2]}." if row.claim else ""
        reasons.append(f"{row.optimiser} ({row.setting}): {row.derivation}.{claim}")
    return reasons


def reading(result: HeavyTailsResult) -> str:
    """How to read the table on data."""
    level, resamples = f"{100 * result.study.confidence:g} %", result.study.resamples
    return (
        "index: P(|w| > t) falls as t^-index, so that moments of smaller order are finite. Bounds and the exact index "
        "of homogenized SGD hold to the digits shown, or to their ±; that of SGD is Kesten's, by populations (95 % "
        f"interval). nu: Student's t by maximum likelihood on ends of independent paths of SGD ({level} interval), "
        "and whether it lies in the bounds, or its interval meets SGD's index. p: "
        f"Kolmogorov-Smirnov, by parametric bootstrap of the whole fit, known to {0.5 / math.sqrt(resamples):.1g} "
        f"from {resamples} resamples; a law is rejected at 5 %. A law that is not rejected is not thereby right: the "
        "distance hardly sees tails. Verdict: whether homogenized SGD has the index of SGD, within the errors."
    )


def _exact(index: TailIndex) -> str:
    if index.error <= KNOWN * index.index:
        return number(index.index)
    return f"{rounded(index.index, index.error)} ±{number(index.error, 2)}"


def _near(row: TableRow) -> str:
    """What the fitted degrees of freedom may be."""
    return {(True, True): "both", (True, False): "SGD", (False, True): "bounds", (False, False): "neither"}[
        row.fitted_is_index, row.fitted_inside
    ]


def grid(result: HeavyTailsResult) -> TextTable:
    """The table, a group a data set."""
    groups: dict[str, list[tuple[str, ...]]] = {}
    for row in result.rows:
        nu, half = row.student, (row.student.upper - row.student.lower) / 2
        groups.setdefault(row.data, []).append(
            (
                str(row.batch_size), number(row.step_size, 3), f"[{number(row.lower, 3)}, {number(row.upper, 3)}]",
                _exact(row.homogenized), _exact(row.sgd),
                f"{rounded(nu.index, half)} [{rounded(nu.lower, half)}, {rounded(nu.upper, half)}]",
                _near(row), f"{number(row.student_fit.p_value, 2)}, {number(row.stable_fit.p_value, 2)}",
                "agrees" if row.one_index else "differs",
            )
        )  # fmt: skip
    columns = (
        "batch", "step size", "bounds", "homogenized", "SGD", "fitted nu", "nu is of", "p of t, symmetric stable",
        "verdict",
    )  # fmt: skip
    return TextTable(columns, tuple((name, tuple(found)) for name, found in groups.items()), "Bounds, indices and fits")


def finding(result: HeavyTailsResult) -> str:
    """The result in a few sentences, computed from the data."""
    found = result.rows
    apart = [row for row in found if not row.one_index]
    lighter = [row for row in apart if row.homogenized.index > row.sgd.index]
    gaps = [row.homogenized.index / row.sgd.index for row in found]
    sentences = [
        f"Homogenized SGD does not have the tail index of SGD in {len(apart)} of {len(found)} rows, at "
        f"{result.study.fraction:g} of the mean-square threshold: its tail is lighter in {len(lighter)}, its index "
        f"{min(gaps):.2g} to {max(gaps):.2g} times SGD's.",
        f"The bounds on its index hold SGD's own index in {_count(found, 'sgd_inside')}, and the degrees of freedom of "
        f"a Student's t fitted to SGD in {_count(found, 'fitted_inside')}; that fit meets SGD's index in "
        f"{_count(found, 'fitted_is_index')}.",
        f"Kolmogorov and Smirnov's test does not reject t in {_count(found, 'student_accepted')} and the symmetric "
        f"stable law in {_count(found, 'stable_accepted')}, although every exact index of SGD "
        + (
            "is above 2, where no law is stable but the normal one: such a test says little of tails."
            if all(row.sgd.lower > 2 for row in found)
            else "is finite: such a test says little of tails."
        ),
        _optimisers_found(result.optimisers),
    ]
    return " ".join(sentences)


def _optimisers_found(rows: Sequence[OptimiserTail]) -> str:
    heavy = [row for row in rows if row.heavy]
    light = [row for row in rows if not row.heavy]
    borne_out = [sum(row.agrees is True for row in each) for each in (heavy, light)]
    return (
        f"Of {len(rows)} optimisers on a line theory gives {len(heavy)} a power tail, and paths bear it out in "
        f"{borne_out[0]}; a lighter one to {len(light)} with bounded or contracting steps "
        f"({sum(row.theory.proved for row in light)} proved), and paths bear it out in {borne_out[1]}."
    )


def _count(found: Sequence[TableRow], name: str) -> str:
    return f"{sum(getattr(row, name) for row in found)} of {len(found)}"


def text(result: HeavyTailsResult) -> str:
    """What the command line prints."""
    return "\n\n".join(
        [
            wrapped(result.finding), grid(result).text(), wrapped(reading(result)), optimiser_grid(result).text(),
            wrapped(optimiser_reading(result)),
        ]
    )  # fmt: skip
