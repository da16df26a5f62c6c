"""Singular values from eigenvalues, and means and quantiles of their logarithms over runs and batches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..estimates import half_width

ROUNDING = 1e-13  # of a logarithm

@dataclass(frozen=True, eq=False)
class Stretching:
    """Over (run, batch, step): singular values with errors. Over (end, step), (end, level, step): their logarithms."""

    sigma_max: np.ndarray
    sigma_min: np.ndarray
    sigma_max_error: np.ndarray
    sigma_min_error: np.ndarray
    lowest: np.ndarray
    highest: np.ndarray
    mean_log: np.ndarray
    mean_log_lower: np.ndarray
    mean_log_upper: np.ndarray
    quantile: np.ndarray
    quantile_lower: np.ndarray
    quantile_upper: np.ndarray
    straddling: np.ndarray
    both_sides: np.ndarray
    unresolved: np.ndarray
    products: np.ndarray
    step_size: np.ndarray


def statistics(values: np.ndarray, sizes: np.ndarray, levels: np.ndarray, confidence: float) -> Stretching:
    """From eigenvalues and their errors, (6, run, batch, step), and step sizes (step,)."""
    lowest, highest, nearest, end_error, nearest_error, products = values
    largest = np.maximum(np.abs(1 - sizes * lowest), np.abs(1 - sizes * highest))
    smallest = np.abs(1 - sizes * nearest)
    errors = sizes * end_error, sizes * nearest_error
    # Of one that is not told from 0 the error bounds the size.
    logs = np.log(np.stack([largest, np.maximum(smallest, errors[1])]))
    means = [over_runs(each.mean(axis=1), confidence) for each in logs]
    quantiles = np.array([[[quantile_over_runs(each[..., place], level, confidence) for place in range(sizes.size)]
                           for level in levels] for each in logs])  # fmt: skip
    mean, lower, upper = np.array(means).swapaxes(0, 1)
    # A unit eigenvalue of every draw has a logarithm of 0, and no sign but that of rounding.
    numerical = np.stack([np.minimum(each / np.exp(log), 1.0).mean(axis=(0, 1)) for each, log in zip(errors, logs)])
    lower, upper = lower - numerical - ROUNDING, upper + numerical + ROUNDING
    middle, low, high = np.moveaxis(quantiles, -1, 0)
    return Stretching(
        sigma_max=largest, sigma_min=smallest, sigma_max_error=errors[0], sigma_min_error=errors[1], lowest=lowest,
        highest=highest, mean_log=mean, mean_log_lower=lower, mean_log_upper=upper, quantile=middle,
        quantile_lower=low, quantile_upper=high, straddling=(highest > 1 / sizes).mean(axis=(0, 1)),
        both_sides=((smallest <= 1 + errors[1]) & (largest >= 1 - errors[0])).mean(axis=(0, 1)),
        unresolved=(smallest <= errors[1]).mean(axis=(0, 1)), products=products.mean(axis=(0, 1)), step_size=sizes,
    )  # fmt: skip


def over_runs(values: np.ndarray, confidence: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean (step,) of independent runs (run, step), and the ends of Student's interval."""
    mean, half = values.mean(axis=0), half_width(values, confidence)
    return mean, mean - half, mean + half


def quantile_over_runs(values: np.ndarray, level: float, confidence: float) -> tuple[float, float, float]:
    """A quantile of values (run, batch) and its interval: values of one run need not be independent.

    The share of each run below the quantile is one value, whose mean has Student's interval; its ends are taken back to
    values (Woodruff 1952).
    """
    value = float(np.quantile(values, level))
    shares = (values <= value).mean(axis=1)
    half = float(half_width(shares, confidence))
    low, high = np.quantile(values, [max(level - half, 0.0), min(level + half, 1.0)])
    return value, float(low), float(high)
