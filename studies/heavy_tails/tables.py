"""The table of the study in words, as rows, and as one dataset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.compare.text_table import TextTable, number, rounded, wrapped
from sgdlimits.studies.summaries import TEXT, Entry, summary_dataset

if TYPE_CHECKING:
    import xarray

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
    "stable_index": "index of the stable law fitted to SGD",
    "stable_ks": "Kolmogorov-Smirnov distance to the fitted stable law",
    "stable_p": "its p-value by parametric bootstrap",
}
ROW = ("data", "batch_size", "ridge", *NUMBERS, "verdict", "notes")
READING = (
    "index: P(|w| > t) falls as t^-index, so that moments of smaller order are finite. Bounds and the exact index "
    "of homogenized SGD are numerical, that of SGD is Kesten's, by populations (95 % interval). nu: Student's t by "
    "maximum likelihood on ends of independent paths of SGD. p: Kolmogorov-Smirnov, by parametric bootstrap of the "
    "whole fit; a law is rejected at 5 %. A law that is not rejected is not thereby right: the distance hardly sees "
    "tails."
)


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


def grid(result: HeavyTailsResult) -> TextTable:
    """The table, a group a data set."""
    groups: dict[str, list[tuple[str, ...]]] = {}
    for row in result.rows:
        nu, half = row.student, (row.student.upper - row.student.lower) / 2
        groups.setdefault(row.data, []).append(
            (
                str(row.batch_size), number(row.step_size, 3), f"[{number(row.lower, 3)}, {number(row.upper, 3)}]",
                number(row.homogenized.index), f"{rounded(row.sgd.index, row.sgd.error)} ±{number(row.sgd.error, 2)}",
                f"{rounded(nu.index, half)} [{rounded(nu.lower, half)}, {rounded(nu.upper, half)}]",
                number(row.student_fit.p_value, 2), number(row.stable_fit.p_value, 2), row.verdict,
            )
        )  # fmt: skip
    columns = (
        "batch", "step size", "bounds", "homogenized SGD", "SGD", "fitted nu", "p of t", "p of stable", "verdict",
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
        f"Kolmogorov and Smirnov's test does not reject t in {_count(found, 'student_accepted')} and the stable law in "
        f"{_count(found, 'stable_accepted')}, although every exact index of SGD "
        + (
            "is above 2, where no law is stable but the normal one: such a test says little of tails."
            if all(row.sgd.lower > 2 for row in found)
            else "is finite: such a test says little of tails."
        ),
    ]
    return " ".join(sentences)


def _count(found: Sequence[TableRow], name: str) -> str:
    return f"{sum(getattr(row, name) for row in found)} of {len(found)}"


def text(result: HeavyTailsResult) -> str:
    """What the command line prints."""
    return "\n\n".join([wrapped(result.finding), grid(result).text(), wrapped(READING)])


def summary(result: HeavyTailsResult) -> xarray.Dataset:
    """The dataset of `HeavyTailsResult.summary`."""
    found = rows(result)
    names = [f"{row['data']}, batch size {row['batch_size']}" for row in found]
    variables: dict[str, Entry] = {
        name: (("row",), np.array([float(row[name]) for row in found]), "1", words) for name, words in NUMBERS.items()
    }
    for name, words in (("verdict", "verdict"), ("notes", "what to know of the sample")):
        variables[name] = (("row",), np.array([row[name] for row in found], dtype=object), TEXT, words)
    return summary_dataset(variables, {"row": (names, TEXT, "data set and batch size")}, "sgd")
