"""compare.time_scales: steps that processes need for a set motion, over ladders of step sizes and noise levels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from sgdlimits.ensembles.random import child_seed
from sgdlimits.exact.errors import InvalidInput, finite_array, one_of, positive, real_number, whole_number

from . import manifold_tables, slow_motion
from .estimates import normal_quantile
from .passages import KINDS, Measurement, measure, predicted_exponents, standstill
from .capabilities import distinct_labels
from .results import Result
from .slow_motion import Quantity
from .text_table import TextTable

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

VARIABLES = ("step size", "noise level")
BIAS_ORDERS = (1.0, 2.0)  # the leading bias of a time: O(step size) and O(noise level^2)
FROZEN = 1e-9  # a motion below this, relative to the start's size, is none


@dataclass(frozen=True, eq=False)
class Passage:
    """One process and the motion whose time is measured.

    Parameters
    ----------
    process : NoisyGradientDescent, or any process with exact `moments` on least squares
    w0 : (m,) array
    kind : {"drift", "relaxation", "equilibration"}, optional
        drift: E of a quantity of Phi(w_k) passes `level`. relaxation: the distance to where the process settles falls
        to `level` times its start, noise left out. equilibration: E |w_k - Phi(w_k)|^2, from a start on the zero-loss
        set, rises to `level` times its plateau. Default: drift; relaxation on least squares.
    quantity : function of points (P, m) of the set with values (P,), optional
        Of a drift; default: the displacement along the limit's way.
    level : float, optional
        Default: a displacement of 0.1 for a drift, 1e-3 for a relaxation, 1 - 1/e for an equilibration.
    step_sizes, noise_levels : decreasing sequences, optional
        The ladders; default those of `time_scales`. The step size runs at the noise level of the process as given,
        and the noise level at its step size.
    label : str, optional
    """

    process: Any
    w0: Any
    kind: str | None = None
    quantity: Quantity | None = None
    level: float | None = None
    step_sizes: Sequence[float] | None = None
    noise_levels: Sequence[float] | None = None
    label: str | None = None

    def __post_init__(self) -> None:
        along_set = hasattr(self.process, "model") and hasattr(self.process, "noise")
        if not along_set and not callable(getattr(self.process, "moments", None)):
            raise InvalidInput(
                f"no time can be measured for {type(self.process).__name__}: NoisyGradientDescent, or a process on "
                "least squares with moments(x0, steps), is needed"
            )
        kind = self.kind if self.kind is not None else "drift" if along_set else "relaxation"
        one_of("kind", kind, KINDS)
        if not along_set and kind != "relaxation":
            raise InvalidInput(f"on least squares only the relaxation is measured, got kind={kind!r}")
        if self.quantity is not None and (kind != "drift" or not callable(self.quantity)):
            raise InvalidInput("quantity must be a function of points (P, m), and belongs to a drift")
        default = {"drift": 0.1, "relaxation": 1e-3, "equilibration": 1 - np.exp(-1)}[kind]
        level = real_number("level", default if self.level is None else self.level)
        if kind != "drift" and not 0 < level < 1:
            raise InvalidInput(f"level must be above 0 and below 1 for a {kind}, got {level:g}")
        if self.quantity is None and level <= 0:
            raise InvalidInput(f"level is a distance here and must be above 0, got {level:g}")
        object.__setattr__(self, "kind", kind)
        object.__setattr__(self, "level", level)
        object.__setattr__(self, "w0", finite_array("w0", self.w0, ndim=1))
        name = getattr(self.process, "label", type(self.process).__name__).removeprefix("noisy gradient descent, ")
        object.__setattr__(self, "label", self.label or (name if kind == "drift" else f"{name}, {kind}"))


@dataclass(frozen=True, eq=False, repr=False)
class TimeScales(Result):
    """Measured and predicted times side by side: what `compare.time_scales` returns.

    Attributes
    ----------
    dataset : xarray.Dataset
        Over measurement: passage_index, ladder ("step size" or "noise level"), step_size, noise_level, time and its
        standard error time_error (in steps; inf where nothing moves), predicted. Over (passage, variable): exponent and
        exponent_error as the variable goes to zero, bias, exponent_predicted, verdict. Over passage: label, kind,
        level, regime, and for processes that stand still displacement, its order in the step size (displacement_order)
        and the motion of the last half of the run.
    """

    kind: ClassVar[str] = "time scales"
    columns: ClassVar[tuple[str, ...]] = manifold_tables.TIME_ROW

    def table(self) -> list[dict[str, Any]]:
        """One dict for each passage."""
        return manifold_tables.time_rows(self.dataset)

    def heading(self) -> list[str]:
        return [str(self.dataset.attrs["title"])]

    def tables(self) -> list[TextTable]:
        return [manifold_tables.times_grid(self.dataset)]

    def notes(self) -> list[str]:
        return manifold_tables.times_notes(self.dataset)

    def plot(self, axes: Sequence[Axes] | None = None) -> Figure:
        """Times against step size, and against noise level below; see `manifold_plots.times`."""
        from . import manifold_plots

        return manifold_plots.times(self.dataset, axes)


def time_scales(
    passages: Sequence[Any],
    w0: Any = None,
    *,
    step_sizes: Sequence[float] | None = None,
    noise_levels: Sequence[float] | None = None,
    rungs: int = 4,
    paths: int = 1000,
    steps: int | None = None,
    seed: int = 0,
    tolerance: float = 0.05,
    confidence: float = 0.95,
    threads: int | None = None,
    progress: Any = None,
) -> TimeScales:
    """Measure in steps how long processes need for a set motion, and fit how that scales.

    A drift is measured on E of a quantity of Phi(w_k); the exponents are those as step size and noise level go to zero,
    the leading bias (in the step size, in the noise level squared) fitted along where a ladder has four rungs.

    Parameters
    ----------
    passages : sequence of Passage, or of processes that start at `w0`
    w0 : (m,) array, optional
        Start of the processes that come without one.
    step_sizes, noise_levels : decreasing sequences, optional
        Ladders of passages without their own. Default: the process's step size and noise level, halved
        `rungs` - 1 times; a level that nothing depends on is not varied.
    rungs : int
    paths : int
        Of each run, at least 2.
    steps : int, optional
        Length of the run of a process whose limit does not move; default: 10 / step_size^2 at each step size.
    seed, threads, progress
        As in `simulate`.
    tolerance : float
        Of an exponent: agrees if its whole interval lies within it of the prediction.
    confidence : float
        Of each interval by itself.

    Returns
    -------
    TimeScales

    Raises
    ------
    InvalidInput
        If an argument does not fit, or a level is not reached.
    """
    entries = _entries(passages, w0)
    rungs, paths = whole_number("rungs", rungs, 2), whole_number("paths", paths, 2)
    tolerance, confidence = positive("tolerance", tolerance), real_number("confidence", confidence)
    if not 0 < confidence < 1:
        raise InvalidInput(f"confidence must be above 0 and below 1, got {confidence!r}")
    settings = {"paths": paths, "steps": steps, "seed": seed, "threads": threads, "progress": progress}
    z = normal_quantile(confidence)
    found: list[tuple[int, str, float, float, Measurement]] = []
    summary: list[dict[str, Any]] = []
    for index, entry in enumerate(entries):
        given = (entry.step_sizes, step_sizes), (entry.noise_levels, noise_levels)
        summary.append({"regime": _regime(entry), "exponents": {}})
        chosen = [own if own is not None else common for own, common in given]
        for variable, pairs in _ladders(entry, summary[-1]["regime"], chosen, rungs).items():
            # Every run has noise of its own, so that their errors are independent.
            runs = [
                measure(entry, *pair, settings | {"seed": child_seed(seed, index, variable, number)})
                for number, pair in enumerate(pairs)
            ]
            found += [(index, variable, *pair, run) for pair, run in zip(pairs, runs)]
            if all(np.isfinite(run.time) for run in runs) and len(runs) > 1:
                place = VARIABLES.index(variable)
                x = np.array([pair[place] for pair in pairs])
                times, errors = np.array([run.time for run in runs]), np.array([run.error for run in runs])
                summary[-1]["exponents"][variable] = slow_motion.exponent(x, times, errors, BIAS_ORDERS[place])
    return TimeScales(_dataset(entries, found, summary, settings, tolerance, confidence, z))


def _entries(passages: Sequence[Any], w0: Any) -> list[Passage]:
    if not isinstance(passages, Sequence) or not passages:
        raise InvalidInput("time_scales needs a list of processes or of Passage(process, w0, ...)")
    entries = []
    for item in passages:
        if isinstance(item, Passage):
            entries.append(item)
        elif w0 is None:
            raise InvalidInput(f"{type(item).__name__} comes without a start: pass w0, or Passage(process, w0)")
        else:
            entries.append(Passage(item, w0))
    return entries


def _regime(entry: Passage) -> str:
    """Regime of the limit that the drift follows; empty for other passages."""
    if entry.kind != "drift":
        return ""
    from sgdlimits.diffusions import ManifoldLimit

    return ManifoldLimit.of(entry.process, start=entry.w0).regime


def _ladders(entry: Passage, regime: str, given: Sequence[Any], rungs: int) -> dict[str, list[tuple[float, float]]]:
    """variable -> pairs (step size, noise level)."""
    halves = 0.5 ** np.arange(rungs)
    here = float(entry.process.step_size)
    level = slow_motion.noise_level(entry.process.noise) if hasattr(entry.process, "noise") else np.nan
    sizes = slow_motion.ladder("step_sizes", given[0], here * halves)
    ladders = {"step size": [(float(size), level) for size in sizes]}
    # Neither a relaxation nor the shape of an equilibration depends on the noise level.
    if np.isfinite(level) and level > 0 and entry.kind == "drift" and regime != "trivial":
        levels = slow_motion.ladder("noise_levels", given[1], level * halves)
        ladders["noise level"] = [(here, float(at)) for at in levels]
    return ladders


def _dataset(
    entries: list[Passage], found: list[tuple[int, str, float, float, Measurement]], summary: list[dict[str, Any]],
    settings: dict[str, Any], tolerance: float, confidence: float, z: float,
) -> xarray.Dataset:  # fmt: skip
    import xarray as xr

    from sgdlimits import __version__

    shape = len(entries), len(VARIABLES)
    table = {
        name: np.full(shape, np.nan)
        for name in ("exponent", "exponent_error", "bias", "bias_error", "exponent_predicted")
    }
    verdicts = np.full(shape, "", dtype=object)
    still = {name: np.full(len(entries), np.nan) for name in ("displacement", "motion", "displacement_order")}
    for index, (entry, row) in enumerate(zip(entries, summary)):
        predicted = predicted_exponents(entry, row["regime"])
        for place, variable in enumerate(VARIABLES):
            if variable in row["exponents"]:
                fit = row["exponents"][variable]
                for name, part in (("exponent", 0), ("bias", 2)):
                    if part < len(fit.coefficients):
                        table[name][index, place] = fit.coefficients[part]
                        table[f"{name}_error"][index, place] = fit.errors[part]
                table["exponent_predicted"][index, place] = predicted[place]
                verdicts[index, place] = slow_motion.judged(
                    fit.coefficients[0], fit.errors[0], predicted[place], tolerance, z
                )
        runs = [run for at, _, _, _, run in found if at == index]
        if row["regime"] == "trivial":
            sizes = np.array([size for at, _, size, _, _ in found if at == index])
            scale = 1 + np.abs(entry.w0).max()
            numbers = standstill(runs, sizes, scale)
            for name in still:
                still[name][index] = numbers[name]
            frozen = numbers["motion"] <= FROZEN * scale
            verdicts[index, 0] = "trivial" if frozen else "moves"
    names = ("passage_index", "ladder", "step_size", "noise_level")
    variables: dict[str, Any] = {
        name: ("measurement", np.array(column, dtype=object if name == "ladder" else None))
        for name, column in zip(names, zip(*(row[:4] for row in found)))
    }
    variables |= {
        "time": ("measurement", np.array([run.time for *_, run in found])),
        "time_error": ("measurement", np.array([run.error for *_, run in found])),
        "predicted": ("measurement", np.array([run.predicted for *_, run in found])),
        "steps": ("measurement", np.array([run.steps for *_, run in found])),
    }
    variables |= {name: (("passage", "variable"), array) for name, array in table.items()}
    variables |= {name: ("passage", array) for name, array in still.items()}
    variables |= {
        "verdict": (("passage", "variable"), verdicts),
        "kind": ("passage", np.array([entry.kind for entry in entries], dtype=object)),
        "level": ("passage", np.array([entry.level for entry in entries])),
        "regime": ("passage", np.array([row["regime"] for row in summary], dtype=object)),
    }
    coordinates = {"passage": distinct_labels(entries), "variable": list(VARIABLES)}
    attributes = {
        "title": "Time scales in steps", "tolerance": tolerance, "confidence": confidence,
        "paths": settings["paths"], "seed": settings["seed"], "version": __version__,
    }  # fmt: skip
    return xr.Dataset(variables, coordinates, attributes)
