"""What one draw of the features gives: exact curves of the loss and of its parts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sgdlimits.diffusions import HomogenizedSGD
from sgdlimits.discrete import SGD
from sgdlimits.ensembles.random import child_seed
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.exact.moment_spectra import Functional
from sgdlimits.exact.noiseless_risk import noiseless_risk
from sgdlimits.exact.spectral_sums import Factors
from sgdlimits.problems import StreamingLeastSquares

from ..capabilities import one_blas_thread
from .theory import PowerLaws

CURVES = ("risk", "poisson", "homogenized", "noiseless", "kernel")


@dataclass(frozen=True, eq=False)
class Draw:
    """Curves (steps,) of one draw of the features, each exact.

    Attributes
    ----------
    risk : array
        E L of SGD.
    poisson : array
        The same with steps at the times of a Poisson process of rate 1: SGD in continuous time.
    homogenized : array
        Of homogenized SGD.
    noiseless : array
        Of descent without noise, above the floor.
    kernel : array
        What the noise of one step, per unit of loss, leaves of loss later.
    floor : float
        The least loss.
    threshold : float
        Mean-square threshold of SGD.
    """

    risk: np.ndarray
    poisson: np.ndarray
    homogenized: np.ndarray
    noiseless: np.ndarray
    kernel: np.ndarray
    floor: float
    threshold: float


@one_blas_thread
def one_draw(
    laws: PowerLaws, dimension: int, ambient: int, redraw: int, step_size: float, batch_size: int, steps: np.ndarray,
    seed: int,
) -> Draw:  # fmt: skip
    """Draw the features by (seed, dimension, redraw) and compute their curves.

    Raises
    ------
    InvalidInput
        If eigenvalues drown in rounding, or SGD is unstable on these features.
    """
    problem = StreamingLeastSquares.power_law(
        laws.alpha, laws.beta, dimension, ambient, seed=child_seed(seed, "features", dimension, redraw)
    )
    eigenvalues = problem.eigenvalues
    if not eigenvalues.min() > 0:
        raise InvalidInput(
            f"at alpha = {laws.alpha:g} and dimension {dimension} the smallest eigenvalues are below the rounding of "
            "the largest: take a smaller alpha or dimension"
        )
    sgd = SGD(problem, step_size, batch_size)
    threshold = float(sgd.stability().mean_square_threshold)
    if not step_size < threshold:
        raise InvalidInput(
            f"the step size {step_size:.4g} is past the mean-square threshold {threshold:.4g} of draw {redraw} in "
            f"dimension {dimension}: take a smaller fraction, or larger dimensions, which vary less"
        )
    start, nothing = np.zeros(dimension), np.zeros(dimension)
    second = sgd.second_moments
    above = Functional(0.0, nothing, eigenvalues)
    noiseless = noiseless_risk(step_size * eigenvalues, problem.to_modes(start), nothing, above)
    fading = Factors(step_size * eigenvalues, True)
    kernel = fading.table(2 * steps)[0] @ np.square(step_size * eigenvalues) / batch_size
    return Draw(
        second.risk_curve(start, steps)(steps),
        second.risk_curve(start, steps, poisson=True)(steps),
        HomogenizedSGD.of(sgd).second_moments.risk_curve(start, steps)(steps),
        noiseless(steps),
        kernel,
        problem.least_risk,
        threshold,
    )
