"""Where a run starts and which steps it keeps: the forms of `x0` and of `record`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sgdlimits.exact.errors import InvalidInput, LARGEST, axes, covariance_matrix, finite_array, whole_number

from .crowd import SavedState
from .random import PACK, Noise, Purpose

DEFAULT_INTERVALS = 50
ALL_STEPS = 1000  # longest run whose exact moments are kept at every step unless told otherwise
SOME_STEPS = 201


@dataclass(frozen=True, eq=False)
class Gaussian:
    """Normal law of the initial position.

    Parameters
    ----------
    mean : (d,) array
    covariance : (d, d) array
        Symmetric and positive semidefinite; it may be singular.

    Raises
    ------
    InvalidInput
        If a shape is wrong, or the covariance is not symmetric or not positive semidefinite.
    """

    mean: np.ndarray
    covariance: np.ndarray
    root: np.ndarray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        mean = finite_array("mean", self.mean, ndim=1).copy()
        covariance = covariance_matrix("covariance", self.covariance, mean.size)
        eigenvalues, vectors = np.linalg.eigh(covariance)
        object.__setattr__(self, "mean", mean)
        object.__setattr__(self, "covariance", covariance)
        object.__setattr__(self, "root", vectors * np.sqrt(np.maximum(eigenvalues, 0.0)))


def stated_dimension(x0: Any) -> int:
    """Dimension d that x0 states; the check that follows names what is wrong with the rest."""
    if isinstance(x0, SavedState):
        return x0.positions.shape[1]
    if isinstance(x0, Gaussian):
        return x0.mean.size
    mean = x0[0] if isinstance(x0, tuple) and len(x0) == 2 and axes(x0[1]) == 2 else x0
    return np.shape(mean)[-1] if axes(mean) > 0 else 0


def initial_state(x0: Any, dimension: int, paths: int | None = None) -> Gaussian | np.ndarray:
    """Check `x0` and bring it to one of three forms.

    Parameters
    ----------
    x0 : (d,) array, (paths, d) array, Gaussian, or tuple (mean, covariance)
        A pair is a Gaussian when its second entry has two axes.
    dimension : int
        d of the process.
    paths : int, optional
        Number of paths that a two-dimensional `x0` must have; any number if None.

    Returns
    -------
    Gaussian, (d,) float64 array or (paths, d) float64 array

    Raises
    ------
    InvalidInput
        If the shape does not fit, or the covariance is not one.
    """
    dimension = whole_number("dimension", dimension, 0)
    if isinstance(x0, (tuple, list)) and len(x0) == 2 and axes(x0[1]) == 2:
        x0 = Gaussian(*x0)
    if isinstance(x0, SavedState):
        x0 = x0.positions
    if isinstance(x0, Gaussian):
        if x0.mean.size != dimension:
            raise InvalidInput(
                f"x0 is a Gaussian in dimension {x0.mean.size}, but the process has dimension {dimension}"
            )
        return x0
    positions = finite_array("x0", x0)
    if positions.size and float(np.abs(positions).max()) > LARGEST:
        raise InvalidInput(f"x0 must hold numbers of at most {LARGEST:g}: beyond it a path counts as overflowed")
    rows = "paths" if paths is None else paths
    fits = positions.ndim in (1, 2) and positions.shape[-1] == dimension and positions.size > 0
    if not fits or (positions.ndim == 2 and paths is not None and len(positions) != paths):
        raise InvalidInput(
            f"x0 has shape {positions.shape}, but must have shape ({dimension},) or ({rows}, {dimension}), "
            "or be a Gaussian (mean, covariance)"
        )
    return positions


def initial_of_paths(x0: Any, dimension: int, paths: int, first_path: int) -> Gaussian | np.ndarray:
    """As `initial_state`, for paths first_path..first_path + paths - 1 of an ensemble.

    A two-dimensional `x0` may hold their rows alone, or those of the whole ensemble: at least first_path + paths.
    """
    if first_path:
        initial = initial_state(x0, dimension)
        if isinstance(initial, np.ndarray) and initial.ndim == 2 and len(initial) >= first_path + paths:
            return initial[first_path : first_path + paths]
    return initial_state(x0, dimension, paths)


def draw_initial(initial: Gaussian | np.ndarray, noise: Noise, first_path: int = 0) -> np.ndarray:
    """Initial positions (P, d) of the paths that `noise` serves, in a fresh array.

    Path p takes row p - first_path of a (paths, d) array. `initial` comes from `initial_state`; P must be
    a multiple of PACK. Lanes that only fill packs take the nearest row.
    """
    lanes = noise.paths.size
    if isinstance(initial, Gaussian):
        dimension = initial.mean.size
        normals = noise.normals(Purpose.INITIAL_STATE, 0, dimension)
        # One product a pack: the bits of a matrix product may depend on its number of rows.
        packs = normals.reshape(lanes // PACK, PACK, dimension) @ initial.root.T
        return initial.mean + packs.reshape(lanes, dimension)
    if initial.ndim == 1:
        return np.tile(initial, (lanes, 1))
    return initial[np.clip(noise.paths - first_path, 0, len(initial) - 1)]


def initial_moments(x0: Any, dimension: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean (d,) and covariance (d, d) of the initial law that `x0` states.

    A (paths, d) array stands for its empirical law: the covariance divides by the number of paths.
    Forms of `x0` and errors as in `initial_state`.
    """
    if isinstance(x0, SavedState):
        raise InvalidInput(
            f"x0 is a state that was saved at step {x0.step}; moments start at step 0: pass its `positions` for their "
            "empirical law"
        )
    initial = initial_state(x0, dimension)
    if isinstance(initial, Gaussian):
        return initial.mean.copy(), initial.covariance.copy()
    if initial.ndim == 1:
        return initial.copy(), np.zeros((dimension, dimension))
    mean = initial.mean(axis=0)
    return mean, (initial - mean).T @ (initial - mean) / len(initial)


