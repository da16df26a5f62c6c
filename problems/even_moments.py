"""What a user sees of moments E |x - minimiser|^p of even order, of anything whose equations close on least squares."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.ensembles.blas_threads import one_blas_thread
from sgdlimits.ensembles.initial import initial_state, moment_steps
from sgdlimits.ensembles.results import even_moments_dataset
from sgdlimits.exact.errors import InvalidInput, whole_number
from sgdlimits.exact.even_moments import EvenMoments

from .quadratic import QuadraticProblem

if TYPE_CHECKING:
    import xarray

HIGHEST = 64  # order


def even_order(order: Any) -> int:
    """The highest order that is asked for."""
    order = whole_number("order", order, 2, HIGHEST)
    if order % 2:
        raise InvalidInput(f"order is {order}, but moments close for even orders: take {order - 1} or {order + 1}")
    return order


def even_moments(
    problem: QuadraticProblem, equations: Callable[[], EvenMoments], x0: Any, steps: int,
    record: int | Sequence[int] | None, attributes: Mapping[str, Any],
    clock: Callable[[np.ndarray], np.ndarray | None],
) -> xarray.Dataset:  # fmt: skip
    """Moments from a point, or averaged over points, with growth and stationary values.

    Raises
    ------
    InvalidInput
        If x0 is a law, or an argument cannot be used.
    OutOfReach
        If it takes hours.
    """
    start = initial_state(x0, problem.dimension)
    if not isinstance(start, np.ndarray):
        raise InvalidInput("x0 is a Gaussian law, and these moments are known from points: pass an array (d,) or rows")
    kept = moment_steps(record, steps)
    points = np.atleast_2d(problem.to_modes(start))[:, problem.eigenvalues > 0]
    with one_blas_thread():
        found = equations()
        moments, stationary, rates = found.at(points, kept).T, found.stationary, found.rates
    return even_moments_dataset(kept, found.orders, moments, rates, stationary, attributes, clock(kept))
