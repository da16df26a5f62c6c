"""In a plane and on data: shapes of fluctuations, methods beside each other, weight decay."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from sgdlimits.diffusions import HomogenizedSGD, ModifiedEquation, OrnsteinUhlenbeck, UnderdampedLangevin
from sgdlimits.discrete import SGD, fluctuation
from sgdlimits.discrete.fluctuation import Ellipse, LossTable
from sgdlimits.exact.errors import SgdlimitsError, Unstable
from sgdlimits.exact.stationary_law import StationaryLaw
from sgdlimits.problems import LeastSquares, NoisyQuadratic, StreamingLeastSquares

from .curves import EXACT, Curve, Scale, end_of_paths
from .one_dimension import OU

HESSIAN, NOISE = [[1.0, 0.4], [0.4, 0.5]], [[1.0, -0.6], [-0.6, 1.5]]  # that do not commute
FRACTIONS = (0.1, 0.5, 0.9)  # of the threshold, of the ellipses
STEPS = 400  # of paths from a law with the exact moments, or on a line from the minimum


def shape(scale: Scale) -> tuple[Curve, dict[str, tuple[Ellipse, Ellipse, np.ndarray]]]:
    """Anisotropy against the step size, and ellipses with paths at three step sizes."""
    sgd = SGD(NoisyQuadratic(HESSIAN, NOISE), 0.1)
    top = sgd.stability().mean_threshold
    sizes = scale.grid(0.02, 0.97) * top
    found = fluctuation.shapes(sgd, sizes)
    simulated, errors = scale.seen(sizes.tolist(), lambda size: _anisotropy(scale, size))
    curve = Curve(
        "anisotropy", "Shape of the fluctuations: ratio of the variances along the axes", "step size / threshold",
        "anisotropy", sizes / top,
        {EXACT: found.anisotropy.values[:, 0], OU: found.anisotropy.values[:, 1]}, simulated, errors, log="",
        note="Additive noise that does not commute with the Hessian; the limit has one shape at all step sizes. "
        "Standard errors by the bootstrap.",
    )  # fmt: skip
    drawn = {}
    for part in FRACTIONS:
        here = SGD(NoisyQuadratic(HESSIAN, NOISE), part * top)
        ends = end_of_paths(here, np.zeros(2), 400, min(scale.paths, 1500), scale.seed, scale.threads)
        drawn[f"{part:g} of the threshold"] = (
            fluctuation.ellipse(here), fluctuation.ellipse(here, law="Ornstein-Uhlenbeck"), ends
        )  # fmt: skip
    return curve, drawn


def _anisotropy(scale: Scale, size: float) -> tuple[float, float]:
    def ratio(covariance: np.ndarray) -> float:
        small, large = np.linalg.eigvalsh(covariance)
        return float(large / small)

    return _of_covariance(scale, SGD(NoisyQuadratic(HESSIAN, NOISE), size), ratio)


def _of_covariance(scale: Scale, sgd: SGD, look: Callable[[np.ndarray], float]) -> tuple[float, float]:
    """A function of the covariance over paths, and its standard error by the bootstrap."""
    ends = end_of_paths(sgd, np.zeros(2), 600, scale.paths, scale.seed, scale.threads)
    generator = np.random.Generator(np.random.Philox([scale.seed, 2]))
    again = [look(np.cov(ends[generator.integers(0, len(ends), len(ends))].T)) for _ in range(50)]
    return look(np.cov(ends.T)), float(np.std(again, ddof=1))


def on_data(scale: Scale, name: str, problem: LeastSquares) -> tuple[Curve, LossTable, float]:
    """Excess loss against the step size, and a table of methods at half of the smallest threshold."""
    batch = min(scale.batch_size, problem.samples)
    top = SGD(problem, 1e-3, batch).stability().mean_square_threshold
    sizes = scale.grid(0.02, 0.95) * top
    made = [SGD(problem, float(size), batch) for size in sizes]
    lines = {
        EXACT: np.array([_excess(sgd.stationary, problem) for sgd in made]),
        "homogenized SGD": np.array([_excess(HomogenizedSGD.of(sgd).stationary, problem) for sgd in made]),
        "modified equation, order 1": np.array([_excess(ModifiedEquation.of(sgd).stationary, problem) for sgd in made]),
        OU: np.array([_excess(OrnsteinUhlenbeck.of(sgd).stationary, problem) for sgd in made]),
    }

    def look(sgd: SGD) -> tuple[float, float]:
        start = problem.minimiser, sgd.stationary().covariance
        ends = end_of_paths(sgd, start, STEPS, min(scale.paths, 4000), scale.seed, scale.threads)
        values = problem.risk(ends) - problem.least_risk
        error = float(values.std(ddof=1) / np.sqrt(len(values)))
        return float(values.mean()), error if sgd.fourth_moments_settle() else np.nan

    simulated, errors = scale.seen(made, look)
    curve = Curve(
        f"excess-{name}", f"{name}: excess loss at stationarity, batches of {batch}",
        "step size / mean-square threshold", "excess loss", sizes / top, lines, simulated, errors, log="xy",
        note=f"{name}: paths start from a Gaussian law with the exact moments; n = {problem.samples}, d = "
        f"{problem.dimension}. No interval is drawn where the fourth moment is not proved to be finite.",
    )  # fmt: skip
    return curve, *methods(scale, problem, batch)


def methods(scale: Scale, problem: LeastSquares, batch: int) -> tuple[LossTable, float]:
    """A table at a step size of half the smallest threshold of plain descent, momentum's divided by 1 / (1 - mu)."""
    hessian = problem.hessian + problem.ridge * np.eye(problem.dimension)
    values = np.linalg.eigvalsh(hessian)
    newton = np.linalg.inv(hessian) if values[0] > 1e-10 * values[-1] else None
    plain = 0.5 * SGD(problem, 1e-3, batch).stability().mean_square_threshold
    made = {
        "SGD": SGD(problem, plain, batch),
        "heavy ball 0.9": SGD(problem, 0.1 * plain, batch, momentum=0.9),
        "Nesterov 0.9": SGD(problem, 0.1 * plain, batch, momentum=0.9, nesterov=True),
    }
    if newton is not None:
        first = SGD(problem, 1e-3, batch, preconditioner=newton)
        made["Newton"] = SGD(problem, 0.5 * first.stability().mean_square_threshold, batch, preconditioner=newton)
    limits: list[Any] = [
        UnderdampedLangevin.of, lambda sgd: UnderdampedLangevin.of(sgd, order=2), HomogenizedSGD.of,
        ModifiedEquation.of, lambda sgd: ModifiedEquation.of(sgd, order=2),
    ]  # fmt: skip
    return fluctuation.table(made, limits), plain


