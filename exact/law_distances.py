"""How far the law of an additive recurrence is from a Gaussian one, and which way leads to its distribution."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .additive_laws import AdditiveLaw
from .errors import InvalidInput
from .law_inversion import Inversion, distances, distribution_function, invert
from .law_recursion import StepLaw, step_law
from .written_numbers import known

METHODS = ("inversion", "recursion")
RECURSION = "recursion of the distribution function"
ENUMERATION = "enumeration of the atoms"


@dataclass(frozen=True, eq=False)
class Distribution:
    """Values of a distribution function, each with an error.

    Attributes
    ----------
    points, values, errors : array
        |P(x <= point) - value| is at most the error.
    method : str
    proved : bool
        Whether the errors are bounds; otherwise they are estimates.
    """

    points: np.ndarray
    values: np.ndarray
    errors: np.ndarray
    method: str
    proved: bool

    def __repr__(self) -> str:
        sort = "proved" if self.proved else "estimated"
        largest = float(self.errors.max(initial=0.0))
        return f"Distribution({self.values.size} values by {self.method}, largest error {largest:.2g}, {sort})"


@dataclass(frozen=True, eq=False)
class GaussianDistance:
    """How far a law on the line is from a Gaussian one.

    Attributes
    ----------
    ks, ks_error : float
        Kolmogorov(-Smirnov) distance, the largest difference of the distribution functions.
    w1, w1_error : float
        Wasserstein-1 distance, in the unit of x.
    spread : float
        Standard deviation of the law, of which the Wasserstein distance is a part.
    gaussian : str
        Which Gaussian law: "same moments" or "Ornstein-Uhlenbeck".
    mean, variance : float
        Of the Gaussian law.
    method : str
    proved : bool
        Whether both errors are bounds; otherwise one of their parts is an estimate.
    """

    ks: float
    ks_error: float
    w1: float
    w1_error: float
    spread: float
    gaussian: str
    mean: float
    variance: float
    method: str
    proved: bool

    def __repr__(self) -> str:
        part = f" ({self.w1 / self.spread:.4g} standard deviations)" if self.spread else ""
        return (
            f"GaussianDistance(KS {known(self.ks, self.ks_error)} +- {self.ks_error:.1g}, "
            f"W1 {known(self.w1, self.w1_error)} +- {self.w1_error:.1g}{part}, "
            f"to N({self.mean:.6g}, {self.variance:.6g}) of the kind {self.gaussian!r}, by {self.method}, errors "
            f"{'proved' if self.proved else 'estimated'})"
        )


def distribution(law: AdditiveLaw, points: np.ndarray, method: str | None) -> Distribution:
    """The distribution function at points, by the best way there is or by the one asked for."""
    noise = law.noise
    if law.draws == 1 and noise.atoms is None and noise.cdf is not None and noise.sf is not None and method is None:
        start = 0.0 if law.steps is None else law.power(1) * law.x0
        values = noise.sf((points - start) / law.scale)
        return Distribution(points, values, np.full(points.shape, 1e-14), "the noise's distribution function", True)
    found = _way(law, method)
    if isinstance(found, Inversion):
        values, errors = distribution_function(found, points)
        by_tails = found.law.variance < math.inf and found.alias < 1e-12
        return Distribution(points, values, errors, "inversion", found.proved and by_tails)
    low, high = found.bracket(points)
    return Distribution(points, (low + high) / 2, (high - low) / 2, _name(found), True)


def gaussian_distance(
    law: AdditiveLaw, gaussian: str, mean: float, variance: float, method: str | None
) -> GaussianDistance:
    """Distance of the law to the Gaussian law of this mean and variance."""
    if not math.isfinite(law.variance):
        raise InvalidInput(
            f"no Gaussian law has the variance of x, which is infinite or not known: of the noise {law.noise.label}, "
            f"{law.noise.cumulants.size} cumulants are known; {law.noise.why_no_more}"
        )
    if variance == 0:
        apart = abs(law.centre - mean)
        return GaussianDistance(
            float(apart > 0), 0.0, apart, 0.0, 0.0, gaussian, mean, variance, "comparison of two points", True
        )
    found = _way(law, method)
    if isinstance(found, Inversion):
        (ks, ks_error), (w1, w1_error) = distances(found, mean, math.sqrt(variance))
        name, proved = "inversion", found.proved
    else:
        (ks, ks_error), (w1, w1_error) = found.distances(mean, math.sqrt(variance))
        name, proved = _name(found), True
    return GaussianDistance(
        ks, float(ks_error), float(w1), float(w1_error), math.sqrt(law.variance), gaussian, mean, variance, name, proved
    )


def _name(found: StepLaw) -> str:
    return ENUMERATION if found.enumerated else RECURSION


def _way(law: AdditiveLaw, method: str | None) -> Inversion | StepLaw:
    noise = law.noise
    still = law.draws == 0 or law.scale == 0
    has_steps = still or noise.atoms is not None or noise.cdf is not None
    first = method or ("recursion" if still or noise.atoms is not None else "inversion")
    if first == "recursion":
        if has_steps:
            return step_law(law)
        raise InvalidInput(
            "the recursion needs the noise's atoms or distribution, but only the characteristic function "
            f"{noise.label} was given"
        )
    found = invert(law)
    if found is not None:
        return found
    if method is None and has_steps:
        return step_law(law)
    raise InvalidInput(
        "the characteristic function of x decays too slowly, or is not known well enough, to be inverted: pass "
        f"the noise {noise.label} as atoms or as a distribution of scipy.stats, and no method"
    )
