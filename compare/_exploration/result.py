"""The result of compare.exploration."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ..results import Result
from ..text_table import NOTHING, TextTable, number, rounded, with_error
from . import plots

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

AXES = {
    ("process", "quantity"): "value lower upper events exact exact_error diffusion verdict note",
    ("process",): "long_visits long_time next_target rate interquartile_range long_error diffusion_visits "
    "diffusion_time overflowed exact_notes",
    ("process", "well"): "visits time time_lower time_upper time_exact",
    ("well",): "minimum width barrier curvature",
}
ROW = ("process", "quantity", "value", "lower", "upper", "events", "exact", "exact_error", "diffusion", "verdict",
       "note")  # fmt: skip
WORDS = {
    "residence": "steps in the well of the start, mean",
    "passage": "steps until the target is entered, mean",
    "reached": "paths that entered the target in the run",
    "visits": "visits that were to the target",
    "time": "time of the run in the target",
}
SURE = 6.0  # digits of an exact number: its error over itself below 10^-6 needs no saying
ALIKE = 1e-6  # relative, within which exact numbers are called equal


@dataclass(frozen=True, eq=False, repr=False)
class Exploration(Result):
    """Processes among wells: what `compare.exploration` returns.

    Attributes
    ----------
    dataset : xarray.Dataset
        Over (process, quantity): value with lower and upper at attrs["confidence"] (nan and a bound where paths show no
        more), events, exact with exact_error, diffusion (of the diffusion itself where a scheme samples it), verdict
        ("covers", "misses" or empty) and note. Quantities: residence and passage in steps, reached, visits and time as
        shares. Over process, exact: long_visits and long_time (shares of the target in the long run, long_error),
        next_target (probability that the next well is the target), rate and interquartile_range of the quasi-stationary
        law of the well of the start; diffusion_visits and diffusion_time; overflowed. Over (process, well): visits a
        path, time (share of the run) with time_lower and time_upper, and time_exact (in the long run). Over well:
        minimum, width, barrier, curvature.
    """

    kind: ClassVar[str] = "exploration"
    columns: ClassVar[tuple[str, ...]] = ROW

    def heading(self) -> list[str]:
        told, wells = self.dataset.attrs, self.dataset
        home, target = (int(told[name]) for name in ("home", "target"))
        places = [
            f"{float(wells['minimum'][k]):.4g} (width {number(float(wells['width'][k]), 3)}, barrier "
            f"{number(float(wells['barrier'][k]), 3)})" for k in (home, target)
        ]  # fmt: skip
        return [
            f"Exploration of {told['landscape']}: from {told['start']:.6g} in the well at {places[0]}, to that at "
            f"{places[1]}",
            f"{told['paths']} paths of {told['steps']} steps, seed {told['seed']}; {len(wells['well'])} wells",
        ]

    def table(self) -> list[dict[str, Any]]:
        """One dict for each quantity of each process."""
        found = []
        for name in self.dataset["process"].values.tolist():
            for quantity in self.dataset["quantity"].values.tolist():
                here = self.dataset.sel(process=name, quantity=quantity)
                row = {"process": name, "quantity": quantity}
                row |= {key: here[key].item() for key in ROW[2:]}
                found.append(row)
        return found

    def tables(self) -> list[TextTable]:
        """Measured beside exact, a group a process; then what is exact of the long run."""
        groups: dict[str, list[tuple[str, ...]]] = {}
        for row in self.table():
            exact = row["exact"]
            said = NOTHING if math.isnan(exact) else (
                number(exact, 5) if row["exact_error"] < 10**-SURE * exact or math.isinf(row["exact_error"])
                else with_error(exact, row["exact_error"], False)
            )  # fmt: skip
            groups.setdefault(row["process"], []).append((
                _measured(row), _interval(row), said, number(row["diffusion"], 5),
                f"{row['verdict'] or NOTHING}: {WORDS[row['quantity']]}",
            ))  # fmt: skip
        level = f"{100 * self.dataset.attrs['confidence']:g} %"
        heads = ("measured", level, "exact", "diffusion itself", "verdict")
        listed = tuple((name, tuple(rows)) for name, rows in groups.items())
        return [TextTable(heads, listed, "Measured beside exact"), self._long_run()]

    def _long_run(self) -> TextTable:
        rows = []
        for name in self.dataset["process"].values.tolist():
            here = self.dataset.sel(process=name)
            visits, following, rate, spread = (
                number(float(here[key])) for key in ("long_visits", "next_target", "rate", "interquartile_range")
            )
            rows.append((_share(here["long_time"], here["long_error"]), visits, following, rate, spread, name))
        heads = ("time in the target", "visits to it", "next well it", "rate of leaving", "interquartile", "process")
        title = "In the long run, and under the quasi-stationary law of the well of the start; exact"
        return TextTable(heads, ((title, tuple(rows)),), title)

    def notes(self) -> list[str]:
        """The findings, then how to read the tables."""
        alike: dict[tuple[str, str], list[str]] = {}
        for row in self.table():
            if row["note"]:
                alike.setdefault((row["quantity"], row["note"]), []).append(row["process"])
        said = [f"{'; '.join(names)}: {quantity}: {text}." for (quantity, text), names in alike.items()]
        for name in self.dataset["process"].values.tolist():
            here = self.dataset.sel(process=name)
            said += [f"{name}: {text}." for text in json.loads(str(here["exact_notes"].item()))]
            if int(here["overflowed"]):
                said.append(f"{name}: {int(here['overflowed'])} paths overflowed and are left out.")
        return [
            *self.findings(), *said,
            "A path is in a well until it reaches the minimum beside it or passes it, and then in the one between "
            "whose tops it is; the outermost wells reach on for ever. exact: of the process as it is sampled, by the "
            "law of one step on nodes of Gauss and Legendre, from the same start and, where shares of a run are asked, "
            "over the same steps; diffusion itself: in continuous time, by quadrature. covers, misses: whether the "
            "interval holds the exact number; one in twenty at 95 % misses by chance.",
        ]

    def findings(self) -> list[str]:
        """What the numbers say of the first process beside each other one."""
        names = self.dataset["process"].values.tolist()
        said = [text for other in names[1:] if (text := self._beside(names[0], other))]
        verdicts = [row["verdict"] for row in self.table() if row["verdict"]]
        if verdicts:
            missed = verdicts.count("misses")
            said.append(
                f"{len(verdicts) - missed} of {len(verdicts)} intervals hold the exact number beside them."
            )
        return said

    def _beside(self, one: str, two: str) -> str:
        """Time in the target in the long run, and the rate of leaving, of two processes of which both are exact."""
        pair = [self.dataset.sel(process=name) for name in (one, two)]
        time, rate, error = (
            [float(each[key]) for each in pair] for key in ("long_time", "rate", "long_error")
        )
        if any(map(math.isnan, (*time, *rate))):
            return self._in_the_run(one, two)
        if max(rate) - min(rate) <= ALIKE * max(rate):
            leaving = "leave the well of the start equally often"
        else:
            faster = one if rate[0] > rate[1] else two
            leaving = f"leave the well of the start at rates of ratio {number(max(rate) / min(rate), 3)}, "
            leaving += f"{faster} faster"
        if abs(time[0] - time[1]) <= sum(error):
            return f"{one} and {two} {leaving}; their time in the target in the long run cannot be told apart."
        (longer, more, slack), (_, less, _) = sorted(zip((one, two), time, error), key=lambda each: -each[1])
        rest = max(1 - more, slack)
        odds = number((1 - rest) / rest * (1 - less) / less, 3) if less > 0 else "infinite"
        return (
            f"{one} and {two} {leaving}; in the long run {longer} is in the target more of the time, "
            f"{_share(more, slack)} against {number(less)}: odds of ratio {'above ' if rest == slack else ''}{odds}."
        )

    def _in_the_run(self, one: str, two: str) -> str:
        """The time in the target during the run, by intervals, where the long run of one of them is not known."""
        first, other = (self.dataset.sel(process=name, quantity="time") for name in (one, two))
        if float(first["lower"]) > float(other["upper"]):
            longer, pair = one, (first, other)
        elif float(other["lower"]) > float(first["upper"]):
            longer, pair = two, (other, first)
        else:
            return f"The time of the run that {one} and {two} are in the target cannot be told apart."
        more, less = (number(float(each["value"]), 3) for each in pair)
        shorter = two if longer == one else one
        return f"In the run {longer} is in the target more of the time than {shorter}: {more} against {less}."

    def plot(self, ax: Axes | None = None) -> Figure:
        """Mean times with intervals beside the exact ones; see `plots.times`."""
        return plots.times(self.dataset, ax)

    def plot_wells(self, ax: Axes | None = None) -> Figure:
        """Share of the time in each well; see `plots.occupation`."""
        return plots.occupation(self.dataset, ax)


def _measured(row: dict[str, Any]) -> str:
    if math.isnan(row["value"]):
        return NOTHING if math.isinf(row["upper"]) or row["quantity"] == "visits" else number(row["value"])
    return rounded(row["value"], (min(row["upper"], 1e300) - row["lower"]) / 2)


def _share(share: Any, error: Any) -> str:
    """A share, near 1 by what is missing."""
    rest, slack = 1 - float(share), float(error)
    return f"1 - {number(max(rest, slack), 2)}" if rest < 1e-4 else number(1 - rest)


def _interval(row: dict[str, Any]) -> str:
    lower, upper = float(row["lower"]), float(row["upper"])
    if math.isinf(upper):
        return f"above {number(lower, 3)}"
    half = (upper - lower) / 2
    return f"[{rounded(lower, half)}, {rounded(upper, half)}]"
