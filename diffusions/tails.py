"""Tail indices of the diffusions of least squares: which method fits, and what must be refused first."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from sgdlimits.exact.diffusion_index import isotropic_index, spectral_index
from sgdlimits.exact.errors import InvalidInput, NoStationaryLaw
from sgdlimits.exact.moment_exponents import LinearNoise
from sgdlimits.exact.noise_maps import RankOneNoise, SampledNoise
from sgdlimits.exact.quadratic_noise import QuadraticNoise
from sgdlimits.exact.tail_index import TailIndex, at_rest
from sgdlimits.exact.tail_index_bounds import TailIndexBounds, homogenized_bounds
from sgdlimits.problems.least_squares import LeastSquares

from .gaussian_tails import gaussian_tail_index
from .tail_populations import population_index

if TYPE_CHECKING:
    from .diffusion import Diffusion
    from .homogenized import HomogenizedSGD

GOOD = 0.05  # relative error up to which nothing is sampled
ROUNDING = 1e-12  # of bounds, which are differences of numbers of at least 1


def homogenized_tail_bounds(process: HomogenizedSGD) -> TailIndexBounds:
    """Of homogenized SGD, on the range of the data."""
    noise = linear_noise(process)
    if process.quadratic.curvatures.min() < 0:
        raise NoStationaryLaw(
            f"the descended objective has the negative curvature {process.quadratic.curvatures.min():.6g}, so the mean "
            f"of {process.label} runs away and the bounds, which need it, do not hold; raise the ridge",
            0.0,
        )
    if noise_dies(process):
        raise InvalidInput(
            f"the risk is zero at the minimiser and there is no label noise, so the noise of {process.label} dies with "
            "the risk: its only stationary law is the minimiser itself, which has no tail to bound; add label noise, "
            "or ask tail_index(), whose note says which moments fall to zero"
        )
    eigenvalues = process.quadratic.eigenvalues
    return homogenized_bounds(
        eigenvalues[eigenvalues > 0], noise.rates, float(process.step_size), process.batch_size
    )


def diffusion_tail_index(
    process: Diffusion, seed: int, threads: int | None, precision: float = 0.0
) -> TailIndex:
    """By a closed form where there is one, else by the spectrum of the generator on directions, else by sampling."""
    if process.quadratic.additive:
        return gaussian_tail_index(process, "Gaussian, as the noise is the same everywhere")
    noise = linear_noise(process)
    found = isotropic_index(noise) if noise.isotropic else spectral_index(noise, precision)
    found = _within_bounds(process, found)
    if found is None or found.error > GOOD * found.index:
        sampled = population_index(process, noise, noise.search_start if found is None else found.index, seed, threads)
        found = sampled if found is None or sampled.error < found.error else found
    return at_rest(found, "X_t") if noise_dies(process) else found


def _within_bounds(process: Diffusion, found: TailIndex | None) -> TailIndex | None:
    """The middle of proved bounds, where these are closer than the error; an index that lies outside is dropped."""
    bounded: Any = getattr(process, "tail_index_bounds", None)
    if bounded is None or process.quadratic.curvatures.min() < 0 or noise_dies(process):
        return found
    bounds = bounded()
    upper = min(bounds.upper, bounds.sharpest_upper)
    middle, half = (bounds.lower + upper) / 2, (upper - bounds.lower) / 2 + ROUNDING * max(upper, 1.0)
    outside = found is not None and not abs(found.index - middle) <= half + found.error
    if half <= GOOD * middle and (found is None or outside or found.error > half):
        exponent, error = (math.nan, math.nan) if found is None else (found.lyapunov_exponent, found.lyapunov_error)
        return TailIndex(middle, half, "proved bounds, which leave no more room", exponent, error)
    return None if outside else found


def linear_noise(process: Diffusion) -> LinearNoise | QuadraticNoise:
    """The linear part about the minimiser, of the modes that the data move, per SGD step.

    Raises
    ------
    InvalidInput
        If the step size is a schedule, or there are no data.
    OutOfReach
        If the covariance of finitely many samples is too large.
    NoStationaryLaw
        If a mode without data runs away.
    """
    size, problem, noise = float(process.step_size), process.quadratic, process.noise_map
    moving = problem.eigenvalues > 0
    if not moving.any():
        raise InvalidInput(
            "the data are all zero: no gradient depends on the parameters, nothing is random and there is no tail"
        )
    if problem.curvatures[~moving].min(initial=0.0) < 0:
        raise NoStationaryLaw(
            f"ridge is {problem.ridge:g}, so coordinates without data run away at the rate {-problem.ridge:g} whatever "
            "the step size; raise the ridge to 0 or above",
            0.0,
        )
    scale = size**2
    if isinstance(noise, SampledNoise):
        assert isinstance(problem, LeastSquares)  # whose samples they are
        rows, residuals, moved = problem.range_modes, problem.residuals_at_minimiser, noise.added[moving]
        return QuadraticNoise.of_samples(process.rates[moving], rows, residuals, scale * noise.factor, scale * moved)
    assert isinstance(noise, RankOneNoise)  # the only other that is linear in the state
    return LinearNoise(
        process.rates[moving], scale * noise.spread[moving], noise.coupling[moving], size * noise.own[moving]
    )


def noise_dies(process: Diffusion) -> bool:
    """Whether the noise vanishes at the minimiser, up to rounding."""
    return process.quadratic.noise_dies(process.label_noise)
