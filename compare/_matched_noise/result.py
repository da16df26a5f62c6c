"""The result of compare.svag and compare.linear_scaling."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ..results import Result
from ..text_table import NOTHING, TextTable, number, with_error
from . import plots

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

AXES = {
    ("rung", "step"): "risk error difference half_width relative",
    ("rung",): "verdict worst worst_step needed heaviest",
    ("step",): "limit",
}
CARRIED = 0.05  # of a mean's variance by one path, from which on its error is not to be trusted
NAMES = {"SVAG": "l", "linear scaling": "factor"}


@dataclass(frozen=True, eq=False, repr=False)
class MatchedNoise(Result):
    """Risks of processes that share one diffusion, at matched times: of `compare.svag` and `compare.linear_scaling`.

    Attributes
    ----------
    dataset : xarray.Dataset
        Over (rung, step), rung being l or the factor and step that of SGD: risk and its standard error (0: exact),
        difference to rung 1, `half_width` of its band over all steps, `relative` difference. Over rung: verdict, worst
        relative difference and place `worst_step` among the steps, paths that would decide, and the largest share of
        one path in a mean's variance. Over step: the risk of the diffusion, nan where it is not known.
        Attributes: slope and slope_error, the order with which rungs come to the diffusion.
    """

    kind: ClassVar[str] = "matched noise"
    columns: ClassVar[tuple[str, ...]] = (
        "rung", "step", "risk", "error", "difference", "half_width", "relative", "limit", "verdict",
    )  # fmt: skip

    @property
    def _exact(self) -> bool:
        return bool(self.dataset.attrs["exact"])

    @property
    def verdict(self) -> str:
        """Of SVAG: on the largest l. Of linear scaling: agrees where every factor does, else of the first that not."""
        verdicts = self.dataset["verdict"].values.tolist()[1:]
        if self.dataset.attrs["knob"] == "SVAG":
            return str(verdicts[-1])
        return str(next((verdict for verdict in verdicts if verdict != "agrees"), "agrees"))

    def heading(self) -> list[str]:
        told = self.dataset.attrs
        what = "SVAG against SGD" if told["knob"] == "SVAG" else "Step size and batch size multiplied by one factor"
        return [
            f"{what}: step size {told['step_size']:g}, batch size {told['batch_size']}, at matched times",
            str(told["problem"]),
        ]

    def table(self) -> list[dict[str, Any]]:
        """One dict for each rung and step."""
        rows = []
        for rung in self.dataset["rung"].values:
            here = self.dataset.sel(rung=rung)
            for place, step in enumerate(here["step"].values.tolist()):
                row = {"rung": float(rung), "step": step, "verdict": str(here["verdict"].item())}
                for name in ("risk", "error", "difference", "half_width", "relative", "limit"):
                    row[name] = float(here[name].values[place])
                rows.append(row)
        return rows

    def tables(self) -> list[TextTable]:
        """One row a rung: where it is farthest from the first, and the verdict."""
        rows, steps = [], self.dataset["step"].values
        for rung in self.dataset["rung"].values:
            here = self.dataset.sel(rung=rung)
            place = int(here["worst_step"])
            risk, error = (float(here[name].values[place]) for name in ("risk", "error"))
            reference = here["verdict"].item() == "reference"
            half = float(here["half_width"].values[place])
            gap = number(float(here["difference"].values[place]), sign=True)
            rows.append((
                f"{rung:g}", with_error(risk, error, self._exact),
                NOTHING if reference else gap + ("" if self._exact else f" ±{number(half, 2)}"),
                NOTHING if reference else f"{number(100 * float(here['worst']), 2)} %", str(steps[place]),
                "SGD" if reference else str(here["verdict"].item()),
            ))  # fmt: skip
        heads = (NAMES[self.dataset.attrs["knob"]], "risk", "less SGD's", "relative", "at step", "verdict")
        return [TextTable(heads, (("where it is farthest from SGD", tuple(rows)),))]

    def notes(self) -> list[str]:
        told = self.dataset.attrs
        scale = "SGD's excess risk" if told["floor"] else "SGD's risk"
        how = "exact" if self._exact else (
            f"over {told['paths']} paths of each; ± is half a band that holds at all recorded steps with "
            f"{100 * told['confidence']:g} %"
        )  # fmt: skip
        part = " times 1 - 1/l, the part of the way to l = infinity," if told["knob"] == "SVAG" else ""
        found = [
            f"Expected risks, {how}. agrees: within {100 * told['tolerance']:g} % of {scale}{part} at every recorded "
            "step; differs: farther at some step; undecided: the band straddles.",
            self._decision(),
        ]
        if told["limit_known"] and not math.isnan(told["slope"]):
            name = "1/l" if told["knob"] == "SVAG" else "the factor"
            found.append(
                f"The distance to the diffusion (modified equation of order 1, exact) falls as {name} to the power "
                f"{told['slope']:.3f} ± {number(told['slope_error'], 2)} (standard error of the straight line through "
                f"the rungs nearest to it, at step {told['slope_step']}); theory: 1."
            )
        if float(self.dataset["heaviest"].max()) > CARRIED:
            found.append(
                f"One path carries {100 * float(self.dataset['heaviest'].max()):.2g} % of a mean's variance: tails are "
                "heavy, and bands too narrow; take a larger batch size or more paths."
            )
        return found

    def _decision(self) -> str:
        told, verdicts = self.dataset.attrs, self.dataset["verdict"].values.tolist()
        rungs, worst = self.dataset["rung"].values, self.dataset["worst"].values
        needed = float(self.dataset["needed"].values[-1])
        more = f" About {needed:.2g} paths of each would decide." if math.isfinite(needed) else ""
        if told["knob"] == "SVAG":
            last = rungs[-1]
            if self.verdict == "agrees":
                return (
                    f"The diffusion is a valid model of this risk at step size {told['step_size']:g}: l = {last:g} "
                    "agrees with SGD."
                )
            if self.verdict == "differs":
                return (
                    f"The diffusion is no valid model of this risk at step size {told['step_size']:g}: l = {last:g} "
                    f"differs from SGD by {number(100 * worst[-1], 2)} %."
                )
            return f"Whether the diffusion is a valid model at this step size is not decided.{more}"
        holds = [rung for rung, verdict in zip(rungs[1:], verdicts[1:]) if verdict == "agrees"]
        if self.verdict == "agrees":
            return f"The linear scaling rule holds up to the factor {rungs[-1]:g}."
        upto = f"holds up to the factor {max(holds):g}" if holds else "is not seen to hold at any factor"
        return f"The linear scaling rule {upto}.{more}"

    def plot(self, ax: Axes | None = None) -> Figure:
        """Relative differences to SGD against steps, the tolerance shaded; see `plots.differences`."""
        return plots.differences(self.dataset, NAMES[self.dataset.attrs["knob"]], ax)
