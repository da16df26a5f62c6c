"""Pictures of the study on zero-loss sets; each returns a figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from sgdlimits.compare.estimates import normal_quantile
from sgdlimits.compare.style import COLOURS, GREY, SMALL, direct_labels, dress, panels, styles

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .clocks import Clocks
    from .trajectories import Trajectories

from .regression_tables import percent
from .tried import only_moves

SHOWN = 12  # markers along a curve
BOTTOM = 1e-3  # of the least loss under other noise: what a falling loss is drawn down to
START: dict[str, Any] = {"color": "black", "marker": "x", "markersize": 5, "linestyle": "none"}
END: dict[str, Any] = START | {"marker": "o", "markerfacecolor": "none", "markersize": 8}


def looks_of(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Colour, line and marker of each mechanism; minibatch noise, which stands still, is grey."""
    looks = styles([name for name in names if name != "minibatch"])
    return looks | {"minibatch": {"color": GREY, "linestyle": "-", "marker": "*"}}


def clocks(found: Clocks, confidence: float) -> Figure:
    """Loss above, motion along the set below, on one logarithmic axis of steps."""
    data = found.dataset
    figure, (above, below) = panels(2, 5.4)
    z, step = normal_quantile(confidence), data["step"].values
    moving, reach = step > 0, (0.7, 1.15 * float(step[-1]))
    looks, strong = looks_of(("label noise", "Dropout")), float(data["noise_level"].max())
    least = float(data["loss"].where(data["mechanism"] != "minibatch").min())
    ends: tuple[list[Any], list[Any]] = ([], [])
    for place in range(data.sizes["curve"]):
        here = data.isel(curve=place)
        name, level = str(here["mechanism"].item()), float(here["noise_level"])
        look, text = looks[name], name if np.isnan(level) else f"{name}, σ = {level:g}"
        width = 1.5 if np.isnan(level) or level == strong else 0.9
        loss = here["loss"].values
        above.plot(step[moving], loss[moving], color=look["color"], linestyle=look["linestyle"], linewidth=width)
        shown = np.flatnonzero(loss >= BOTTOM * least)[-1]  # a loss that falls for ever leaves the picture
        ends[0].append((step[shown], loss[shown], text, look["color"]))
        few = moving & (np.arange(step.size) % 2 == 0)
        below.errorbar(
            step[few], here["moved"].values[few], z * here["moved_error"].values[few], color=look["color"],
            linestyle="none", marker=look["marker"], markersize=3.5 * width / 1.5, elinewidth=0.8, capsize=1.5,
        )  # fmt: skip
        below.plot(step[moving], here["limit"].values[moving], color=look["color"], linestyle="-", linewidth=width)
        below.plot(
            step[moving], here["finite_step"].values[moving], color=look["color"], linestyle=(0, (2, 1.5)),
            linewidth=0.9,
        )  # fmt: skip
        ends[1].append((step[-1], here["moved"].values[-1], text, look["color"]))
    marks = [(float(data.attrs["relaxation"]), "1/(ηλ)", "black")]
    for name, formula in (("Dropout", "1/(ησ²)"), ("label noise", "1/(η²σ²)")):
        units = data["unit_steps"].values[data["mechanism"].values == name]
        marks += [(float(unit), formula, looks[name]["color"]) for unit in units]
    for ax, places in zip((above, below), ends):
        ax.set_xscale("log")
        ax.set_xlim(*reach)
        for unit, formula, colour in marks:
            ax.axvline(unit, color=colour, linewidth=0.7, linestyle=":", zorder=0)
            if ax is above:
                ax.annotate(formula, (unit, 1.0), (1, 2), ("data", "axes fraction"), "offset points", rotation=35,
                            fontsize=SMALL, color=colour)  # fmt: skip
    above.set_yscale("log")
    above.set_ylim(BOTTOM * least, 2 * float(data["loss"].max()))
    dress(above, "mean loss at w", "")
    dress(below, "way along the set, at Φ(w)", "step")
    direct_labels(above, ends[0])
    direct_labels(below, ends[1])
    return figure


