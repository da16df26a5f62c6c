"""The result of compare.manifold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..results import Result
from ..text_table import NOTHING, TextTable, number, with_error
from . import plots
from .candidates import MOVES
from .error_expansion import term
from .statistics import end_floor

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..floors import Floor

ROW = (
    "observable", "noise_level", "step_size", "step", "estimate", "estimate_error", "limit", "limit_error", "error",
    "error_error", "relative", "ratio",
)  # fmt: skip
ENOUGH = 60  # paths from which the band keeps its level for squares of normal numbers too
_RUNGS = ("step_size", "noise_level", "time")
AXES = {
    _RUNGS: "steps",
    (*_RUNGS, "observable"): "estimate estimate_error limit limit_error error error_error",
    (*_RUNGS, "coordinate"): "mean_point limit_point",
    (*_RUNGS, "kind"): "spread spread_error",
    ("part", "observable"): "coefficient coefficient_error",
    ("observable",): "reduced_chi2 start change margin order order_error verdict floor",
    ("against", "time", "observable"): "against_gap against_band",
    ("against", "observable"): "against_verdict against_worst against_paths",
    ("late_part",): "late",
    (): "motion",
    ("kind", "variable"): "spread_exponent spread_exponent_error spread_exponent_predicted",
}


@dataclass(frozen=True, eq=False, repr=False)
class Manifold(Result):
    """A recurrence against its limit over a ladder of step sizes and noise levels: what `compare.manifold` returns.

    Attributes
    ----------
    dataset : xarray.Dataset
        Coordinates step_size and noise_level (decreasing), time (the limit's), observable, part, kind, variable,
        coordinate. estimate, limit, error = estimate - limit, each with its standard error (`..._error`), over
        (step_size, noise_level, time, observable); mean_point and limit_point of Phi(w_k) and W; spread(step_size,
        noise_level, time, kind) and its error; steps. At the last time: coefficient(part, observable) of the error's
        parts, order(observable) in the step size, spread_exponent(kind, variable) beside the predicted one, and floor
        (observable): the verdict on the ratio to a limit below 1 % of its start, empty elsewhere.
        verdict(observable): on what remains of the error at all times together, within margin = tolerance * change, the
        largest change of the limit (where it stands still, what a displacement of the size of the transient would
        change). against_gap and against_band(against, time, observable): what remains, and half the width of its
        simultaneous band; against_verdict, against_worst (the time's place) and against_paths (that would decide) over
        (against, observable): for the limit itself, and for wrong limits as controls (empty where one does not apply).
        Where the limit stands still, late(late_part) holds gap, band and margin of the mean square displacement over
        the last half of the run, the `time` after the last, and motion its largest coordinate.
    """

    kind: ClassVar[str] = "manifold"
    columns: ClassVar[tuple[str, ...]] = ROW

    def heading(self) -> list[str]:
        return [f"{self.dataset.attrs['title']}; {self.dataset.attrs['model']}; start {self.dataset.attrs['w0']}"]

    def table(self) -> list[dict[str, Any]]:
        """One dict for each observable, noise level and step size, at the last time; `ratio`: to the one before."""
        table, last = [], self.dataset.isel(time=-1)
        for observable in last["observable"].values.tolist():
            for j, level in enumerate(last["noise_level"].values):
                before = np.nan
                for i, size in enumerate(last["step_size"].values):
                    here = last.sel(observable=observable).isel(step_size=i, noise_level=j)
                    names = ("estimate", "estimate_error", "limit", "limit_error", "error", "error_error")
                    row = {"observable": observable, "noise_level": float(level), "step_size": float(size)}
                    row |= {"step": int(here["steps"])} | {name: float(here[name]) for name in names}
                    row["relative"] = row["error"] / abs(row["limit"]) if row["limit"] else np.nan
                    row["ratio"] = row["error"] / before if before else np.nan
                    before = row["error"]
                    table.append(row)
        return table

    def tables(self) -> list[TextTable]:
        """The verdicts, the parts of the error, then the errors, and the spread."""
        return [self._verdicts(), self._parts(), self._errors(), self._spreads()]

    def judgements(self, observable: str) -> list[dict[str, Any]]:
        """The verdict on the limit, then its controls: against, verdict, gap and band at `time`, margin, paths.

        time: where the gap is worst against its margin; nan for the last half of the run. paths: of each rung, that
        would decide; nan where it is decided.
        """
        here, rows = self.dataset.sel(observable=observable), []
        for against in here["against"].values.tolist():
            side = here.sel(against=against)
            verdict, worst = str(side["against_verdict"].item()), int(side["against_worst"])
            if not verdict:
                continue
            row = {"against": against, "verdict": verdict, "paths": float(side["against_paths"])}
            if worst < here.sizes["time"]:
                row |= {"time": float(here["time"][worst]), "margin": float(here["margin"])}
                row |= {name: float(side[f"against_{name}"][worst]) for name in ("gap", "band")}
            else:
                row |= {"time": np.nan} | dict(zip(("gap", "band", "margin"), here["late"].values.tolist()))
            rows.append(row)
        return rows

    def _verdicts(self) -> TextTable:
        """What remains where it is worst, with its simultaneous band; on wrong limits too, as a control."""
        groups = []
        for observable in self.dataset["observable"].values.tolist():
            cells = [
                (
                    with_error(row["gap"], row["band"], not row["band"], sign=True),
                    number(row["margin"], 2),
                    "last half" if np.isnan(row["time"]) else number(row["time"], 3),
                    number(row["paths"], 2),
                    f"{row['verdict']}: {row['against']}",
                )
                for row in self.judgements(observable)
            ]
            groups.append((observable, tuple(cells)))
        return TextTable(("what remains", "tolerance", "at time", "paths that decide", "verdict"), tuple(groups))

    def _errors(self) -> TextTable:
        """Both sides and their difference, a group for each observable and noise level."""
        groups: dict[str, list[tuple[str, ...]]] = {}
        clear = False  # whether the error above is more than noise
        for row in self.table():
            level = "" if np.isnan(row["noise_level"]) else f", noise level {number(row['noise_level'])}"
            groups.setdefault(row["observable"] + level, []).append(
                (
                    number(row["step_size"]),
                    str(row["step"]),
                    with_error(row["estimate"], row["estimate_error"], False),
                    with_error(row["limit"], row["limit_error"], row["limit_error"] == 0),
                    with_error(row["error"], row["error_error"], False, sign=True),
                    _relative(row["relative"]),
                    NOTHING if np.isnan(row["ratio"]) or not clear else f"{row['ratio']:.2f}",
                )
            )
            clear = abs(row["error"]) > 3 * row["error_error"]
        columns = ("step size", "step", "E at Phi(w)", "limit", "error", "relative", "ratio")
        said = "Errors at every step size and noise level"
        return TextTable(columns, tuple((title, tuple(cells)) for title, cells in groups.items()), said)

    def _parts(self) -> TextTable:
        """Fitted parts of the error: coefficient, and the part at the largest step size and noise level."""
        dataset, groups = self.dataset, []
        size, level = float(dataset["step_size"][0]), float(np.nan_to_num(dataset["noise_level"].values[0]))
        for observable in dataset["observable"].values.tolist():
            result, cells = dataset.sel(observable=observable), []
            for part in dataset["part"].values.tolist():
                value, error = (float(result[name].sel(part=part)) for name in ("coefficient", "coefficient_error"))
                factor = float(term(part, size, level))
                share = with_error(value * factor, error * factor, False, sign=True)
                cells.append((with_error(value, error, False, sign=True), share, part))
            groups.append((f"parts of the error of {observable}", tuple(cells)))
        said = "Parts of the error at the last time"
        return TextTable(("coefficient", "at the largest", "part"), tuple(groups), said)

    def _spreads(self) -> TextTable:
        """Observed and predicted exponents of the spread."""
        cells = []
        for kind in self.dataset["kind"].values.tolist():
            for variable in self.dataset["variable"].values.tolist():
                here = self.dataset.sel(kind=kind, variable=variable)
                value, error = float(here["spread_exponent"]), float(here["spread_exponent_error"])
                if np.isfinite(value):
                    bound = "at least " if kind == "tangential" else ""
                    predicted = bound + f"{float(here['spread_exponent_predicted']):g}"
                    cells.append((f"{value:.3f} ±{number(error, 1)}", predicted, f"{kind}, in the {variable}"))
        groups = (("spread of a path", tuple(cells)),)
        return TextTable(("exponent", "predicted", "spread"), groups, "Spread across and along the set")

    def notes(self) -> list[str]:
        """What was found, and how to read the tables."""
        dataset, attrs = self.dataset, self.dataset.attrs
        sentences = ["The limit: " + attrs["explanation"]]
        sentences += [attrs[name] for name in ("dropped", "regimes") if attrs.get(name)]
        sentences += [self._found(name) for name in dataset["observable"].values.tolist()]
        if attrs["regime"] == "trivial":
            sentences.append(self._stillness())
        few = "" if attrs["paths"] >= ENOUGH else f": below {ENOUGH} the band misses too often where a law is skewed"
        sentences.append(
            "what remains: of E of the observable at Phi(w_k) minus that of the limit, as step size and noise go to "
            "zero, where it is worst against the tolerance; ± there is half the width of a band that holds all "
            f"{dataset.sizes['time']} times together with {100 * attrs['confidence']:g} %. agrees: the band lies "
            "within the tolerance throughout; differs: outside it at some time; undecided: neither, and about so many "
            "paths of each rung would decide. The rows below are controls: wrong limits, held against the same "
            f"measurement. Elsewhere ± is one standard error, and ratio is to the step size above. {attrs['paths']} "
            f"paths a rung{few}."
        )
        return sentences

    def _found(self, observable: str) -> str:
        """The verdict on one observable, and what its controls say of its power."""
        here, attrs = self.dataset.sel(observable=observable), self.dataset.attrs
        first, *controls = self.judgements(observable)
        moves = attrs["regime"] == "trivial" or controls[0]["against"] == MOVES
        scale = "of what counts as a motion," if moves else "of the limit's change"
        rest = with_error(first["gap"], first["band"], not first["band"], True)
        text = (
            f"{observable} {first['verdict']}: at most {rest} remains, and the tolerance "
            f"is {100 * attrs['tolerance']:g} % {scale} {number(float(here['change']), 3)}."
        )
        if not float(here["change"]) > 0:
            return (
                f"{observable} is undecided: neither the limit nor a motion as long as its own changes it, so that "
                "there is nothing to be judged. Take another observable, or another start."
            )
        if first["verdict"] == "undecided":
            text = text[:-1] + f"; {_paths(first['paths'])}."
        beaten = [row["against"] for row in controls if row["verdict"] == "differs"]
        if beaten:
            text += f" The same measurement rejects {' and '.join(beaten)}."
        for row in controls:
            if row["against"] not in beaten:
                near = "at these times it lies within the tolerance of the limit"
                advice = _paths(row["paths"]) if row["verdict"] == "undecided" else near
                text += f" It has no power against {row['against']} ({row['verdict']}): {advice}."
        if np.isfinite(float(here["order"])):
            half = number(float(here["order_error"]), 1)
            text += f" Order in the step size over this ladder: {float(here['order']):.2f} ±{half}."
        floor = self._floor(observable)
        return text if floor is None else text + f" At the last time, relative to the limit itself, {floor.sentence}"

    def _floor(self, observable: str) -> Floor | None:
        """The verdict on the ratio at the end, where the limit falls by orders of magnitude."""
        here, attrs = self.dataset.sel(observable=observable), self.dataset.attrs
        names = ("estimate", "estimate_error", "limit", "limit_error")
        ends = [here[name].isel(time=-1).transpose("step_size", "noise_level").values for name in names]
        return end_floor(
            *ends, start=float(here["start"]), sizes=here["step_size"].values, levels=here["noise_level"].values,
            tolerance=attrs["tolerance"], confidence=attrs["confidence"], paths=attrs["paths"],
        )  # fmt: skip

    def _stillness(self) -> str:
        """Whether what should stand still does, over the last half of the run."""
        motion, (gap, band, margin) = float(self.dataset["motion"]), self.dataset["late"].values.tolist()
        text = f"Over the last half of the run no path moves by more than {number(motion, 2)}"
        if not band and not gap:
            text += ": it stands still." if motion else ", not by a digit: it stands still."
        else:
            text += (
                f": of its mean square displacement there {with_error(gap, band, False, True)} remains, against a "
                f"tolerance of {number(margin, 2)}, that part of its mean square distance from the set."
            )
        return text + (
            " What counts as a motion: a displacement as long as the way from w_0 to Phi(w_0), or as the distance from "
            "the set that the noise keeps up, if that is more."
        )

    def plot(self, ax: Axes | None = None, observable: str | None = None) -> Figure:
        """Error against the step size with its fitted parts, and below what remains over time.

        Given axes take the first alone; see `plots.errors` and `plots.remains`.
        """
        return plots.both(self.dataset, observable) if ax is None else plots.errors(self.dataset, observable, ax)

    def plot_verdict(self, ax: Axes | None = None, observable: str | None = None) -> Figure:
        """What remains at all times, with its band, the tolerance and the controls; see `plots.remains`."""
        return plots.remains(self.dataset, observable, ax)

    def plot_spread(self, ax: Axes | None = None) -> Figure:
        """Spread across and along the set against the step size; see `plots.spreads`."""
        return plots.spreads(self.dataset, ax)


def _relative(value: float) -> str:
    """An error relative to the limit, in per cent while that can be read."""
    if np.isnan(value):
        return NOTHING
    return f"{100 * value:+.2f} %" if abs(value) < 10 else f"{number(value, 3, sign=True)} times"


def _paths(needed: float) -> str:
    """How many paths would decide, in words."""
    if not np.isfinite(needed):
        return "it lies on the tolerance or the ladder bends: smaller step sizes tell, not more paths"
    return f"about {number(needed, 2)} paths of each rung would decide"
