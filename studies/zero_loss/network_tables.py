"""Tables and sentences of the two-layer network: which noise improves it, on which clock, and how near to its limit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.compare.estimates import student_quantile
from sgdlimits.compare.text_table import NOTHING, TextTable, number, with_error
from sgdlimits.compare.verdicts import verdicts_of

if TYPE_CHECKING:
    import xarray

STILL = 1e-9  # of the test error: a smaller change is rounding
HALF_AS_FAST = "half as fast"  # the control: the limit at half the steps


@dataclass(frozen=True, eq=False)
class Finding:
    """What one mechanism did to the test error from one interpolator, by the end of its run.

    Attributes
    ----------
    name : str
    change, half : float
        Of the test error at Phi(w_k), and half the width of its interval.
    limit, finite_step : float
        The same change of the limit, and of the limit at this step size.
    verdict : {"improves", "worsens", "undecided", "stands still"}
        By the interval of the change.
    agreement, control : {"agrees", "differs", "undecided"}
        Verdict on the limit at this step size, relative to what it changes; and on the same at half the steps.
    margin : float
        Of these two.
    cell : xarray.Dataset
        Everything of this mechanism and start.
    """

    name: str
    change: float
    half: float
    limit: float
    finite_step: float
    verdict: str
    agreement: str
    control: str
    margin: float
    cell: Any

    def ratio(self, predicted: float) -> str:
        """Measured over predicted with its interval; undecided where the change predicted is below what is resolved."""
        if self.verdict == "stands still":
            return NOTHING
        if abs(predicted) <= self.half:
            return "undecided"
        return with_error(self.change / predicted, self.half / abs(predicted), False)


def findings(data: xarray.Dataset, confidence: float, tolerance: float, start: int) -> Iterator[Finding]:
    """One for each mechanism from a start; what improves and worsens holds of all of them together (Bonferroni)."""
    paths, moving = data.attrs["paths"], int((data["regime"].sel(start=start) != "trivial").sum())
    quantile = student_quantile(confidence, paths - 1)
    joint = student_quantile(1 - (1 - confidence) / max(moving, 1), paths - 1)
    for name in data["mechanism"].values.tolist():
        cell = data.sel(mechanism=name, start=start)
        origin = float(cell["test_error_limit"][0])
        change, half = float(cell["test_error"][-1]) - origin, quantile * float(cell["test_error_error"][-1])
        limit, finite = (float(cell[f"test_error_{key}"][-1]) - origin for key in ("limit", "finite_step"))
        slower = float(cell["test_error_finite_step"][-2]) - origin
        still = cell["regime"].item() == "trivial"
        margin = STILL * origin if still else tolerance * abs(finite)
        if abs(change) + half <= STILL * origin:
            verdict = "stands still"
        else:
            sure = abs(change) > joint / quantile * half
            verdict = "undecided" if not sure else "improves" if change < 0 else "worsens"
        gaps = change - np.array([finite, slower])
        agreement, control = verdicts_of(gaps - half, gaps + half, np.full(2, margin)).tolist()
        yield Finding(
            name, change, half, limit, finite, verdict, agreement, "" if still else control, margin, cell
        )


def network_rows(data: xarray.Dataset, confidence: float, tolerance: float) -> list[dict[str, Any]]:
    """A row of the study's table for each mechanism and start: the change of the test error by the end."""
    table = []
    for start in data["start"].values.tolist():
        for found in findings(data, confidence, tolerance, start):
            error = float(found.cell["test_error_error"][-1])
            table.append(
                {
                    "part": f"network: {data.attrs['task']}", "process": found.name,
                    "quantity": f"change of the test error, interpolator {start}",
                    "step_size": float(found.cell["step_size"]), "noise_level": float(found.cell["noise_level"]),
                    "steps": int(found.cell["steps"]), "measured": found.change, "measured_error": error,
                    "predicted": found.finite_step, "predicted_error": 0.0, "gap": found.change - found.finite_step,
                    "gap_error": found.half, "margin": found.margin, "verdict": found.agreement,
                    "paths_needed": np.nan, "controls": f"{HALF_AS_FAST}: {found.control}" if found.control else "",
                }
            )  # fmt: skip
    return table


def network_grid(data: xarray.Dataset, confidence: float, tolerance: float) -> TextTable:
    """What every mechanism does to the test error, a group for each interpolator."""
    groups, quantile = [], student_quantile(confidence, data.attrs["paths"] - 1)
    for start in data["start"].values.tolist():
        cells = []
        for found in findings(data, confidence, tolerance, start):
            cell, still = found.cell, found.verdict == "stands still"
            cloud = float(cell["cloud"][-1]), quantile * float(cell["cloud_error"][-1])
            cells.append(
                (
                    NOTHING if np.isnan(cell["noise_level"]) else number(float(cell["noise_level"]), 2),
                    str(int(cell["steps"])),
                    NOTHING if still else number(float(cell["unit_steps"]), 2),
                    "0" if still else with_error(found.change, found.half, False, sign=True),
                    "0" if still else number(found.limit, 3, sign=True),
                    found.ratio(found.limit),
                    "0" if still else number(found.finite_step, 3, sign=True),
                    found.ratio(found.finite_step),
                    "0" if still else with_error(*cloud, False, sign=True),
                    NOTHING if still else _taken(cell, quantile),
                    f"{found.verdict}: {found.name}",
                )
            )
        first = data.sel(start=start)
        origin = float(first["test_error_limit"].isel(mechanism=0, look=0))
        groups.append(
            (
                f"interpolator {start}, test error {number(origin)}, step size {float(first['step_size']):g}",
                tuple(cells),
            )
        )
    columns = (
        "noise level", "steps", "unit", "change", "limit", "ratio", "finite step", "ratio", "cloud", "regulariser, %",
        "test error",
    )  # fmt: skip
    return TextTable(columns, tuple(groups), f"{data.attrs['task']}: what noise does to a two-layer network")


