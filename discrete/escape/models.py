"""What is known of one step of a recurrence: its law, its cost in small noise, its linear part at the minimum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from sgdlimits.exact.errors import InvalidInput, NoStationaryLaw
from sgdlimits.problems.landscapes import Basin
from sgdlimits.problems.least_squares import LeastSquares
from sgdlimits.problems.streaming import StreamingLeastSquares

from ..additive_recurrence import AdditiveRecurrence
from ..sgd import SGD
from .descent import LandscapeDescent
from .plane_steps import GaussianPlane, PlaneSteps, StreamPlane
from .steps import GaussianSteps, LawSteps, LineSteps, StreamSteps

Array = np.ndarray
Cost = Callable[[Array, Array], Array]  # of the position (P, d) and of z - momentum (w - before): costs (P,)
MOST_BATCHES = 500


@dataclass(frozen=True, eq=False)
class StepModel:
    """One step, z = drift(w) + momentum (w - before) + noise, of a recurrence.

    With Nesterov's momentum z = moved + momentum (moved - before), where moved = drift(w) + noise is kept for the next.

    Attributes
    ----------
    minimum : (d,) array
    transition : (d, d) array
        Linear part of the drift at the minimum.
    noise : (d, d) array
        Covariance of z's noise at the minimum.
    basin : Basin or None
        The process's own.
    line, plane : laws of a step
        None where there is none that the transfer operator takes; `why` says why.
    cost : Cost or None
        -log of the density of a step, to leading order in small noise.
    """

    process: Any
    step_size: float
    momentum: float
    minimum: Array
    transition: Array
    noise: Array
    drift: Callable[[Array], Array]
    basin: Basin | None = None
    line: LineSteps | None = None
    plane: PlaneSteps | None = None
    cost: Cost | None = None
    why: str = ""
    batch: float = 1.0
    nesterov: bool = False

    @property
    def dimension(self) -> int:
        """d."""
        return self.minimum.size

    @property
    def whole(self) -> Array:
        """The linear recurrence (2 d, 2 d) of the position and what is kept of before."""
        eye, mu = np.eye(self.dimension), self.momentum
        if self.nesterov:
            return np.block([[(1 + mu) * self.transition, -mu * eye], [self.transition, 0 * eye]])
        return np.block([[self.transition + mu * eye, -mu * eye], [eye, 0 * eye]])

    @property
    def whole_noise(self) -> Array:
        """Covariance (2 d, 2 d) of a step's noise in these."""
        entry = [1 + self.momentum, 1.0] if self.nesterov else [1.0, 0.0]
        return np.kron(np.outer(entry, entry), self.noise)

    def ahead(self, x: Array, before: Array) -> tuple[Array, Array]:
        """Position (P, d) and what is kept of before (P, d), after a step without noise."""
        moved, mu = self.drift(x), self.momentum
        if self.nesterov:
            return moved + mu * (moved - before), moved
        return (moved + mu * (x - before), x) if mu else (moved, before)

    @property
    def radius(self) -> float:
        """By what the distance from the minimum shrinks a step, at least, in the long run."""
        return float(np.abs(np.linalg.eigvals(self.whole)).max())

    @property
    def threshold(self) -> float:
        """Step size from which descent without noise leaves the minimum."""
        curvature = (1 - np.linalg.eigvals(self.transition).real.min()) / self.step_size
        mu = self.momentum
        return float(2 * (1 + mu) / ((1 + 2 * mu if self.nesterov else 1) * curvature))

    def whole_covariance(self) -> Array:
        """Stationary covariance (2 d, 2 d) about the minimum, of the linear recurrence with the noise found there.

        Raises
        ------
        NoStationaryLaw
            If there is none.
        """
        from scipy.linalg import solve_discrete_lyapunov

        if self.radius >= 1:
            raise NoStationaryLaw(
                "the recurrence does not settle at its minimum, so there is no rate of escape: lower step_size"
            )
        return solve_discrete_lyapunov(self.whole, self.whole_noise)

    def covariance(self) -> Array:
        """That of the position, (d, d)."""
        return self.whole_covariance()[: self.dimension, : self.dimension]


def model_of(process: Any) -> StepModel | None:
    """The step of a process of this package; None for a recurrence of which only paths are known."""
    if isinstance(process, LandscapeDescent):
        return _of_descent(process)
    if isinstance(process, SGD):
        return _of_sgd(process)
    if isinstance(process, AdditiveRecurrence):
        return _of_additive(process)
    return None


