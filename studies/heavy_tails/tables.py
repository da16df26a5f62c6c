"""The tables of the study in words and as rows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from sgdlimits.compare._tails.rows import index_text
from sgdlimits.compare.text_table import NOTHING, TextTable, number, rounded, wrapped

from . import sweeps
from .findings import finding
from .optimisers import DEPTHS
from .verdicts import worded

if TYPE_CHECKING:
    from sgdlimits.compare._tails.rows import Known

    from .optimisers import OptimiserTail
    from .table_row import TableRow
    from .study import HeavyTailsResult

NUMBERS = {  # column -> long name
    "rows": "rows of the data",
    "columns": "columns of the data",
    "step_size": "step size",
    "threshold_share": "step size over SGD's exact mean-square threshold",
    "lower": "lower bound on the index of homogenized SGD",
    "upper": "upper bound on the index of homogenized SGD",
    "lower_proved": "1 where the lower bound is proved",
    "upper_proved": "1 where the upper bound is proved",
    "homogenized": "exact index of homogenized SGD",
    "homogenized_error": "its numerical error",
    "sgd": "exact index of SGD",
    "sgd_error": "half of the 95 % interval of that",
    "paths": "ends of paths in the sample of SGD",
    "steps": "steps of those paths",
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
TEXTS = {
    "homogenized_known": "what is known of the index of homogenized SGD", "sgd_known": "what is known of that of SGD",
    "verdict": "verdict", "notes": "what to know of the sample, and why a number is missing",
}  # fmt: skip
ROW = ("data", "batch_size", "ridge", *NUMBERS, *TEXTS)


def rows(result: HeavyTailsResult) -> list[dict[str, Any]]:
    """One dict a row of the table."""
    return [_row(row) for row in result.rows]


def _row(row: TableRow) -> dict[str, Any]:
    return {
        "data": row.data, "batch_size": row.batch_size, "ridge": row.ridge, "rows": row.rows, "columns": row.columns,
        "step_size": row.step_size, "threshold_share": row.threshold_share, "lower": row.bounds.lower,
        "upper": row.bounds.upper, "lower_proved": float(row.bounds.lower_proved),
        "upper_proved": float(row.bounds.upper_proved), **_known("homogenized", row.homogenized),
        **_known("sgd", row.sgd), "paths": row.paths, "steps": row.steps,
        "nu": row.student.index, "nu_lower": row.student.lower, "nu_upper": row.student.upper,
        "student_ks": row.student_fit.ks, "student_p": row.student_fit.p_value, "stable_index": row.stable_fit.index,
        "stable_ks": row.stable_fit.ks, "stable_p": row.stable_fit.p_value, "verdict": row.verdict,
        "notes": "; ".join(row.notes),
    }  # fmt: skip


def _known(name: str, side: Known) -> dict[str, Any]:
    found = side.index
    index, error = (math.nan, math.nan) if found is None else (found.index, found.error)
    return {name: index, f"{name}_error": error, f"{name}_known": side.text}


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
        group, theory = _by_theory(row)
        along = (
            NOTHING if math.isnan(middle) else index_text(middle, (high - low) / 2) for low, middle, high in row.along
        )
        whole = row.whole
        ends = f"[{_open(whole.lower, math.inf)}, {_open(whole.upper, math.inf)}]"
        seen = NOTHING if math.isnan(whole.index) else ends
        groups.setdefault(group, []).append((row.name, theory, seen, *along, row.outcome))
    columns = ("optimiser", "index by theory", "corrected Hill", *(f"outer {100 * depth:g} %" for depth in DEPTHS))
    return TextTable(
        (*columns, "verdict"), tuple((name, tuple(found)) for name, found in groups.items()), "Light or heavy"
    )  # fmt: skip


def _by_theory(row: OptimiserTail) -> tuple[str, str]:
    """The group that a row stands in, and its index."""
    if row.heavy:
        return "a power", number(row.theory.index)
    if row.light:
        return "lighter than every power", "infinite" + ", proved" * row.theory.proved
    return "theory out of reach", row.theory.method


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
        f"interval). nu: Student's t by maximum likelihood on ends of independent paths of SGD ({level} interval); "
        "whether that interval lies in the bounds (in, out), and whether it holds SGD's index (SGD's, not SGD's); ?: "
        "they overlap only in part, or one is not known. p: "
        f"Kolmogorov-Smirnov, by parametric bootstrap of the whole fit, known to {0.5 / math.sqrt(resamples):.1g} "
        f"from {resamples} resamples; a law is rejected at 5 %. A law that is not rejected is not thereby right: the "
        "distance hardly sees tails. Verdict: whether homogenized SGD has the index of SGD: agrees, one interval lies "
        "in the other; differs, they are apart; else undecided. > and about: no interval is known of that index, and a "
        "sentence below says why."
    )


def _nu(row: TableRow) -> str:
    """The fitted degrees of freedom with their interval."""
    nu, half = row.student, (row.student.upper - row.student.lower) / 2
    ends = [_open(end, half) for end in (nu.index, nu.lower, nu.upper)]
    return NOTHING if math.isnan(nu.index) else f"{ends[0]} [{ends[1]}, {ends[2]}]"


def _open(value: float, half: float) -> str:
    return "infinite" if math.isinf(value) else number(value, 3) if math.isinf(half) else rounded(value, half)


def _near(row: TableRow) -> str:
    """Where the interval of the fitted degrees of freedom lies, beside the bounds and SGD's index."""
    if math.isnan(row.student.index):
        return NOTHING
    where = {True: "in", False: "out", None: "?"}[row.fitted_inside]
    what = {True: "SGD's", False: "not SGD's", None: "?"}[row.fitted_is_index]
    return f"{where}, {what}"


def grid(result: HeavyTailsResult) -> TextTable:
    """The table, a group a data set."""
    groups: dict[str, list[tuple[str, ...]]] = {}
    for row in result.rows:
        lower, upper = row.bounds.interval
        bounds = NOTHING if math.isnan(lower) else f"[{number(lower, 3)}, {number(upper, 3)}]"
        groups.setdefault(row.data, []).append(
            (
                str(row.batch_size), number(row.step_size, 3), bounds, row.homogenized.text, row.sgd.text, _nu(row),
                _near(row), f"{number(row.student_fit.p_value, 2)}, {number(row.stable_fit.p_value, 2)}",
                worded(row.one_index, "agrees", "differs"),
            )
        )  # fmt: skip
    columns = (
        "batch", "step size", "bounds", "homogenized", "SGD", "fitted nu", "nu is", "p of t, symmetric stable",
        "verdict",
    )  # fmt: skip
    return TextTable(columns, tuple((name, tuple(found)) for name, found in groups.items()), "Bounds, indices and fits")


def text(result: HeavyTailsResult) -> str:
    """What the command line prints."""
    return "\n\n".join(
        [
            wrapped(finding(result)), grid(result).text(), wrapped(reading(result)), optimiser_grid(result).text(),
            wrapped(optimiser_reading(result)),
        ]
    )  # fmt: skip