def curves(along: Trajectories) -> Figure:
    """A set that is a curve in the plane: one path of each mechanism, its limit on top."""
    data = along.dataset
    names = data["mechanism"].values.tolist()
    figure, axes = panels(3, 7.2, 3)
    looks = looks_of(names)
    ends = np.concatenate([data["path"].values.reshape(-1, 2), data["limit"].values.reshape(-1, 2)])
    low, high = ends.min(axis=0), ends.max(axis=0)
    margin = 0.08 * (high - low)
    low, high = low - margin, high + margin
    x, y = np.meshgrid(np.linspace(low[0], high[0], 200), np.linspace(low[1], high[1], 200))
    residual = along.scene.model.residual(np.stack([x, y], axis=-1))[..., 0]
    variables = ("x", "y") if "x" in data.attrs["formula"] else ("u", "v")
    for ax, name in zip(axes, names):
        here, look = data.sel(mechanism=name), looks[name]
        path, limit = here["path"].values, here["limit"].values
        ax.contour(x, y, residual, levels=[0.0], colors="0.6", linewidths=1.0)
        ax.plot(*path[0], **START)
        if name != "Langevin noise":  # its limit is random: one path of it tells nothing about another
            ax.plot(limit[:, 0], limit[:, 1], color="black", linewidth=2.0)
            ax.plot(*limit[-1], **END)
        ax.plot(
            path[1:, 0], path[1:, 1], color=look["color"], linestyle="none", marker=".", markersize=6,
            markeredgecolor="white", markeredgewidth=0.3, zorder=4,  # on top: they may lie on the limit
        )  # fmt: skip
        dress(ax, variables[1], variables[0])
        ax.set_title(f"{name}\n{here['regime'].item()}\n{int(here['steps'][-1])} steps", fontsize=SMALL, loc="left")
        ax.set_xlim(low[0], high[0])
        ax.set_ylim(low[1], high[1])
    _key(axes[len(names)])
    return figure


def _key(ax: Axes) -> None:
    """What the signs mean, in the panel that is left."""
    ax.set_axis_off()
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1)
    signs: list[tuple[str, dict[str, Any]]] = [
        ("set of zero loss", {"color": "0.6", "linewidth": 1.0}),
        ("limit", {"color": "black", "linewidth": 2.0}),
        ("start", START),
        ("end of the limit", END),
        ("one path of w", {"color": COLOURS[2], "marker": ".", "markersize": 4, "linestyle": "none"}),
    ]
    for place, (text, sign) in enumerate(signs):
        height = 0.9 - 0.16 * place
        x = [0.02, 0.18] if "linewidth" in sign else [0.1]
        ax.plot(x, [height] * len(x), **sign)
        ax.text(0.26, height, text, fontsize=SMALL, va="center")