def quadratic_cost(drift: Callable[[Array], Array], covariance: Callable[[Array], Array]) -> Cost:
    """Of Gaussian noise of a covariance (P, d, d)."""

    def cost(w: Array, z: Array) -> Array:
        away = z - drift(w)
        return 0.5 * np.einsum("pi,pi->p", away, np.linalg.solve(covariance(w), away[..., None])[..., 0])

    return cost


def _of_descent(process: LandscapeDescent) -> StepModel:
    landscape, size = process.landscape, process.step_size

    def drift(w: Array) -> Array:
        return w - size * landscape.gradient(w)

    def spread(w: Array) -> Array:
        return size**2 * process.covariance(w)

    line: LineSteps | None = None
    plane: PlaneSteps | None = None
    cost: Cost | None = quadratic_cost(drift, spread)
    why = ""
    if process.law is not None:
        cost = None
        frozen = process.noise
        if hasattr(frozen, "pdf"):
            line = LawSteps(lambda w: drift(w[:, None])[:, 0], size, float(np.sqrt(process.law.cumulants[1])), frozen)
        else:
            why = "its noise has no density"
    elif process.dimension == 1:
        line = GaussianSteps(
            lambda w: (drift(w[:, None]), np.sqrt(spread(w[:, None])[:, 0])), np.ones(1)
        )
    elif process.dimension == 2 and not process.momentum:
        plane = GaussianPlane(drift, spread)
    else:
        why = "it holds more than two numbers from step to step"
    least = spread(landscape.minimum[None])[0]
    if np.linalg.eigvalsh(least)[0] <= 0:
        raise InvalidInput(
            "the noise dies out at the minimum, so that paths stay there and do not escape: give it a floor, as in "
            "LossNoise(batch_size, floor=0.1) or MultiplicativeNoise(0.5, additive=0.1)"
        )
    return StepModel(
        process, size, process.momentum, landscape.minimum, np.eye(process.dimension) - size * process.hessian, least,
        drift, landscape.basin, line, plane, cost, why, nesterov=process.nesterov,
    )  # fmt: skip


def _of_additive(process: AdditiveRecurrence) -> StepModel:
    law, size = process._noise, process.step_size
    mean = float(law.cumulants[0]) if law.cumulants.size else 0.0
    if law.cumulants.size < 2:
        raise InvalidInput(f"the noise {law.label} has no finite known variance, which a rate of escape needs")
    frozen, line = process.noise, None

    def drift(w: Array) -> Array:
        return process.multiplier * w - size * mean

    if hasattr(frozen, "pdf"):
        line = LawSteps(lambda w: process.multiplier * w, size, float(np.sqrt(law.cumulants[1])), frozen)
    return StepModel(
        process, size, 0.0, np.array([-mean / process.curvature]), np.array([[process.multiplier]]),
        np.array([[size**2 * float(law.cumulants[1])]]), drift, None, line, None, None,
        "" if line else "its noise has no density",
    )  # fmt: skip


def _of_sgd(sgd: SGD) -> StepModel | None:
    problem = sgd.problem
    if sgd.rule is not None or callable(sgd.step_size) or not problem.quadratic:
        return None
    size, momentum = float(sgd.step_size), sgd.momentum
    hessian = problem.hessian + problem.ridge * np.eye(problem.dimension)
    minimum = problem.minimiser
    line: LineSteps | None = None
    plane: PlaneSteps | None = None
    cost: Cost | None = None
    if isinstance(problem, StreamingLeastSquares):
        deviation, h, batch = float(np.hypot(problem.noise, sgd.label_noise)), problem.covariance, sgd.batch_size
        away = minimum - problem.truth
        noise = (np.outer(h @ away, h @ away) + (away @ h @ away + deviation**2) * h) / batch
        why = ""
        if not deviation:
            why = "without label noise all noise dies out at the minimum"
        elif problem.dimension == 1:
            line = StreamSteps(size, batch, float(h[0, 0]), float(problem.truth[0]), deviation, problem.ridge)
            cost = stream_cost(size, batch, h, problem.truth, deviation, problem.ridge)
        else:
            if problem.dimension == 2 and not momentum:
                plane = StreamPlane(size, batch, h, problem.truth, deviation, problem.ridge)
            else:
                why = "it holds more than two numbers from step to step"
            cost = stream_cost(size, batch, h, problem.truth, deviation, problem.ridge)
    else:
        factor = problem.sampling_factor(sgd.batch_size, sgd.sampling)
        batch = sgd.batch_size
        noise = factor * problem.gradient_noise_covariance(minimum) + sgd.label_noise**2 / batch * problem.hessian
        if problem.additive:
            return _of_additive_gradient(sgd, hessian, size**2 * noise)
        line, why = _of_rows(sgd, problem)

    def drift(w: Array) -> Array:
        return w - size * (w - minimum) @ hessian

    return StepModel(
        sgd, size, momentum, minimum, np.eye(problem.dimension) - size * hessian, size**2 * noise, drift, None, line,
        plane, cost, why, float(batch), sgd.nesterov,
    )  # fmt: skip


