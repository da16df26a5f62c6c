"""The step size at which a moment of homogenized SGD ceases to be finite: its tail index is a given number."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from sgdlimits.exact import planar_diffusion
from sgdlimits.exact.diffusion_index import spectral_index
from sgdlimits.exact.errors import InvalidInput, NoStationaryLaw, OutOfReach, non_negative
from sgdlimits.exact.moment_exponents import LinearNoise
from sgdlimits.exact.schedules import StepSizes
from sgdlimits.exact.secants import secant_root
from sgdlimits.exact.stationary_law import THRESHOLD_ERROR, MomentThreshold

from . import tail_populations
from .tails import linear_noise

if TYPE_CHECKING:
    from .homogenized import HomogenizedSGD

GOOD = 0.01  # relative error of an index that a root is sought with
TINY = 1e-3  # order next to 0: the growth of such a moment, over the order, is nearly the Lyapunov exponent
CLOSE, ROUGH = 1e-11, 1e-3  # relative, to which a root is found, of spectra and of samples
FIRST_STEP = 0.05  # from the mean-square threshold
SKETCH = 1e-3  # precision of an index that shows where to look
WIDER, MOST = 1.25, 60  # how a search goes up from the mean-square threshold
WIDE = 0.02  # of a step size, over which a slope is taken


def homogenized_threshold(
    process: HomogenizedSGD, order: float, precision: float, seed: int, threads: int | None
) -> MomentThreshold:
    """As `HomogenizedSGD.moment_threshold`."""
    order = non_negative("order", order)
    precision = non_negative("precision", precision)
    if isinstance(process.step_size, StepSizes):
        raise InvalidInput(
            f"step_size is the schedule {process.step_size!r}, of which no one number is sought: take a constant step "
            "size, dataclasses.replace(process, step_size=...)"
        )
    noise = linear_noise(process)
    if process.quadratic.curvatures.min() < 0:
        raise NoStationaryLaw(
            f"the descended objective has the negative curvature {process.quadratic.curvatures.min():.6g}, so the mean "
            f"of {process.label} runs away at every step size; raise the ridge",
            0.0,
        )
    if order == 2:
        value = process.stability().mean_square_threshold
        return MomentThreshold(value, THRESHOLD_ERROR * value, 2.0, "the noise feeds itself by the whole")
    if isinstance(noise, LinearNoise) and noise.isotropic and process.drift_order == 1:
        return _isotropic(process, noise, order)
    below = process.stability().mean_square_threshold
    by_spectrum = _spectral(process, order, precision, below)
    return by_spectrum or _sampled(process, order, below, seed, threads)


def _isotropic(process: HomogenizedSGD, noise: LinearNoise, order: float) -> MomentThreshold:
    """Of index = 2 - d + 2 rate / noise, in which the noise goes with the square of the step size."""
    method = "closed form, one dimension" if noise.dimension == 1 else "closed form, all directions alike"
    rate, shared = float(noise.rates[0]), float(noise.spread[0] * noise.coupling[0])
    room = order + noise.dimension - 2
    if room <= 0:
        return MomentThreshold(math.inf, 0.0, order, f"{method}: the index is above {order:g} at every step size")
    value = float(process.step_size) * 2 * rate / (shared * room)
    return MomentThreshold(value, 8 * THRESHOLD_ERROR * value, order, method)


def _spectral(process: HomogenizedSGD, order: float, precision: float, below: float) -> MomentThreshold | None:
    """Where the index by the generator's spectrum is `order`; None where that does not resolve it."""
    from scipy.optimize import brentq

    method = "root of the spectral index"

    def at(size: float) -> LinearNoise:
        found = linear_noise(replace(process, step_size=size))
        assert isinstance(found, LinearNoise)  # a rank one, always
        return found

    if not order:
        if at(below).dimension != 2:
            return None
        root = _rising(lambda size: planar_diffusion.lyapunov_exponent(at(size))[0], below)
        if root is None:
            return MomentThreshold(math.inf, 0.0, 0.0, f"{method}: a stationary law at every step size")
        value = float(brentq(lambda size: planar_diffusion.lyapunov_exponent(at(size))[0], *root, rtol=CLOSE))
        slope = _slope(lambda size: planar_diffusion.lyapunov_exponent(at(size))[0], value)
        doubt = planar_diffusion.lyapunov_exponent(at(value))[1]
        return MomentThreshold(value, doubt / abs(slope) + CLOSE * value, 0.0, method)

    def index(size: float) -> tuple[float, float]:
        found = spectral_index(at(size), precision)
        if found is None or found.error > GOOD * found.index:
            raise OutOfReach(f"no index is resolved at step size {size:g}")
        return found.index, found.error

    def over(inverse: float) -> tuple[float, float]:
        found, error = index(1 / inverse)
        return found - order, error

    try:  # the index is nearly a line over 1 / step size
        away = max(abs(order - 2) / 8, FIRST_STEP)
        found = secant_root(over, 1 / below, (1 - FIRST_STEP if order < 2 else 1 + away) / below, max(CLOSE, precision))
    except (OutOfReach, NoStationaryLaw):
        return None
    if found is None:
        return None
    return MomentThreshold(1 / found.value, found.error / found.value**2, order, method)


