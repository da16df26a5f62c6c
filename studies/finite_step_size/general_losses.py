"""Losses whose law does not close: quadratic theory at the minimum beside paths, and where it breaks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sgdlimits.discrete import SGD
from sgdlimits.problems import LeastSquares, LocalExpansion, LocalQuadratic, Logistic, Supervised, predictors
from sgdlimits.problems.datasets import embedded
from sgdlimits.problems.losses import CrossEntropy, Squares
from sgdlimits.problems.sources import Rows

from .curves import Curve, Scale, end_of_paths, trace_or_inf, variance_of_paths

EXPANDED, LOCAL = "samples to second order", "noise of the minimum"
FIXED, SCALED = "step size 0.5", "step size 4 / width"
WIDTH_ROWS, RUNS = 400, 32
LARGEST, MOST_ROWS = 40, 5000  # parameters and rows of a data set that logistic regression learns
RELAXED, MOST_STEPS = 6.0, 20_000  # relaxation times of the slowest direction that paths take, and their steps


def around(
    scale: Scale, name: str, loss: Any, batch: int, top: float, steps: int | None, point: Any = None
) -> Curve:
    """Trace of the covariance against the step size, by two theories at the minimum, and by paths from it.

    Without `steps` as many are taken as the slowest direction needs, and no paths where these are too many.
    """
    local, expansion = LocalQuadratic(loss, point), LocalExpansion(loss, point)
    slowest = float(local.curvatures.min())
    limit = SGD(expansion, 1e-3, batch).stability().mean_square_threshold
    sizes = scale.grid(0.03, top) * limit
    lines = {
        EXPANDED: np.array([trace_or_inf(SGD(expansion, float(size), batch).stationary) for size in sizes]),
        LOCAL: np.array([trace_or_inf(SGD(local, float(size), batch).stationary) for size in sizes]),
    }

    def look(size: float) -> tuple[float, float]:
        sgd = SGD(loss, size, batch)
        paths, needed = min(scale.paths, 2000), steps or math.ceil(RELAXED / (slowest * size))
        if needed > MOST_STEPS:
            return math.nan, math.nan
        return variance_of_paths(end_of_paths(sgd, local.minimiser, needed, paths, scale.seed, scale.threads))

    simulated, errors = scale.seen(sizes.tolist(), look)
    with np.errstate(invalid="ignore", divide="ignore"):
        off = np.abs(simulated / lines[EXPANDED] - 1)
    where = _breaks(sizes / limit, off)
    return Curve(
        name, f"{name.capitalize()}: variance about the minimum; quadratic theory is {where}",
        "step size / threshold of the expansion", "trace of the covariance", sizes / limit, lines, simulated, errors,
        against=EXPANDED,
        note=f"{name}: n = {loss.samples}, {loss.dimension} weights, batches of {batch}, "
        f"{steps or 'as many as the slowest direction needs,'} steps from the minimum. Theory is exact for the "
        "Taylor polynomials, not for the loss.",
    )  # fmt: skip


def _breaks(places: np.ndarray, off: np.ndarray) -> str:
    """From which place on theory is a tenth off, between the two points of paths where it becomes so, in words."""
    seen = np.flatnonzero(np.isfinite(off))
    over = np.flatnonzero(off[seen] > 0.1)
    if not over.size:
        return "never 10 % off"
    last = seen[over[0]]
    if over[0] == 0:
        return f"10 % off from below {places[last]:.2g} of the threshold on"
    first = seen[over[0] - 1]
    return f"10 % off from {np.interp(0.1, off[[first, last]], places[[first, last]]):.2g} of the threshold on"


def classes(scale: Scale, name: str, problem: LeastSquares) -> Curve | None:
    """Logistic regression on a data set whose targets have two values; None for others."""
    values = np.unique(problem.targets)
    if values.size != 2 or problem.dimension > LARGEST or problem.samples > MOST_ROWS:
        return None
    labels = np.where(problem.targets == values[1], 1.0, -1.0)
    loss = Logistic.from_arrays(problem.features, labels, problem.ridge)
    return around(scale, f"logistic regression on {name}", loss, min(scale.batch_size, loss.samples), 0.9, None)


def logistic(scale: Scale) -> Curve:
    """A classifier on 200 Gaussian rows with noisy labels."""
    generator = np.random.Generator(np.random.Philox([scale.seed, 3]))
    rows = generator.standard_normal((200, 5))
    labels = np.sign(rows[:, 0] + generator.standard_normal(200))
    return around(scale, "logistic regression", Logistic.from_arrays(rows, labels, ridge=0.02), 4, 0.9, 1500)


def network(scale: Scale) -> Curve:
    """A tanh network of three hidden units with weight decay, fitted to noisy values of a curve."""
    generator = np.random.Generator(np.random.Philox([scale.seed, 4]))
    inputs = generator.uniform(-2, 2, (60, 1))
    labels = np.sin(2 * inputs[:, 0]) + 0.3 * generator.standard_normal(60)
    predictor = predictors.TwoLayer(1, 3)
    loss = Supervised(predictor, Squares(), Rows(inputs, labels), ridge=0.01)
    start = predictor.start(1, scale.seed)[0]
    return around(scale, "tanh network", loss, 4, 0.9, 3000, _minimum(loss, start))


def _minimum(loss: Any, start: np.ndarray) -> np.ndarray:
    """A minimum of the descended objective that descent from `start` finds."""
    from scipy.optimize import minimize

    found = minimize(
        lambda x: float(loss.risk(x) + 0.5 * loss.ridge * x @ x), start, jac=loss.gradient, method="BFGS",
        options={"gtol": 1e-9, "maxiter": 4000},
    )  # fmt: skip
    return found.x


def widths(scale: Scale) -> Curve:
    """Spread over runs of the loss within the first epoch, against the width of a tanh network on digits."""
    table = embedded("digits")
    inputs, labels = table.features[:WIDTH_ROWS] / 16, table.targets[:WIDTH_ROWS]
    hidden = np.array([8, 16, 32, 64, 128] if scale.quick else [8, 16, 32, 64, 128, 256])
    found: dict[str, list[float]] = {FIXED: [], SCALED: []}
    spreads: dict[str, list[float]] = {FIXED: [], SCALED: []}
    for width in hidden:
        predictor = predictors.TwoLayer(64, int(width), 10, "tanh")
        loss = Supervised(predictor, CrossEntropy(), Rows(inputs, labels))
        starts = predictor.start(RUNS, scale.seed)
        for name, size in ((FIXED, 0.5), (SCALED, 0.5 * hidden[0] / width)):
            sgd = SGD(loss, float(size), 4, sampling="reshuffle")
            steps = WIDTH_ROWS // 4
            run = sgd.simulate(
                starts, steps, RUNS, ("risk",), list(range(0, steps + 1, steps // 8)), scale.seed, threads=scale.threads
            )
            values = run.risk.values[:, 1:]
            found[name].append(float(values.var(axis=0, ddof=1).mean()))
            spreads[name].append(_spread(values, scale.seed))
    return Curve(
        "widths", f"Variance of the loss over {RUNS} runs within the first epoch, against the width", "hidden units",
        "variance of the loss", hidden.astype(float), {name: np.array(values) for name, values in found.items()},
        log="xy", against="",
        note=f"Widths: two-layer tanh network, {WIDTH_ROWS} digits, batches of 4, one pass; mean over eight steps; "
        "no theory. Bars: 2 standard errors over the runs, by the bootstrap.",
        spreads={name: np.array(values) for name, values in spreads.items()},
    )  # fmt: skip


def _spread(losses: np.ndarray, seed: int) -> float:
    """Standard error of the variance over runs (R, steps), averaged over steps, by the bootstrap over runs."""
    generator = np.random.Generator(np.random.Philox([seed, 5]))
    draws = generator.integers(0, len(losses), (200, len(losses)))
    return float(losses[draws].var(axis=1, ddof=1).mean(axis=1).std(ddof=1))
