"""The result of compare.last_iterates."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..results import Result
from ..text_table import TextTable, number
from . import plots
from .rows import Row, interval_text
from .samples import WEIGHTS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROW = (
    "layer", "sample", "estimator", "method", "index", "lower", "upper", "alone_lower", "alone_upper", "k",
    "runs_above", "weights_above", "verdict", "lognormal", "beside_exact", "notes",
)  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False)
class LastIterates(Result):
    """Tails of the last iterate, layer by layer: what `compare.last_iterates` returns.

    Attributes
    ----------
    dataset : xarray.Dataset
        Over row: of_layer, of_sample ("weights": standardised ones of all runs; "norm": a distance a run), estimator,
        method, index with lower and upper, and alone_lower, alone_upper as if weights were independent; k, runs_above
        and weights_above (from how many runs and weights the k largest come, effective numbers), verdict ("below 2",
        "above 2", "undecided"), beside_exact, notes (JSON). Over (layer, sample): lognormal ("power law", "lognormal",
        "either", "undecided") and lognormal_sentence. Over layer: unsettled (empty, or how the law still changed),
        left_out (weights that do not move), first and last place. Over (run, weight): end; over weight its centre and
        scale over runs.
    """

    kind: ClassVar[str] = "last iterates"
    columns: ClassVar[tuple[str, ...]] = ROW

    def heading(self) -> list[str]:
        told = self.dataset.attrs
        law = "over batches, from one start" if told["one_start"] else "over starts and batches, a start of each run"
        return [
            f"Tails of the last iterate of {told['process']}: {told['paths']} runs of {told['steps']} steps, the law "
            f"{law}",
            f"{told['problem']}; step size {told['step_size']}, batch size {told['batch_size']}; seed {told['seed']}.",
        ]

    def table(self) -> list[dict[str, Any]]:
        """One dict for each layer, sample and estimator."""
        found, d = [], self.dataset
        names = (name for name in ROW if name not in ("layer", "sample", "lognormal", "notes"))
        columns = {name: d[name].values.tolist() for name in names}
        for place, (layer, sample) in enumerate(zip(d["of_layer"].values.tolist(), d["of_sample"].values.tolist())):
            row = {"layer": layer, "sample": sample} | {name: column[place] for name, column in columns.items()}
            row["lognormal"] = str(d["lognormal"].sel(layer=layer, sample=sample).item())
            row["notes"] = "; ".join(json.loads(str(d["notes"].values[place])))
            found.append({name: row[name] for name in ROW})
        return found

    def row(self, estimator: str, layer: str = "all weights", sample: str = WEIGHTS) -> dict[str, Any]:
        """The row of one estimator."""
        return next(
            row for row in self.table()
            if (row["estimator"], row["layer"], row["sample"]) == (estimator, layer, sample)
        )  # fmt: skip

    def tables(self) -> list[TextTable]:
        """A group for each layer and sample."""
        numbers = {text: place for place, text in enumerate(self._said(), start=1)}
        groups: dict[str, list[tuple[str, ...]]] = {}
        for place, row in enumerate(self.table()):
            beware = [str(numbers[text]) for text in self._texts()[place]]
            shown = Row(row["layer"], row["sample"], "", "", row["index"], row["lower"], row["upper"])
            index = "infinite" if math.isinf(row["index"]) else number(row["index"], 3)
            beside = f", {row['beside_exact']}" if row["beside_exact"] else ""
            title = f"{row['layer']}, {row['sample']}; lognormal alternative: {row['lognormal']}"
            groups.setdefault(title, []).append(
                (
                    index, interval_text(shown), str(row["k"] or ""), str(row["runs_above"] or ""),
                    str(row["weights_above"] or ""),
                    f"({','.join(beware)})" if beware else "", row["method"], row["verdict"] + beside,
                )
            )  # fmt: skip
        level = f"{100 * self.dataset.attrs['confidence']:g} % interval"
        heads = ("index", level, "k", "runs", "weights", "notes", "how", "verdict")
        return [TextTable(heads, tuple((title, tuple(rows)) for title, rows in groups.items()), "Tail indices")]

    def notes(self) -> list[str]:
        """What is known of the law, what was seen, and how to read the table."""
        told, d = self.dataset.attrs, self.dataset
        said = [f"{text[0].upper()}{text[1:]}." for text in json.loads(told["law"])]
        if not math.isnan(told["exact"]):
            what = "infinite: lighter than every power" if math.isinf(told["exact"]) else number(told["exact"], 6)
            said.append(f"The exact tail index of the stationary law is {what}. {told['proof']}".rstrip())
        elif told["asked"]:
            said.append(f"No exact index: {told['exact_note']}.")
        for layer in d["layer"].values.tolist():
            at = d.sel(layer=layer)
            for text in (str(at["unsettled"].item()), _left_out(int(at["left_out"]))):
                if text:
                    said.append(f"{layer}: {text}.")
            said += [
                f"{layer}, {sample}: {at['lognormal_sentence'].sel(sample=sample).item()}."
                for sample in d["sample"].values.tolist()
            ]
        said += [f"({place}) {text}." for place, text in enumerate(self._said(), start=1)]
        return [
            *said,
            "weights: each from its median over runs, in units of its own spread; norm: the distance of a run from "
            "these medians. Weights of one run are not independent: their interval is the hull of the jackknife over "
            f"{told['groups']} groups of runs and of the estimator's own, stretched by how unevenly its far values "
            "fall on runs, and p-values count runs. runs, weights: from how many the k largest come, effective "
            "numbers. Verdicts say whether the index is below 2, an infinite variance.",
        ]

    def plot(self) -> Figure:
        """Survival functions and Hill paths of all layers, with bands over runs; see `plots.survival_and_hill`."""
        return plots.survival_and_hill(self)

    def plot_intervals(self, ax: Axes | None = None) -> Figure:
        """Every index with its interval; see `plots.intervals`."""
        return plots.intervals(self, ax)

    def values(self, layer: str) -> tuple[np.ndarray, np.ndarray]:
        """Standardised weights (n,) of a layer, and the runs (n,) that they come from."""
        from .samples import samples_of

        d, at = self.dataset, self.dataset.sel(layer=layer)
        place = slice(int(at["first"]), int(at["last"]))
        found, _ = samples_of(
            d["end"].values, d["centre"].values, d["scale"].values, place, int(d.attrs["values"])
        )
        return found[WEIGHTS].values, found[WEIGHTS].runs

    def _texts(self) -> list[list[str]]:
        return [[text for text in json.loads(str(notes)) if text] for notes in self.dataset["notes"].values]

    def _said(self) -> list[str]:
        return list(dict.fromkeys(text for texts in self._texts() for text in texts))


def _left_out(count: int) -> str:
    if not count:
        return ""
    return f"{count} weights that end at one place in half of the runs are left out of the sample of weights"
