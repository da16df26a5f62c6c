"""The error budget of an expected risk: where the distance between SGD and a diffusion comes from.

Along the chain SGD -> SGD with replacement -> modified equation with the true covariance -> the diffusion ->
its scheme -> its simulation, every link but the last is a difference of exact moments. Derived.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from sgdlimits.diffusions import ModifiedEquation
from sgdlimits.problems.quadratic import QuadraticProblem

from ..capabilities import fourth_moments_settle, has_one_step_size
from ..estimates import Controls
from ..text_table import number
from .gathered import Gathered
from .means import noiseless, plain_mean

PARTS = (
    "sampling correction",
    "step size",
    "closure",
    "integrator",
    "Monte Carlo, other",
    "Monte Carlo, reference",
)
ROUNDED = 1e-12  # part of an exact risk that may be rounding
LEFT = 0.01  # part of a difference up to which rounding of the parts that cancel in it may go
SMALL = 1e-9  # of the risks: a rounding below this is none, whatever the difference
OF_THE_PROCESS = 3  # the first parts make the difference of the processes; with the integrator, that of a scheme


@dataclass(frozen=True, eq=False)
class Sampled:
    """Monte Carlo mean of the risk (steps,) with its standard error (steps,)."""

    mean: np.ndarray
    error: np.ndarray


@dataclass(frozen=True, eq=False)
class Budget:
    """Parts (parts, steps) that add up to simulated other minus simulated reference.

    Attributes
    ----------
    parts, errors : arrays (parts, steps)
        With standard errors.
    rounding : array (parts, steps)
        Of the exact ones: what rounding of the two risks, of which each is the difference, may make of it.
    reference, process, scheme : arrays (steps,)
        Exact risks: where the parts begin, and where those before the simulation end.
    """

    parts: np.ndarray
    errors: np.ndarray
    rounding: np.ndarray
    reference: np.ndarray
    process: np.ndarray
    scheme: np.ndarray

    @property
    def total(self) -> np.ndarray:
        """Sum (steps,) of the parts."""
        return self.parts.sum(axis=0)

    def difference(self, about_scheme: bool) -> np.ndarray:
        """What a row is about (steps,), the process or its scheme, less the reference; no part cancels in it."""
        with np.errstate(invalid="ignore"):
            return (self.scheme if about_scheme else self.process) - self.reference

    def lost(self, about_scheme: bool) -> np.ndarray:
        """Steps (steps,) at which rounding of the parts leaves nothing of their sum, or a part is no number."""
        count, difference = OF_THE_PROCESS + about_scheme, np.abs(self.difference(about_scheme))
        with np.errstate(invalid="ignore"):
            rounding = self.rounding[:count].max(axis=0)
            risks = np.abs(self.reference) + difference
            blind = (rounding > LEFT * difference) & (rounding > SMALL * risks)
        return blind | ~np.isfinite(self.rounding).all(axis=0)


def obstacle(reference: Any, other: Any) -> str | None:
    """Why there is no budget for this pair, in a sentence; None where there is one."""
    if not isinstance(getattr(reference, "problem", None), QuadraticProblem):
        return "The error budget needs least squares: only there do the moments close."
    if not hasattr(reference, "sampling"):
        return "The error budget needs SGD as the reference."
    if reference.momentum or getattr(reference, "rule", None) is not None:
        return "The error budget follows plain SGD; the reference has momentum or another rule."
    if not has_one_step_size(reference):
        return "The error budget follows SGD of one step size; the reference has a schedule."
    if not hasattr(other, "drift_order"):
        return "The error budget compares SGD with a diffusion; this side is not one."
    same = reference.problem is other.problem and reference.step_size == other.step_size
    if not (same and reference.batch_size == other.batch_size and reference.label_noise == other.label_noise):
        return "The error budget needs both sides to share problem, step size, batch size and label noise."
    return None


def error_budget(
    reference: Any,
    other: Any,
    x0: Any,
    record: np.ndarray,
    reference_sample: Sampled,
    other_sample: Sampled,
    scheme: Mapping[str, Any],
    known: dict[Any, np.ndarray] | None = None,
) -> Budget:
    """Budget of E risk for a pair without `obstacle`, at the recorded steps.

    Reshuffled SGD has no closed moments: its sampling correction is then measured, and carries the reference's
    Monte Carlo error, which is not counted again. `known` keeps exact risks between the budgets of one comparison,
    which share their first links.
    """
    known = {} if known is None else known

    def exact(process: Any, **scheme: Any) -> np.ndarray:
        settings = tuple(getattr(process, field.name) for field in fields(process) if field.name != "problem")
        key = type(process), id(process.problem), settings, tuple(sorted(scheme.items()))
        if key not in known:
            known[key] = expected_risk(process, x0, record, **scheme)
        return known[key]

    independent = exact(replace(reference, sampling="with_replacement"))
    limit = exact(ModifiedEquation(
        reference.problem, reference.step_size, reference.batch_size, other.drift_order, reference.label_noise
    ))
    process = exact(other)
    integrated = exact(other, **scheme)
    reshuffled = reference.sampling == "reshuffle"
    origin = reference_sample.mean if reshuffled else exact(reference)
    none = np.zeros(len(record))
    chain = [origin, independent, limit, process, integrated]
    with np.errstate(invalid="ignore"):
        parts = [after - before for before, after in zip(chain, chain[1:])]
        parts += [other_sample.mean - integrated, origin - reference_sample.mean]
        rounding = [ROUNDED * (np.abs(before) + np.abs(after)) for before, after in zip(chain, chain[1:])]
    errors = [reference_sample.error if reshuffled else none, none, none, none, other_sample.error]
    errors.append(none if reshuffled else reference_sample.error)
    return Budget(np.array(parts), np.array(errors), np.array([*rounding, none, none]), origin, process, integrated)


def expected_risk(process: Any, x0: Any, record: np.ndarray, **scheme: Any) -> np.ndarray:
    """Exact E risk (steps,) at the recorded steps."""
    with np.errstate(over="ignore", invalid="ignore"):
        moments = process.moments(x0, int(record[-1]), record=record, **scheme)
    return moments["risk"].sel(step=record).values


def cancellations(
    parts: np.ndarray | None, about_scheme: Sequence[bool], risks: Sequence[bool], record: np.ndarray,
    worst_step: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Over (process, observable), at the worst step of risks: whether two parts cancel by half or more, the largest."""
    cancel, main = np.zeros(worst_step.shape, dtype=bool), np.full(worst_step.shape, "", dtype=object)
    if parts is None:
        return cancel, main
    for index, scheme in enumerate(about_scheme):
        for place in np.flatnonzero(risks):
            here = parts[index, : OF_THE_PROCESS + bool(scheme), np.searchsorted(record, worst_step[index, place])]
            if not np.isfinite(here).all() or not here.any():
                continue
            cancel[index, place] = abs(here.sum()) < 0.5 * np.abs(here).max()
            main[index, place] = PARTS[int(np.abs(here).argmax())]
    return cancel, main


