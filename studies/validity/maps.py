"""A map of validity over batch sizes: each batch size a cell of a sweep, so that it can be cut, resumed and shared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.exact.errors import InvalidInput, whole_number

from .._sweep.driver import sweep

if TYPE_CHECKING:
    from sgdlimits.compare import Validity

OF_THE_SWEEP = ("cell", "sweep_seed", "sgdlimits", "cells", "failed")  # attributes


def batch_sizes(largest: int, count: int) -> list[int]:
    """Whole numbers from 1 to the largest, evenly in their logarithms, each once."""
    found = np.unique(np.rint(np.geomspace(1, largest, whole_number("count", count, 1))).astype(int))
    return [int(size) for size in found]


def validity_map(
    problem: Any, batch_sizes: Sequence[int], *, store: Any = None, workers: int | None = None, progress: Any = None,
    **options: Any,
) -> Validity:  # fmt: skip
    """`compare.validity` over batch sizes, through `studies.sweep`.

    Parameters
    ----------
    problem : quadratic problem
    batch_sizes : sequence of int
    store, workers, progress
        As in `studies.sweep`: where finished cells are kept, and how many processes share the work.
    **options
        Of `compare.validity`: within, values, scale, horizon, unit, x0, lyapunov.

    Returns
    -------
    Validity

    Raises
    ------
    InvalidInput
        If the map is empty, or an option cannot be used.
    """
    import xarray as xr

    from sgdlimits import compare, discrete
    from sgdlimits.compare._validity.driver import TRIAL, usual_scan

    sizes = list(dict.fromkeys(whole_number("a batch size", size, 1) for size in batch_sizes))
    if not sizes:
        raise InvalidInput("batch_sizes is empty, so there is no map: give one batch size at least")
    if options.get("values") is None:
        options["values"] = usual_scan(discrete.SGD(problem, TRIAL, sizes[0]).stability().mean_threshold)

    def cell(batch_size: int) -> xr.Dataset:
        one = compare.validity(problem, over={"batch_size": [batch_size]}, threads=1, **options)
        return one.dataset.isel(cell=0).drop_vars("batch_size")

    found = sweep(cell, {"batch_size": sizes}, store, workers=workers, progress=progress)
    failures = [str(words) for words in np.atleast_1d(found["failure"].values) if str(words)]
    if failures:
        raise InvalidInput(failures[0])
    data = found.drop_vars(["failure", "warned", "platform"], errors="ignore").rename(batch_size="cell")
    data = data.assign_coords(batch_size=("cell", np.array(sizes))).drop_vars("cell")
    data.attrs = {name: value for name, value in found.attrs.items() if name not in OF_THE_SWEEP}
    return compare.Validity(data.transpose("process", "cell", "scanned"))
