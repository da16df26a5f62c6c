"""Maps of both tail indices over step size and batch size, and the lines on which mean, variance and others diverge."""

from __future__ import annotations

import math
import os
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits import diffusions, discrete
from sgdlimits.diffusions.tails import linear_noise, noise_dies
from sgdlimits.discrete.index_near import index_near
from sgdlimits.ensembles.progress import Progress
from sgdlimits.exact.diffusion_index import isotropic_index, spectral_index
from sgdlimits.exact.errors import (
    InvalidInput, NoStationaryLaw, OutOfReach, PositiveLyapunovExponent, StabilityWarning, finite_array, instance_of,
    positive, whole_number,
)  # fmt: skip
from sgdlimits.exact.moment_exponents import LinearNoise
from sgdlimits.exact.tail_index import TailIndex, at_rest
from sgdlimits.exact.tail_index_bounds import homogenized_bounds
from sgdlimits.problems import LeastSquares, StreamingLeastSquares

if TYPE_CHECKING:
    import xarray
    from matplotlib.figure import Figure

ORDERS = (0.0, 1.0, 2.0, 4.0)
HIGHEST = 16.0  # index that is looked for
PRECISION = 1e-4  # relative, of the index of homogenized SGD
GOOD = 0.05  # relative error of a spectral index that is taken
FAR = 1.5  # times the highest index, from which bounds say enough
NO_LAW, HEAVY, LIGHT, UNKNOWN = "no law", "heavy", "light", "not known"
SIDES = ("sgd", "homogenized")


@dataclass(frozen=True, eq=False)
class IndexMap:
    """What `index_map` found.

    Attributes
    ----------
    cells : xarray.Dataset
        Over `batch_size` and `step_size`, for `sgd` and `homogenized` each: the index (nan where it is none or not
        known, inf), `SIDE_lower` and `SIDE_upper`, `SIDE_region` (heavy: a finite index; light: every moment finite, or
        the index above `highest`; no law; not known), `SIDE_notes`; `seconds` of the processor.
    lines : xarray.Dataset
        Over `batch_size` and `order` (0: the last step size with a law; 1, 2, 4: mean, variance, fourth moment become
        infinite): step sizes `sgd` and `homogenized`, and `SIDE_error`.
    problem : str
    highest : float
    """

    cells: xarray.Dataset
    lines: xarray.Dataset
    problem: str
    highest: float

    def __repr__(self) -> str:
        parts = []
        for side in SIDES:
            regions = self.cells[f"{side}_region"].values
            counts = [f"{int((regions == region).sum())} {region}" for region in (HEAVY, LIGHT, NO_LAW, UNKNOWN)]
            parts.append(f"{side}: {', '.join(counts)}")
        return f"IndexMap({self.problem}; {regions.size} cells; {'; '.join(parts)})"

    def plot(self) -> Figure:
        """A panel a side: the index in colours, the regions named, the lines labelled with what becomes infinite."""
        from .index_map_plot import plot

        return plot(self)


def index_map(
    problem: LeastSquares | StreamingLeastSquares,
    step_sizes: Sequence[float],
    batch_sizes: Sequence[int],
    store: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    *,
    highest: float = HIGHEST,
    ridge: float | None = None,
    seed: int = 0,
    progress: bool | Progress | None = None,
    **options: Any,
) -> IndexMap:
    """Tail indices of SGD and of homogenized SGD over step size and batch size, exact or with intervals.

    Orders 2 and 4 are exact on finite data of up to twelve columns, by the spectral radius of the map of even moments;
    other orders of SGD with many columns are sampled by small populations, whose rows are drawn one by one: batches are
    never listed, and large ones cost in proportion to their size.

    Parameters
    ----------
    problem : LeastSquares or StreamingLeastSquares
    step_sizes, batch_sizes : sequences
    store : path, optional
        Folder in which finished cells are kept, as in `sweep`: the same call goes on there.
    workers : int, optional
        Worker processes.
    highest : float
        Index up to which is looked; above it a tail is called light.
    ridge : float, optional
        Instead of the problem's.
    seed : int
        Of populations.
    progress
        As in `sweep`.
    **options
        Of the populations: paths, generations, groups.

    Returns
    -------
    IndexMap

    Raises
    ------
    InvalidInput
        If an argument cannot be used, or no cell of the grid has a stationary law.
    """
    from sgdlimits.studies import sweep
    from sgdlimits.studies._sweep.executors import side_by_side

    instance_of("problem", problem, (LeastSquares, StreamingLeastSquares))
    sizes = finite_array("step_sizes", step_sizes, ndim=1)
    if not sizes.size or sizes.min() <= 0:
        raise InvalidInput(f"step_sizes must be above zero, at least one, got {sizes.tolist()[:4]}")
    if not len(batch_sizes):
        raise InvalidInput("batch_sizes is empty: name at least one")
    batches = [whole_number("batch_sizes", batch, 1) for batch in batch_sizes]
    highest = positive("highest", highest)
    if ridge is not None:
        problem = problem.with_ridge(ridge)
    folders: list[Path | None] = [None, None] if store is None else [Path(store) / name for name in ("lines", "cells")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StabilityWarning)  # what is past a threshold is looked for
        limit = dict(zip(ORDERS, side_by_side([partial(_limit_threshold, problem, order, seed) for order in ORDERS],
                                              workers)))  # fmt: skip
        lines = sweep(
            partial(_line, problem, limit, seed, options), {"batch_size": batches}, folders[0],
            workers=workers, progress=progress,
        )  # fmt: skip
        last = lines["sgd"].sel(order=0.0).values
        if np.isfinite(last).all() and (sizes.min() >= last).all():
            best = int(last.argmax())
            raise InvalidInput(
                f"no cell of this grid has a stationary law: its smallest step size is {sizes.min():.4g}, and the last "
                f"with a law is {last[best]:.4g}, at batch size {lines['batch_size'].values[best]}: take smaller step "
                "sizes or larger batches"
            )
        cells = sweep(
            partial(_cell, problem, limit[0.0], highest, seed, options),
            {"batch_size": batches, "step_size": sizes.tolist()}, folders[1], workers=workers,
            progress=progress,
        )  # fmt: skip
    return IndexMap(cells, lines, repr(problem), highest)