def decay_on_a_line(scale: Scale) -> Curve:
    """Loss against the ridge on a line, where the best one is negative."""
    size, batch = 1.2, 6
    problem = StreamingLeastSquares(np.ones(1), 0.5, np.ones(1))
    ridges = scale.grid(-0.75, 0.42)
    sgd = SGD(problem, size, batch)
    found = fluctuation.weight_decay(sgd, ridges)

    def look(ridge: float) -> tuple[float, float]:
        here = SGD(problem.with_ridge(ridge), size, batch)
        ends = end_of_paths(here, here.problem.minimiser, STEPS, scale.paths, scale.seed, scale.threads)
        values = problem.risk(ends)
        error = float(values.std(ddof=1) / np.sqrt(len(values)))
        return float(values.mean()), error if here.fourth_moments_settle() else np.nan

    simulated, errors = scale.seen(ridges.tolist(), look)
    return Curve(
        "decay-line",
        f"Weight decay on a line: best at {found.best:.3g}, below zero as step size x curvature is over 1", "ridge",
        "expected loss", ridges,
        {EXACT: found.dataset.risk.values, "gradient flow": found.dataset.gradient_flow.values}, simulated, errors,
        note=f"On a line: step size {size:g}, batches of {batch}, label noise 0.5; no interval where the fourth moment "
        "is infinite.",
        marks={"best": found.best},
    )  # fmt: skip


