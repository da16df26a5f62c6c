"""Moments E |x - minimiser|^p of even order of the diffusions of least squares: the equations that close."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sgdlimits.exact.affine_moments import radial_flow
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.exact.even_moments import EvenMoments, check_cost
from sgdlimits.exact.moment_exponents import exponents
from sgdlimits.exact.monomials import multinomials
from sgdlimits.exact.noise_maps import RankOneNoise
from sgdlimits.exact.polynomial_moments import PolynomialMoments
from sgdlimits.exact.schedules import StepSizes

from .tails import linear_noise

if TYPE_CHECKING:
    from .diffusion import Diffusion


def even_moments(process: Diffusion, order: int) -> EvenMoments:
    """The closed equations up to an even order, per SGD step, in the modes that the data move.

    Raises
    ------
    InvalidInput
        If they do not close.
    OutOfReach
        If they are too many.
    """
    if isinstance(process.step_size, StepSizes):
        raise InvalidInput(
            f"step_size is the schedule {process.step_size!r}, and moments of even order are known for one step size: "
            "take dataclasses.replace(process, step_size=...)"
        )
    linear, noise, moving = linear_noise(process), process.noise_map, process.quadratic.eigenvalues > 0
    assert isinstance(noise, RankOneNoise)  # `linear_noise` refuses others
    process.quadratic.check_centre()
    slope, offsets = noise.slope[moving], noise.offsets[moving]
    even = not slope.any() and not (offsets.any() and linear.own.any())
    if even and linear.isotropic:
        spread = float(linear.spread[0])
        return radial_flow(
            linear.dimension, float(linear.rates[0]), spread * float(linear.coupling[0]), spread * noise.floor,
            float(linear.own[0]), order,
        )  # fmt: skip
    moments = PolynomialMoments(
        linear.rates, linear.spread, slope, linear.coupling, noise.floor, order, linear.own, offsets, even
    )
    alpha = moments.exponents
    check_cost(len(alpha), order, len(alpha) / 3)
    norms = np.zeros((len(alpha), order // 2))
    places = {tuple(each): place for place, each in enumerate(alpha.tolist())}
    for column, half in enumerate(range(1, order // 2 + 1)):
        each = exponents(half, linear.dimension)
        norms[[places[tuple(powers)] for powers in (2 * each).tolist()], column] = multinomials(each)

    def values(points: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            return np.mean([np.prod(point**alpha, axis=1) for point in points], axis=0)

    return EvenMoments(moments.generator, alpha.sum(axis=1), values, norms, False, alpha)