def _limit_threshold(problem: Any, order: float, seed: int) -> tuple[float, float]:
    """Step size of homogenized SGD at batch size 1, with its error; those of others are in proportion."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", StabilityWarning)  # in a worker too
            found = diffusions.HomogenizedSGD(problem, 1e-3).moment_threshold(order, PRECISION, seed)
    except (OutOfReach, NoStationaryLaw):
        return math.nan, math.nan
    return float(found.value), float(found.error)


def _line(
    problem: Any, limit: dict[float, tuple[float, float]], seed: int, options: dict[str, Any], batch_size: int
) -> Any:
    import xarray

    found: dict[str, list[float]] = {f"{side}{end}": [] for side in SIDES for end in ("", "_error")}
    sgd = discrete.SGD(problem, 1e-3, int(batch_size))
    for order in ORDERS:
        try:
            threshold = sgd.moment_threshold(order, seed=seed, **options)
            value, error = threshold.value, threshold.error
        except InvalidInput:
            value, error = math.nan, math.nan
        for name, number in zip(found, (value, error, limit[order][0] * batch_size, limit[order][1] * batch_size)):
            found[name].append(float(number))
    return xarray.Dataset({name: ("order", values) for name, values in found.items()}, {"order": list(ORDERS)})


def _cell(
    problem: Any, last: tuple[float, float], highest: float, seed: int, options: dict[str, Any], batch_size: int,
    step_size: float,
) -> dict[str, float | str]:  # fmt: skip
    start = time.process_time()
    sgd = discrete.SGD(problem, float(step_size), int(batch_size))
    found = _entries("sgd", lambda: index_near(sgd, highest, seed=seed, **options), highest)
    limit = diffusions.HomogenizedSGD.of(sgd)
    found |= _entries("homogenized", lambda: _limit_index(limit, last, highest), highest)
    return found | {"seconds": time.process_time() - start}


def _limit_index(limit: diffusions.HomogenizedSGD, last: tuple[float, float], highest: float) -> TailIndex:
    """Of homogenized SGD, without populations: where the spectrum does not resolve it, its bounds."""
    noise = linear_noise(limit)
    assert isinstance(noise, LinearNoise)  # as of all its problems
    found = isotropic_index(noise) if noise.isotropic else _unlike_index(limit, noise, last, highest)
    return at_rest(found, "X_t") if noise_dies(limit) else found


def _unlike_index(
    limit: diffusions.HomogenizedSGD, noise: LinearNoise, last: tuple[float, float], highest: float
) -> TailIndex:
    """Of directions that are not alike."""
    if limit.quadratic.curvatures.min() < 0:  # the noise may hold what the drift drives away, but nothing bounds it
        found = spectral_index(noise, PRECISION)
        if found is None or found.error > GOOD * found.index:
            raise OutOfReach("the spectrum does not resolve the index, and with a negative curvature nothing bounds it")
        return found
    h = limit.quadratic.eigenvalues
    bounds = homogenized_bounds(h[h > 0], noise.rates, float(limit.step_size), limit.batch_size)
    scaled, error = (limit.batch_size * number for number in last)
    if limit.step_size >= scaled - error:
        if limit.step_size > scaled + error:
            raise PositiveLyapunovExponent(f"the last step size with a stationary law is {scaled:.4g} +- {error:.2g}")
        raise OutOfReach(f"whether there is a stationary law is not told: the last step size with one is {scaled:.4g}")
    found = spectral_index(noise, PRECISION) if bounds.lower < FAR * highest else None
    if found is not None and found.error <= GOOD * found.index:
        return found
    middle, half = (bounds.lower + bounds.upper) / 2, (bounds.upper - bounds.lower) / 2
    return TailIndex(middle, half, "bounds", note="between proved bounds, which are all that is known here")


def _entries(side: str, find: Callable[[], TailIndex], highest: float) -> dict[str, float | str]:
    index = lower = upper = math.nan
    note = ""
    try:
        found = find()
        index, lower, upper, note = found.index, found.lower, found.upper, found.note
        region = LIGHT if index > highest else HEAVY
    except NoStationaryLaw as error:
        exponent, note = getattr(error, "lyapunov_exponent", math.nan), str(error)
        region = UNKNOWN if exponent < 0 else NO_LAW  # below 0 where it could not be told from 0
    except InvalidInput as error:
        above, index = getattr(error, "above", math.nan), getattr(error, "about", math.nan)
        region, note = LIGHT if above >= highest else UNKNOWN, str(error)
        lower = above if region == LIGHT else math.nan
    return {
        side: index, f"{side}_lower": lower, f"{side}_upper": upper, f"{side}_region": region, f"{side}_notes": note,
    }  # fmt: skip
