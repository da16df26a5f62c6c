"""Tail index of a diffusion whose noise is linear in its state at infinity: the root of its moment exponents.

Lambda(p) (`moment_exponents`) is convex with Lambda(0) = 0. Its slope at 0 is the Lyapunov exponent; where that is
below zero a stationary law exists, and its tail index is the second root of Lambda. Derived.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from . import planar_diffusion
from .direction_spaces import FEW, Pencil, Space
from .errors import PositiveLyapunovExponent
from .moment_exponents import LinearNoise
from .quadratic_noise import QuadraticNoise
from .tail_index import TailIndex

Choose = Callable[[np.ndarray, np.ndarray], np.ndarray]
MOST_BY_EIGENVALUES = 60  # functions up to which all eigenvalues are found
ROUNDING = 1e-12  # relative, of a root where degrees agree
MOST_BELOW_ZERO = 0.1  # of a function's largest value, that a positive function may fall below zero
MOST_SHARE = 0.9  # of a change in the next one, in what is taken for a geometric series
SAFETY = 3.0  # of the error: spectra far apart converge more slowly than the last two changes show
LOOKS = 256  # random directions in which a function is looked at
CLOSE = 1e-7  # relative error of polynomials in two modes, past which panels are tried
STEPS = 12  # of Newton's method
SHIFT = 1e-10  # relative: what makes a singular matrix regular in inverse iteration


@dataclass(frozen=True)
class Root:
    """What one space gives: the root, and how far below zero the values of its eigenfunction fall."""

    space: Space
    index: float
    positivity: float


def isotropic_index(noise: LinearNoise | QuadraticNoise) -> TailIndex:
    """In closed form, where all directions are alike or there is one."""
    index, lyapunov = noise.isotropic_index(), noise.isotropic_slope()
    if lyapunov >= 0:
        raise no_law(lyapunov)
    if index == math.inf:
        why = "the noise does not grow with the state, so that all moments are finite"
        return TailIndex(index, 0.0, "closed form, one dimension", lyapunov, note=why)
    method = "closed form, one dimension" if noise.dimension == 1 else "closed form, all directions alike"
    return TailIndex(index, 4 * np.finfo(float).eps * max(index, noise.dimension), method, lyapunov)


def spectral_index(noise: LinearNoise | QuadraticNoise, precision: float = 0.0) -> TailIndex | None:
    """By polynomials in the direction; in two modes, where these do not converge, by panels.

    Parameters
    ----------
    precision : float
        Relative change from one space to the next that is small enough; all digits by default.

    Raises
    ------
    PositiveLyapunovExponent
        If no stationary law exists.
    """
    if not (isinstance(noise, LinearNoise) and noise.dimension == 2):
        return polynomial_index(noise, precision)
    slope, doubt = planar_diffusion.lyapunov_exponent(noise)
    if slope >= doubt:
        raise no_law(slope)
    try:
        found = polynomial_index(noise, precision)
    except PositiveLyapunovExponent:
        found = None  # by an exponent that is less well known
    if found is None or found.error > max(CLOSE, SAFETY * precision) * found.index:
        root = planar_diffusion.planar_root(noise)
        if math.isfinite(root.error) and (found is None or root.error < found.error):
            found = TailIndex(root.index, root.error, "spectral: panels in the logarithm of the ratio of 2 coordinates")
    return None if found is None else replace(found, lyapunov_exponent=slope, lyapunov_error=doubt)


def polynomial_index(noise: LinearNoise | QuadraticNoise, precision: float = 0.0) -> TailIndex | None:
    """By Galerkin's method on directions, to rounding or as far as memory allows; None where it does not converge.

    The error is three times the change from the space before the last, or more.

    Raises
    ------
    PositiveLyapunovExponent
        If no stationary law exists: the root is not above zero by more than its error.
    """
    slopes: list[float] = []
    for choose in (_largest, _most_positive):
        found = _ladder(noise, choose, slopes, precision)
        if len(found) > 2 and found[-1].positivity > -MOST_BELOW_ZERO:
            break
    else:
        settled = len(slopes) > 1 and abs(slopes[-1] - slopes[-2]) < 0.1 * abs(slopes[-1])
        if settled and slopes[-1] > 0:
            raise no_law(slopes[-1])
        return None
    last, doubt = found[-1], float(abs(slopes[-1] - slopes[-2]))
    error = SAFETY * _change(found) + ROUNDING * max(1.0, abs(last.index))
    if last.index <= error:
        if slopes[-1] <= -doubt:
            return None
        raise no_law(slopes[-1])
    if slopes[-1] > SAFETY * doubt:
        return None  # a root above zero has a slope below zero: one of the two is not resolved
    method = f"spectral: {last.space.name}"
    return TailIndex(last.index, error, method, slopes[-1], doubt)


def no_law(exponent: float) -> PositiveLyapunovExponent:
    """The error that says so."""
    return PositiveLyapunovExponent(
        f"the Lyapunov exponent {exponent:.6g} per step is not below zero: paths do not settle and there is no "
        "stationary law, so no tail index; lower the step size or raise the batch size",
        lyapunov_exponent=exponent,
    )


def _ladder(
    noise: LinearNoise | QuadraticNoise, choose: Choose, slopes: list[float], precision: float
) -> list[Root]:  # fmt: skip
    """Roots of larger and larger spaces until they agree; Lyapunov exponents of the sure ones are put into the list."""
    found: list[Root] = []
    slopes.clear()
    tolerance = max(1e-11 if noise.dimension <= FEW else 1e-8, precision)
    for space in noise.spaces():
        pencil = noise.pencil(space.alpha)
        root = _root(pencil, space, found[-1].index if found else noise.search_start, not found, choose)
        if space.sure:
            slopes.append(_lyapunov_exponent(pencil))
        if root is None and not space.sure:
            break
        if root is None:
            found = []
            continue
        if not space.sure and len(found) > 2 and abs(root.index - found[-1].index) > 3 * _change(found):
            break  # rounding has taken over, or another eigenvalue
        found.append(root)
        if len(found) > 2 and _change(found) <= tolerance * max(1.0, abs(root.index)):
            break
    return found


def _change(found: list[Root]) -> float:
    """From the last space but one to the last, and what a geometric series of such changes has left.

    At least a tenth of the change before: one may be small by accident.
    """
    last, middle, first = (each.index for each in reversed(found[-3:]))
    change, before = abs(last - middle), abs(middle - first)
    share = min(change / before, MOST_SHARE) if before else 0.0
    return max(change, 0.1 * before, change * share / (1 - share))


def _root(pencil: Pencil, space: Space, p: float, first: bool, choose: Choose) -> Root | None:
    """Newton's method on Lambda(p) / p, which increases; None where it does not settle."""
    by_eigenvalues = space.sure and len(pencil.mass) <= MOST_BY_EIGENVALUES
    if first and not by_eigenvalues:
        return None
    d = space.alpha.shape[1]
    right = left = pencil.constant
    for step in range(3 * STEPS if first else STEPS):
        if by_eigenvalues:
            found = _eigenvalue(pencil, p, choose)
        else:
            found = nearest_eigenvalue(pencil, p, right, left, 6 if step == 0 else 1)
        if found is None:
            return None
        value, right, left = found
        slope = (left @ pencil.slope_at(p) @ right) / (left @ pencil.mass @ right)
        fall = slope - value / p  # p times the derivative of Lambda / p
        if not math.isfinite(fall) or fall <= 0:
            return None
        change = value / fall
        p -= change
        if not abs(p) < 1e8 or p < -d:
            return None
        if abs(change) <= ROUNDING * max(1.0, abs(p)) or abs(p) < 1e-9:
            break
    if abs(change) > 1e-6 * max(1.0, abs(p)):
        return None
    draws = np.random.Generator(np.random.Philox(5)).standard_normal((LOOKS, d))
    directions = draws / np.linalg.norm(draws, axis=1, keepdims=True)
    return Root(space, p, _positivity(pencil.functions(directions) @ right))


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


