"""Second-order methods on a stream: Newton's exact covariance, and closures of rules whose law does not close."""

from __future__ import annotations

from typing import Any

import numpy as np

from sgdlimits import compare
from sgdlimits.discrete import SGD, rules
from sgdlimits.problems import StreamingLeastSquares

from .curves import EXACT, Curve, Scale, end_of_paths, trace_or_inf, variance_of_paths

PARAMETERS, BATCH, NOISE = 4, 16, 0.5
LIMIT = "limit in continuous time"
CLOSURE, MANY = "closure", "many parameters"


def variance_check(check: Any, words: str) -> dict[str, float]:
    """Prediction, what was found, and its error, of the check whose statement has these words."""
    data = check.dataset
    place = next(i for i, statement in enumerate(data["statement"].values) if words in str(statement))
    return {name: float(data[name][place]) for name in ("predicted", "found", "error")}


def newton(scale: Scale) -> Curve:
    """Newton with the Hessian of all samples: exact, its limit, and paths."""
    eigenvalues = np.geomspace(1.0, 0.1, PARAMETERS)
    stream = StreamingLeastSquares(eigenvalues, NOISE, np.ones(PARAMETERS))
    rule = rules.DampedNewton(0.0)
    top = SGD(stream, 0.1, BATCH, rule=rule).stability().mean_square_threshold
    sizes = scale.grid(0.05, 0.95) * top
    made = [SGD(stream, float(size), BATCH, rule=rule) for size in sizes]
    inverse = float((1 / eigenvalues).sum())
    lines = {
        EXACT: np.array([trace_or_inf(sgd.stationary) for sgd in made]),
        LIMIT: sizes * NOISE**2 / (2 * BATCH) * inverse,
    }

    def look(sgd: SGD) -> tuple[float, float]:
        ends = end_of_paths(sgd, stream.minimiser, 300, min(scale.paths, 4000), scale.seed, scale.threads)
        value, error = variance_of_paths(ends)
        return value, error if sgd.fourth_moments_settle() else np.nan

    simulated, errors = scale.seen(made, look)
    return Curve(
        "Newton", "Newton's method on a stream: trace of the covariance", "step size", "trace of the covariance",
        sizes, lines, simulated, errors, marks={"infinite from": top},
        note=f"Newton: {PARAMETERS} parameters of curvatures 1 to 0.1, batches of {BATCH}, label noise {NOISE:g}; no "
        f"law from {top:.4g} on; no interval is drawn where the fourth moment is infinite.",
    )  # fmt: skip


def natural_gradient(scale: Scale) -> Curve:
    """Natural gradient without label noise: its closure, theory for many parameters, and paths."""
    parameters, batch = 24, 8
    stream = StreamingLeastSquares(np.ones(parameters), 0.0, np.ones(parameters))
    sizes = np.array([0.05, 0.1, 0.2] if scale.quick else [0.05, 0.1, 0.2, 0.4])
    rule, found = rules.NaturalGradient(fisher="centred"), []
    for size in sizes:
        sgd = SGD(stream, float(size), batch, rule=rule)
        check = compare.closure(sgd, paths=64, seed=scale.seed, threads=scale.threads)
        closed, many = variance_check(check, "the closure"), variance_check(check, "many parameters")
        found.append([*(closed[name] for name in ("predicted", "found", "error")), many["predicted"]])
    closure, seen, error, theory = np.array(found).T
    return Curve(
        "natural gradient", "Natural gradient: the closure is not the variance of the rule itself", "step size",
        "mean variance of a coordinate", sizes, {CLOSURE: closure, MANY: theory}, seen, error, against=CLOSURE,
        note=f"Natural gradient: {parameters} parameters, batches of {batch}, no label noise, the matrix anew at every "
        "step. Many parameters: the variance tends to step size / batch size as their number grows.",
    )  # fmt: skip
