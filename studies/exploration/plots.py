"""The pictures of the study: those of its comparisons under titles that say what is seen, and the published grid."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.compare import Exploration
from sgdlimits.compare.style import COLOURS, GREY, SMALL, dress, panels
from sgdlimits.compare.text_table import number

from .basins import ADDITIVE, ENDINGS, HOMOGENIZED, LANGEVIN, MULTIPLICATIVE, RATE, STABLE
from .tables import between

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .basins import Basins
    from .networks import Network
    from .published_grid import PublishedGrid

LETTERS = 84  # of a title in one line
ALIKE = (MULTIPLICATIVE, *(name + ENDINGS[RATE] for name in (ADDITIVE, HOMOGENIZED, LANGEVIN)), STABLE)
RUNAWAY = "#f3dada"


def titled(figure: Figure, words: str) -> Figure:
    """The same with a title above all panels."""
    figure.suptitle(fill(words.replace(" %", "\u00a0%"), LETTERS), fontsize=SMALL + 1, x=0.01, ha="left", color="0.15")
    return figure


def times(found: Basins) -> Figure:
    """Residence and passage of every process."""
    figure, (ax,) = panels(height=5.2)
    found.exploration.plot(ax)
    alike = ADDITIVE + ENDINGS[RATE]
    pair = [found.exact(name, "residence") for name in (MULTIPLICATIVE, alike)]
    words = (
        f"{found.setting.name}: mean residence in the sharp well (full) and time until the widest is entered (open), "
        f"95 % intervals of paths; bars: exact. Exact residence: multiplicative {number(pair[0], 3)}, {alike} "
        f"{number(pair[1], 3)} steps"
    )
    return titled(figure, words[0].upper() + words[1:])


def occupation(found: Basins) -> Figure:
    """Where each process is in the long run, at equal rates of leaving."""
    data = found.exploration.dataset
    names = [name for name in ALIKE if name in data["process"].values]
    figure = Exploration(data.sel(process=names)).plot_wells()
    shares = [100 * found.long_run(name, "long_time") for name in (MULTIPLICATIVE, ADDITIVE + ENDINGS[RATE])]
    words = (
        f"{found.setting.name}: time in each well at equal rates of leaving the first; in the widest multiplicative "
        f"noise is {number(shares[0], 3)} % of the time in the long run, additive {number(shares[1], 3)} %"
    )
    return titled(figure, words[0].upper() + words[1:])


def scaling(found: Any) -> Figure:
    """Exact times against barrier and radius."""
    said = ", ".join(f"{row['process']} {number(row['exponent'], 4)} ({row['verdict']})" for row in found.summary())
    return titled(found.plot(), f"Exact mean time to leave; straight on the left: exponential in the barrier, on the "
                                f"right: a power of the radius. Exponents: {said}")  # fmt: skip


def preference(found: Any) -> Figure:
    """Wide over sharp against the ratio of widths."""
    said = found.findings()[1] if len(found.findings()) > 1 else found.findings()[0]
    return titled(found.plot(), said)


def tails(network: Network) -> Figure:
    """Survival functions and Hill paths of the last iterates."""
    row = network.ends.row("corrected_hill")
    return titled(network.ends.plot(), f"{network.task.name}: weights in which {network.ends.dataset.attrs['paths']} "
                  f"runs end, layer by layer; index of all weights by corrected Hill {number(row['index'], 3)} "
                  f"({between(row)}), {row['verdict']}")  # fmt: skip


def stretching(network: Network) -> Figure:
    """Singular values of the steps along training."""
    words = "logarithm of the largest and smallest singular value of I − step size × batch Hessian along training"
    return titled(network.stretching.plot(), f"{network.task.name}: {words}, quantiles over runs and batches")


def exponents(network: Network) -> Figure:
    """Finite-time Lyapunov exponents."""
    return titled(network.exponents.plot(), f"{network.task.name}: finite-time Lyapunov exponents, the growth of small "
                  f"differences a step; neighbouring runs: {network.exponents.verdict}")  # fmt: skip


def correlation(network: Network) -> Figure:
    """Test error against 1 / index over the grid."""
    found = network.correlation
    row = next(row for row in found.table() if row["method"] == "spearman" and not row["given"])
    by = row["estimator"].replace("_", " ")
    return titled(found.plot(), f"{network.task.name}: test error against 1 / index (by {by}), a point a "
                  f"cell of step size × batch size; \"heavier tails generalise better\": {found.verdict} (Spearman's "
                  f"{number(row['value'], 2)}, {number(row['lower'], 2)} to {number(row['upper'], 2)})")  # fmt: skip


def grid(found: PublishedGrid) -> Figure:
    """The published estimate of every cell; cells without a stationary law shaded, exact indices written in others."""
    figure, axes = panels(1, 4.4, 2 if found.runs else 1)
    batches, sizes = found.cells["batch_size"].values, found.cells["step_size"].values
    law = found.cells["stationary"].values == 1
    drawn: Mapping[str, np.ndarray] = {"exact tail index": found.cells["index"].values}
    if found.runs:
        drawn = {**drawn, "published estimate": found.cells["published"].values}
    for ax, (words, values) in zip(axes, drawn.items()):
        limit = 2.0 if ax is axes[0] else found.below
        ax.pcolormesh(np.arange(sizes.size + 1), np.arange(batches.size + 1), np.where(law, np.nan, 1.0),
                      cmap=_one_colour(), edgecolors="white", linewidth=0.5)  # fmt: skip
        for i in range(batches.size):
            for j in range(sizes.size):
                text, colour = _cell(float(values[i, j]), law[i, j], limit)
                ax.text(j + 0.5, i + 0.5, text, ha="center", va="center", fontsize=SMALL - 2, color=colour)
        ax.set_xlim(0, sizes.size)
        ax.set_ylim(0, batches.size)
        ax.set_xticks(np.arange(sizes.size) + 0.5, [f"{size:g}" for size in sizes], rotation=90)
        ax.set_yticks(np.arange(batches.size) + 0.5, [str(batch) for batch in batches])
        dress(ax, "batch size (samples)" if ax is axes[0] else "", "step size (per SGD step)", words)
        ax.grid(False)
    how = "Shaded: no stationary law; coloured: infinite variance, or what counts as such; >46: as good as light"
    return titled(figure, f"Published grid, d = {found.dimension}. {how}. {found.finding}")


def _one_colour() -> Any:
    from matplotlib.colors import ListedColormap

    return ListedColormap([RUNAWAY])


def _cell(value: float, law: bool, limit: float) -> tuple[str, str]:
    """What is written, and its colour: another below the limit."""
    if np.isnan(value):
        return ("–", GREY) if not law else ("?", GREY)
    if np.isinf(value) or value > 46:
        return ">46", GREY
    return f"{value:.2f}", COLOURS[0] if value > limit else COLOURS[1]


def index_map(name: str, found: Any) -> Figure:
    """Both indices over step size and batch size."""
    data = found.cells
    counts = [
        f"{words} {int((data[f'{side}_region'] == 'no law').sum())} without a law and "
        f"{int(((data[side] < 2) & (data[f'{side}_region'] == 'heavy')).sum())} of infinite variance"
        for side, words in (("sgd", "SGD"), ("homogenized", "homogenized SGD"))
    ]
    return titled(found.plot(), f"{name}: tail index over step size and batch size; of {data['sgd'].size} cells "
                  f"{', '.join(counts)}")  # fmt: skip
