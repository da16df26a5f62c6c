"""The report of the study on zero-loss sets: its page, figures and files."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sgdlimits.compare.html_page import Picture, bullets, note, wide
from sgdlimits.compare.html_page import figures as figures_of
from sgdlimits.compare.reports import Report, file_name
from sgdlimits.compare.results import csv_text
from sgdlimits.diffusions import ManifoldLimit
from sgdlimits.discrete import NoisyGradientDescent
from sgdlimits.studies.results import study_page

from . import network_tables, plots
from . import regression_tables as regression
from . import tables as own
from .clocks import SAMPLES
from .network_plot import network

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .study import ZeroLossResult

TITLE = "What does noise do to gradient descent once the loss is zero?"
OPENING = (
    "Gradient descent whose gradient is noisy first falls to the set of zero loss, and then moves along it, slowly and "
    "in a direction that depends on the kind of noise. Three small models show the motion, its time scales are "
    "measured, and a diagonal network on a regression with more features than rows shows what it is good for. A "
    "two-layer network on real data shows which noise improves its test error, and how fast."
)


def report(result: ZeroLossResult) -> Report:
    """Everything that goes into the folder."""

    files: dict[str, Any] = {
        "table.csv": lambda path: path.write_text(csv_text(own.rows(result), own.ROW), encoding="utf-8"),
        "table.tex": lambda path: path.write_text(_latex(result), encoding="utf-8"),
        "time-scales.nc": result.scales.save,
    }
    numbers = {"clocks.nc": result.clocks.dataset, "network.nc": result.network}
    numbers |= {f"trajectories-{file_name(along.scene.name)}.nc": along.dataset for along in result.trajectories}
    numbers |= {f"paths-{file_name(each.name)}.nc": each.found.dataset for each in result.paths}
    numbers |= {f"regression-{file_name(data.attrs['task'])}.nc": data for data in result.regressions}
    files |= {name: _saving(data) for name, data in numbers.items()}
    return Report(files, result.study.to_toml, figures(result), partial(_page, result))


def _latex(result: ZeroLossResult) -> str:
    """Every table of the page."""
    regressions = [
        grid(data)
        for data in result.regressions
        for grid in (regression.trial_grid, regression.matrix_grid, regression.regression_grid)
    ]
    paths = [grid for each in result.paths for grid in each.found.tables()]
    learned = network_tables.network_grid(result.network, result.study.confidence, result.study.tolerance)
    grids = [own.motion_grid(result), *result.scales.tables(), *paths, *regressions, own.subsets_grid(result), learned]
    return "\n".join(grid.latex() for grid in grids)


def _saving(data: Any) -> Any:
    from sgdlimits.ensembles.results import save

    def put(path: Path) -> None:
        save(data, path)

    return put


def figures(result: ZeroLossResult) -> list[tuple[str, str, Callable[[], Figure]]]:
    """(file name, caption, function that draws it) of every picture in the report."""
    level = f"{100 * result.study.confidence:g} %"
    attributes = result.clocks.dataset.attrs
    caption = (
        f"Three clocks, on a {attributes['model']} of {SAMPLES} rows at step size η = "
        f"{attributes['step_size']:g}. Above: the mean loss falls to the set, to a floor that the noise holds, or for "
        "ever. Below: how far the limit of the gradient flow has come along the set (markers: means over "
        f"{attributes['paths']} paths, {level} intervals), beside the limit (lines) and the limit at this finite step "
        "size (dashed); of minibatch noise along the way of Dropout, where it stays once the loss is gone. Dotted: "
        "1/(ηλ) steps, λ the smallest curvature across the set, and the time units of either slow motion at either "
        "noise level σ."
    )
    found: list[tuple[str, str, Callable[[], Figure]]] = [
        ("clocks", caption, partial(plots.clocks, result.clocks, result.study.confidence))
    ]
    for along in result.trajectories:
        flat = along.scene.model.dimension == 2
        what = f"{along.scene.name}, loss {along.scene.formula}"
        caption = (
            f"{what}: one path of each mechanism (dots, from the start off the set) and its limit (black), on the "
            "curve of zero loss; where nothing moves they lie at one point, and the random limit of Langevin noise is "
            "not drawn. Drawn at the smallest step size of the ladder; the number of steps is that of the path."
            if flat
            else f"{what}: its set of zero loss has three dimensions, drawn in its own coordinates. Lines: limits; "
            "markers: the mean of Phi(w) over paths. Minibatch noise stays where it starts. Langevin noise is left "
            "out: its limit is random."
        )
        draw = partial(plots.curves if flat else plots.space, along)
        found.append((f"trajectories-{file_name(along.scene.name)}", caption, draw))
    confidence = result.study.confidence
    caption = (
        f"A coordinate along the set: mean at Phi(w) over paths (markers, {level} intervals) and limit (lines). Every "
        "mechanism runs in its own time; the labels give its number of steps. Distances of markers to lines are of "
        "the order of the step size and of the noise level squared. Langevin noise is left out: its limit is random."
    )
    found.append(("trajectories-time", caption, partial(plots.against_time, result.trajectories, "chart", confidence)))
    caption = (
        "What each mechanism descends: the regulariser of its limit over its value at the start, measured at Phi(w) "
        f"(markers, {level} intervals) and along the limit (lines). Mechanisms that stand still, whose limit is random "
        "or whose regulariser is not positive at the start are left out."
    )
    draw = partial(plots.against_time, result.trajectories, "regulariser", confidence)
    found.append(("regularisers", caption, draw))
    caption = (
        f"Steps until a set motion, against step size (above) and noise level (below), both logarithmic, with {level} "
        "intervals. Thick dots: the time of the limit, or of the flow for a relaxation. "
        "Arrows: lower bounds, where nothing moves. Slopes are those as step size and noise go to zero."
    )
    found.append(("time-scales", caption, result.scales.plot))
    for each in result.paths:
        caption = (
            f"{each.name}: errors and distances of paths against the step size, both logarithmic, with {level} "
            "intervals, beside the predicted slopes (dotted) and what a wrong drift gives."
        )
        found.append((f"paths-{file_name(each.name)}", caption, each.found.plot))
    for data in result.regressions:
        name = data.attrs["task"]
        caption = (
            f"Test error of the {name} regression against the step, from two starts: mean over paths (markers, {level} "
            "intervals) and limit (lines)."
        )
        matrix = (
            f"Every limit tried against every measured mechanism of the {name} regression from the first start: the "
            "largest gap along the limit's way, in percent of that way (of minibatch noise, whose limit stands still: "
            "the squared distance from it, in percent of the squared length of the fall to the set), and the verdict; "
            f"the tolerance is {100 * data.attrs['tolerance']:g} %. The diagonal must agree, all else must not; moves: "
            "within the tolerance, but not at rest, as that limit is."
        )
        found.append((f"regression-matrix-{file_name(name)}", matrix, partial(plots.matrix, data)))
        found.append((f"regression-error-{file_name(name)}", caption, partial(plots.test_errors, data, confidence)))
        caption = (
            f"Coefficients u² − v² at the last step of the {name} regression from the first start: mean over paths "
            "(dots) and "
            "limit (circles)" + ("; bars: the truth." if "truth" in data else ".")
        )
        found.append((f"regression-coefficients-{file_name(name)}", caption, partial(plots.coefficients, data)))
    attributes = result.network.attrs
    caption = (
        f"{attributes['model'].capitalize()} on {attributes['task']}, {attributes['weights']} weights: test error at "
        f"Φ(w) from one interpolator (dotted) under noise of equal strength; markers: means over {attributes['paths']} "
        f"paths, {level} intervals; lines: the limit, dashed: the limit at this step size. Every mechanism is followed "
        "for as long as its own clock asks, or until the steps are used up. Dotted: 1/(ηλ) steps, λ the smallest "
        "curvature across the set."
    )
    found.append(("network", caption, partial(network, result.network, confidence)))
    return found


def _page(
    result: ZeroLossResult, pictures: Sequence[Picture], failed: Sequence[str], now: Mapping[str, str]
) -> str:
    shown = partial(figures_of, pictures)
    sections: dict[str, list[str]] = {
        "Three clocks": shown("clocks"),
        "Verdicts on the limits": [
            wide(own.motion_grid(result)), note(own.motion_reading(result) + " All predictions: table.csv.")
        ],
        "Trajectories on the set": shown("trajectories"),
        "The regulariser along the way": shown("regularisers"),
        "Time scales": [
            *map(wide, result.scales.tables()),
            *map(note, result.scales.notes()),
            *shown("time-scales"),
        ],
    }  # fmt: skip
    heading = "Paths, not only means, and the fast phase"
    sections[heading] = []
    for each in result.paths:
        sections[heading] += [
            f"<p>{html.escape(f'{each.name}. {each.question}')}</p>",
            *map(wide, each.found.tables()),
            *map(note, each.found.notes()),
            *shown(f"paths-{file_name(each.name)}"),
        ]
    for heading, data in zip(("Which interpolator is selected", "The same on real data"), result.regressions):
        name = file_name(data.attrs["task"])
        sections[heading] = [
            f"<p>{html.escape(data.attrs['preparation'])}</p>",
            wide(regression.trial_grid(data)),
            *map(note, regression.trial_notes(data)),
            wide(regression.matrix_grid(data)),
            note(regression.matrix_reading(data)),
            *shown(f"regression-matrix-{name}"),
            wide(regression.regression_grid(data)),
            note(regression.regression_reading(data)),
            *shown(f"regression-error-{name}", f"regression-coefficients-{name}"),
        ]
    sections[heading] += [
        note(
            "One subset of the rows says little: the interpolators that the regularisers prefer, on other random "
            "subsets prepared in the same way (± one standard error)."
        ),
        wide(own.subsets_grid(result)),
    ]
    data, tolerance = result.network, result.study.tolerance
    sections["A two-layer network on real data"] = [
        f"<p>{html.escape(data.attrs['preparation'])}</p>",
        wide(network_tables.network_grid(data, result.study.confidence, tolerance)),
        note(network_tables.network_reading(data, result.study.confidence)),
        *shown("network"),
        note(network_tables.network_finding(data, result.study.confidence, tolerance)),
    ]
    sections["Why each mechanism moves as it does"] = [bullets(_explanations(result))]
    claims = {"noisy gradient descent": NoisyGradientDescent.claims, "limit on the set": ManifoldLimit.claims}
    return study_page(result, TITLE, OPENING, sections, claims, failed, now)


def _explanations(result: ZeroLossResult) -> list[str]:
    """One sentence for each mechanism and model."""
    return [
        f"{along.scene.name}, {name}: {along.dataset['explanation'].sel(mechanism=name).item()}"
        for along in result.trajectories
        for name in along.comparisons
    ]
