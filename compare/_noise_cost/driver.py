"""compare.noise_cost: what noise costs online, from exact moments."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from sgdlimits.discrete.sgd import SGD
from sgdlimits.exact.errors import InvalidInput, instance_of, positive, real_array, whole_number
from sgdlimits.exact.level_passages import LONGEST
from sgdlimits.exact.trade_off import trade_off
from sgdlimits.problems.quadratic import NO_NOISE

from ..capabilities import claim_notes, has_moments, has_one_step_size, one_blas_thread
from ..results import labelled
from .budgets import Best, best_of_samples, best_of_steps
from .costs import Costs
from .record import CURVES, Costed, Row, Summary, costed, fitted, reached_by
from .result import NoiseCost
from .scaling import RULES, Base, ScalingRule, scaling_rule, steps_up_to

FRACTION = 0.1  # of the initial excess, where no level is given
ENOUGH = 4.0  # times the least samples, at which the ladder of batch sizes ends
LARGEST = 2.0**30  # batch size of the ladder
CHOICES = ("fixed", "tuned")
BUDGETS = ("samples", "steps")
DIGITS = 1e-10  # of the least risk, below which the excess under momentum, a difference of risks, is not known
COARSE = 1e-2  # of the batch size of the least samples, relative, where each costs a search


@one_blas_thread
def noise_cost(
    sgd: SGD,
    x0: Any,
    fraction: float | None = None,
    excess: float | None = None,
    batch_sizes: Sequence[float] | None = None,
    samples: int | None = None,
    steps: int | None = None,
    tolerance: float = 0.1,
) -> NoiseCost:
    """What noise costs online, exactly: steps and samples to a level, critical batch size, budgets, scaling rules.

    From exact moments; nothing is sampled. A batch size counts as a real number, through 1/B alone: steps whose whole
    batch sizes are drawn afresh with mean 1/B of their inverses have these very moments. Steps to a level are real too:
    between whole steps the excess risk is linear in its logarithm. The critical batch size is the largest one that
    reaches the level with at most twice the least samples, over all batch sizes from the ladder's lowest one up: at the
    step size of `sgd`, and at the step size of the fewest steps for each batch size. Under momentum, which stays what
    it is, the risk overshoots: the steps to a level are the first passage, and jump where a swing first reaches it, so
    that the search for a step size may miss one that is a little better.

    Parameters
    ----------
    sgd : SGD
        Plain or with momentum, on StreamingLeastSquares, or on LeastSquares with replacement, with a constant step
        size.
    x0 : array (d,), array (paths, d), Gaussian, or tuple (mean, covariance)
    fraction : float, optional
        The level, as a part of the excess risk at the start; 0.1 where `excess` is not given either.
    excess : float, optional
        The level, as an excess over the least risk.
    batch_sizes : sequence, optional
        Rising numbers, at least 1; default: powers of two until four times the least samples are spent.
    samples, steps : int, optional
        Budgets; default: twice the least samples, and twice the least steps, at tuned step sizes.
    tolerance : float
        Relative: within which a scaling rule holds, and a batch size is enough for a budget of steps.

    Returns
    -------
    NoiseCost

    Examples
    --------
    >>> import numpy as np
    >>> from sgdlimits import compare, discrete, problems
    >>> stream = problems.StreamingLeastSquares([1.0], 0.5, [1.0])
    >>> found = compare.noise_cost(discrete.SGD(stream, 0.1), np.zeros(1), excess=0.05, batch_sizes=[1, 2, 4, 8, 16])
    >>> print(f"{found.critical_batch_size('fixed'):.2f}")
    2.22

    Raises
    ------
    InvalidInput
        If moments do not close, no batch size reaches the level, or an argument cannot be used.
    """
    _check(sgd)
    tolerance = positive("tolerance", tolerance)
    costs = Costs(sgd, x0, _level(Costs(sgd, x0), fraction, excess))
    if sgd.momentum and costs.level < DIGITS * float(sgd.problem.least_risk):
        raise InvalidInput(
            f"the level {costs.level:.3g} is below {DIGITS:g} of the least risk {float(sgd.problem.least_risk):.3g}, "
            "where the risk under momentum has no digits left: take a higher one"
        )
    own = float(sgd.step_size)
    if not math.isfinite(costs.steps(math.inf, own)):
        floor = costs.floor(math.inf, own)
        raise InvalidInput(
            f"the excess risk {costs.level:.6g} is never reached at step size {own:g}, not even without noise, "
            + (
                f"which is past the threshold {costs.threshold(math.inf):.6g} of the mean: take a smaller step size"
                if math.isinf(floor)
                else f"which leaves {floor:.6g}: take a higher level, or a smaller ridge"
            )
        )
    sizes = _ladder(costs, own) if batch_sizes is None else _given(batch_sizes)
    rows = [_fixed(costs, sizes, own), _tuned(costs, sizes)]
    every = np.append(sizes, math.inf)
    record = costed(rows, every)
    window = _window(costs, float(sgd.batch_size), own, record)
    base = Base(costs, float(sgd.batch_size), own, window)
    rules = [scaling_rule(base, power, sizes, tolerance) for power in RULES.values()]
    most = math.ceil(2 * record.least_samples[1]) if samples is None else whole_number("samples", samples, 1)
    longest = math.ceil(2 * record.least_steps[1]) if steps is None else whole_number("steps", steps, 1)
    bests = [best_of_samples(costs, most), best_of_steps(costs, longest, tolerance)]
    finite = record.steps[0][np.isfinite(record.steps[0])]
    grid = np.append(0, steps_up_to(math.ceil(2 * finite.max()) + 1))
    attributes = {
        "process": sgd.label, "problem": repr(sgd.problem), "step_size": own, "batch_size": sgd.batch_size,
        "level": costs.level, "initial": costs.initial, "least_risk": float(sgd.problem.least_risk), "measured": 0,
        "intervals": 0, "confidence": math.nan, "tolerance": tolerance, "window": window,
        "claims": claim_notes([sgd], [sgd.label]),
    }  # fmt: skip
    coordinates = {
        "choice": list(CHOICES), "batch_size": every, "step": grid, "rule": list(RULES), "budget": list(BUDGETS),
    }  # fmt: skip
    dataset = labelled(record, Costed.AXES, coordinates, attributes)
    curves = np.array([costs.curve(size, own)(grid) for size in every.tolist()])
    dataset = dataset.assign(excess=(CURVES, curves), **_of_rules(rules), **_of_budgets([most, longest], bests))
    return NoiseCost(dataset)


def _fixed(costs: Costs, sizes: np.ndarray, own: float) -> Row:
    """At the step size of the process."""
    every = [*sizes.tolist(), math.inf]
    steps = np.array([costs.steps(size, own) for size in every])
    floor = np.array([costs.floor(size, own) for size in every])
    found = trade_off(lambda size: costs.steps(size, own), sizes.tolist(), steps[-1])
    return _row(costs, sizes, np.full(len(every), own), steps, floor, found)


def _tuned(costs: Costs, sizes: np.ndarray) -> Row:
    """At the step size of the fewest steps."""
    every = [*sizes.tolist(), math.inf]
    best = [costs.tuned(size) for size in every]
    floor = np.array([costs.floor(size, each.place) for size, each in zip(every, best)])
    steps = np.array([each.value for each in best])
    found = trade_off(lambda size: costs.tuned_nearby(size).value, sizes.tolist(), steps[-1], COARSE)
    return _row(costs, sizes, np.array([each.place for each in best]), steps, floor, found)


def _row(
    costs: Costs, sizes: np.ndarray, step_size: np.ndarray, steps: np.ndarray, floor: np.ndarray, found: Any
) -> Row:
    summary = Summary(
        found, (found.least_samples,) * 2, (found.critical_batch_size,) * 2, fitted(sizes, steps[:-1]),
        (float(steps[-1]),) * 3,
    )  # fmt: skip
    return step_size, steps, steps, steps, floor, reached_by(steps, floor, costs.level), summary


def _ladder(costs: Costs, own: float) -> np.ndarray:
    """Powers of two until the samples are four times the least at both choices of step sizes."""
    sizes, least = [], np.full(2, math.inf)
    size = 1.0
    while size <= LARGEST:
        sizes.append(size)
        samples = size * np.array([costs.steps(size, own), costs.tuned(size).value])
        least = np.minimum(least, samples)
        if np.isfinite(least).all() and (samples >= ENOUGH * least).all():
            break
        size *= 2
    return np.array(sizes)


def _window(costs: Costs, batch_size: float, own: float, record: Costed) -> float:
    """Samples over which scaling rules are judged: those of the base run to the level, else of the slowest that is."""
    reached = costs.steps(batch_size, own)
    if math.isfinite(reached):
        return batch_size * reached
    return batch_size * float(record.steps[0][np.isfinite(record.steps[0])].max())


def _level(costs: Costs, fraction: float | None, excess: float | None) -> float:
    if fraction is not None and excess is not None:
        raise InvalidInput(f"both fraction={fraction!r} and excess={excess!r} are given: leave one out")
    # What rounding leaves of none is none.
    if costs.initial <= NO_NOISE * float(costs.problem.risk(np.zeros(costs.problem.dimension))):
        raise InvalidInput("x0 has the least risk, so that nothing is to be reached: start elsewhere")
    if excess is not None:
        level = positive("excess", excess)
    else:
        level = positive("fraction", FRACTION if fraction is None else fraction) * costs.initial
    if level >= costs.initial:
        raise InvalidInput(
            f"the level {level:.6g} is not below the excess risk {costs.initial:.6g} of the start: take a lower one"
        )
    return level


def _check(sgd: Any) -> None:
    instance_of("sgd", sgd, SGD, "measured curves have compare.noise_cost_of_curves")
    if not has_moments(sgd) or sgd.rule is not None:
        raise InvalidInput(
            "noise_cost is made of exact moments of SGD, plain or with momentum, on least squares; of other losses and "
            "rules give curves to compare.noise_cost_of_curves"
        )
    if sgd.sampling != "with_replacement":
        raise InvalidInput(
            f"sampling is {sgd.sampling!r}: only with replacement is a batch size a formula beyond the samples; take "
            "sampling='with_replacement'"
        )
    if not has_one_step_size(sgd):
        raise InvalidInput("sgd has a schedule of step sizes, and noise_cost is about constant ones")
    if sgd.problem.curvatures.min() < 0:
        raise InvalidInput(
            f"the descended objective has the negative curvature {sgd.problem.curvatures.min():.6g}: raise the ridge"
        )


def _given(batch_sizes: Any) -> np.ndarray:
    sizes = real_array("batch_sizes", batch_sizes)
    if sizes.ndim != 1 or sizes.size < 3 or not (np.isfinite(sizes).all() and sizes.min() >= 1):
        raise InvalidInput("batch_sizes must be at least three numbers, each at least 1; inf is added")
    if (np.diff(sizes) <= 0).any() or sizes.max() > LONGEST:
        raise InvalidInput(f"batch_sizes must rise, to at most {LONGEST:.0e}, got {json.dumps(sizes.tolist())}")
    return sizes.astype(float)


def _of_rules(rules: Sequence[ScalingRule]) -> dict[str, Any]:
    """Variables over rule; over (rule, batch_size) with nothing at the infinite one."""
    table = {
        name: (("rule", "batch_size"), np.array([np.append(getattr(rule, name), math.nan) for rule in rules]))
        for name in ("ratio",)
    }
    table["scaled_step_size"] = (
        ("rule", "batch_size"), np.array([np.append(rule.step_size, math.nan) for rule in rules])
    )  # fmt: skip
    table["threshold"] = ("batch_size", np.append(rules[0].threshold, math.nan))  # type: ignore[assignment]
    ends = {name: ("rule", np.array([getattr(r, name) for r in rules])) for name in ("holds_up_to", "stable_up_to")}
    return {**table, **ends}


def _of_budgets(sizes: Sequence[int], bests: Sequence[Best]) -> dict[str, Any]:
    found = {
        f"best_{name}": ("budget", np.array([getattr(best, name) for best in bests]))
        for name in ("steps", "batch_size", "step_size", "excess", "edge", "enough")
    }
    found["best_edge"] = ("budget", found["best_edge"][1].astype(object))
    return {"budget_size": ("budget", np.array(sizes)), **found}
