"""The expected risk of homogenized SGD as the solution of one scalar Volterra equation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sgdlimits.ensembles.initial import initial_moments, moment_steps
from sgdlimits.exact.errors import InvalidInput, flag
from sgdlimits.exact.volterra import solve_discrete_volterra, solve_volterra

from .homogenized import HomogenizedSGD


@dataclass(frozen=True, eq=False)
class VolterraRisk:
    """Expected risk by a Volterra equation.

    Attributes
    ----------
    record : array (steps,)
        SGD steps.
    risk : array (steps,)
        E L, without the ridge term.
    error : float
        Numerical error that the solver estimates for `risk`; 0 where only rounding acts.
    kernel_mass : float
        Integral (discrete: sum) of the kernel over all time: the risk stays bounded iff it is below one. For
        homogenized SGD it is step_size / threshold.
    limit : float
        Limit of the risk; inf where it is unbounded.
    """

    record: np.ndarray
    risk: np.ndarray
    error: float
    kernel_mass: float
    limit: float


def volterra_risk(
    process: HomogenizedSGD,
    x0: Any,
    steps: int,
    record: int | Sequence[int] | np.ndarray | None = None,
    discrete: bool = False,
) -> VolterraRisk:
    """Expected risk l of homogenized SGD from l(t) = L(gradient flow) + integral of K(t - s) l(s) ds.

    The kernel is K(t) = (eta^2 / B) sum lambda_i^2 exp(-2 r_i t) with r_i = eta (lambda_i + ridge); label noise s
    adds s^2 / 2 to l under the integral. Exact at every dimension and sample size, and independent of the moment
    equations that `moments` solves. Derived; formula hsgd-risk.

    Parameters
    ----------
    process : HomogenizedSGD
    x0 : array (d,) or (paths, d), Gaussian, or tuple (mean, covariance)
    steps : int
    record : None, int or sequence of int
        As in `moments`.
    discrete : bool
        Instead: SGD whose batch gradient is Gaussian with the covariance (2 L + s^2) H / B, which is the Euler scheme
        with one increment a step. The flow becomes gradient descent, the exponential (1 - r_i)^(2 t).

    Raises
    ------
    InvalidInput
        If the process is no homogenized SGD, or an argument cannot be used.
    """
    if not isinstance(process, HomogenizedSGD):
        raise InvalidInput(
            f"process must be HomogenizedSGD, got {type(process).__name__}: only there does the risk obey an equation "
            "of its own"
        )
    discrete = flag("discrete", discrete)
    problem, rates = process.problem, process.rates
    mean, covariance = initial_moments(x0, problem.dimension)
    start = problem.to_modes(mean)
    vectors = problem.eigenvectors
    second = np.einsum("ji,jk,ki->i", vectors, covariance, vectors) + start**2
    kept = moment_steps(record, steps)
    strength = process.step_size**2 / process.batch_size * problem.eigenvalues**2
    extra = process.label_noise**2 / 2
    active = problem.eigenvalues > 0
    decay = (lambda t, rate: (1 - rate) ** t) if discrete else (lambda t, rate: np.exp(-rate * t))

    def kernel(times: np.ndarray) -> np.ndarray:
        total = np.zeros(np.shape(times))
        for weight, rate in zip(strength[active], rates[active], strict=True):
            total += weight * decay(times, rate) ** 2
        return total

    def forcing(times: np.ndarray) -> np.ndarray:
        total = np.full(np.shape(times), problem.risk_at_minimiser + extra)
        for i in range(problem.dimension):
            factor = decay(times, rates[i])
            total += problem.risk_slope[i] * start[i] * factor
            total += 0.5 * problem.eigenvalues[i] * second[i] * factor**2
        return total

    mass = _mass(strength[active], rates[active], discrete)
    limit = (problem.risk_at_minimiser + extra) / (1 - mass) - extra if mass < 1 else np.inf
    if discrete:
        whole = np.arange(steps + 1)
        risk, error = solve_discrete_volterra(forcing(whole), kernel(whole[:-1]))[kept], 0.0
    else:
        # Panels short against the fastest decay of the kernel are needed anyway.
        panels = max(4, int(np.ceil(steps * rates.max(initial=0.0) / 2)))
        solution = solve_volterra(forcing, kernel, kept.astype(float), panels=panels)
        risk, error = solution.values, solution.error
    return VolterraRisk(kept, risk - extra, error, mass, limit)


def _mass(strength: np.ndarray, rates: np.ndarray, discrete: bool) -> float:
    """Integral (formula hsgd-threshold) or sum of the kernel over all time; inf where a mode does not decay."""
    decay = rates * (2 - rates) if discrete else 2 * rates
    return float((strength / decay).sum()) if (decay > 0).all() else np.inf
