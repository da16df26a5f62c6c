"""compare.closure: what a closure says of a rule, and theory with the matrix recomputed, beside simulated paths."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from sgdlimits.discrete import SGD
from sgdlimits.discrete.closures import Closure
from sgdlimits.discrete.rules import Adam, NaturalGradient, RMSProp
from sgdlimits.exact.errors import InvalidInput, SgdlimitsError, instance_of, seed_number, whole_number
from sgdlimits.problems.streaming import StreamingLeastSquares

from ..capabilities import claim_notes, one_blas_thread
from ..estimates import confidence_level, student_quantile
from ..results import labelled
from ..verdicts import judged, relative_tolerance
from .result import AXES, ClosureCheck

ROUNDING = 1e-9  # to which exact numbers must hold
RELAXATIONS, LOOKS = 16, 16  # relaxation times, and memories, of a burn-in; looks at each path, a relaxation time apart
LONGEST = 10**6  # steps of a burn-in
MANY = 20  # parameters from which on the formula for many is put to the test


@dataclass(frozen=True, eq=False)
class Checks:
    """What was said, and what was found: arrays over the checks."""

    statement: np.ndarray
    predicted: np.ndarray
    found: np.ndarray
    error: np.ndarray
    verdict: np.ndarray


@one_blas_thread
def closure(
    sgd: SGD,
    *,
    form: str | None = None,
    paths: int = 4000,
    steps: int | None = None,
    tolerance: float = 0.02,
    seed: int = 0,
    threads: int | None = None,
    confidence: float = 0.95,
) -> ClosureCheck:
    """Put the closure of a rule to the test: its equation, its second-moment operator, and its variance beside paths.

    Of natural gradient without noise on labels besides: the mean of 1 / (z . H z), z = x - truth, and the variance for
    many parameters, with the matrix recomputed at every step.

    Parameters
    ----------
    sgd : SGD
        With a rule that has a closure, see `SGD.closure`.
    form : {None, "2021"}
        As of `SGD.closure`.
    paths : int
        They start from the closure's law.
    steps : int, optional
        Of a burn-in; by default 16 relaxation times under the frozen matrix, and as many memories of running means.
        Each path is then looked at 16 times.
    tolerance : float
        Relative, at most 0.1: within it a prediction agrees.
    seed : int
    threads : int, optional
    confidence : float

    Returns
    -------
    ClosureCheck

    Raises
    ------
    InvalidInput
        If the rule has no closure, or an argument cannot be used.
    """
    instance_of("sgd", sgd, SGD)
    found = sgd.closure(form)
    paths, tolerance = whole_number("paths", paths, 16), relative_tolerance(tolerance)
    quantile = student_quantile(confidence_level(confidence), paths - 1)
    rate = float(np.linalg.eigvals(found.step_matrix @ _hessian(sgd)).real.min()) / 2
    relaxation = math.ceil(1 / max(rate, 1e-12))
    if steps is None:
        steps = RELAXATIONS * (relaxation + _memory(sgd))
    steps = whole_number("steps", steps, 1)
    if steps > LONGEST:
        raise InvalidInput(f"a burn-in would take {steps:.3g} steps, over {LONGEST}: state steps, or a larger step")
    record = steps + relaxation * np.arange(LOOKS)
    run = sgd.simulate(
        (sgd.problem.minimiser, found.covariance), int(record[-1]), paths, _observables(sgd), record.tolist(),
        seed_number(seed), threads=threads,
    )  # fmt: skip
    looked = {name: run[name].sel(step=record).values.mean(axis=1) for name in ("spread", "inverse")}
    rows = _exact_rows(found) + _simulated_rows(sgd, found, looked, tolerance, quantile)
    columns = [np.array(column) for column in zip(*rows)]
    attributes = {
        "process": sgd.label, "problem": repr(sgd.problem), "closure": found.label, "paths": paths, "steps": steps,
        "tolerance": tolerance, "confidence": confidence, "seed": seed, "step_size": float(sgd.step_size),
        "batch_size": sgd.batch_size, "claims": claim_notes([found], [found.label]),
    }  # fmt: skip
    return ClosureCheck(labelled(Checks(*columns), AXES, {}, attributes))


def _hessian(sgd: SGD) -> np.ndarray:
    problem = sgd.problem
    return problem.hessian + problem.ridge * np.eye(problem.dimension)


def _memory(sgd: SGD) -> int:
    """Steps that running means of squares remember."""
    rule = sgd.update_rule
    if isinstance(rule, Adam):
        return math.ceil(1 / (1 - rule.betas[1]))
    return math.ceil(1 / (1 - rule.alpha)) if isinstance(rule, RMSProp) else 0


def _observables(sgd: SGD) -> dict[str, Any]:
    problem = sgd.problem

    def spread(x: np.ndarray) -> np.ndarray:
        return np.asarray(np.square(problem.to_modes(x)) @ problem.curvatures)

    def inverse(x: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore"):
            return 1 / spread(x)

    return {"spread": lambda x: spread(x) / problem.dimension, "inverse": inverse}


def _exact_rows(found: Closure) -> list[tuple[Any, ...]]:
    """The equation for the covariance, and what a step does to second moments under the frozen matrix."""
    solved = "agrees" if found.residual <= ROUNDING else "differs"
    rows: list[tuple[Any, ...]] = [("residual of the equation for the covariance", 0.0, found.residual, 0.0, solved)]
    if any("multiplied by exactly 1" in claim.statement for claim in found.claims):
        marginal = "agrees" if abs(found.radius - 1) <= ROUNDING else "differs"
        rows.append(("factor of second moments a step, matrix frozen", 1.0, found.radius, 0.0, marginal))
    return rows


def _simulated_rows(
    sgd: SGD, found: Closure, looked: dict[str, np.ndarray], tolerance: float, quantile: float
) -> list[tuple[Any, ...]]:
    problem, d, batch, size = sgd.problem, sgd.problem.dimension, sgd.batch_size, float(sgd.step_size)
    index = _index(sgd)

    def row(statement: str, predicted: float, values: np.ndarray, moments: float) -> tuple[Any, ...]:
        """`moments`: the order of |x| that the error of the mean takes."""
        value, error = float(values.mean()), float(values.std(ddof=1) / math.sqrt(values.size))
        if index <= moments / 2:
            return statement, predicted, math.inf, 0.0, "differs"
        if index <= moments:
            return statement, predicted, value, math.nan, "undecided"
        return statement, predicted, value, error, judged(value, error, predicted, tolerance * predicted, quantile)

    said = "variance along directions, tr(H S) / d: the closure"
    rows = [row(said, float(np.trace(found.covariance @ _hessian(sgd)) / d), looked["spread"], 4.0)]
    natural = isinstance(sgd.update_rule, NaturalGradient) and isinstance(problem, StreamingLeastSquares)
    if natural and any("recomputed" in claim.statement for claim in found.claims):
        predicted = 1 / (size * ((d - 0.5) / batch + 0.25))
        rows.append(row("E 1 / (z . H z), matrix recomputed", predicted, looked["inverse"], 0.0))
        if d >= MANY:
            many = "the same, matrix recomputed, many parameters: step size / batch size"
            rows.append(row(many, size / batch, looked["spread"], 4.0))
    return rows


def _index(sgd: SGD) -> float:
    """The tail index, where it is known; else inf."""
    try:
        return sgd.tail_index().index
    except SgdlimitsError:
        return math.inf
