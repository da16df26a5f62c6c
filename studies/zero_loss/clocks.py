"""Three clocks on one axis of steps: the fall to the set, Dropout's slow motion and label noise's; minibatches stop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.compare.estimates import normal_quantile
from sgdlimits.compare.style import GREY, SMALL, direct_labels, dress, panels, styles

if TYPE_CHECKING:
    import xarray
    from matplotlib.figure import Figure

SAMPLES, FEATURES = 3, 5  # of a diagonal network whose set has seven dimensions
START = 0.7  # every u and v
STEP_SIZE = 0.04
LEVELS = (0.4, 0.2)  # of Dropout and of label noise alike
RUN = 1.5  # length in the time of label noise at its smaller level
BATCH = 2
LOOKS = 40
MOST_PATHS = 100
RANDOM = 5  # of the features
BOTTOM = 1e-3  # of the least loss under other noise: what a falling loss is drawn down to


@dataclass(frozen=True, eq=False)
class Clocks:
    """What was computed, over (curve, look).

    Attributes
    ----------
    dataset : xarray.Dataset
        step (look); loss and moved (curve, look) with `_error`: means over paths of the loss and of how far Phi(w) has
        come on the way of the mechanism's limit (of minibatch noise: of label noise's); `limit` and `finite_step`
        (nan where not known) for the latter; mechanism, noise_level and unit_steps, steps in a unit of the
        limit's time, over curve; in attrs step_size, relaxation (steps) and paths.
    """

    dataset: xarray.Dataset


def run_clocks(paths: int, settings: dict[str, Any], looks: int = LOOKS) -> Clocks:
    """Every mechanism from one start off the set, for as many steps as the slowest needs.

    Parameters
    ----------
    paths : int
        Of each curve, at most `MOST_PATHS`.
    settings : mapping
        seed, threads and progress of every simulation.
    looks : int
        Steps at which runs are looked at, evenly spaced on a logarithmic axis.
    """
    import xarray as xr

    from sgdlimits.compare.estimates import mean_and_error
    from sgdlimits.compare.rescaling import limit_points
    from sgdlimits.diffusions import ManifoldLimit
    from sgdlimits.discrete import NoisyGradientDescent
    from sgdlimits.problems import geometry, noise
    from sgdlimits.problems.zero_loss import DiagonalLinearNetwork

    paths = min(paths, MOST_PATHS)
    features = np.random.Generator(np.random.Philox(RANDOM)).standard_normal((SAMPLES, FEATURES))
    model = DiagonalLinearNetwork(features, features @ np.array([1.0, -0.5, 0.0, 0.3, 0.0]))
    w0 = np.full(model.dimension, START)
    origin = geometry.limit_map(model, w0)
    last = round(RUN / (STEP_SIZE * min(LEVELS)) ** 2)
    record = np.unique(np.rint(np.concatenate([[0], np.geomspace(1, last, looks)])).astype(int))
    curves: list[tuple[str, Any]] = [("label noise", noise.LabelNoise(level)) for level in LEVELS]
    curves += [("Dropout", noise.Dropout(level)) for level in LEVELS] + [("minibatch", noise.Minibatch(BATCH))]
    rows: list[dict[str, Any]] = []
    way = np.zeros(model.dimension)
    for name, mechanism in curves:
        process = NoisyGradientDescent(model, mechanism, STEP_SIZE)
        limit = ManifoldLimit.of(process, start=w0)
        sides = {"limit": limit_points(limit, w0, record / float(limit.clock))}
        if limit.regime != "trivial":
            close = ManifoldLimit.of(process, start=w0, finite_step=True)
            sides["finite_step"] = limit_points(close, w0, record / float(close.clock))
            way = sides["limit"][-1] - origin
            way = way / np.linalg.norm(way)
        looked_at = {"risk": "loss", "phi": "limit_map"}
        run = process.simulate(w0, last, paths, observables=looked_at, record=record, **settings)
        found: dict[str, Any] = {"mechanism": name, "noise_level": mechanism.sigma, "unit_steps": float(limit.clock)}
        found["loss"], found["loss_error"] = mean_and_error(run["risk"].values)
        found["moved"], found["moved_error"] = mean_and_error((run["phi"].values - origin) @ way)
        for side in ("limit", "finite_step"):
            found[side] = (sides[side] - origin) @ way if side in sides else np.full(record.size, np.nan)
        rows.append(found)
    variables = {
        key: (("curve", "look") if np.ndim(rows[0][key]) else "curve", np.array([row[key] for row in rows]))
        for key in rows[0]
    }
    variables["step"] = "look", record
    slowest = float(geometry.frame(model, origin).eigenvalues.min())
    attributes = {"step_size": STEP_SIZE, "relaxation": 1 / (STEP_SIZE * slowest), "paths": paths, "model": model.label}
    return Clocks(xr.Dataset(variables, attrs=attributes))


def picture(clocks: Clocks, confidence: float) -> Figure:
    """Loss above, motion along the set below, on one logarithmic axis of steps."""
    data = clocks.dataset
    figure, (above, below) = panels(2, 5.4)
    z, step = normal_quantile(confidence), data["step"].values
    moving, reach = step > 0, (0.7, 1.15 * float(step[-1]))
    looks = styles(["label noise", "Dropout"]) | {"minibatch": {"color": GREY, "linestyle": "-", "marker": "*"}}
    least = float(data["loss"].where(data["mechanism"] != "minibatch").min())
    ends: tuple[list[Any], list[Any]] = ([], [])
    for place in range(data.sizes["curve"]):
        here = data.isel(curve=place)
        name, level = str(here["mechanism"].item()), float(here["noise_level"])
        look, text = looks[name], name if np.isnan(level) else f"{name}, σ = {level:g}"
        width = 1.5 if np.isnan(level) or level == max(LEVELS) else 0.9
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
