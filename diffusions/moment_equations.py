"""What is exactly known of the diffusions of SGD on least squares: moment equations per SGD step, and derivatives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sgdlimits.exact.moment_flows import MomentFlow
from sgdlimits.exact.noise_maps import ConstantNoise, RankOneNoise, SampledNoise
from sgdlimits.exact.products_of_pairs import pairs_of_a_flow
from sgdlimits.exact.schedules import STANDSTILL
from sgdlimits.exact.sensitivities import Direction
from sgdlimits.exact.products_of_squares import squares_of_a_flow
from sgdlimits.problems.risk_deviations import RiskProducts
from sgdlimits.problems.second_moments import SecondMoments
from sgdlimits.problems.sensitivities import noise_by_batch

if TYPE_CHECKING:
    from .diffusion import Diffusion


def rates_at(process: Diffusion, step_size: float) -> np.ndarray:
    """Decay (d,) of the modes' mean per SGD step, at this step size."""
    curvatures = process.quadratic.curvatures
    return step_size * curvatures + (0.5 * step_size**2 * curvatures**2 if process.drift_order == 2 else 0.0)


def flow_at(process: Diffusion, step_size: float) -> MomentFlow:
    """Its moment equations per SGD step, at this step size."""
    return MomentFlow(rates_at(process, step_size), max(step_size, STANDSTILL) ** 2, process.noise_map)


def second_moments(process: Diffusion) -> SecondMoments:
    """What its first two moments obey, per SGD step."""
    problem = process.quadratic
    threshold = 0.0 if problem.curvatures.min() < 0 else np.inf
    return SecondMoments(
        problem, process.label, process.step_size, lambda step_size: flow_at(process, step_size), threshold,
        process.drift_order == 1, lambda step_size, hours: risk_products(process, step_size),
    )  # fmt: skip


def risk_products(process: Diffusion, step_size: float) -> RiskProducts:
    """Products of modes whose moments give the variance of the risk, per SGD step at this step size.

    Modes and their squares where the noise is homogenized or constant, else all products of two modes.
    """
    problem, flow = process.quadratic, flow_at(process, step_size)
    noise, scale, r = flow.noise, flow.scale, int((problem.eigenvalues > 0).sum())
    if isinstance(noise, SampledNoise):
        return RiskProducts.about_minimiser(problem, pairs_of_a_flow(flow, r))
    still, none, floor = np.zeros((r, r)), np.zeros(r), 0.0
    spread = coupling = own = none
    if isinstance(noise, ConstantNoise):
        still = scale * noise.covariance[:r, :r]
    else:
        assert isinstance(noise, RankOneNoise)  # the only other one
        spread, coupling, own = scale * noise.spread[:r], noise.coupling[:r], np.sqrt(scale) * noise.own[:r]
        # The level about the minimiser, counted from the least point of the risk.
        floor = noise.floor - float(coupling @ problem.offset_modes[:r] ** 2)
    rates = flow.rates[:r]
    push = rates * problem.offset_modes[:r]
    return RiskProducts.about_least_risk(problem, squares_of_a_flow(rates, push, still, own, spread, coupling, floor))


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
