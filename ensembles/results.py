"""Labelled results: with `netcdf`, the one place that knows xarray."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.exact.errors import InvalidInput
from sgdlimits.exact.fingerprints import fingerprint

from .netcdf import load, save
from .observables import Reducer
from .passages import FirstPassage, streams

__all__ = [
    "ensemble_dataset", "even_moments_dataset", "flow_dataset", "load", "moments_dataset", "path_dataset", "save",
    "sensitivities_dataset",
]  # fmt: skip

if TYPE_CHECKING:
    import xarray

    from .crowd import SavedState
    from .ensemble import Ensemble, Ending

ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
STATE = "state: "  # how the names begin under which a saved state stands in a dataset


def ensemble_dataset(
    ensemble: Ensemble, attributes: Mapping[str, Any], time: np.ndarray | None = None, process: Any = None
) -> xarray.Dataset:
    """Label what a run kept.

    Parameters
    ----------
    ensemble : Ensemble
    attributes : mapping
        What the process says of itself, at least `process`, its name. Seed, paths, steps, quality and the
        version of sgdlimits are added.
    time : (recorded,) array, optional
        The recorded steps on the process's clock.
    process : object, optional
        What was run: with the start it makes the attribute `fingerprint`, by which `concatenate` tells pieces of one
        ensemble from others.

    Returns
    -------
    xarray.Dataset
        One variable an observable, with dims (path, step[, coordinate]), and (path,) for a first passage, whose
        attribute `sense` says how it was counted;
        `overflow_step(path)` (-1: never) only if a path overflowed. With a kept state, variables whose names begin
        with "state: "; `saved_state` makes a start of them.
    """
    import xarray

    variables: dict[str, Any] = {}
    numbers = streams(ensemble.observables)
    for name, values in ensemble.values.items():
        width = "coordinate" if ensemble.observables[name].function == "state" else f"{name}_component"
        reducer = ensemble.observables[name]
        kept = {"fingerprint": fingerprint(reducer)} | _sense(reducer, numbers.get(name))
        variables[name] = (("path", "step", width)[: values.ndim], values, kept)
    if (ensemble.overflow_steps >= 0).any():
        variables["overflow_step"] = ("path", ensemble.overflow_steps)
    told = fingerprint(process, ensemble.start)
    if ensemble.state is not None:
        variables |= _state_variables(ensemble.state, told)
    own = {
        "seed": ensemble.seed,
        "paths": ensemble.paths,
        "steps": ensemble.steps,
        "quality": ensemble.quality,
        "first_path": ensemble.first_path,
        "fingerprint": told,
        **(_ending(ensemble.ending) if ensemble.ending is not None else {}),
    }
    return xarray.Dataset(variables, _step_coordinates(ensemble.record, time), _attributes(attributes, own))


def _ending(ending: Ending) -> dict[str, Any]:
    outcome, interval = ending.outcome, ending.outcome.interval
    return {
        "until": ending.asked, "until_reached": int(outcome.reached),
        "until_why": outcome.why,
        "until_mean": interval.value, "until_low": interval.low, "until_high": interval.high,
        "until_standard_error": interval.standard_error, "until_confidence": ending.confidence,
        "until_method": interval.method, "paths_spent": ending.spent,
    }  # fmt: skip


def _sense(reducer: Reducer, stream: int | None) -> dict[str, Any]:
    """In which sense a first passage was counted, and by which of the seed's streams between steps."""
    if not isinstance(reducer, FirstPassage):
        return {}
    return {"sense": "seen at steps"} if stream is None else {"sense": "continuous", "stream": stream}


def _state_variables(state: SavedState, past: str) -> dict[str, Any]:
    arrays = {"positions": state.positions, **state.arrays}
    variables: dict[str, Any] = {
        f"{STATE}{name}": (("path", *(f"{STATE}{name} {axis}" for axis in range(1, values.ndim))), values)
        for name, values in arrays.items()
    }
    kept = {"step": state.step, "seed": str(state.seed), "first_path": state.first_path, "quality": state.quality}
    return variables | {f"{STATE}where": ((), 0, kept | {"process": state.process, "past": past})}


def saved_state(dataset: xarray.Dataset) -> SavedState:
    """Where the paths of a run stood at its end, to be passed as `x0`.

    Parameters
    ----------
    dataset : xarray.Dataset
        What ``simulate(..., keep_state=True)`` gave, or `load` read.

    Raises
    ------
    InvalidInput
        If no state was kept in it.
    """
    from .crowd import SavedState

    where = f"{STATE}where"
    if where not in getattr(dataset, "variables", ()):
        raise InvalidInput("this result holds no state to go on from: run with keep_state=True")
    arrays = {
        str(name)[len(STATE) :]: dataset[name].values for name in dataset.variables
        if str(name).startswith(STATE) and name != where
    }  # fmt: skip
    kept = dict(dataset[where].attrs)
    kept |= {name: int(kept[name]) for name in ("step", "seed", "first_path")}
    return SavedState(positions=arrays.pop("positions"), arrays=arrays, **kept)