def recorded_steps(
    record: int | Sequence[int] | np.ndarray | None, steps: int, begin: int = 0
) -> np.ndarray:
    """Steps at which a run keeps its observables, as an increasing int64 array.

    Parameters
    ----------
    record : None, int or increasing sequence of int
        None: about 50 evenly spaced steps, the first and the last included. An int: that many, evenly spaced,
        the first and the last included (1: the last step alone). A sequence: exactly these steps.
    steps : int
        Step at which the run ends.
    begin : int
        Step at which it begins, 0 unless it goes on from a saved state.

    Raises
    ------
    InvalidInput
        If a step is negative, beyond `steps`, not whole, or the sequence is empty or does not increase.
    """
    steps = whole_number("steps", steps, 0)
    begin = whole_number("begin", begin, 0, steps)
    if record is None:
        return _evenly(min(DEFAULT_INTERVALS, steps - begin) + 1, steps, begin)
    if axes(record) == 0:
        count = whole_number("record", record, 1)
        if count > steps - begin + 1:
            raise InvalidInput(
                f"record asks for {count} steps, but a run from step {begin} to {steps} has {steps - begin + 1}"
            )
        return np.array([steps], dtype=np.int64) if count == 1 else _evenly(count, steps, begin)
    values = finite_array("record", record, ndim=1)
    if values.size == 0:
        raise InvalidInput("record is empty: name at least one step, or pass None for about 50 of them")
    for value in values:
        if value != np.floor(value):
            raise InvalidInput(f"record must hold whole steps, got {value:g}")
        if value < begin:
            raise InvalidInput(f"record must hold steps from {begin} on, got {value:g}")
        if value > steps:
            raise InvalidInput(
                f"record asks for step {value:g}, but the run has {steps} steps: lower it or raise `steps`"
            )
    for before, after in zip(values[:-1], values[1:], strict=True):
        if after <= before:
            raise InvalidInput(f"record must increase, got step {after:g} after step {before:g}: sort it")
    return values.astype(np.int64)


def moment_steps(record: int | Sequence[int] | np.ndarray | None, steps: int) -> np.ndarray:
    """Steps at which exact moments are kept: as `recorded_steps`, with 0 always among them.

    None stands for every step of a run of at most 1000, and about 200 evenly spaced steps of a longer one.
    """
    steps = whole_number("steps", steps, 0)
    if record is None:
        return np.arange(steps + 1) if steps <= ALL_STEPS else _evenly(SOME_STEPS, steps)
    return np.union1d(0, recorded_steps(record, steps))


def _evenly(count: int, steps: int, begin: int = 0) -> np.ndarray:
    return np.rint(np.linspace(begin, steps, count)).astype(np.int64)