def _of_additive_gradient(sgd: SGD, hessian: Array, noise: Array) -> StepModel:
    """Gaussian noise (d, d) of a step, the same everywhere: a noisy quadratic, or the one about a minimum."""
    size, momentum, minimum, d = float(sgd.step_size), sgd.momentum, sgd.problem.minimiser, len(hessian)
    if not noise.any():
        raise InvalidInput("the gradient has no noise, so that nothing escapes: give it some, or lower the batch size")

    def drift(w: Array) -> Array:
        return w - size * (w - minimum) @ hessian

    def spread(w: Array) -> Array:
        return np.broadcast_to(noise, (len(w), d, d))

    line: LineSteps | None = None
    plane: PlaneSteps | None = None
    regular = bool(np.linalg.eigvalsh(noise)[0] > 0)
    why = "" if regular else "its noise is singular"
    if regular and d == 1:
        line = GaussianSteps(lambda w: (drift(w[:, None]), np.full((len(w), 1), np.sqrt(noise[0, 0]))), np.ones(1))
    elif regular and d == 2 and not momentum:
        plane = GaussianPlane(drift, spread)
    elif regular:
        why = "it holds more than two numbers from step to step"
    return StepModel(
        sgd, size, momentum, minimum, np.eye(d) - size * hessian, noise, drift, None, line, plane,
        quadratic_cost(drift, spread) if regular else None, why, float(sgd.batch_size), sgd.nesterov,
    )  # fmt: skip


def _of_rows(sgd: SGD, problem: LeastSquares) -> tuple[LineSteps | None, str]:
    """Finite data on a line with label noise: a mixture over batches."""
    if not isinstance(problem, LeastSquares):
        return None, "only moments of its noise are known"
    if problem.dimension != 1:
        return None, "it has finite data in more than one dimension"
    if not sgd.label_noise:
        return None, "with finite data and no label noise a step has no density"
    if sgd.sampling != "with_replacement" or problem.samples**sgd.batch_size > MOST_BATCHES:
        return None, f"its batches are not drawn with replacement, or are more than {MOST_BATCHES}"
    a, b, size, batch = problem.features[:, 0], problem.targets, sgd.step_size, sgd.batch_size
    rows = np.array(list(product(range(len(a)), repeat=batch)))
    square, target = (a[rows] ** 2).mean(axis=1), (a[rows] * b[rows]).mean(axis=1)
    if not square.all():
        return None, "some batches have no features, and so no noise"
    sd = size * sgd.label_noise * np.sqrt(square / batch)

    def parts(w: Array) -> tuple[Array, Array]:
        means = w[:, None] * (1 - size * (square + problem.ridge)) + size * target
        return means, np.broadcast_to(sd, means.shape)

    return GaussianSteps(parts, np.full(len(rows), 1 / len(rows))), ""


def stream_cost(size: float, batch: int, h: Array, truth: Array, deviation: float, ridge: float) -> Cost:
    """Cramer's function of the mean gradient of a batch of Gaussian samples, times the batch size, in closed form.

    Given their mean square residual q s^2 the gradient is Gaussian; the best q solves a quadratic equation.
    """
    inverse = np.linalg.inv(h)

    def cost(w: Array, z: Array) -> Array:
        e = w - truth
        g = (w * (1 - size * ridge) - z) / size
        square = np.einsum("pi,ij,pj->p", e, h, e)
        s = square + deviation**2
        cross = np.einsum("pi,pi->p", e, g)
        a = (np.einsum("pi,ij,pj->p", g, inverse, g) + cross**2 / deviation**2) / s
        b = square * (1 + square / deviation**2) / s
        x = cross * (1 + square / deviation**2) / s
        q = (1 + np.sqrt(1 + 4 * a * (1 + b))) / (2 * (1 + b))
        return batch / 2 * (q - 1 - np.log(q) + a / q - 2 * x + b * q)

    return cost
