"""What the processes driven by stable noise share: the form of their scale, and how the engine runs them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np

from sgdlimits.ensembles.engine import run
from sgdlimits.ensembles.limits import mark
from sgdlimits.ensembles.random import Noise
from sgdlimits.ensembles.results import ensemble_dataset
from sgdlimits.ensembles.simulators import ArraySimulator, PathArrays, rotated
from sgdlimits.exact.clock import Clock, gradient_flow_clock
from sgdlimits.exact.errors import InvalidInput, axes, finite_array

if TYPE_CHECKING:
    import xarray

JUMPS = "its paths jump, and a jump over a level leaves no trace between two steps"


def noise_columns(scale: Any, dimension: int) -> np.ndarray:
    """S (d, m) from a number, one for each coordinate, or a matrix.

    Raises
    ------
    InvalidInput
        If the shape does not fit, a number is negative, or all are zero.
    """
    given = finite_array("scale", scale)
    if given.ndim == 2:
        columns = finite_array("scale", given, shape=(dimension, None)).copy()
    else:
        if given.ndim > 1 or given.ndim == 1 and given.size != dimension:
            raise InvalidInput(
                f"scale must be a number, {dimension} numbers or a matrix of {dimension} rows, got shape {given.shape}"
            )
        if (given < 0).any():
            raise InvalidInput(f"scale must be at least zero, got {given.min():g}; a matrix may have any signs")
        columns = np.diag(np.broadcast_to(given, dimension))
    if not columns.any():
        raise InvalidInput("scale is zero, so there is no noise: take GradientFlow, or a scale above zero")
    return np.ascontiguousarray(columns)


def stated_length(*given: Any) -> int:
    """Dimension that the first of these with an axis has; 1 where all are numbers or None."""
    return next((int(np.shape(each)[0]) for each in given if each is not None and axes(each) > 0), 1)


def noise_steps(
    move: Callable[[np.ndarray, int], np.ndarray], columns: np.ndarray, index: float, isotropic: bool
) -> Callable[[PathArrays, int, int, Noise], None]:
    """Own steps x <- move(x, k) + columns xi, xi (m,) stable of scale 1."""

    def advance(state: PathArrays, first: int, last: int, noise: Noise) -> None:
        for k in range(first, last):
            xi = noise.stable(k, columns.shape[1], index, isotropic)
            with np.errstate(over="ignore", invalid="ignore"):  # what overflows is reported by the engine, once
                state.x = move(state.x, k) + rotated(xi, columns)
            mark(state.overflow, state.x, k + 1)

    return advance


class StableProcess(ABC):
    """What the processes driven by stable noise are run with; a leaf is a frozen dataclass with these fields."""

    index: float
    isotropic: bool
    step_size: float
    label: str

    tail_index_closed: ClassVar[bool] = True

    @abstractmethod
    def simulator(self) -> ArraySimulator:
        """What the engine advances."""

    @abstractmethod
    def scheme(self) -> dict[str, Any]:
        """How a step is sampled, as attributes of a run; empty where by its exact law."""

    @property
    def clock(self) -> Clock:
        """One step is step_size in the process's time."""
        return cast(Clock, gradient_flow_clock(self.step_size))

    def simulate(
        self,
        x0: Any,
        steps: int,
        paths: int,
        observables: Any = ("state",),
        record: int | Sequence[int] | None = None,
        seed: int = 0,
        **options: Any,
    ) -> xarray.Dataset:
        """Sample independent paths, each step as `simulator` says; `options` as in `sgdlimits.ensembles.run`.

        Returns
        -------
        xarray.Dataset
            One variable an observable, with dims (path, step[, coordinate]). The same bits for the same seed, whatever
            the threads and the chunk size; runs under one seed with other step sizes are no refinements of one path.

        Raises
        ------
        InvalidInput
            If the law of a step is not sampled exactly, and no scheme stands in for it.

        Warns
        -----
        OverflowedPaths
            If a path overflowed.
        """
        ensemble = run(
            self.simulator(), x0, steps=steps, paths=paths, observables=observables, record=record, seed=seed,
            local_noise=JUMPS, **options,
        )  # fmt: skip
        attributes = {
            "process": self.label, "index": self.index, "isotropic": int(self.isotropic), "step_size": self.step_size,
            "clock": repr(self.clock), **self.scheme(),
        }  # fmt: skip
        return ensemble_dataset(ensemble, attributes, self.clock.time(ensemble.record), self)