def moments_dataset(
    record: np.ndarray,
    mean: np.ndarray | None,
    covariance: np.ndarray | None,
    risk: np.ndarray | None,
    coordinates: Sequence[Any] | np.ndarray | None,
    attributes: Mapping[str, Any],
    time: np.ndarray | None = None,
) -> xarray.Dataset:
    """Label exact moments.

    Parameters
    ----------
    record : (recorded,) array of steps
    mean : (recorded, d) array, optional
    covariance : (recorded, d, d) array, optional
    risk : (recorded,) array, optional
    coordinates : d labels, optional
        Default: 0..d-1.
    attributes, time
        As in `ensemble_dataset`.

    Returns
    -------
    xarray.Dataset
        `mean(step, coordinate)`, `covariance(step, coordinate, coordinate_2)` and `risk(step)`.
    """
    import xarray

    moment: Any = mean if covariance is None else covariance
    size = np.shape(moment)[1:2]
    labels = np.arange(*size or (0,)) if coordinates is None else np.asarray(coordinates)
    axes = {"mean": ("step", "coordinate"), "covariance": ("step", "coordinate", "coordinate_2"), "risk": ("step",)}
    given = {"mean": mean, "covariance": covariance, "risk": risk}
    variables: dict[str, Any] = {name: (axes[name], values) for name, values in given.items() if values is not None}
    used = {axis for name in variables for axis in axes[name]}
    named = _step_coordinates(record, time) | {axis: labels for axis in ("coordinate", "coordinate_2") if axis in used}
    return xarray.Dataset(variables, named, _attributes(attributes, {}))


def sensitivities_dataset(
    record: np.ndarray, risk: np.ndarray, derivatives: Mapping[str, np.ndarray], attributes: Mapping[str, Any],
    time: np.ndarray | None = None,
) -> xarray.Dataset:  # fmt: skip
    """Label a risk and its derivatives (recorded,) by parameter: `risk(step)`, `sensitivity(parameter, step)`."""
    import xarray

    variables = {"risk": ("step", risk), "sensitivity": (("parameter", "step"), np.array(list(derivatives.values())))}
    named = _step_coordinates(record, time) | {"parameter": list(derivatives)}
    return xarray.Dataset(variables, named, _attributes(attributes, {}))


def even_moments_dataset(
    record: np.ndarray, orders: np.ndarray, moments: np.ndarray, rates: np.ndarray, stationary: np.ndarray,
    attributes: Mapping[str, Any], time: np.ndarray | None = None,
) -> xarray.Dataset:  # fmt: skip
    """Label moments (orders, recorded) of even orders, and what becomes of each: `rate`, `bounded`, `stationary`."""
    import xarray

    variables = {
        "norm_moment": (("order", "step"), moments), "rate": ("order", rates), "bounded": ("order", rates < 1),
        "stationary": ("order", stationary),
    }  # fmt: skip
    return xarray.Dataset(variables, _step_coordinates(record, time) | {"order": orders}, _attributes(attributes, {}))


def path_dataset(
    times: np.ndarray, steps: np.ndarray, w: np.ndarray, attributes: Mapping[str, Any]
) -> xarray.Dataset:
    """Label one path w (T, m) as `w(time, coordinate)`, with the SGD step of each time."""
    import xarray

    named = {"time": times, "step": ("time", steps), "coordinate": np.arange(w.shape[1])}
    return xarray.Dataset({"w": (("time", "coordinate"), w)}, named, _attributes(attributes, {}))


def flow_dataset(
    steps: np.ndarray, variables: Mapping[str, np.ndarray], attributes: Mapping[str, Any], time: np.ndarray
) -> xarray.Dataset:
    """Label what was solved from several starts: arrays over (path), (path, step) or (path, step, coordinate)."""
    import xarray

    axes = ("path", "step", "coordinate")
    return xarray.Dataset(
        {name: (axes[: values.ndim], values) for name, values in variables.items()}, _step_coordinates(steps, time),
        _attributes(attributes, {}),
    )  # fmt: skip


def _step_coordinates(record: np.ndarray, time: np.ndarray | None) -> dict[str, Any]:
    coordinates: dict[str, Any] = {"step": np.asarray(record, dtype=np.int64)}
    if time is not None:
        coordinates["time"] = ("step", np.asarray(time, dtype=np.float64))
    return coordinates


def _attributes(given: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    from sgdlimits import __version__

    merged = {**given, **own, "sgdlimits": __version__}
    # netCDF holds numbers, texts and arrays; None is left out, anything else is written out.
    kept = (str, int, float, np.ndarray, np.number)
    said = {
        name: value if isinstance(value, kept) and not isinstance(value, bool) else str(value)
        for name, value in merged.items()
        if value is not None
    }
    # An address is another one in every process, and no setting.
    return {name: ADDRESS.sub("", value) if isinstance(value, str) else value for name, value in said.items()}
