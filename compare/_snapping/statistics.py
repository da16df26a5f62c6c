"""All numbers of compare.snapping, as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sgdlimits.exact.moment_states import MomentState
from sgdlimits.exact.schedules import StepSizes
from sgdlimits.exact.spectral_sums import Factors

from . import predicted
from .arms import Risks
from .arrivals import NEVER, ROUNDING, Arrival, arrivals
from .curves import GapCurve, gap_curve
from .plan import Plan

RUNS = ("high", "snapped", "low", "noiseless")
UNKNOWN = float("nan")
NONE, LITTLE = 1e-14, 1e-6  # of the first risk, and of that at the drop: what rounding leaves where there is no noise


@dataclass(frozen=True, eq=False)
class Numbers:
    """Arrays of the result, as in `Snapping`, and what its sentences need."""

    own_step: np.ndarray
    time: np.ndarray
    excess: np.ndarray
    risk: np.ndarray
    gap: np.ndarray
    noiseless_gap: np.ndarray
    phi: np.ndarray
    psi: np.ndarray
    over_excess: np.ndarray
    slope: np.ndarray
    quasi_static: np.ndarray
    time_to: np.ndarray
    flow_to: np.ndarray
    gap_then: np.ndarray
    how: np.ndarray
    floor: np.ndarray
    exponent_predicted: np.ndarray
    exponent: np.ndarray
    exponent_between: np.ndarray
    middle: np.ndarray
    first: np.ndarray
    last: np.ndarray
    void: bool
    falls_from: int
    power: float
    deviation: float


def numbers(asked: Plan, start: MomentState, kept: np.ndarray, fractions: np.ndarray) -> Numbers:
    """Follow every arm from the start and compare them."""
    problem, arms, late = asked.high.problem, asked.arms(), kept >= asked.drop_at
    own = {name: asked.low_steps(kept) if name in ("low", "noiseless") else kept for name in arms}
    meet = {name: asked.met_at if name in ("low", "noiseless") else asked.drop_at for name in arms}
    risks = {name: arm.risks(problem, start, own[name], meet[name]) for name, arm in arms.items()}
    after = kept[late] - asked.drop_at
    times = {name: arms[name].elapsed(own[name]) for name in RUNS}
    excess = {name: risks[name].excess for name in RUNS}
    flow = _flow(asked, start, times["noiseless"])

    gap = gap_curve(asked, {name: found.kept[meet[name]] for name, found in risks.items()})
    values, at_drop = gap.values(after), float(gap.values(np.zeros(1, dtype=np.int64))[0])
    scale = float(np.abs(risks["high"].of_spread).max())
    void = abs(at_drop) <= ROUNDING * scale or not any(_loud(risks[name], late) for name in ("high", "low"))
    if void:
        reached = [Arrival(NEVER, UNKNOWN, "void: there is no gap at the drop")] * len(fractions)
    else:
        reached = arrivals(gap, fractions, scale)
    beside, beside_excess = problem.least_risk + excess["low"][late], excess["low"][late]
    passed = times["snapped"][late] - times["snapped"][late][0]
    all_excess = np.array([*(excess[name] for name in RUNS), flow])
    return Numbers(
        np.array([*(own[name] for name in RUNS), own["noiseless"]]),
        np.array([*(times[name] for name in RUNS), times["noiseless"]]),
        all_excess, problem.least_risk + all_excess,
        values, risks["noiseless snapped"].excess[late] - excess["noiseless"][late],
        np.full(len(values), UNKNOWN) if void else values / at_drop,
        _over(values, beside), _over(values, beside_excess), _slopes(gap, after),
        _quasi_static(asked, risks, late, float(times["high"][kept == asked.drop_at][0]), passed),
        np.array([each.step for each in reached]), _flow_times(asked, reached),
        np.array([each.gap for each in reached]), np.array([each.how for each in reached], dtype=object),
        _floors(asked), **_windows(asked, gap, float(times["high"][kept == asked.drop_at][0])),
        void=void, falls_from=gap.falls_from,
    )  # fmt: skip


def _loud(risks: Risks, late: np.ndarray) -> bool:
    """Whether a run has noise: batches of rows that are all one leave rounding of the risk at the start."""
    drop = int(np.argmax(late))
    few = risks.of_spread[drop] <= LITTLE * risks.excess[drop]
    return not (few and risks.of_spread[: drop + 1].max() <= NONE * risks.excess[: drop + 1].max())


def _over(values: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Quotients; nan where the scale has faded to nothing."""
    return np.divide(values, scale, out=np.full(len(values), UNKNOWN), where=scale > 0)


