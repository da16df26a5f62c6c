"""What the study found, as rows, tables and sentences."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.compare.text_table import NOTHING, TextTable, number, wrapped
from sgdlimits.studies import verdicts

if TYPE_CHECKING:
    from sgdlimits.discrete.fluctuation import LossTable

    from .curves import Curve
    from .study import FiniteStepSizeResult

ROW = ("curve", "line", "largest_error", "paths_off", "title")
LARGE = 4.0  # standard errors
FEW = 1e-9  # relative error that is none


def rows(result: FiniteStepSizeResult) -> list[dict[str, Any]]:
    """One dict a curve and line: its largest relative distance from the line that paths are judged by, and theirs."""
    return [
        {
            "curve": curve.name, "line": label, "largest_error": curve.off(label), "title": curve.title,
            "paths_off": curve.worst if label == curve.against else math.nan,
        }
        for curve in result.curves.values() for label in curve.lines
    ]  # fmt: skip


def grid(result: FiniteStepSizeResult) -> TextTable:
    """A row a curve: paths against exact theory, and the largest error of each limit."""
    found = []
    for curve in result.curves.values():
        others = [
            f"{label}: {_percent(curve.off(label))}" for label in curve.lines
            if label != curve.against and curve.against in curve.lines
        ]  # fmt: skip
        worst = curve.worst
        seen = NOTHING if math.isnan(worst) else f"{number(worst, 3)} s.e."
        found.append((curve.name, seen, "; ".join(others) or NOTHING))
    return TextTable(("curve", "paths off theory", "largest error of limits"), (("", tuple(found)),))


def methods(table: LossTable) -> TextTable:
    """The table of methods of one data set."""
    found = table.dataset
    limits = [str(name) for name in found.limit.values]
    lines = []
    for i, name in enumerate(found.process.values):
        errors = [float(found.relative_error[i, j]) for j in range(len(limits))]
        lines.append((str(name), number(float(found.excess[i]), 5), *(_percent(e, True) for e in errors)))
    return TextTable(("method", "excess loss", *limits), (("", tuple(lines)),))


def claims(result: FiniteStepSizeResult) -> TextTable:
    """Published claims with verdicts, those of one paper together."""
    return verdicts.table(result.claims)


def told(result: FiniteStepSizeResult) -> list[str]:
    """The same as sentences, for a terminal."""
    return verdicts.told(result.claims)


def text(result: FiniteStepSizeResult) -> str:
    """For a terminal."""
    parts = [wrapped(result.finding), grid(result).text()]
    for name, (table, size) in result.tables.items():
        head = f"{name}, step size {size:.4g}: excess loss at stationarity, exact; errors of limits"
        parts += [head, methods(table).text()]
    parts.append("\n".join(wrapped(sentence) for sentence in told(result)))
    return "\n\n".join(parts)


def finding(result: FiniteStepSizeResult) -> str:
    """The result in a few sentences, computed from the data."""
    exact = [curve for curve in result.curves.values() if curve.against == "exact" and math.isfinite(curve.worst)]
    points = sum(int(np.isfinite(curve.deviations).sum()) for curve in exact)
    worst = max(exact, key=lambda curve: curve.worst)
    sentences = [
        f"Paths agree with the exact laws of the recurrence within {number(worst.worst, 3)} standard errors at all "
        f"{points} points that have one (largest: {worst.name})."
        if worst.worst < LARGE
        else f"Paths are {number(worst.worst, 3)} standard errors off the exact law in {worst.name}."
    ]
    data = [curve for curve in exact if curve.name.startswith("excess-")]
    for curve in data:
        halfway = int(np.argmin(np.abs(curve.x - 0.5)))
        limits = [label for label in curve.lines if label != "exact"]
        errors = [f"{label} by {_percent(_error(curve, label, halfway), True)}" for label in limits]
        sentences.append(
            f"On {curve.name.removeprefix('excess-')} at half of the threshold the excess loss is missed by limits: "
            f"{', '.join(errors)}."
        )
    first = result.curves.get("additive")
    if first is not None:
        sentences.append(
            "The modified equation of second order is farther off than the first: "
            f"{_percent(first.off('modified equation, order 2'))} against {_percent(first.off('Ornstein-Uhlenbeck'))} "
            "with additive noise."
        )
    broken = [
        f"{curve.title.rpartition(' theory is ')[2]} ({name})" for name, curve in result.curves.items()
        if " theory is " in curve.title
    ]  # fmt: skip
    if broken:
        sentences.append(f"Theory of the quadratic at a minimum is {'; '.join(broken)}.")
    return " ".join(sentences)


def _error(curve: Curve, label: str, place: int) -> float:
    return float(curve.lines[label][place] / curve.lines[curve.against][place] - 1)


def _percent(value: float, sign: bool = False) -> str:
    if math.isnan(value):
        return NOTHING
    if math.isinf(value):
        return "inf"
    return "0 %" if abs(value) < FEW else f"{number(100 * value, 3, sign)} %"
