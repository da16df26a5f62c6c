"""What is exactly known of the diffusions of SGD on least squares: moment equations per SGD step, and derivatives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sgdlimits.exact.moment_flows import MomentFlow
from sgdlimits.exact.noise_maps import ConstantNoise
from sgdlimits.exact.schedules import STANDSTILL
from sgdlimits.exact.sensitivities import Direction
from sgdlimits.problems.second_moments import SecondMoments
from sgdlimits.problems.sensitivities import noise_by_batch

if TYPE_CHECKING:
    from .diffusion import Diffusion


def rates_at(process: Diffusion, step_size: float) -> np.ndarray:
    """Decay (d,) of the modes' mean per SGD step, at this step size."""
    curvatures = process.quadratic.curvatures
    return step_size * curvatures + (0.5 * step_size**2 * curvatures**2 if process.drift_order == 2 else 0.0)


def second_moments(process: Diffusion) -> SecondMoments:
    """What its first two moments obey, per SGD step."""
    noise, problem = process.noise_map, process.quadratic

    def flow_at(step_size: float) -> MomentFlow:
        return MomentFlow(rates_at(process, step_size), max(step_size, STANDSTILL) ** 2, noise)

    threshold = 0.0 if problem.curvatures.min() < 0 else np.inf
    return SecondMoments(problem, process.label, process.step_size, flow_at, threshold, process.drift_order == 1)


def directions(process: Diffusion) -> dict[str, Direction]:
    """Derivatives of the moment equations in step size, ridge and batch size; derived.

    About a centre that stays, a ridge pushes the mean by what the minimiser moves, -minimiser / curvature.
    """
    problem, eta, batch, noise = process.quadratic, process.step_size, process.batch_size, process.noise_map
    k, variance = problem.curvatures, process.label_noise**2
    by_size, by_ridge, pull = k, np.full(k.size, eta), np.full(k.size, eta)  # of the rates; rates / curvatures
    if process.drift_order == 2:
        by_size, by_ridge, pull = k + eta * k**2, eta + eta**2 * k, eta + 0.5 * eta**2 * k
    by_batch = noise_by_batch(
        process.noise_of, (1 / batch, -1 / batch**2), (variance / batch, -variance / batch**2), problem.eigenvalues
    )
    frozen = None
    if isinstance(noise, ConstantNoise) and noise.covariance.any():  # it is that of the minimiser, which moves
        moves = np.where(k > 0, -problem.minimiser_modes / np.where(k > 0, k, 1.0), 0.0)
        at, zero = problem.gradient_noise_map(1 / batch, 0.0), np.zeros((k.size, k.size))
        change = np.diagonal(at(zero, moves) - at(zero, np.zeros_like(moves)))
        frozen = lambda second, mean, drawn, one: one * change  # noqa: E731
    return {
        "step_size": Direction(-by_size[:, None, None], np.array([[2 * eta]])),
        "ridge": Direction(-by_ridge[:, None, None], None, -(pull * problem.minimiser_modes)[None], frozen),
        "batch_size": Direction(noise=by_batch),
    }