def space(along: Trajectories) -> Figure:
    """A set of three dimensions in its own coordinates: the mean of Phi(w) as markers, limits as lines."""
    from mpl_toolkits.mplot3d import proj3d

    data = along.dataset
    names = [name for name in data["mechanism"].values.tolist() if name != "Langevin noise"]  # its limit is random
    figure, axes = panels(1, 4.4, projection="3d")
    ax: Any = axes[0]  # an Axes3D
    figure.set_layout_engine("none")  # it would not see the labels beside axes in space
    ax.set_position((0.07, 0.0, 0.6, 1.0))
    ax.set_box_aspect(None, zoom=0.95)
    ax.view_init(elev=24, azim=-128)
    looks, ends = looks_of(names), []
    for name in names:
        here, look = data.sel(mechanism=name), looks[name]
        limit, mean = here["chart_limit"].values, here["chart"].values
        ax.plot(*limit.T, color=look["color"], linestyle=look["linestyle"], linewidth=1.4)
        few = mean[:: max(1, len(mean) // 6)]
        ax.plot(*few.T, color=look["color"], linestyle="none", marker=look["marker"], markersize=4)
        ends.append((limit[-1], name, look["color"]))
    for label, name in zip((ax.set_xlabel, ax.set_ylabel, ax.set_zlabel), along.scene.names):
        label(name, fontsize=SMALL)
    ax.tick_params(labelsize=SMALL)
    figure.draw_without_rendering()
    matrix = ax.get_proj()
    flat = [(*proj3d.proj_transform(*point, matrix)[:2], text, colour) for point, text, colour in ends]
    direct_labels(ax, flat)
    return figure


def against_time(everything: Sequence[Trajectories], quantity: str, confidence: float) -> Figure:
    """The first coordinate ("chart"), or the "regulariser" over its start, against time; one panel a model."""
    figure, axes = panels(len(everything), 2.9 * len(everything))
    z = normal_quantile(confidence)
    for ax, along in zip(axes, everything):
        data, ends = along.dataset, []
        for name, look in looks_of(data["mechanism"].values.tolist()).items():
            here = data.sel(mechanism=name)
            value, error, limit = (here[quantity + end].values for end in ("", "_error", "_limit"))
            if quantity == "chart":
                if name == "Langevin noise":  # its limit is random: the mean is not a path of it
                    continue
                value, error, limit = value[:, 0], error[:, 0], limit[:, 0]
            elif np.isfinite(limit[0]) and limit[0] > 0 and here["regime"].item() != "trivial":
                value, error, limit = value / limit[0], error / limit[0], limit / limit[0]
            else:
                continue
            if quantity == "regulariser" and name == "Langevin noise":
                continue
            share = here["share"].values
            few = slice(None, None, max(1, len(share) // SHOWN))
            ax.plot(share, limit, color=look["color"], linestyle=look["linestyle"], linewidth=1.3)
            ax.errorbar(
                share[few], value[few], z * error[few], color=look["color"], linestyle="none", marker=look["marker"],
                markersize=3.5, elinewidth=0.9, capsize=2,
            )  # fmt: skip
            ends.append((share[-1], limit[-1], f"{name}, {int(here['steps'][-1])} steps", look["color"]))
        label = f"mean of {along.scene.names[0]}" if quantity == "chart" else "regulariser / its start"
        dress(
            ax, label, "part of the run (each mechanism in its own time)", f"{along.scene.name}: {along.scene.formula}"
        )
        direct_labels(ax, ends)
    return figure


def test_errors(data: xarray.Dataset, confidence: float) -> Figure:
    """Test error against the step from either start: limits as lines, means over paths as markers."""
    starts = data["start"].values
    figure, axes = panels(len(starts), 3.3 * len(starts))
    z, steps = normal_quantile(confidence), data["step"].values
    moved = steps > 0
    for ax, start in zip(axes, starts):
        ends = []
        for name, look in looks_of(data["mechanism"].values.tolist()).items():
            here = data.sel(mechanism=name, start=start)
            value, error, limit = (here["test_error" + end].values for end in ("", "_error", "_limit"))
            ax.plot(steps[moved], limit[moved], color=look["color"], linestyle=look["linestyle"], linewidth=1.3)
            reach = np.array([np.minimum(z * error, 0.9 * value), z * error])[:, moved]
            ax.errorbar(
                steps[moved], value[moved], reach, color=look["color"], linestyle="none", marker=look["marker"],
                markersize=3.5, elinewidth=0.9, capsize=2,
            )  # fmt: skip
            ends.append((steps[-1], limit[-1], name, look["color"]))
        ax.set_xscale("log")
        known = data["test_error_limit"].values
        if known.max() > 20 * known.min():
            ax.set_yscale("log")
        baseline = f"predicting 0 has {float(data['zero_test_error']):.3g}"
        dress(ax, "test error", "step", f"every u and v starts at {start:g} ({baseline})")
        direct_labels(ax, ends)
    return figure


def coefficients(data: xarray.Dataset) -> Figure:
    """Coefficients at the end from the first start: means over paths (dots), limit (circles), truth (bars)."""
    names = data["mechanism"].values.tolist()
    figure, axes = panels(len(names) // 2, 2.1 * (len(names) // 2), 2)
    looks, place = looks_of(names), np.arange(data.sizes["feature"])
    here = data.isel(start=0)
    size = 1.1 * np.abs(here["coefficients_limit"].values).max()
    for ax, name in zip(axes, names):
        side = here.sel(mechanism=name)
        if "truth" in data:
            ax.bar(place, data["truth"].values, color="0.85", width=0.9)
        ax.plot(
            place,
            side["coefficients_limit"].values,
            "o",
            color="black",
            markerfacecolor="none",
            markersize=5,
            markeredgewidth=0.6,
        )
        ax.plot(place, side["coefficients"].values, ".", color=looks[name]["color"], markersize=4)
        ax.axhline(0, color=GREY, linewidth=0.6)
        ax.set_ylim(-size, size)
        error = f"test error {float(side['test_error'][-1]):.3g}, limit {float(side['test_error_limit'][-1]):.3g}"
        dress(ax, "coefficient", "feature")
        ax.set_title(f"{name}\n{error}", fontsize=SMALL, loc="left")
    return figure


def matrix(data: xarray.Dataset) -> Figure:
    """Every limit against every measured mechanism: the largest gap along the limit's way, in percent of it."""
    names = data["mechanism"].values.tolist()
    here = data.isel(start=0).sel(quantity="displacement")
    verdicts = here["trial_verdict"].values
    gaps = 100 * (here["trial_gap"] / here["trial_change"]).values
    moved = only_moves(here).values
    shade = np.select([verdicts == "agrees", verdicts == "undecided"], [0.35, 0.15], 0.0)
    figure, axes = panels(1, 0.55 * len(names) + 1.2)
    ax = axes[0]
    ax.imshow(shade, cmap="Greens", vmin=0, vmax=1, aspect="auto")
    for i, j in np.ndindex(*gaps.shape):
        word = {"agrees": "agrees\n", "undecided": "undecided\n", "differs": ""}[str(verdicts[i, j])]
        word = "moves\n" if moved[i, j] else word
        ax.text(j, i, f"{word}{percent(float(gaps[i, j]))} %", ha="center", va="center", fontsize=SMALL)
    ax.set_xticks(range(len(names)), [name.replace(" ", "\n") for name in names], fontsize=SMALL)
    ax.set_yticks(range(len(names)), names, fontsize=SMALL)
    ax.tick_params(length=0)
    for edge in np.arange(0.5, len(names) - 1):
        ax.axhline(edge, color="0.85", linewidth=0.6)
        ax.axvline(edge, color="0.85", linewidth=0.6)
    dress(ax, "measured", "limit that is tried", "shaded: not rejected")
    ax.grid(False)
    return figure
