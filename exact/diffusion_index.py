"""Tail index of a diffusion whose noise is linear in its state at infinity: the root of its moment exponents.

Lambda(p) (`moment_exponents`) is convex with Lambda(0) = 0. Its slope at 0 is the Lyapunov exponent; where that is
below zero a stationary law exists, and its tail index is the second root of Lambda. Derived.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .errors import PositiveLyapunovExponent
from .moment_exponents import Forms, LinearNoise, Pencil
from .tail_index import TailIndex

Choose = Callable[[np.ndarray, np.ndarray], np.ndarray]
Solve = Callable[[np.ndarray], np.ndarray]
DEGREES = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 40, 48)
MOST_ENTRIES = 2.5e7  # of the largest matrix of a degree: 200 MB, seconds
MOST_MODES = 20  # beyond, forms of degree 2 are too many
SURE_DEGREE = 12  # beyond, the Gram matrix of the forms is singular to rounding; the root is not moved by that
MOST_BY_EIGENVALUES = 200  # unknowns up to which all eigenvalues are found
ROUNDING = 1e-12  # relative, of a root where degrees agree
MOST_BELOW_ZERO = 0.1  # of a function's largest value, that a positive function may fall below zero
MOST_SHARE = 0.9  # of a change in the next one, in what is taken for a geometric series
SAFETY = 3.0  # of the error: spectra far apart converge more slowly than the last two changes show
LOOKS = 256  # random directions in which a function is looked at
STEPS = 12  # of Newton's method


def close_enough(dimension: int) -> float:
    """Relative change between two degrees at which no further one is taken."""
    return 1e-11 if dimension <= 3 else 1e-8 if dimension <= 5 else 1e-5


@dataclass(frozen=True)
class Root:
    """What one degree gives: the root, and the coefficients of its eigenfunction."""

    degree: int
    index: float
    right: np.ndarray


def isotropic_index(noise: LinearNoise) -> TailIndex:
    """In closed form, where all directions are alike or there is one."""
    index, lyapunov = noise.isotropic_index(), noise.isotropic_slope()
    if lyapunov >= 0:
        raise no_law(lyapunov)
    method = "closed form, one dimension" if noise.dimension == 1 else "closed form, all directions alike"
    return TailIndex(index, 4 * np.finfo(float).eps * max(index, noise.dimension), method, lyapunov)


def spectral_index(noise: LinearNoise) -> TailIndex | None:
    """By Galerkin's method on directions, to rounding or as far as memory allows; None where it does not converge.

    The error is the change from the degree before the last or more, which is several times what is left.

    Raises
    ------
    PositiveLyapunovExponent
        If no stationary law exists: the root is not above zero by more than its error.
    """
    if noise.dimension > MOST_MODES:
        return None
    exponents: list[float] = []
    for choose in (_largest, _most_positive):
        found = _ladder(noise, choose, exponents)
        if len(found) > 2 and _positivity(_values(noise.dimension, found[-1])) > -MOST_BELOW_ZERO:
            break
    else:
        settled = len(exponents) > 1 and abs(exponents[-1] - exponents[-2]) < 0.1 * abs(exponents[-1])
        if settled and exponents[-1] > 0:
            raise no_law(exponents[-1])
        return None
    index, error = found[-1].index, SAFETY * _change(found) + ROUNDING * max(1.0, abs(found[-1].index))
    if index <= error:
        raise no_law(exponents[-1])
    method = f"spectral: forms of degree {found[-1].degree} in the squares of {noise.dimension} coordinates"
    return TailIndex(index, error, method, exponents[-1], float(abs(exponents[-1] - exponents[-2])))


def _ladder(noise: LinearNoise, choose: Choose, exponents: list[float]) -> list[Root]:
    """Roots of increasing degree until they agree; Lyapunov exponents of the sure degrees are put into the list."""
    forms = Forms(noise.dimension)
    found: list[Root] = []
    exponents.clear()
    for degree in DEGREES:
        if float(forms.size(degree)) * forms.size(degree + 2) > MOST_ENTRIES:
            break
        pencil = noise.pencil(degree)
        root = _root(pencil, noise, found[-1] if found else None, choose)
        if degree <= SURE_DEGREE:
            exponents.append(_lyapunov_exponent(pencil))
        if root is None and degree > SURE_DEGREE:
            break
        if root is None:
            found = []
            continue
        if degree > SURE_DEGREE and len(found) > 2 and abs(root.index - found[-1].index) > 3 * _change(found):
            break  # rounding has taken over, or another eigenvalue
        found.append(root)
        if len(found) > 2 and _change(found) <= close_enough(noise.dimension) * max(1.0, abs(root.index)):
            break
    return found


def _values(dimension: int, root: Root) -> np.ndarray:
    """Of the eigenfunction in random directions; of coefficients, those that rounding leaves free would show too."""
    draws = np.random.Generator(np.random.Philox(5)).standard_normal((LOOKS, dimension)) ** 2
    logs = np.log(draws / draws.sum(axis=1, keepdims=True)) @ Forms(dimension).exponents(root.degree).T
    return np.exp(logs + Forms(dimension).log_multinomials(root.degree)) @ root.right


def _change(found: list[Root]) -> float:
    """From the last degree but one to the last, and what a geometric series of such changes has left.

    At least a tenth of the change before: one may be small by accident.
    """
    last, middle, first = (each.index for each in reversed(found[-3:]))
    change, before = abs(last - middle), abs(middle - first)
    share = min(change / before, MOST_SHARE) if before else 0.0
    return max(change, 0.1 * before, change * share / (1 - share))


def no_law(exponent: float) -> PositiveLyapunovExponent:
    """The error that says so."""
    return PositiveLyapunovExponent(
        f"the Lyapunov exponent {exponent:.6g} per step is not below zero: paths do not settle and there is no "
        "stationary law, so no tail index; lower the step size or raise the batch size",
        lyapunov_exponent=exponent,
    )


def _root(pencil: Pencil, noise: LinearNoise, before: Root | None, choose: Choose) -> Root | None:
    """Newton's method on Lambda(p) / p, which increases; None where it does not settle on a positive eigenfunction."""
    size = len(pencil.mass)
    by_eigenvalues = pencil.degree <= SURE_DEGREE and size <= MOST_BY_EIGENVALUES
    if before is None and not by_eigenvalues:
        return None
    p = max(noise.coordinate_bound, 0.5) if before is None else before.index
    right, left = np.ones(size), np.ones(size)
    if before is not None:
        right = _raised(before.right, noise.dimension, before.degree, pencil.degree)
    for step in range(STEPS if before is not None else 3 * STEPS):
        if by_eigenvalues:
            found = _eigenvalue(pencil, p, choose)
        else:
            found = _nearest(pencil, p, right, left, 4 if step == 0 else 1)
        if found is None:
            return None
        value, right, left = found
        weight = left @ pencil.mass @ right
        slope = (left @ pencil.slope_at(p) @ right) / weight
        # d/dp of Lambda / p is (slope - Lambda / p) / p.
        fall = slope - value / p
        if not math.isfinite(fall) or fall <= 0:
            return None
        change = value / fall
        p -= change
        if not abs(p) < 1e8 or p < -noise.dimension:
            return None
        if abs(change) <= ROUNDING * max(1.0, abs(p)) or abs(p) < 1e-9:
            break
    if abs(change) > 1e-6 * max(1.0, abs(p)):
        return None
    return Root(pencil.degree, p, right)