def budgets_of(gathered: Gathered, deviations: np.ndarray) -> tuple[dict[str, np.ndarray], str]:
    """Budgets of E risk, and why some sides have none, or none at some steps.

    `budget`, `budget_error` (standard errors) and `budget_rounding` over (process, part, step), `budget_sum`, the
    difference that the parts before the simulation add up to, over (process, step); empty where no side has any.

    The error of a Monte Carlo part is exact where the standard deviation of the risk is, `deviations` over (process,
    step); else that of the paths, and nan unless a fourth moment is proved finite.
    """
    sides, samples, run = gathered.sides, gathered.samples, gathered.run
    shape = (len(sides), len(PARTS), len(run.record))
    numbers = {name: np.full(shape, np.nan) for name in ("budget", "budget_error", "budget_rounding")}
    numbers["budget_sum"] = np.full((shape[0], shape[2]), np.nan)
    reasons = []
    known: dict[Any, np.ndarray] = {}
    means: list[Sampled | None] = []
    for side, sample, deviation in zip(sides, samples, deviations):
        if sample is None or "risk" not in sample.values:
            means.append(None)
            continue
        value, influence = plain_mean(sample.values["risk"], Controls())
        error = np.sqrt(np.square(influence).sum(axis=0))
        tame = fourth_moments_settle(side.process) or noiseless(sample).all()
        error = np.where(np.isnan(deviation), np.where(tame, error, np.nan), deviation / np.sqrt(run.paths))
        means.append(Sampled(value, np.where(np.isfinite(value), error, np.nan)))
    for index, side in enumerate(sides[1:], start=1):
        reason = obstacle(sides[0].process, side.process)
        if reason:
            reasons.append(f"{side.label}: {reason}")
            continue
        reference, other, sample = means[0], means[index], samples[index]
        if reference is None or other is None or sample is None or sample.increments is None:
            continue
        increments = sample.increments
        scheme = {"solver": increments.solver, "substeps": increments.substeps}
        if increments.solver not in side.process.solvers:
            reasons.append(f"{side.label}: No error budget by {increments.solver!r}, whose moments do not close.")
            continue
        found = error_budget(
            sides[0].process, side.process, run.x0, run.record, reference, other, scheme, known
        )
        scheme_row = bool(side.scheme)
        lost = found.lost(scheme_row)
        if lost.any():
            reasons.append(f"{side.label}: {_why_lost(found, lost, run.record, scheme_row)}")
        arrays = found.parts, found.errors, found.rounding, found.difference(scheme_row)
        for name, array in zip(numbers, arrays):
            numbers[name][index] = np.where(lost, np.nan, array)
    return ({} if np.isnan(numbers["budget"]).all() else numbers), " ".join(reasons)


def _why_lost(found: Budget, lost: np.ndarray, record: np.ndarray, about_scheme: bool) -> str:
    """Why there is no budget at some steps, by the last of them."""
    place = int(np.flatnonzero(lost)[-1])
    steps = f"at {np.count_nonzero(lost)} of {len(record)} recorded steps, {record[place]} the last"
    if not np.isfinite(found.rounding[:, place]).all():
        return f"There is no budget {steps}: a mean of its chain is past the range of floating-point numbers."
    count = OF_THE_PROCESS + about_scheme
    rounding, difference = found.rounding[:count, place].max(), found.difference(about_scheme)[place]
    size = np.abs(found.parts[:count, place]).max()
    return (
        f"There is no budget {steps}: its parts, of up to {number(size, 2)}, cancel in "
        f"a difference of {number(difference, 2, sign=True)}, and their rounding, {number(rounding, 1)}, leaves "
        "nothing of it."
    )
