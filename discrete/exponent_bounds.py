"""Bounds of the tail index of any recurrence from laws, or draws, of its Lipschitz factors: the public door."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from sgdlimits.exact.errors import InvalidInput, axes, finite_array, kind, real_number
from sgdlimits.exact.exponent_bounds import FactorLaw, TailExponentBounds, bounds_of_factors, void_lower, void_upper
from sgdlimits.exact.continuous_factors import continuous_growth
from sgdlimits.exact.moment_growth import FactorGrowth

from .factor_index import weighted_values
from .lipschitz_factors import SAME, LipschitzFactors

SURE = 4.0  # standard errors by which means must differ to be the wrong way round


def tail_exponent_bounds(largest: Any, smallest: Any = None, *, confidence: float = 0.95) -> TailExponentBounds:
    """Bounds of the tail index of w' = Psi(w), linear or not, from its Lipschitz factors far out.

    Where k |w| - M <= |Psi(w)| <= K |w| + M, M with lighter tails and E log K < 0: beta <= index <= alpha with
    E K^beta = 1 and E k^alpha = 1 (after Hodgkinson and Mahoney 2021). A bound that says nothing knows why.

    Parameters
    ----------
    largest, smallest : laws of K and of k
        Each a number (the same at every step), a pair (values, probabilities), a continuous distribution of scipy, or
        samples (n,), whose roots get a confidence interval, or a word why none holds; samples of the two need not
        belong together. Signs are left out: on a line both are |A|. Or `largest` alone as `lipschitz_factors` gives it,
        with both. Without k there is no upper bound.
    confidence : float
        Of the intervals from samples, each by itself.

    Returns
    -------
    TailExponentBounds
        `.lower` and `.upper`, each with `.value`, `.interval`, `.void` and `.reason`.

    Raises
    ------
    NoStationaryLaw
        If even k does not contract on average.
    InvalidInput
        If a law cannot be used, or log k is larger than log K on average, beyond sampling errors.

    Examples
    --------
    >>> from scipy import stats
    >>> from sgdlimits.discrete import tail_exponent_bounds
    >>> bounds = tail_exponent_bounds(stats.lognorm(0.5, scale=0.8), ([0.5, 1.2], [0.5, 0.5]))
    >>> print(f"{bounds.lower.value:.3f}")
    1.785
    """
    confidence = real_number("confidence", confidence)
    if not 0 < confidence < 1:
        raise InvalidInput(f"confidence must be between 0 and 1, got {confidence:g}")
    if isinstance(largest, LipschitzFactors):
        if smallest is not None:
            raise InvalidInput("smallest is given beside lipschitz_factors, which hold both: leave it out")
        return _of_estimates(largest, confidence)
    upper = _law("largest", largest)
    lower = None if smallest is None else _law("smallest", smallest)
    if lower is not None:
        means, errors = zip(*(law.mean_log(SURE) for law in (lower, upper)))
        if means[0] - means[1] > math.hypot(*errors) + 1e-9:  # of laws; draws of the two need not belong together
            raise InvalidInput(
                f"smallest is larger than largest, by mean logarithms {means[0]:.4g} and {means[1]:.4g}: k_Psi is at "
                "most K_Psi, exchange them"
            )
    return bounds_of_factors(upper, lower, confidence)


def _of_estimates(factors: LipschitzFactors, confidence: float) -> TailExponentBounds:
    if not factors.settled:
        changed = f"largest differences are {factors.growth:.3g} times as large ten times as far out"
        return TailExponentBounds(
            void_lower(f"K_Psi has no finite bound seen: {changed}"),
            void_upper(f"k_Psi depends on the radius: {changed}"),
        )
    found = bounds_of_factors(
        FactorLaw.of_samples(factors.largest), FactorLaw.of_samples(factors.smallest), confidence
    )
    if factors.spread <= 1 + SAME:
        return found
    places = f"the factors of a step differ from place to place, up to {factors.spread:.3g} times: among more than "
    places += f"{factors.states} places the bounds may be wider"
    return replace(found, note=f"{found.note}; {places}" if found.note else places)


def _law(name: str, law: Any) -> FactorLaw:
    """A law of a factor in the form of its moments."""
    if callable(getattr(law, "pdf", None)) and callable(getattr(law, "ppf", None)):
        return FactorLaw(*continuous_growth(law))
    if isinstance(law, tuple) and len(law) == 2:
        values, weights = weighted_values(name, law)
    elif isinstance(law, str) or axes(law) not in (0, 1):
        raise InvalidInput(
            f"{name} must be a number, samples (n,), a pair (values, probabilities) or a distribution of scipy, got "
            f"{kind(law)}"
        )
    elif axes(law) == 1:
        samples = finite_array(name, law)
        if samples.size < 2:
            raise InvalidInput(f"{name} must hold at least 2 samples, got {samples.size}; give a constant as a number")
        return FactorLaw.of_samples(np.abs(samples))
    else:
        values, weights = np.array([real_number(name, law)]), np.ones(1)
    if values.ndim != 1:
        raise InvalidInput(f"{name} must hold factors (n,), got shape {values.shape}")
    with np.errstate(divide="ignore"):
        growth = FactorGrowth(np.log(np.abs(values)), np.log(weights))
    return FactorLaw(growth, growth)
