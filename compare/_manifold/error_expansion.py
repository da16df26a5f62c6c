"""Terms of the error along a set of zero loss: what remains, in the step size, in the noise level."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..fits import Fit, exponent, fit, misfits
from ..rescaling import ROUNDING

TERMS = {  # powers of the step size and of the noise level
    "what remains": (0, 0), "step size": (1, 0), "noise level^2": (0, 2), "step size * noise level^2": (1, 2),
    "noise level^4": (0, 4), "step size^2": (2, 0),
}  # fmt: skip


def term(part: str, size: Any, level: Any) -> Any:
    """A term at step sizes and noise levels."""
    first, second = TERMS[part]
    return size**first * level**second


def columns_of(sizes: np.ndarray, levels: np.ndarray, more: int = 0) -> dict[str, np.ndarray]:
    """Terms (step sizes, noise levels) of the error that these ladders can tell apart, and so many further ones.

    One rung more than terms tells how well they fit, where there are more than two; further ones use it up.
    """
    size, level = np.meshgrid(sizes, np.nan_to_num(levels), indexing="ij")
    told = [name for name, (first, second) in TERMS.items() if len(sizes) > first and len(levels) > second / 2]
    spared = min(len(told), max(min(size.size, 2), size.size - 1))
    return {name: term(name, size, level) for name in told[: min(spared + more, size.size)]}


def fitting_columns(
    sizes: np.ndarray, levels: np.ndarray, errors: np.ndarray, uncertain: np.ndarray
) -> dict[str, np.ndarray]:
    """Terms of errors (step sizes, noise levels, times, observables): further ones where the first are seen to misfit.

    Without them what remains is off by what the ladder bends, and no number of paths tells.
    """
    values, spreads = (array.reshape(len(sizes) * len(levels), -1) for array in (errors, uncertain))
    columns = columns_of(sizes, levels)
    for more in range(1, len(TERMS)):
        matrix = matrix_of(columns)
        if not any(misfits(fit(matrix, *pair), values.shape[1]) for pair in zip(values.T, spreads.T)):
            break
        columns = columns_of(sizes, levels, more)
    return columns


def matrix_of(columns: dict[str, np.ndarray]) -> np.ndarray:
    """Terms as columns (rungs, parts), the constant first."""
    return np.stack([column.ravel() for column in columns.values()], axis=1)


def expanded(
    columns: np.ndarray, sizes: np.ndarray, errors: np.ndarray, uncertain: np.ndarray, values: np.ndarray,
    off_set: bool,
) -> dict[str, np.ndarray]:
    """Parts of errors (step sizes, noise levels, observables) of `values` of that size, and the order in the step size.

    `columns` (rungs, parts) are the terms. No order of what is rounding, or where a part in the noise level, `off_set`,
    does not vanish with the step size.
    """
    count = errors.shape[2]
    parts: list[Fit] = []
    slopes = np.full((2, count), np.nan)
    for i in range(count):
        error, spread = errors[:, :, i], uncertain[:, :, i]
        parts.append(fit(columns, error.ravel(), spread.ravel()))
        rounding = ROUNDING * float(np.abs(values[:, :, i]).max())
        clear = np.abs(error[:, 0]) > np.maximum(3 * spread[:, 0], rounding)
        if not off_set and clear.all() and len(sizes) > 1 and len(set(np.sign(error[:, 0]))) == 1:
            line = exponent(sizes, np.abs(error[:, 0]), spread[:, 0])
            slopes[:, i] = line.coefficients[0], line.errors[0]
    return {
        "coefficient": np.stack([part.coefficients for part in parts], axis=1),
        "coefficient_error": np.stack([part.errors for part in parts], axis=1),
        "reduced_chi2": np.array([part.reduced_chi2 for part in parts]),
        "order": slopes[0],
        "order_error": slopes[1],
    }
