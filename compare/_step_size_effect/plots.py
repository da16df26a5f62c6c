"""The picture of compare.step_size_effect."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..style import COLOURS, GREY, SMALL, axes_of, direct_labels, dress, largest, linear_within, scale_signed

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def differences(dataset: xarray.Dataset, edge: float, ax: Axes | None = None) -> Figure:
    """Descent less flow, its leading order (dotted) and the noise; shaded where the edge of stability is passed."""
    figure, ax = axes_of(ax)
    steps, ends, sizes = dataset["step"].values, [], []
    for name, text, colour, line in (
        ("difference", "descent − flow", COLOURS[1], "-"), ("leading", "leading order", COLOURS[2], ":"),
        ("noise", "noise: SGD − descent", COLOURS[0], "--"),
    ):  # fmt: skip
        values = dataset[name].values
        if not np.isfinite(values).any():
            continue
        ax.plot(steps, values, color=colour, linestyle=line, linewidth=1.2)
        finite = np.flatnonzero(np.isfinite(values))
        ends.append((steps[finite[-1]], float(values[finite[-1]]), text, colour))
        sizes.append(largest(values))
    scale_signed(ax, linear_within(sizes))
    looked = np.flatnonzero(np.isfinite(dataset["edge"].values))
    past = dataset["edge"].values[looked] > edge
    for place, over in zip(looked, past):
        if over:
            ax.axvline(steps[place], color="0.9", linewidth=5, zorder=0)
    dress(ax, "difference of risks")
    if past.any():
        ax.set_title("shaded: past the edge of stability", fontsize=SMALL, loc="left", color=GREY)
    direct_labels(ax, ends)
    return figure
