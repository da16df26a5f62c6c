"""Tail indices of recurrences whose matrices come down to factors: numbers, and families of matrices like them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from sgdlimits.exact.errors import InvalidInput, OutOfReach, finite_array
from sgdlimits.exact.matrix_families import calm_norm, isometry_factors, separate_factors
from sgdlimits.exact.moment_growth import FactorGrowth, factor_root
from sgdlimits.exact.tail_index import LARGEST, TailIndex, refuse_growth

WHOLE = 1e-9  # by which probabilities may miss 1, as rounding
SHOWN = 30.0  # index above which no sample shows a power
LATTICE = 1e-9  # of the step, how well logarithms must fit a lattice
EPSILON = float(np.finfo(float).eps)


def weighted_values(name: str, law: Any) -> tuple[np.ndarray, np.ndarray]:
    """Factors (n,) or matrices (n, d, d) and their probabilities (n,), from a pair or from equally likely values."""
    values, weights = law if isinstance(law, tuple) and len(law) == 2 else (law, None)
    values = finite_array(name, values)
    weights = np.full(len(values), 1 / max(len(values), 1)) if weights is None else (
        finite_array("probabilities", weights, ndim=1)
    )  # fmt: skip
    if values.ndim not in (1, 3) or weights.shape != values.shape[:1] or not weights.size:
        raise InvalidInput(
            f"{name} must be factors (n,) or matrices (n, d, d) with n probabilities, got shapes {values.shape} and "
            f"{weights.shape}"
        )
    if (weights < 0).any():
        raise InvalidInput(f"the probabilities of {name} must not be below 0, got {weights.min():.6g}")
    if abs(weights.sum() - 1) > WHOLE:
        raise InvalidInput(
            f"the probabilities of {name} must add up to 1, got {weights.sum():.10g}: divide them by their sum, if "
            "that is what is meant"
        )
    return values, weights / weights.sum()


def index_of_values(
    label: str, factors: np.ndarray, weights: np.ndarray, method: str, rounding: float = EPSILON
) -> TailIndex:
    """The index from factors (n,), known up to a relative rounding, and their probabilities (n,)."""
    with np.errstate(divide="ignore"):
        growth = FactorGrowth(np.log(np.abs(factors)), np.log(weights), rounding)
    return index_of_factors(label, growth, growth, method)


def family_index(label: str, matrices: np.ndarray, weights: np.ndarray) -> TailIndex | None:
    """The index from matrices (n, d, d) with probabilities (n,) above 0 whose products are simple; None where not.

    Raises
    ------
    NoStationaryLaw, OutOfReach
    """
    rounding = 8 * matrices.shape[1] * EPSILON
    factors = isometry_factors(matrices)
    if factors is not None:
        method = "sum over the factors of matrices that stretch all directions alike"
        return index_of_values(label, factors, weights, method, rounding)
    separate = separate_factors(matrices)
    if separate is not None:
        return _heaviest(label, np.unique(separate, axis=1), weights, rounding)
    if not np.ptp(matrices, axis=0).any():
        with np.errstate(divide="ignore"):
            refuse_growth(label, float(np.log(np.abs(np.linalg.eigvals(matrices[0])).max())))
    norm, length = calm_norm(matrices)
    if not norm:
        return None
    return TailIndex(
        math.inf, 0.0, "a norm that no product expands",
        note=f"products of {length} of the matrices do not expand the {norm}, and die out: every moment is finite"
        .replace("products of 1 of the matrices", "the matrices"),
    )  # fmt: skip


def _heaviest(label: str, separate: np.ndarray, weights: np.ndarray, rounding: float) -> TailIndex:
    """The least of the indices of coordinates with factors (n, m), each by itself."""
    found: list[TailIndex] = []
    beyond: list[OutOfReach] = []
    method = "sum over the factors of the direction with the heaviest tail"
    for factors in separate.T:
        try:
            found.append(index_of_values(label, factors, weights, method, rounding))
        except OutOfReach as error:
            beyond.append(error)
    least = min(found, key=lambda one: one.index, default=None)
    if least is None or (math.isinf(least.index) and beyond):
        raise beyond[0]
    if math.isinf(least.index):
        return least
    slowest = max(one.lyapunov_exponent for one in found)
    said = "the matrices have common eigenvectors, or are triangular; other directions have larger indices or the same"
    return replace(least, lyapunov_exponent=slowest, note=f"{said}; {least.note}" if least.note else said)


def index_of_factors(
    label: str, fine: FactorGrowth, coarse: FactorGrowth, method: str, largest: float = LARGEST
) -> TailIndex:
    """The index of a recurrence on a line, from two resolutions of the law of its factor, up to the largest they see.

    Raises
    ------
    NoStationaryLaw, OutOfReach
    """
    exponent_error = math.nan
    if math.isfinite(fine.exponent):
        exponent_error = abs(fine.exponent - coarse.exponent) + fine.exponent_error
        refuse_growth(label, fine.exponent, exponent_error)
    if fine.largest <= 0:
        return TailIndex(
            math.inf, 0.0, method, fine.exponent, exponent_error, "no factor exceeds 1, so every moment is finite"
        )
    index, error = factor_root(fine, coarse, largest)
    if not math.isfinite(index):
        reach = min(largest, fine.reach)
        raise OutOfReach(
            f"the tail index of {label} is over {reach:.4g}: beyond what {method.split()[0]} sees"
            + (", and no power that a sample could show" if reach > SHOWN else ""),
            above=reach,
        )
    step = lattice_step(fine)
    note = "" if not step else (
        f"log |A| lies on a lattice of step {step:.4g}: t^index P(|x| > t) goes on oscillating in log t, and so does "
        "Hill's estimate"
    )  # fmt: skip
    return TailIndex(index, error, method, fine.exponent, exponent_error, note)


def lattice_step(growth: FactorGrowth) -> float:
    """Step of the lattice that all log sizes of a few factors lie on; 0 where they lie on none."""
    if growth.log_bound is not None:  # a continuous law
        return 0.0
    sizes = np.unique(np.round(growth.log_sizes[np.isfinite(growth.log_sizes) & (growth.log_sizes != 0)], 12))
    if not 0 < sizes.size <= 64:
        return 0.0
    step = abs(float(sizes[0]))
    for size in np.abs(sizes[1:]):
        a, b = max(step, size), min(step, size)
        while b > LATTICE * 1e3 * max(step, size):  # Euclid's algorithm, up to rounding
            a, b = b, a % b
            b = 0.0 if a - b < LATTICE * a else b
        step = a
        if step < 1e-3 * np.abs(sizes).max():
            return 0.0
    parts = sizes / step
    return step if (np.abs(parts - np.rint(parts)) < 1e-6).all() else 0.0