def _largest(values: np.ndarray, functions: np.ndarray) -> np.ndarray:
    """Of the real parts: Perron's choice, right where the degree resolves every function."""
    return values.real


def _most_positive(values: np.ndarray, functions: np.ndarray) -> np.ndarray:
    """The function that is positive, or nearest to it: unresolved ones may have larger eigenvalues."""
    return np.array([_positivity(function) for function in functions.real.T])


def _positivity(function: np.ndarray) -> float:
    """Least entry over the one of largest size."""
    return float((function / function[np.argmax(np.abs(function))]).min())


def _eigenvalue(pencil: Pencil, p: float, choose: Choose) -> tuple[float, np.ndarray, np.ndarray] | None:
    """An eigenvalue of all, with its eigenvectors on both sides; None where it is not real."""
    from scipy.linalg import eig

    values, left, right = eig(pencil.at(p), pencil.mass, left=True, right=True)
    finite = np.isfinite(values)
    if not finite.any():
        return None
    place = int(np.argmax(np.where(finite, choose(values, right), -np.inf)))
    if abs(values[place].imag) > 1e-9 * np.abs(values[finite]).max():
        return None
    return float(values[place].real), right[:, place].real, left[:, place].real


def _nearest(
    pencil: Pencil, p: float, right: np.ndarray, left: np.ndarray, rounds: int
) -> tuple[float, np.ndarray, np.ndarray] | None:
    """The eigenvalue nearest 0 by inverse iteration from both sides."""
    matrix = pencil.at(p)
    solve, solve_left = _solvers(matrix, pencil.mass)
    for _ in range(rounds):
        right, left = solve(pencil.mass @ right), solve_left(pencil.mass.T @ left)
        if not (np.isfinite(right).all() and np.isfinite(left).all()):
            return None
        right, left = right / right[np.argmax(np.abs(right))], left / left[np.argmax(np.abs(left))]
    return float((left @ matrix @ right) / (left @ pencil.mass @ right)), right, left


def _solvers(matrix: np.ndarray, mass: np.ndarray) -> tuple[Solve, Solve]:
    """Solutions with a matrix that may be singular, moved a little, and with its transpose."""
    from scipy.linalg import lu_factor, lu_solve

    factors = lu_factor(matrix - 1e-10 * np.abs(matrix).max() / np.abs(mass).max() * mass)
    return (lambda v: lu_solve(factors, v)), (lambda v: lu_solve(factors, v, trans=1))


def _lyapunov_exponent(pencil: Pencil) -> float:
    """Slope of Lambda at 0, where N^n is the eigenfunction: all its coefficients are 1."""
    matrix, ones = pencil.at(0.0), np.ones(len(pencil.mass))
    _, solve_left = _solvers(matrix, pencil.mass)
    left = ones
    for _ in range(4):
        left = solve_left(pencil.mass.T @ left)
        left = left / left[np.argmax(np.abs(left))]
    return float((left @ pencil.slope_at(0.0) @ ones) / (left @ pencil.mass @ ones))


def _raised(coefficients: np.ndarray, dimension: int, degree: int, into: int) -> np.ndarray:
    """Coefficients of N^(into - degree) Q."""
    forms, ones = Forms(dimension), np.ones(dimension)
    for n in range(degree, into):
        coefficients = forms.product(n, ones) @ coefficients
    return coefficients
