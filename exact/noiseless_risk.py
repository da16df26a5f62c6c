"""The risk of descent without noise, at any step: what moment equations come to at an infinite batch size."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .moment_spectra import Functional
from .spectral_sums import Factors, SpectralSums


def noiseless_risk(
    decays: np.ndarray, mean: np.ndarray, variances: np.ndarray, functional: Functional
) -> Callable[[np.ndarray], np.ndarray]:
    """The functional as a function of steps, from a start with these means and variances (d,) about the minimiser."""
    nothing, fading = np.zeros_like(mean), Factors(decays, True)
    sums = SpectralSums(
        decays * (2 - decays), True, 0.5 * functional.weights * (variances + mean**2), nothing, decays, None
    )

    def risk(steps: np.ndarray) -> np.ndarray:
        found = functional.constant + sums.totals(np.asarray(steps))
        if functional.slope.any():
            with np.errstate(over="ignore", invalid="ignore"):
                found = found + fading.table(steps)[0] @ (functional.slope * mean)
        return found

    return risk
