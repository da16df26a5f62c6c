"""Least squares with known errors, and exponents with intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sgdlimits.exact.errors import InvalidInput

MISFIT = 0.01


@dataclass(frozen=True)
class Fit:
    """Least squares with known errors.

    Attributes
    ----------
    coefficients, errors : (p,) arrays
        Standard errors, enlarged by the root of chi-square over degrees of freedom where that exceeds one.
    reduced_chi2 : float
        Chi-square over degrees of freedom; nan without any.
    weights : (p, n) array
        coefficients = weights @ values.
    """

    coefficients: np.ndarray
    errors: np.ndarray
    reduced_chi2: float
    weights: np.ndarray


def fit(columns: np.ndarray, values: np.ndarray, errors: np.ndarray) -> Fit:
    """Fit values (n,) by columns (n, p), weighted by standard errors (n,); zeros count as errors of rounding."""
    count, width = columns.shape
    if count < width:
        raise InvalidInput(f"{width} coefficients cannot be fitted to {count} measurements: lengthen the ladder")
    floor = max(1e-9 * float(np.abs(values).max()), 1e-6 * float(np.max(errors)), np.finfo(float).tiny)
    weights = 1 / np.maximum(errors, floor)
    sizes = np.maximum(np.abs(columns).max(axis=0), np.finfo(float).tiny)
    left, singular, right = np.linalg.svd(columns / sizes * weights[:, None], full_matrices=False)
    if singular[-1] <= 1e-10 * singular[0]:
        raise InvalidInput("the ladder does not tell the terms of the error apart: add step sizes or noise levels")
    inverse = right.T / singular
    linear = inverse @ (left.T * weights) / sizes[:, None]
    coefficients = linear @ values
    residual = (values - columns @ coefficients) * weights
    reduced_chi2 = float(residual @ residual) / (count - width) if count > width else np.nan
    scale = np.sqrt(max(1.0, reduced_chi2)) if count > width else 1.0
    return Fit(coefficients, scale * np.sqrt(np.square(inverse).sum(axis=1)) / sizes, reduced_chi2, linear)


def misfits(found: Fit, among: int = 1) -> bool:
    """Whether chi-square says so at 1 %, shared among so many fits by Bonferroni."""
    from scipy.stats import chi2

    spare = found.weights.shape[1] - found.weights.shape[0]
    return bool(spare and chi2.sf(spare * found.reduced_chi2, spare) < MISFIT / among)


def exponent(x: np.ndarray, values: np.ndarray, errors: np.ndarray, bias_order: float | None = None) -> Fit:
    """Fit log values = c + q log x, or c + q log x + b x^bias_order from four rungs on: [q, c] or [q, c, b].

    With the bias, q is the exponent as x goes to zero.
    """
    columns = [np.log(x), np.ones_like(x)]
    if bias_order is not None and len(x) > 3:
        columns.append(x**bias_order)
    return fit(np.stack(columns, axis=1), np.log(values), errors / values)


def power(x: np.ndarray, values: np.ndarray, errors: np.ndarray) -> tuple[float, float]:
    """Fit values = c x^q, or c x^q (1 + b x) from four rungs on, with standard errors: q and its standard error.

    With b, q is the exponent as x goes to zero. Not on a logarithmic scale, on which a value near its error has no
    interval. The error is enlarged by the root of chi-square over degrees of freedom where that exceeds one. nan where
    fewer than two values are twice their errors, or there are fewer than three.
    """
    from scipy.optimize import least_squares

    sign = float(np.sign(values[np.argmax(np.abs(values) / errors)]))
    known = sign * values > 2 * errors
    if known.sum() < 2 or values.size < 3:
        return math.nan, math.nan
    scaled, bent = np.log(x / np.exp(np.mean(np.log(x)))), values.size > 3
    slope, level = np.polyfit(scaled[known], np.log(np.abs(values[known])), 1)

    def residuals(p: np.ndarray) -> np.ndarray:
        found = sign * np.exp(p[1] + p[0] * scaled)
        return (found * (1 + p[2] * x if bent else 1.0) - values) / errors

    found = least_squares(residuals, np.array([slope, level, 0.0])[: 2 + bent], xtol=1e-12, ftol=1e-12, gtol=1e-12)
    spread = np.linalg.svd(found.jac, compute_uv=False)
    if not spread[-1] > 1e-10 * spread[0]:
        return math.nan, math.nan
    variance = np.linalg.inv(found.jac.T @ found.jac)[0, 0]
    excess = float(found.fun @ found.fun) / (values.size - found.x.size)
    return float(found.x[0]), float(np.sqrt(variance * max(1.0, excess)))


def leading_constant(x: np.ndarray, values: np.ndarray, errors: np.ndarray, order: float) -> tuple[float, float]:
    """Fit values = c x^order + b x^(order + 1): c and its standard error."""
    found = fit(np.stack([x**order, x ** (order + 1)], axis=1), values, errors)
    return float(found.coefficients[0]), float(found.errors[0])
