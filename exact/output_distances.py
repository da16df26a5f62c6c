"""How far apart two models are as functions: distances of their outputs at the same inputs.

Of models with small and equal losses both say whether these are the same function, not only equally good ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import InvalidInput, finite_array

ROUNDING = 1e-9  # by which probabilities may miss 1


def total_variation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Mean over inputs of half the l1 distance of class probabilities, between 0 and 1; a metric.

    Vyas et al. (2023) compare predictions by total variation; the mean over test inputs is our reading of it.

    Parameters
    ----------
    first, second : arrays (..., b, K)
        Probabilities of K classes at b inputs.

    Returns
    -------
    array (...)

    Raises
    ------
    InvalidInput
        If the shapes differ, or these are no probabilities.
    """
    pair = [_probabilities(name, each) for name, each in (("first", first), ("second", second))]
    _same_shapes(*pair)
    return 0.5 * np.abs(pair[0] - pair[1]).sum(axis=-1).mean(axis=-1)


def residual_correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """E[r1 r2] / (2 sqrt(L1 L2)) with L = E r^2 / 2: cosine of the residuals over the inputs, not centred.

    1: the same residuals up to a factor; of equal losses the mean square distance of the outputs is 4 L (1 - rho).

    Parameters
    ----------
    first, second : arrays (..., b)
        Output minus label at b inputs.

    Returns
    -------
    array (...)

    Raises
    ------
    InvalidInput
        If the shapes differ, or a model has no residuals at all.
    """
    pair = [finite_array(name, each) for name, each in (("first", first), ("second", second))]
    _same_shapes(*pair)
    sizes = [np.abs(each).max(axis=-1, keepdims=True) for each in pair]
    if not all(size.all() for size in sizes):
        raise InvalidInput(
            "a model fits every label exactly, so its residuals have no direction; compare at a loss above 0"
        )
    first, second = (each / size for each, size in zip(pair, sizes))  # squares of tiny residuals would underflow
    losses = [0.5 * np.square(each).mean(axis=-1) for each in (first, second)]
    return (first * second).mean(axis=-1) / (2 * np.sqrt(losses[0] * losses[1]))


def _probabilities(name: str, values: Any) -> np.ndarray:
    found = finite_array(name, values)
    if found.ndim < 2 or 0 in found.shape:
        raise InvalidInput(f"{name} must hold probabilities of shape (..., inputs, classes), got shape {found.shape}")
    off = float(np.abs(found.sum(axis=-1) - 1).max())
    if found.min() < 0 or off > ROUNDING:
        raise InvalidInput(
            f"{name} must hold probabilities, at least 0 and with sum 1, got {found.min():.3g} as the least and a sum "
            f"that misses 1 by {off:.3g}; take the softmax of the outputs first (Task.probabilities)"
        )
    return found


def _same_shapes(first: np.ndarray, second: np.ndarray) -> None:
    if first.shape != second.shape or not first.ndim:
        raise InvalidInput(
            f"both models must be seen at the same inputs, got arrays of shapes {first.shape} and {second.shape}"
        )
