"""Paths of a descent by batches: what SGD and SVAG have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sgdlimits.ensembles.engine import run
from sgdlimits.ensembles.progress import Progress
from sgdlimits.ensembles.results import ensemble_dataset
from sgdlimits.ensembles.until import Until

from . import moment_equations
from .sources.cost import check_draws

if TYPE_CHECKING:
    import xarray


class Simulated:
    """A descent of a problem, with a `simulator`, that draws so many samples a step."""

    def simulate(
        self: Any,
        x0: Any,
        steps: int,
        paths: int,
        observables: Any = ("risk", "norm"),
        record: int | Sequence[int] | None = None,
        seed: int = 0,
        quality: str = "float32",
        threads: int | None = None,
        chunk: int | None = None,
        progress: bool | Progress | None = None,
        first_path: int = 0,
        keep_state: bool = False,
        until: Until | Mapping[str, Any] | None = None,
    ) -> xarray.Dataset:
        """Simulate independent paths; arguments and errors as in `sgdlimits.ensembles.run`.

        Returns
        -------
        xarray.Dataset
            One variable an observable, with dims (path, step[, coordinate]); the same bits for the same seed,
            whatever the threads and (for compiled problems) the chunk size.

        Warns
        -----
        StabilityWarning
            If the problem is least squares and the step size is past a threshold.
        OverflowedPaths
            If a path overflowed.
        """
        check_draws(self.problem, self.draws, steps, paths, threads)
        moment_equations.warn_if_unstable(self)
        ensemble = run(
            self.simulator(), x0, paths=paths, steps=steps, record=record, observables=observables, seed=seed,
            quality=quality, threads=threads, chunk=chunk, progress=progress, first_path=first_path,
            keep_state=keep_state, until=until,
        )  # fmt: skip
        return ensemble_dataset(ensemble, self._attributes(), self._time(ensemble.record), self)
