"""The largest Hessian eigenvalue of what is descended, which says where gradient descent ceases to be stable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sgdlimits.ensembles.blas_threads import one_blas_thread
from sgdlimits.ensembles.random import Noise, Purpose
from sgdlimits.exact.errors import InvalidInput, OutOfReach, finite_array, instance_of, kind, positive
from sgdlimits.exact.numerical_derivatives import bend_along
from sgdlimits.problems.problem import Problem

WHOLE = 24  # parameters up to which the Hessian is made column by column
VECTORS, FEW = 40, 12  # of the Lanczos basis, and where a coarse value is asked for
COARSE = 1e-3
PRODUCTS = 3000  # with the Hessian that are spent at most
NUDGE = 1e-5  # step of the second difference quotient, whose distance to the first is the error of a product


@dataclass(frozen=True, eq=False, repr=False)
class Sharpness:
    """The largest eigenvalue of the Hessian of what is descended, the ridge included.

    Attributes
    ----------
    value : float
    error : float
        |H v - value v| for the unit vector v that was found, which bounds the distance to an eigenvalue, and the error
        of a product with H: that of rounding, or, where products are differences of gradients, their distance to
        quotients of another order and step.
    direction : (d,) array
        v.
    sampling_error : float
        Standard error of <v, H v> as a mean over a stream's first samples; 0 where there is nothing else to be known.
        The largest eigenvalue of such a mean lies too high, by about d over the number of samples.
    products : int
        How many were taken.
    differences : bool
        Whether products were differences of gradients.
    """

    value: float
    error: float
    direction: np.ndarray
    sampling_error: float
    products: int
    differences: bool

    def __float__(self) -> float:
        return self.value

    def __repr__(self) -> str:
        sampling = f", sampling_error={self.sampling_error:.2g}" if self.sampling_error else ""
        return f"Sharpness({self.value:.7g}, error={self.error:.2g}{sampling}; {self.products} products)"


def sharpness(problem: Any, x: Any, tolerance: float = 1e-7) -> Sharpness:
    """The largest eigenvalue of the Hessian of what is descended at x; at a step size above 2 / value descent diverges.

    By the Lanczos method (`scipy.sparse.linalg.eigsh`) from a fixed random vector, for some thousands of parameters;
    of few parameters by the whole Hessian. Products are exact for least squares and for the package's predictors, else
    differences of gradients. What lies in the kinks of a ReLU is in no Hessian.

    Parameters
    ----------
    problem : any of `sgdlimits.problems` with a risk
    x : array (d,)
    tolerance : float
        Of |H v - value v|, relative to the value.

    Returns
    -------
    Sharpness

    Raises
    ------
    InvalidInput
        If an argument cannot be used, or a gradient is not finite at x.
    OutOfReach
        If the largest eigenvalues are too close for 3000 products.
    """
    instance_of("problem", problem, Problem, "a zero-loss model has hessian(w)")
    if not (problem.quadratic or problem.sampled):
        raise InvalidInput(f"{kind(problem)} has no gradients to take Hessians of")
    x = finite_array("x", x, shape=(problem.dimension,))
    tolerance = positive("tolerance", tolerance)
    taken = 0

    def product(direction: np.ndarray) -> np.ndarray:
        nonlocal taken
        taken += 1
        found = problem.hessian_product(x, direction) + problem.ridge * direction
        if not np.isfinite(found).all():
            raise InvalidInput("the Hessian at x is not finite: x lies outside the domain of the loss")
        return found

    with one_blas_thread():
        v = _by_columns(product, x.size) if x.size <= WHOLE else _by_lanczos(product, x.size, tolerance)
        bent = product(v)
        value = float(v @ bent)
        differences = not (problem.quadratic or problem.exact_hessians)
        error = float(np.linalg.norm(bent - value * v)) + 8 * np.finfo(float).eps * float(np.linalg.norm(bent))
        if differences:
            error += float(np.linalg.norm(bent - _quotient(problem, x, v)))
        return Sharpness(value, error, v, _sampling_error(problem, x, v), taken, differences)


def _by_columns(product: Any, d: int) -> np.ndarray:
    """Unit eigenvector (d,) of the largest eigenvalue, from the whole Hessian."""
    full = np.stack([product(e) for e in np.eye(d)], axis=1)
    return np.linalg.eigh((full + full.T) / 2)[1][:, -1]


def _by_lanczos(product: Any, d: int, tolerance: float) -> np.ndarray:
    from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

    start = Noise(0, np.arange(1), "float64").child("sharpness").normals(Purpose.INITIAL_STATE, 0, d)[0]
    first = product(start)
    if not first.any():
        return start / np.linalg.norm(start)
    operator = LinearOperator((d, d), matvec=lambda direction: product(np.ravel(direction)), dtype=np.float64)
    vectors = min(d, VECTORS if tolerance < COARSE else FEW)
    try:
        _, found = eigsh(
            operator, 1, which="LA", v0=start, ncv=vectors, tol=tolerance, maxiter=max(1, PRODUCTS // vectors)
        )
    except ArpackNoConvergence:
        raise OutOfReach(
            f"the largest eigenvalues of the Hessian at x are too close for {PRODUCTS} products with it: raise "
            f"tolerance={tolerance:g}"
        ) from None
    return found[:, 0] / np.linalg.norm(found)


def _quotient(problem: Any, x: np.ndarray, v: np.ndarray) -> np.ndarray:
    """H v by one difference quotient of second order, with a short step."""
    step = NUDGE * max(1.0, float(np.abs(x).max()))
    return (problem.gradient(x + step * v) - problem.gradient(x - step * v)) / (2 * step)


def _sampling_error(problem: Any, x: np.ndarray, v: np.ndarray) -> float:
    if problem.quadratic or not problem.endless:
        return 0.0
    rows = np.arange(problem.evaluated)[None]
    bends = bend_along(lambda point: problem.sample_values(point[None], rows)[0], x, v)
    return float(np.std(bends, ddof=1) / np.sqrt(bends.size))