def decay_on_data(scale: Scale, name: str, problem: LeastSquares) -> Curve | None:
    """Loss on held-out rows against the ridge, at a finite step size and without noise."""
    if not len(problem.test_targets):
        return None
    batch = min(scale.batch_size, problem.samples)
    sgd = SGD(problem, 0.6 * SGD(problem, 1e-3, batch).stability().mean_square_threshold, batch)
    largest = float(problem.eigenvalues[0])
    ridges = np.exp(scale.grid(np.log(1e-3), 0.0)) * largest
    try:
        found = fluctuation.weight_decay(sgd, ridges)
    except SgdlimitsError:
        return None

    def look(ridge: float) -> tuple[float, float]:
        here = replace(sgd, problem=problem.with_ridge(ridge))
        law = here.stationary()
        ends = end_of_paths(here, (law.mean, law.covariance), STEPS, min(scale.paths, 4000), scale.seed, scale.threads)
        values = 0.5 * np.square(ends @ problem.test_features.T - problem.test_targets).mean(axis=1)
        error = float(values.std(ddof=1) / np.sqrt(len(values)))
        return float(values.mean()), error if here.fourth_moments_settle() else np.nan

    simulated, errors = scale.seen(ridges.tolist(), look)
    flow = []
    for ridge in ridges:
        there = problem.with_ridge(float(ridge)).minimiser
        flow.append(0.5 * np.square(problem.test_features @ there - problem.test_targets).mean())
    return Curve(
        f"decay-{name}", f"{name}: loss on held-out rows against weight decay", "ridge / largest eigenvalue",
        "expected test loss", ridges / largest,
        {EXACT: found.dataset.test_risk.values, "gradient flow": np.array(flow)}, simulated, errors,
        log="x", note=f"{name}: step size 0.6 of the threshold at the ridge of the study, batches of {batch}; paths "
        "start from a Gaussian law with the exact moments.",
        marks={"best": found.best / largest},
    )  # fmt: skip


def _excess(law: Callable[[], StationaryLaw], problem: LeastSquares) -> float:
    try:
        return float(law().risk) - problem.least_risk
    except Unstable:
        return np.inf
    except SgdlimitsError:
        return np.nan


def sampling(scale: Scale) -> Curve:
    """Divergence from a Gaussian posterior against the step size, exactly and as continuous time has it."""
    samples = 2  # few, so that the step size is large
    found = fluctuation.posterior(SGD(NoisyQuadratic(HESSIAN, NOISE), 0.1), samples)
    sizes = np.exp(scale.grid(np.log(0.2), np.log(1.9))) * found.continuous_step_size
    values = found.divergences(sizes).divergence.values
    root = np.linalg.cholesky(samples * np.array(HESSIAN))

    def divergence(covariance: np.ndarray) -> float:
        parts = np.linalg.eigvalsh(root.T @ covariance @ root)
        return float(0.5 * (parts - np.log(parts) - 1).sum())

    simulated, errors = scale.seen(
        sizes.tolist(), lambda size: _of_covariance(scale, SGD(NoisyQuadratic(HESSIAN, NOISE), size), divergence)
    )
    return Curve(
        "posterior", "SGD as a sampler: divergence from the posterior of two samples", "step size", "divergence (nats)",
        sizes, {EXACT: values[:, 0], OU: values[:, 1]}, simulated, errors, log="xy",
        note="Sampler: points are the divergence of the Gaussian law with the paths' covariance, their standard errors "
        f"by the bootstrap; the best step size is {found.step_size:.5g}, continuous time says "
        f"{found.continuous_step_size:.5g}; with the exact preconditioner the divergence is 0.",
        marks={"best": found.step_size, "best in continuous time": found.continuous_step_size},
    )  # fmt: skip
