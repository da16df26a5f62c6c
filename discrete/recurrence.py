"""A recurrence x_{k+1} = Psi(x_k, noise of step k): the protocol, and the simulation of a user's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from sgdlimits.ensembles.engine import run
from sgdlimits.ensembles.initial import Gaussian, initial_state, stated_dimension
from sgdlimits.ensembles.progress import Progress
from sgdlimits.ensembles.random import Noise
from sgdlimits.ensembles.recurrences import RecurrenceSimulator
from sgdlimits.ensembles.results import ensemble_dataset
from sgdlimits.ensembles.until import Until

if TYPE_CHECKING:
    import xarray


class Recurrence(Protocol):
    """What `simulate` needs, in NumPy, vectorised over P paths. The state may hold more than the position."""

    def initial_state(self, x0: np.ndarray) -> Any:
        """State of P paths at `x0` (P, d)."""

    def step(self, k: int, state: Any, noise: Noise) -> Any:
        """State after step k = 0, 1, ...; all randomness comes from `noise`, so a seed fixes the path."""

    def position(self, state: Any) -> np.ndarray:
        """Positions (P, d)."""


def simulate(
    recurrence: Recurrence,
    x0: Any,
    steps: int,
    paths: int,
    observables: Any = ("norm",),
    record: int | Sequence[int] | np.ndarray | None = None,
    seed: int = 0,
    quality: str = "float32",
    threads: int | None = None,
    chunk: int | None = None,
    progress: bool | Progress | None = None,
    first_path: int = 0,
    keep_state: bool = False,
    until: Until | Mapping[str, Any] | None = None,
    risk: Callable[[np.ndarray], np.ndarray] | None = None,
    attributes: Mapping[str, Any] | None = None,
) -> xarray.Dataset:
    """Simulate a recurrence of the user's own.

    Parameters
    ----------
    recurrence : object with `initial_state`, `step` and `position`, see `Recurrence`
        Its methods are called from several threads at once; pass ``threads=1`` if they cannot bear it.
    x0 : array (d,) or (paths, d), Gaussian, or tuple (mean, covariance)
    steps, paths, observables, record, seed, quality, threads, chunk, progress, first_path, keep_state, until
        As in `sgdlimits.ensembles.run`.
    risk : function of positions (P, d) with values (P,), optional
        What the observable "risk" stands for.
    attributes : mapping, optional
        Added to the dataset's attributes.

    Returns
    -------
    xarray.Dataset
        One variable an observable, with dims (path, step[, coordinate]).

    Raises
    ------
    InvalidInput
        If an argument, the recurrence or one of its results cannot be used.
    """
    initial = initial_state(x0, stated_dimension(x0))
    dimension = initial.mean.size if isinstance(initial, Gaussian) else initial.shape[-1]
    ensemble = run(
        RecurrenceSimulator(recurrence, dimension, risk), x0, paths=paths, steps=steps, record=record,
        observables=observables, seed=seed, quality=quality, threads=threads, chunk=chunk, progress=progress,
        first_path=first_path, keep_state=keep_state, until=until,
    )  # fmt: skip
    label = getattr(recurrence, "label", type(recurrence).__name__)
    return ensemble_dataset(ensemble, {"process": str(label), **(attributes or {})}, process=(recurrence, risk))
