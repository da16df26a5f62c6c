"""Kramers' formula for the diffusion of a descent, in steps and in the diffusion's time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sgdlimits.exact.errors import InvalidInput, instance_of
from sgdlimits.exact.kramers import power_law_rate, smooth_rate, wall_rate
from sgdlimits.problems.landscapes import HarmonicWell

from .descent import LandscapeDescent, LossNoise

ISOTROPIC = 1e-9


@dataclass(frozen=True)
class KramersRate:
    """Rate of escape of the diffusion in small noise.

    Attributes
    ----------
    rate : float
        Per step; 0 where that is below the range of numbers, and the exponent says by how much.
    rate_per_time : float
        Per unit of time of the diffusion, in which a step is step_size (with momentum step_size / (1 - momentum)).
    exponent : float
        Barrier over temperature; of the power law, -log of the loss ratio's power.
    prefactor : float
        rate = prefactor exp(-exponent), per step.
    formula : str
    """

    rate: float
    rate_per_time: float
    exponent: float
    prefactor: float
    formula: str

    def __repr__(self) -> str:
        if not self.rate:
            return f"KramersRate(too small for a number, of exponent {self.exponent:.6g}; {self.formula})"
        return f"KramersRate({self.rate:.6g} a step, {self.rate_per_time:.6g} a unit of time; {self.formula})"


def kramers(descent: LandscapeDescent) -> KramersRate:
    """Kramers' rate of the diffusion that stands for a descent.

    dX = -grad U dt + sqrt(s C) dB, s = step_size / (1 - momentum) (overdamped), one step being s. Over a saddle:
    |mu| / (2 pi) sqrt(det H_minimum / |det H_saddle|) exp(-2 barrier / (s c)), for isotropic noise of variance c. At
    the walls of a `HarmonicWell`: drift times density of the stationary law at each wall. With `LossNoise` on a line: a
    power of the ratio of losses.

    Parameters
    ----------
    descent : LandscapeDescent

    Returns
    -------
    KramersRate

    Raises
    ------
    InvalidInput
        If the noise is none of these: in more dimensions the diffusion is reversible under isotropic noise alone.
    """
    instance_of("descent", descent, LandscapeDescent, "made of a landscape, a step size and a noise")
    landscape = descent.landscape
    size = descent.step_size / (1 - descent.momentum)
    minimum = landscape.minimum
    if isinstance(landscape, HarmonicWell) and descent.additive:
        return _at_walls(descent, landscape, size)
    if landscape.saddle is None:
        raise InvalidInput(f"{landscape.label} has no saddle, which Kramers' formula needs: there is no smooth barrier")
    bends, at_saddle = descent.hessian, landscape.hessian(landscape.saddle)
    if isinstance(descent.noise, LossNoise):
        if descent.dimension > 1:
            raise InvalidInput(
                f"the power law of LossNoise is derived on a line, got {descent.dimension} dimensions: pass "
                'method="splitting" to escape.rate'
            )
        noise = descent.noise
        low, high = (float(landscape.potential(x)) + noise.floor for x in (minimum, landscape.saddle))
        if not low > 0:
            raise InvalidInput("the loss at the minimum is 0, where this noise dies out: give LossNoise a floor")
        bend = float(bends[0, 0])
        per_time = power_law_rate(bend, float(at_saddle[0, 0]), low / high, size / noise.batch_size)
        power = noise.batch_size / (size * bend)
        return _made(per_time, size, power * math.log(high / low), "a power of the loss ratio")
    c = _isotropic(descent)
    temperature = size * c / 2
    per_time = smooth_rate(bends, at_saddle, landscape.barrier, temperature)
    return _made(per_time, size, landscape.barrier / temperature, "Eyring and Kramers over the saddle")


def kramers_exponent(descent: LandscapeDescent) -> float:
    """The exponent alone; 0 where there is no formula."""
    try:
        return kramers(descent).exponent
    except InvalidInput:
        return 0.0


def _made(per_time: float, size: float, exponent: float, formula: str) -> KramersRate:
    rate = per_time * size
    return KramersRate(rate, per_time, exponent, rate * math.exp(exponent) if exponent < 700 else math.inf, formula)


def _isotropic(descent: LandscapeDescent) -> float:
    landscape = descent.landscape
    where = np.array([landscape.minimum, landscape.saddle, (landscape.minimum + landscape.saddle) / 2])
    covariances = descent.covariance(where)
    c = float(covariances[0, 0, 0])
    if np.abs(covariances - c * np.eye(descent.dimension)).max() > ISOTROPIC * c:
        raise InvalidInput(
            "Kramers' formula is for noise of one variance in all directions and at all places, got another "
            'covariance: ask escape.exponent, or escape.rate with method="transfer" or "splitting"'
        )
    return c


def _at_walls(descent: LandscapeDescent, well: HarmonicWell, size: float) -> KramersRate:
    from scipy.linalg import solve_continuous_lyapunov

    covariance = descent.covariance(well.minimum[None])[0]
    stationary = solve_continuous_lyapunov(well.curvature, size * covariance)
    sides = 2 if well.two_sided else 1
    total, exponents = 0.0, []
    for n, wall in zip(well.normals, well.wall, strict=True):
        variance = float(n @ stationary @ n)
        slope = size * float(n @ covariance @ n) / (2 * variance)
        exponents.append(wall**2 / (2 * variance))
        total += sides * wall_rate(slope, exponents[-1], 1.0)
    return _made(total, size, min(exponents), "the stationary law at the walls, times the drift there")