def _sampled(
    process: HomogenizedSGD, order: float, below: float, seed: int, threads: int | None
) -> MomentThreshold:
    """Where the growth of a moment, by populations with the same random numbers throughout, rises through 0."""
    from scipy.optimize import brentq

    def growth(size: float) -> tuple[float, float]:
        now = replace(process, step_size=size)
        return tail_populations.moment_exponent(now, linear_noise(now), order or TINY, seed, threads)

    def rate(size: float) -> float:
        return growth(size)[0]

    near = secant_root(growth, *_starts(process, order, below), ROUGH)
    method = f"populations of {tail_populations.COARSE[0]} directions"
    if near is not None and near.slope > 0 and (near.value > below) == (order < 2):
        return MomentThreshold(near.value, near.error, order, method)
    ends = _rising(rate, below) if order < 2 else _falling(rate, below)
    if ends is None:
        raise OutOfReach(
            f"the growth of moments of order {order:g} of {process.label} does not change its sign within "
            f"{WIDER**MOST:.1g} times the mean-square threshold: no such step size is known; ask for another order"
        )
    value = float(brentq(rate, *ends, xtol=ROUGH * ends[0]))
    slope, half = _slope(rate, value), growth(value)[1]
    return MomentThreshold(value, half / abs(slope) + ROUGH * value, order, method)


def _starts(process: HomogenizedSGD, order: float, below: float) -> tuple[float, float]:
    """Two step sizes for a search, about the root where the spectral index near its order 2 shows where it goes.

    From the mean-square threshold itself secants lead astray: the growth of low orders falls before it rises.
    """
    away = below * (1 + FIRST_STEP)
    if order > 2:
        return below, below / (1 + FIRST_STEP)
    noise = linear_noise(replace(process, step_size=away))
    try:
        found = spectral_index(noise, SKETCH)
    except NoStationaryLaw:
        found = None
    if found is None or not found.error < GOOD < (2 - found.index) / 2:
        return below, away
    # The index is nearly a line over 1 / step size, bent towards smaller ones.
    inverse = (1 - (2 - order) / (2 - found.index) * FIRST_STEP / (1 + FIRST_STEP)) / below
    if not inverse > 1 / (WIDER * 2 * below):
        return below, away
    return math.sqrt(below / inverse), float(1 / inverse)


def _rising(function: Callable[[float], float], low: float) -> tuple[float, float] | None:
    """Two step sizes from `low` on, between which the function rises through 0."""
    for _ in range(MOST):
        high = low * WIDER
        if function(high) > 0:
            return low, high
        low = high
    return None


def _falling(function: Callable[[float], float], high: float) -> tuple[float, float] | None:
    """The same downwards."""
    for _ in range(MOST):
        low = high / WIDER
        if function(low) < 0:
            return low, high
        high = low
    return None


def _slope(function: Callable[[float], float], size: float) -> float:
    return (function(size * (1 + WIDE)) - function(size * (1 - WIDE))) / (2 * WIDE * size)