def nearest_eigenvalue(
    pencil: Pencil, p: float, right: np.ndarray, left: np.ndarray, rounds: int
) -> tuple[float, np.ndarray, np.ndarray] | None:
    """The eigenvalue nearest 0 by inverse iteration from both sides; the matrix is moved a little, off singularity."""
    from scipy.linalg import lu_factor, lu_solve

    matrix = pencil.at(p)
    if len(matrix) == 1:
        return float(matrix[0, 0] / pencil.mass[0, 0]), right, left
    factors = lu_factor(matrix - SHIFT * np.abs(matrix).max() / np.abs(pencil.mass).max() * pencil.mass)
    for _ in range(rounds):
        right = lu_solve(factors, pencil.mass @ right)
        left = lu_solve(factors, pencil.mass.T @ left, trans=1)
        if not (np.isfinite(right).all() and np.isfinite(left).all()):
            return None
        right, left = right / right[np.argmax(np.abs(right))], left / left[np.argmax(np.abs(left))]
    return float((left @ matrix @ right) / (left @ pencil.mass @ right)), right, left


def _lyapunov_exponent(pencil: Pencil) -> float:
    """Slope of Lambda at 0, where 1 is the eigenfunction."""
    constant = pencil.constant
    found = nearest_eigenvalue(pencil, 0.0, constant, constant, 4)
    if found is None:
        return math.nan
    _, _, left = found
    return float((left @ pencil.slope_at(0.0) @ constant) / (left @ pencil.mass @ constant))
