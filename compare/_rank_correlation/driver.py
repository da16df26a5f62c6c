"""compare.rank_correlation: the grid's cells, and the correlation of index and error with intervals and verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.exact.errors import InvalidInput, instance_of, one_of, seed_number, whole_number

from ..estimates import confidence_level
from ..results import labelled
from .correlations import KENDALL, SPEARMAN, Correlation, with_intervals
from .result import AXES, RankCorrelation

if TYPE_CHECKING:
    import xarray

FEWEST = 8  # cells
PREFIX, RESAMPLED = "shape_", "_resampled"


def rank_correlation(
    grid: xarray.Dataset,
    *,
    error: str = "test_error",
    given: Sequence[str] = ("training_risk",),
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> RankCorrelation:
    """Rank correlation of tail index and test error over the cells of a grid: do heavier tails generalise better?

    Spearman's and Kendall's, for each estimator of the index, plain and at equal ranks of what else differs from cell
    to cell: a larger step size makes tails heavier and has trained further.

    Parameters
    ----------
    grid : xarray.Dataset
        What `studies.sweep` of `index_and_test_error` gives, or any dataset over cells with shape_NAME (1 / index) and
        the error; NAME_resampled with one more dimension holds resamples over runs. Cells without numbers are left out.
    error : str
        Its variable: "test_error", "test_risk".
    given : names of variables, or of dimensions of the grid
        One partial correlation each. Empty: plain ones alone.
    resamples : int
        Of runs, from those that the cells hold.
    confidence : float
        Of each interval.
    seed : int

    Returns
    -------
    RankCorrelation

    Raises
    ------
    InvalidInput
        If the grid has no such variables, or fewer than 8 cells with numbers.

    Notes
    -----
    Two intervals: over cells, were others drawn like them (jackknife of Fisher's transform, at least as wide as of
    independent ranks), and over runs, were the same cells run again (bootstrap). The verdict stands on the hull of
    both: it holds or fails only where neither the choice of cells nor the noise of runs could turn it. Cells of a grid
    are neighbours, no independent draws; what they share is what `given` takes out, whose own noise
    over runs is not counted.
    """
    import xarray as xr

    instance_of("grid", grid, xr.Dataset, "pass what studies.sweep returned")
    names = [
        str(name)[len(PREFIX) :] for name in grid.data_vars if str(name).startswith(PREFIX)
        and not str(name).endswith(RESAMPLED)
    ]  # fmt: skip
    if not names:
        raise InvalidInput("the grid has no variable shape_NAME, 1 / index: sweep index_and_test_error")
    one_of("error", error, [str(name) for name in grid.data_vars])
    level, seed = confidence_level(confidence), seed_number(seed)
    resamples = whole_number("resamples", resamples, 100)
    dims = grid[error].dims
    controls = {name: _column(grid, one_of("given", name, [*map(str, grid.data_vars), *map(str, dims)]), dims)
                for name in given}  # fmt: skip
    rows, used = [], []
    for name in names:
        for control, values in {"": None, **controls}.items():
            sides = _sides(grid, name, error, dims, values)
            used.append(sides.cells)
            for method in (SPEARMAN, KENDALL):
                found = with_intervals(
                    sides.index, sides.error, sides.given, method, level, resamples, seed, sides.shapes, sides.errors
                )
                rows.append((name, method, control, sides.cells, _of_the_index(found)))
    attributes = {
        "error": error, "confidence": level, "resamples": resamples, "seed": seed,
        "cells": int(np.prod([grid.sizes[dim] for dim in dims])), "fewest": int(min(used)),
        "over": ", ".join(map(str, dims)),
    }  # fmt: skip
    result = RankCorrelation(labelled(_record(rows), AXES, {}, attributes))
    pairs = {name: _sides(grid, name, error, dims, None) for name in names}
    return replace(result, dataset=result.dataset.assign(_pairs(pairs, level)))


def _of_the_index(found: Correlation) -> Correlation:
    """Of the index, whose ranks are those of 1 / index turned round."""
    turned = {name: tuple(-end for end in reversed(getattr(found, name))) for name in ("of_cells", "of_runs")}
    return Correlation(-found.value, -found.upper, -found.lower, turned["of_cells"], turned["of_runs"])


def _column(grid: Any, name: str, dims: tuple[Any, ...]) -> np.ndarray:
    """A variable or a dimension of the grid, flat over cells."""
    values = grid[name].broadcast_like(grid[dims[0]]) if name in grid.data_vars else grid[name]
    shape = [grid.sizes[dim] for dim in dims]
    missing = {dim: grid.sizes[dim] for dim in dims if dim not in values.dims}
    found = values.expand_dims(missing).transpose(*dims).values
    try:
        return np.broadcast_to(found, shape).astype(float).ravel()
    except ValueError:
        raise InvalidInput(f"{name} holds texts, whose ranks mean nothing: leave it out of given") from None


def _sides(grid: Any, name: str, error: str, dims: tuple[Any, ...], given: np.ndarray | None) -> Any:
    """Shape, error and their resamples over the cells that have numbers."""
    index, wrong = _column(grid, PREFIX + name, dims), _column(grid, error, dims)
    known = np.isfinite(index) & np.isfinite(wrong)
    if given is not None:
        known &= np.isfinite(given)
    if known.sum() < FEWEST:
        raise InvalidInput(
            f"{int(known.sum())} of {known.size} cells have an index by {name} and an error, at least {FEWEST} are "
            "needed: sweep more cells, or step sizes at which runs do not leave the range of numbers"
        )
    shapes, errors = (_resampled(grid, variable, dims) for variable in (PREFIX + name + RESAMPLED, error + RESAMPLED))
    if shapes is not None and errors is not None:
        shapes, errors = shapes[known], errors[known]
        whole = (np.isfinite(shapes) & np.isfinite(errors)).all(axis=0)
        shapes, errors = (shapes[:, whole], errors[:, whole]) if whole.sum() >= FEWEST else (None, None)
    else:
        shapes = errors = None
    return SimpleNamespace(
        index=index[known], error=wrong[known], given=None if given is None else given[known], shapes=shapes,
        errors=errors, cells=int(known.sum()),
    )  # fmt: skip


def _resampled(grid: Any, name: str, dims: tuple[Any, ...]) -> np.ndarray | None:
    """Resamples (cells, B), where the grid holds them."""
    if name not in grid.data_vars:
        return None
    further = [dim for dim in grid[name].dims if dim not in dims]
    values = np.asarray(grid[name].transpose(*dims, *further).values, dtype=float)
    return values.reshape(int(np.prod(values.shape[: len(dims)])), -1)


def _record(rows: list[Any]) -> Any:
    def column(values: Any, kind: Any) -> np.ndarray:
        return np.array(list(values), dtype=kind)

    found = [row[4] for row in rows]
    return SimpleNamespace(
        estimator=column((row[0] for row in rows), object), method=column((row[1] for row in rows), object),
        given=column((row[2] for row in rows), object), cells=column((row[3] for row in rows), int),
        value=column((each.value for each in found), float), lower=column((each.lower for each in found), float),
        upper=column((each.upper for each in found), float),
        cells_lower=column((each.of_cells[0] for each in found), float),
        cells_upper=column((each.of_cells[1] for each in found), float),
        runs_lower=column((each.of_runs[0] for each in found), float),
        runs_upper=column((each.of_runs[1] for each in found), float),
    )  # fmt: skip


def _pairs(pairs: dict[str, Any], level: float) -> dict[str, Any]:
    """Shape and error of each estimator's cells with intervals over runs, for the picture; nan fills shorter ones."""
    longest = max(sides.cells for sides in pairs.values())

    def filled(values: np.ndarray) -> np.ndarray:
        return np.concatenate([values, np.full(longest - values.size, np.nan)])

    def ends(values: str, resampled: str, side: int) -> np.ndarray:
        """Lower or upper ends over resamples of a cell's runs; nan without them."""
        found, tail = [], (1 - level) / 2
        for sides in pairs.values():
            drawn, end = getattr(sides, resampled), np.full(sides.cells, np.nan)
            if drawn is not None:
                end = np.quantile(drawn, (tail, 1 - tail)[side], axis=1)
                end = (np.minimum, np.maximum)[side](end, getattr(sides, values))
            found.append(filled(end))
        return np.stack(found)

    return {
        "pair_estimator": ("of", np.array(list(pairs), dtype=object)),
        "shape": (("of", "cell"), np.stack([filled(sides.index) for sides in pairs.values()])),
        "error_of_cell": (("of", "cell"), np.stack([filled(sides.error) for sides in pairs.values()])),
        "shape_lower": (("of", "cell"), ends("index", "shapes", 0)),
        "shape_upper": (("of", "cell"), ends("index", "shapes", 1)),
        "error_lower": (("of", "cell"), ends("error", "errors", 0)),
        "error_upper": (("of", "cell"), ends("error", "errors", 1)),
    }
