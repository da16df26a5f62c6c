"""The result of compare.noise_cost and of compare.noise_cost_of_curves."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from sgdlimits.exact.errors import one_of

from ..results import Result
from ..text_table import NOTHING, TextTable, number
from . import plots
from .record import NEVER, PASSING, UNSTABLE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROW = (
    "choice", "batch_size", "step_size", "steps", "steps_low", "steps_high", "samples", "floor", "product", "verdict"
)  # fmt: skip
WORDS = {"fixed": "step size as given", "tuned": "step size of the fewest steps", "measured": "measured"}


@dataclass(frozen=True, eq=False, repr=False)
class NoiseCost(Result):
    """What noise costs online: what `compare.noise_cost` and `compare.noise_cost_of_curves` return.

    Attributes
    ----------
    dataset : xarray.Dataset
        Over (choice, batch_size): step_size, steps to the level with steps_low and steps_high, samples, floor (excess
        left for ever), product (steps / least - 1)(samples / least - 1), verdict. Over choice: least_steps (without
        noise), least_samples, least_samples_at, critical_batch_size with critical_low and critical_high; the fit
        fit_steps + fit_samples / batch size of the steps, with its largest relative deviation. Over (batch_size,
        step): excess. Exact results have over (rule, batch_size) ratio and scaled_step_size, over rule holds_up_to and
        stable_up_to, over batch_size threshold, over budget what is best. Attributes: level, initial (both excess
        risks), window (samples over which rules are judged), tolerance.
    """

    kind: ClassVar[str] = "noise cost"
    columns: ClassVar[tuple[str, ...]] = ROW

    def critical_batch_size(self, choice: str | None = None) -> float:
        """That of a choice of step sizes, the last one by default; inf where it lies beyond the ladder."""
        names = self.dataset["choice"].values.tolist()
        name = names[-1] if choice is None else one_of("choice", choice, names)
        return float(self.dataset["critical_batch_size"].sel(choice=name))

    def heading(self) -> list[str]:
        told = self.dataset.attrs
        share = number(100 * told["level"] / told["initial"], 3)
        level = f"excess risk {number(told['level'])} ({share} % of the first)"
        if told["measured"]:
            return [f"What noise costs: {told['process']}, down to a loss {number(told['level'])} above the least"]
        return [
            f"What noise costs online, exactly: {told['process']} down to an {level}",
            f"step size {told['step_size']:g}, batch size {told['batch_size']:g}; {told['problem']}",
        ]

    def table(self) -> list[dict[str, Any]]:
        """One dict for each choice of step sizes and each batch size."""
        rows = []
        for choice in self.dataset["choice"].values.tolist():
            for size in self.dataset["batch_size"].values.tolist():
                here = self.dataset.sel(choice=choice, batch_size=size)
                row: dict[str, Any] = {"choice": choice, "batch_size": size, "verdict": str(here["verdict"].item())}
                rows.append(row | {name: float(here[name]) for name in ROW if name not in row})
        return rows

    def tables(self) -> list[TextTable]:
        """All batch sizes together; scaling rules and budgets where they are exact; each batch size."""
        found = [self._together()]
        if "rule" in self.dataset.dims:
            found += [self._rules(), self._budgets()]
        return [*found, self._each()]

    def _together(self) -> TextTable:
        heads = (
            "critical batch size", "least samples", "at batch size", "least steps", "fit: steps", "samples",
            "off by", "step sizes",
        )  # fmt: skip
        rows = []
        for choice in self.dataset["choice"].values.tolist():
            here = self.dataset.sel(choice=choice)
            edge = " (edge)" if str(here["least_samples_edge"].item()) else ""
            off = float(here["fit_deviation"])
            rows.append((
                self._critical(here), self._number(here, "least_samples", "least_samples_low", "least_samples_high"),
                number(float(here["least_samples_at"])) + edge,
                self._number(here, "least_steps", "least_steps_low", "least_steps_high"),
                number(float(here["fit_steps"])), number(float(here["fit_samples"])),
                NOTHING if math.isnan(off) else f"{number(100 * off, 2)} %", WORDS[choice],
            ))  # fmt: skip
        return TextTable(heads, (("twice the least samples are spent at the critical batch size", tuple(rows)),))

    def _critical(self, here: Any) -> str:
        if math.isinf(float(here["critical_batch_size"])):
            return f"over {number(self._finite().max())}"
        return self._number(here, "critical_batch_size", "critical_low", "critical_high")

    def _number(self, here: Any, name: str, low: str, high: str) -> str:
        value = number(float(here[name]))
        if not self.dataset.attrs["intervals"] or math.isnan(float(here[name])):
            return value
        return f"{value} [{number(float(here[low]), 3)}, {number(float(here[high]), 3)}]"

    def _finite(self) -> np.ndarray:
        sizes = self.dataset["batch_size"].values
        return sizes[np.isfinite(sizes)]

    def _rules(self) -> TextTable:
        told = self.dataset.attrs
        groups = []
        for rule in self.dataset["rule"].values.tolist():
            here = self.dataset.sel(rule=rule)
            rows = []
            for size in self._finite().tolist():
                at = here.sel(batch_size=size)
                step_size, limit, ratio = (float(at[key]) for key in ("scaled_step_size", "threshold", "ratio"))
                if math.isnan(step_size):
                    continue
                judged = "no step fits" if math.isnan(ratio) else "holds" if ratio <= 1 + told["tolerance"] else "fails"
                words = judged + (", unstable" if step_size >= limit else "")
                rows.append((number(size), number(step_size), number(limit), number(ratio), words))
            ends = f"holds up to batch size {_up_to(here['holds_up_to'])}, stable up to {_up_to(here['stable_up_to'])}"
            groups.append((f"{rule}: {ends}", tuple(rows)))
        heads = ("batch size", "step size", "threshold", "largest ratio", "rule")
        return TextTable(heads, tuple(groups), "Scaling rules")

    def _budgets(self) -> TextTable:
        told, rows = self.dataset.attrs, []
        for budget in self.dataset["budget"].values.tolist():
            here = self.dataset.sel(budget=budget)
            best = {name: float(here[f"best_{name}"]) for name in ("steps", "batch_size", "step_size", "excess")}
            edge = str(here["best_edge"].item())
            words = "inside" if not edge else f"edge: {edge}"
            rows.append((
                number(best["batch_size"]), number(best["step_size"]), f"{best['steps']:.0f}", number(best["excess"]),
                number(float(here["best_enough"])), f"{int(here['budget_size'])} {budget}; {words}",
            ))  # fmt: skip
        near = f"batch size within {100 * told['tolerance']:g} %"
        heads = ("batch size", "step size", "steps", "excess risk", near, "budget")
        return TextTable(heads, (("the best for a budget", tuple(rows)),), "Budgets")

    def _each(self) -> TextTable:
        groups: dict[str, list[tuple[str, ...]]] = {}
        least = {c: float(self.dataset["least_samples"].sel(choice=c)) for c in self.dataset["choice"].values.tolist()}
        for row in self.table():
            ratio = row["samples"] / least[row["choice"]]
            steps = number(row["steps"])
            if self.dataset.attrs["intervals"]:
                steps += f" [{number(row['steps_low'], 3)}, {number(row['steps_high'], 3)}]"
            groups.setdefault(WORDS[row["choice"]], []).append((
                number(row["batch_size"]), number(row["step_size"]), steps, number(row["samples"]), number(ratio),
                number(row["floor"]), number(row["product"]), row["verdict"],
            ))  # fmt: skip
        heads = ("batch size", "step size", "steps", "samples", "over least", "floor", "product", "level")
        return TextTable(heads, tuple((name, tuple(rows)) for name, rows in groups.items()), "Every batch size")

    def notes(self) -> list[str]:
        told, verdicts = self.dataset.attrs, set(self.dataset["verdict"].values.ravel().tolist())
        least = (
            "critical batch size: the largest one that reaches the level with at most twice the least samples. steps: "
            "real numbers, the curve between two of its steps being linear in the logarithm of the excess. fit: steps "
            "= fit's steps + fit's samples / batch size, which is (steps / least - 1)(samples / least - 1) = 1; a fit, "
            "from the batch size of the least samples on, off by at most what is said; product: what that product is."
        )
        found = [least, *(self._of_curves() if told["measured"] else self._of_moments())]
        if PASSING in verdicts:
            found.append(
                f"{PASSING}: the level lies below the floor, and the risk comes down to it before the noise of slower "
                "directions has come up."
            )
        if NEVER in verdicts and not told["measured"]:
            level = number(told["level"])
            found.append(f"{NEVER}: the floor, which noise leaves for ever, lies above the level {level}.")
        if UNSTABLE in verdicts:
            found.append(f"{UNSTABLE}: the step size is not below the mean-square threshold of that batch size.")
        return found

    def _of_moments(self) -> list[str]:
        told = self.dataset.attrs
        return [
            "Exact: expected risks by moment equations. A batch size is a real number through 1/B: steps whose whole "
            "batch sizes are drawn afresh, with mean 1/B of their inverses, have the same moments. Step sizes of the "
            "fewest steps are searched below the mean-square threshold, by a ladder of factor 2 and sections of its "
            "valleys, to 1e-3; more than one valley between two rungs would not be seen.",
            "largest ratio: of the excess risks of scaled and base run, either way, after equal samples, over all "
            f"samples up to {number(told['window'])}; a rule holds up to the batch size at which it first passes "
            f"{1 + told['tolerance']:g}. For a budget of steps noise only adds to the risk, so that none is best: "
            f"the batch size is given that comes within {100 * told['tolerance']:g} % of it.",
        ]

    def _of_curves(self) -> list[str]:
        told = self.dataset.attrs
        between = (
            "Between batch sizes samples follow a monotone cubic in both logarithms; the least samples are the least "
            "at the batch sizes given."
        )
        if not told["intervals"]:
            return [between, "No standard errors were given, so there are no intervals: curves are taken as they are."]
        return [
            between,
            f"[low, high]: with {100 * told['confidence']:g} % for the steps at all batch sizes at once, from the "
            "first step at which the lower band is at the level to the last at which the upper one is above it; "
            "samples and critical batch size from these ends, widened by how far broken lines differ from the cubic, "
            "and a parabola's least from theirs.",
        ]

    def plot(self) -> Figure:
        """Loss against samples and against steps; see `plots.losses`."""
        return plots.losses(self.dataset)

    def plot_costs(self) -> Figure:
        """Samples to the level against batch size, and samples against steps; see `plots.costs`."""
        return plots.costs(self.dataset)


def _up_to(value: Any) -> str:
    return "any that was tried" if math.isinf(float(value)) else number(float(value))