def _flow(asked: Plan, start: MomentState, times: np.ndarray) -> np.ndarray:
    """Excess risk of the gradient flow at sums of step sizes."""
    problem = asked.low.problem
    fading, found = Factors(problem.curvatures, False), np.empty(len(times))
    for place, time in enumerate(times):
        powers = fading.powers(predicted.effective(asked.low, float(time)))
        squares = np.square(powers * start.mean + problem.offset_modes) + np.square(powers) * start.variances
        found[place] = 0.5 * squares @ problem.eigenvalues
    return found


def _slopes(gap: GapCurve, after: np.ndarray) -> np.ndarray:
    """Local exponents; of a gap that ends with a schedule those that need no step beyond it."""
    known = after * predicted.APART <= (np.inf if gap.limit is None else gap.limit)
    found = np.full(len(after), UNKNOWN)
    found[known] = predicted.slopes(gap.values, after[known])
    return found


def _quasi_static(
    asked: Plan, risks: dict[str, Risks], late: np.ndarray, before: float, passed: np.ndarray
) -> np.ndarray:
    high, low, least = asked.high, asked.low, asked.high.problem.least_risk
    sizes = _size_at(high.step_size, asked.drop_at - 1), _size_at(low.step_size, asked.met_at)
    levels = [
        predicted.effective(high, sizes[place]) * predicted.level(run, least + float(risks[name].excess[late][0]))
        for place, (run, name) in enumerate(((high, "high"), (low, "low")))
    ]
    static = predicted.QuasiStatic.of(
        high, (levels[0], 0.0 if asked.still else levels[1]), predicted.effective(high, before)
    )
    return static.gap(np.array([predicted.effective(low, float(time)) for time in passed]))


def _size_at(step_size: float | StepSizes, step: int) -> float:
    return step_size(step) if isinstance(step_size, StepSizes) else step_size


def _flow_times(asked: Plan, reached: list[Arrival]) -> np.ndarray:
    """Sums of step sizes from the drop to each arrival."""
    sizes: Any = asked.low.step_size
    if isinstance(sizes, StepSizes):
        start, *ends = sizes.elapsed(np.array([asked.met_at, *(asked.met_at + each.step for each in reached)]))
        sums = np.array(ends) - start
    else:
        sums = np.array([sizes * each.step for each in reached])
    return np.where([each.step == NEVER for each in reached], UNKNOWN, sums)


def _floors(asked: Plan) -> np.ndarray:
    """What noise leaves for ever of the run before the drop, and of that after it; nan under a schedule."""
    found = [
        UNKNOWN if isinstance(run.step_size, StepSizes) else predicted.floor_of(run) for run in (asked.high, asked.low)
    ]
    return np.array([found[0], 0.0 if asked.still else found[1]])


def _windows(asked: Plan, gap: GapCurve, before: float) -> dict[str, Any]:
    names = ("first", "last", "exponent_predicted", "exponent_between", "middle", "exponent")
    nothing = {name: np.full(2, NEVER if name == "middle" else UNKNOWN) for name in names}
    eigenvalues = asked.low.problem.eigenvalues
    law = predicted.power_law(eigenvalues)
    told = {"power": UNKNOWN if law is None else law.exponent, "deviation": UNKNOWN if law is None else law.deviation}
    if law is None or gap.limit is not None or asked.low.problem.ridge:
        return nothing | told
    size, time = (predicted.effective(asked.low, value) for value in (float(asked.low.step_size), before))
    found = predicted.windows(gap.values, eigenvalues, law, size, time, 1 / (1 - asked.low.momentum))
    return told | {
        "first": np.array([each.first for each in found]), "last": np.array([each.last for each in found]),
        "exponent_predicted": np.array([each.predicted for each in found]),
        "exponent_between": np.array([each.between for each in found]),
        "middle": np.array([each.step for each in found]), "exponent": np.array([each.measured for each in found]),
    }  # fmt: skip
