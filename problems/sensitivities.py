"""The risk of a process and its derivatives in step size, ridge and batch size, labelled; what all processes share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.ensembles.initial import initial_moments, moment_steps
from sgdlimits.ensembles.results import sensitivities_dataset
from sgdlimits.exact.errors import InvalidInput, some_of
from sgdlimits.exact.noise_maps import DiagonalNoise, NoiseMap
from sgdlimits.exact.schedules import StepSizes
from sgdlimits.exact.sensitivities import Direction, Noise, Tangents

from .least_squares import LeastSquares
from .streaming import StreamingLeastSquares

if TYPE_CHECKING:
    import xarray

    from .second_moments import SecondMoments

PARAMETERS = ("step_size", "ridge", "batch_size")


def sensitivities(
    second: SecondMoments, directions: Callable[[], Mapping[str, Direction]], x0: Any, steps: int,
    record: int | Sequence[int] | np.ndarray | None, parameters: Sequence[str] | None, attributes: Mapping[str, Any],
    clock: Callable[[np.ndarray], np.ndarray | None],
) -> xarray.Dataset:  # fmt: skip
    """Exact risk and its derivatives from the start `x0` on.

    Parameters
    ----------
    directions : function () -> mapping
        Of every parameter among PARAMETERS; called once input is known to be good.

    Raises
    ------
    InvalidInput
        If the step size follows a schedule, the problem is no least squares, or an argument cannot be used.
    OutOfReach
        If the way to the last step is too dear.
    """
    problem = second.problem
    if isinstance(second.step_size, StepSizes):
        raise InvalidInput(
            f"step_size is the schedule {second.step_size!r}, in which no one number is to be changed: take a constant "
            "step size, dataclasses.replace(process, step_size=...)"
        )
    if not isinstance(problem, (LeastSquares, StreamingLeastSquares)):
        raise InvalidInput(
            f"{type(problem).__name__} is expanded about a minimum that moves with the ridge: sensitivities are for "
            "LeastSquares and StreamingLeastSquares"
        )
    chosen = some_of("parameters", parameters, PARAMETERS)
    problem.check_centre()
    mean, covariance = initial_moments(x0, problem.dimension)
    kept, vectors, equations = moment_steps(record, steps), problem.eigenvectors, second.equations
    mean, covariance = problem.to_modes(mean), vectors.T @ covariance @ vectors
    all_of_them, risk, found = directions(), np.empty(len(kept)), np.empty((len(chosen), len(kept)))
    # The matrices of exponentials grow with all that moves at once; steps share what parameters have in common.
    together = [chosen] if equations.discrete else [(name,) for name in chosen]
    with np.errstate(over="ignore", invalid="ignore"):
        for names in together:
            tangents = Tangents(equations, [all_of_them[name] for name in names])
            rows = [chosen.index(name) for name in names]
            for index, (means, seconds, _) in enumerate(tangents.at(kept, mean, covariance)):
                squares = seconds[:, 0, 0] if seconds.ndim == 4 else np.diagonal(seconds[:, 0, 0], axis1=-2, axis2=-1)
                change = means[:, 0] @ problem.risk_slope + 0.5 * squares @ problem.eigenvalues
                risk[index], found[rows, index] = problem.risk_at_minimiser + change[0], change[1:]
    for values in (risk, found):
        values[np.isnan(values)] = np.inf
    return sensitivities_dataset(kept, risk, dict(zip(chosen, found)), attributes, clock(kept))


def noise_by_batch(
    make: Callable[[float, float], NoiseMap], factor: tuple[float, float], label: tuple[float, float],
    eigenvalues: np.ndarray,
) -> Noise:  # fmt: skip
    """Derivative in the batch size of the noise make(factor, label variance); each with its own derivative."""
    closes = isinstance(make(1.0, 0.0), DiagonalNoise)

    def added(one: float, size: float) -> np.ndarray:
        return one * size * (eigenvalues if closes else np.diag(eigenvalues))

    if factor[0] > 0:
        ratio = factor[1] / factor[0]
        return lambda second, mean, drawn, one: ratio * drawn + added(one, label[1] - ratio * label[0])
    unit: Any = make(1.0, 0.0)
    of = unit.variances if closes else unit

    def noise(second: np.ndarray, mean: np.ndarray, drawn: np.ndarray, one: float) -> np.ndarray:
        still = of(np.zeros_like(second), np.zeros_like(mean))
        return factor[1] * (of(second, mean) + (one - 1) * still) + added(one, label[1])

    return noise
