"""On a line: the variance against the step size, with additive noise, momentum and minibatches."""

from __future__ import annotations

import numpy as np

from sgdlimits.diffusions import ModifiedEquation, OrnsteinUhlenbeck
from sgdlimits.discrete import SGD
from sgdlimits.problems import LeastSquares, NoisyQuadratic, StreamingLeastSquares

from .curves import EXACT, Curve, Scale, end_of_paths, trace_or_inf, variance_of_paths

OU, SECOND, FROZEN = "Ornstein-Uhlenbeck", "modified equation, order 2", "additive noise"
MULTIPLICATIVE = "SDE with the exact noise"


def additive(scale: Scale) -> Curve:
    """x <- x - step_size (x + N(0, 1)): the published setting of figure 2 (a), curvature and noise 1."""
    sizes = scale.grid(0.1, 1.9)
    problem = NoisyQuadratic([1.0], [1.0])
    lines = {
        EXACT: np.array([trace_or_inf(SGD(problem, size).stationary) for size in sizes]),
        OU: np.array([trace_or_inf(OrnsteinUhlenbeck(problem, size).stationary) for size in sizes]),
        SECOND: np.array([trace_or_inf(ModifiedEquation(problem, size, order=2).stationary) for size in sizes]),
    }
    found = scale.seen([SGD(problem, float(size)) for size in sizes], lambda sgd: _paths(scale, sgd, 1000))
    return Curve(
        "additive", "Additive noise on a line: the variance at stationarity", "step size x curvature", "variance",
        sizes, lines, found[0], found[1],
        note="Noise and curvature 1; 1000 steps. The equation of second order is farther off than the first.",
    )  # fmt: skip


def momentum(scale: Scale) -> list[Curve]:
    """Heavy ball and Nesterov at momentum 0.9."""
    found = []
    for nesterov, name in ((False, "heavy ball"), (True, "Nesterov")):
        mu, problem = 0.9, NoisyQuadratic([1.0], [1.0])
        top = 2 * (1 + mu) / ((1 + 2 * mu) if nesterov else 1.0)
        sizes = scale.grid(0.02, 0.97) * top
        made = [SGD(problem, float(size), momentum=mu, nesterov=nesterov) for size in sizes]
        lines = {
            EXACT: np.array([trace_or_inf(sgd.stationary) for sgd in made]),
            OU: sizes / (2 * (1 - mu)),
        }
        ends = scale.seen(made, lambda sgd: _paths(scale, sgd, 1000))
        found.append(Curve(
            name.replace(" ", "-"), f"Momentum 0.9, {name}: the variance at stationarity", "step size x curvature",
            "variance", sizes, lines, ends[0], ends[1], note=f"{name}: there is no law from {top:.4g} on.",
            marks={"no law from": top},
        ))  # fmt: skip
    return found


def streaming(scale: Scale) -> Curve:
    """Gaussian inputs of variance 1, batches of 10, label noise 1: the published figure 4 (a)."""
    batch, problem = 10, StreamingLeastSquares(np.ones(1), 1.0, np.zeros(1))
    top = 2 * batch / (batch + 2)
    sizes = scale.grid(0.05, 0.97) * top
    made = [SGD(problem, float(size), batch) for size in sizes]
    lines = {
        EXACT: np.array([trace_or_inf(sgd.stationary) for sgd in made]),
        FROZEN: sizes / (batch * (2 - sizes)),
        MULTIPLICATIVE: np.array([trace_or_inf(ModifiedEquation.of(sgd).stationary) for sgd in made]),
        OU: sizes / (2 * batch),
    }
    found = scale.seen(made, lambda sgd: _paths(scale, sgd, 600))
    return Curve(
        "minibatch", "Minibatch noise on a stream: additive noise misses where the variance ends",
        "step size x curvature", "variance (label noise 1)", sizes, lines, found[0], found[1],
        note=f"Stream: batches of {batch}; the variance is infinite from {top:.4g} on, and has no standard error over "
        "paths where the fourth moment is infinite: no interval is drawn there.", marks={"infinite from": top},
    )  # fmt: skip


def finite(scale: Scale) -> Curve:
    """1000 rows on a line, L = mean (w x - y)^2 without the half, as published: a step size of twice ours."""
    generator = np.random.Generator(np.random.Philox([scale.seed, 1000]))
    inputs = generator.standard_normal(1000)
    problem = LeastSquares.from_arrays(inputs[:, None], inputs + generator.standard_normal(1000))
    batch = 10
    top = SGD(problem, 0.1, batch).stability().mean_square_threshold
    sizes = scale.grid(0.05, 0.95) * top
    made = [SGD(problem, float(size), batch) for size in sizes]
    k = float(problem.curvatures[0])
    noise = float(problem.gradient_noise_covariance(problem.minimiser)[0, 0]) / batch
    lines = {
        EXACT: np.array([trace_or_inf(sgd.stationary) for sgd in made]),
        FROZEN: sizes * noise / (k * (2 - sizes * k)),
        OU: sizes * noise / (2 * k),
    }
    found = scale.seen(made, lambda sgd: _paths(scale, sgd, 600))
    return Curve(
        "finite", "1000 rows on a line, batches of 10: the variance at stationarity",
        "step size of the loss without 1/2", "variance", sizes / 2, lines, found[0], found[1],
        note="The published loss has no factor 1/2.", marks={"infinite from": top / 2},
    )  # fmt: skip


def _paths(scale: Scale, sgd: SGD, steps: int) -> tuple[float, float]:
    """Variance over paths with its standard error; nan for one where the fourth moment is not finite."""
    ends = end_of_paths(sgd, sgd.problem.minimiser, steps, scale.paths, scale.seed, scale.threads)
    value, error = variance_of_paths(ends)
    return value, error if sgd.fourth_moments_settle() else np.nan