def _taken(cell: Any, quantile: float) -> str:
    """Percent of the regulariser that is gone by the end, with its interval, and by the limit at this step size."""
    first = float(cell["regulariser_limit"][0])
    left, error = float(cell["regulariser"][-1]) / first, float(cell["regulariser_error"][-1]) / first
    predicted = float(cell["regulariser_finite_step"][-1]) / first
    measured = with_error(100 * (left - 1), 100 * quantile * error, False)
    return f"{measured} ({number(100 * (predicted - 1), 3)})"


def network_reading(data: xarray.Dataset, confidence: float) -> str:
    """How the network was made and how its table is read."""
    attrs, level = data.attrs, f"{100 * confidence:g} %"
    relaxation = float(data["relaxation"].isel(start=0))
    return (
        f"{attrs['model'].capitalize()} without biases, {attrs['weights']} weights, squares. An interpolator is where "
        "the gradient flow from random weights ends, and all mechanisms start there; intervals "
        f"({level}) are over {attrs['paths']} paths of the noise, not over interpolators or rows. Step size: 0.4 over "
        f"the largest curvature there; the slowest direction across the set relaxes in {number(relaxation, 2)} steps. "
        "Equal strength: the noise level is such that the noise changes a residual by "
        f"{attrs['disturbance']:g} standard deviations of the target, root mean square over noise and rows, at the "
        "interpolator; 2 σ² Reg in the mechanism's regulariser Reg. By that measure minibatches (of "
        f"{attrs['batch_size']} rows) have no strength there, as every residual is zero: the control. A run ends "
        f"where the first pace of the limit would have taken 30 % of the regulariser, or after {attrs['most']} steps. "
        "unit: steps in a unit of the limit's time, 1/(ησ²), of label noise 1/(η²σ²). change: of the test error at "
        "Φ(w_k), where the gradient flow from w_k ends, ± half of the interval; limit: the same of ManifoldLimit; "
        "finite step: of that limit at this step size (leading order in σ²); ratio: measured over predicted. cloud: "
        "what the test error at w_k itself has more, ± its own half, because noise holds w_k off the set; it is there "
        "from the first relaxation on and is no slow motion. regulariser: what was taken of the mechanism's own, and "
        f"by the limit at this step size. improves, worsens: surely for all mechanisms together, at {level}."
    )


def network_finding(data: xarray.Dataset, confidence: float, tolerance: float) -> str:
    """What was found from the first interpolator, and how often from the others; computed from the numbers."""
    here = list(findings(data, confidence, tolerance, 1))
    origin = float(here[0].cell["test_error_limit"][0])
    said = {verdict: [found for found in here if found.verdict == verdict] for verdict in _WORDS}
    parts = []
    for verdict, word in _WORDS.items():
        group = sorted(said[verdict], key=lambda found: -abs(found.change) / int(found.cell["steps"]))
        if group:
            parts.append(f"{word} {', '.join(map(_told, group))}")
    agreeing = [found.name for found in here if found.agreement == "agrees" and found.verdict != "stands still"]
    moving = [found for found in here if found.cell["regime"].item() != "trivial"]
    wrong = [found for found in moving if found.limit * found.finite_step < 0]
    missed = [found.name for found in moving if found.agreement == "differs"]
    refused = sum(found.control == "differs" for found in moving)
    text = (
        f"Two-layer network on {data.attrs['task']} ({data.attrs['weights']} weights, {data.attrs['rows']} rows), from "
        f"an interpolator of test error {number(origin, 3)} (the mean of the labels: "
        f"{number(float(data['zero_test_error']), 3)}), fastest a step first: {'; '.join(parts)}. Within "
        f"{100 * tolerance:g} % of what the limit at this step size predicts: {', '.join(agreeing) or 'none'}; outside "
        f"of them: {', '.join(missed) or 'none'}; the same limit half as fast is rejected by {refused} of "
        f"{len(moving)}."
    )
    if wrong:
        text += (
            f" Of {', '.join(found.name for found in wrong)} the limit for vanishing step sizes has the other sign "
            "than the one at this step size."
        )
    if data.sizes["start"] > 1:
        text += " " + _others(data, confidence, tolerance)
    return text


_WORDS = {
    "improves": "it is improved by", "worsens": "worsened by",
    "undecided": "not surely changed (all mechanisms together) by",
    "stands still": "left where it is by",
}  # fmt: skip


def _told(found: Finding) -> str:
    if found.verdict == "stands still":
        return found.name
    ratio = found.ratio(found.finite_step)
    share = "a prediction below the resolution" if ratio == "undecided" else f"{ratio} of the prediction"
    return (
        f"{found.name} ({with_error(found.change, found.half, False, sign=True)} in {int(found.cell['steps'])} steps, "
        f"{share})"
    )


def _others(data: xarray.Dataset, confidence: float, tolerance: float) -> str:
    """How many of the interpolators each mechanism improves and worsens."""
    counts: dict[str, list[str]] = {}
    for start in data["start"].values.tolist():
        for found in findings(data, confidence, tolerance, start):
            counts.setdefault(found.name, []).append(found.verdict)
    told = [
        f"{name} improves {said.count('improves')} and worsens {said.count('worsens')}"
        for name, said in counts.items()
        if set(said) != {"stands still"}
    ]
    return f"Of {data.sizes['start']} interpolators {'; '.join(told)}."
