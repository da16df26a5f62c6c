"""Checks of compare.svag and compare.linear_scaling, and the rungs of both ladders."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sgdlimits.diffusions import ModifiedEquation
from sgdlimits.discrete import SGD, SVAG
from sgdlimits.ensembles.initial import recorded_steps
from sgdlimits.ensembles.progress import open_progress
from sgdlimits.exact.errors import (
    InvalidInput,
    StabilityWarning,
    axes,
    instance_of,
    positive,
    seed_number,
    shown,
    whole_number,
)
from sgdlimits.exact.schedules import StepSizes

from ..capabilities import claim_notes, has_moments, one_blas_thread, risk_floor
from ..estimates import confidence_level
from ..results import labelled
from .result import AXES, MatchedNoise
from .statistics import Rung, measured

AMPLIFICATIONS = (1, 2, 4, 8, 16)
FACTORS = (1, 2, 4, 8)
Risk = Callable[[np.ndarray], np.ndarray]


@one_blas_thread
def svag(
    sgd: SGD,
    x0: Any,
    steps: int,
    *,
    l: Sequence[int] = AMPLIFICATIONS,  # noqa: E741  # the name it has in the literature
    paths: int = 2000,
    record: int | Sequence[int] | None = None,
    seed: int = 0,
    tolerance: float = 0.05,
    confidence: float = 0.95,
    risk: Risk | None = None,
) -> MatchedNoise:
    """Decide whether the diffusion is a valid model of SGD at this step size, by the risks of SVAG at several l.

    SVAG with l = 1 is SGD, and for l to infinity it comes to the diffusion that has SGD's step size in its noise
    (`diffusions.ModifiedEquation`, order 1), as 1 / l. Where risks do not depend on l, SGD is as good as that limit;
    no diffusion has to be solved for it, and no covariance known. Exact on least squares, the limit included.

    Parameters
    ----------
    sgd : discrete.SGD
        Plain, with one step size and independent batches.
    x0 : array (d,) or (paths, d)
    steps : int
        Of SGD; SVAG takes l increments for each.
    l : increasing whole numbers
        1 is added.
    paths : int
        Of each l, where risks are simulated. A path of SVAG costs 2 l of SGD's.
    record : None, int or sequence of int
        Steps to look at, about 50 by default.
    seed : int
    tolerance : float
        Of the diffusion's risk to SGD's, relative to SGD's excess risk where the least risk is known, else to its risk.
        SVAG shows the part 1 - 1/l of that difference, to leading order, and is judged by that part of the tolerance.
    confidence : float
        Of a verdict, at all recorded steps at once.
    risk : function of positions (P, d) with values (P,), optional
        What is looked at instead of `problem.risk`: a test risk, an expected loss; simulated.

    Returns
    -------
    MatchedNoise

    Raises
    ------
    InvalidInput
        If an argument cannot be used, or SGD has momentum, another rule, a schedule or reshuffled batches.
    """
    _check(sgd)
    sizes = _ladder("l", l)
    kept = recorded_steps(record, whole_number("steps", steps, 1))
    rungs = [Rung(float(size), 1 / size, SVAG(sgd, size), 1, 1 - 1 / size) for size in sizes]
    return _compared("SVAG", sgd, rungs, x0, kept, paths, seed, tolerance, confidence, risk)


@one_blas_thread
def linear_scaling(
    sgd: SGD,
    x0: Any,
    steps: int,
    *,
    factors: Sequence[int] = FACTORS,
    paths: int = 2000,
    record: Sequence[int] | None = None,
    seed: int = 0,
    tolerance: float = 0.05,
    confidence: float = 0.95,
    risk: Risk | None = None,
) -> MatchedNoise:
    """Look up to which factor step size and batch size can grow together without a change of the risk.

    SGD with factor * step_size and factor * batch_size has the same diffusion, at 1 / factor of the steps: where risks
    at matched times stay, the linear scaling rule holds. The smaller the factor, the nearer to the diffusion. Exact on
    least squares, the limit included.

    Parameters
    ----------
    sgd : discrete.SGD
        Plain, with one step size and independent batches.
    x0 : array (d,) or (paths, d)
    steps : int
        Of this SGD, at factor 1.
    factors : increasing whole numbers
        1 is added.
    record : sequence of int, optional
        Multiples of the least common multiple of the factors; about 50 of them by default.
    paths, seed, tolerance, confidence, risk
        As of `svag`.

    Returns
    -------
    MatchedNoise

    Raises
    ------
    InvalidInput
        If an argument cannot be used, or there is no common step to look at.
    """
    _check(sgd)
    sizes, steps = _ladder("factors", factors), whole_number("steps", steps, 1)
    common = math.lcm(*sizes)
    if steps < common:
        raise InvalidInput(f"steps is {steps}, and factors {shown(sizes)} meet first at step {common}: take more steps")
    if record is None:
        kept = common * recorded_steps(None, steps // common)
    else:
        kept = recorded_steps(record, steps)
        if (kept % common).any():
            raise InvalidInput(f"record must hold multiples of {common}, where all factors meet, got {shown(record)}")
    rungs = [
        Rung(float(k), float(k), replace(sgd, step_size=k * sgd.step_size, batch_size=k * sgd.batch_size), k)
        for k in sizes
    ]
    return _compared("linear scaling", sgd, rungs, x0, kept, paths, seed, tolerance, confidence, risk)


def _check(sgd: Any) -> None:
    instance_of("sgd", sgd, SGD, "other processes have no batches to amplify")
    if sgd.rule is not None or sgd.momentum:
        raise InvalidInput(f"sgd takes steps of {sgd.label}, and matched times are known of plain SGD: leave it out")
    if isinstance(sgd.step_size, StepSizes):
        raise InvalidInput(f"one step size is needed, and step_size is the schedule {sgd.step_size!r}")


def _ladder(name: str, values: Any) -> list[int]:
    if axes(values) != 1:
        raise InvalidInput(f"{name} must be a list of increasing whole numbers, got {shown(values)}")
    found = [whole_number(name, value, 1) for value in values]
    if found != sorted(set(found)) or not found:
        raise InvalidInput(f"{name} must be increasing whole numbers, got {shown(found)}")
    found = found if found[0] == 1 else [1, *found]
    if len(found) < 2:
        raise InvalidInput(f"{name} must hold a number above 1, got {found}")
    return found


@dataclass(frozen=True)
class _Look:
    """What is asked of every rung."""

    x0: Any
    kept: np.ndarray
    paths: int
    seed: int
    risk: Risk | None

    def exact(self, process: Any, each: int = 1) -> np.ndarray:
        """Expected risk (S,) at the recorded steps, each of which is 1 / `each` of the process's."""
        grid = np.union1d(0, self.kept // each)
        risks = process.moments(self.x0, int(grid[-1]), grid, ("risk",))["risk"].values
        return risks[np.isin(grid, self.kept // each)]

    def drawn(self, process: Any, each: int, place: int) -> np.ndarray:
        """Risks (paths, S) of paths that no other rung draws."""
        record = self.kept // each
        observables = "risk" if self.risk is None else {"risk": self.risk}
        run = process.simulate(
            self.x0, int(record[-1]), self.paths, observables, record, self.seed, first_path=place * self.paths,
            progress=open_progress(None, math.inf, patient=f"{process.label} at matched times"),
        )  # fmt: skip
        return run["risk"].values


def _compared(
    knob: str, sgd: SGD, rungs: list[Rung], x0: Any, kept: np.ndarray, paths: int, seed: int, tolerance: float,
    confidence: float, risk: Risk | None,
) -> MatchedNoise:  # fmt: skip
    tolerance, confidence = positive("tolerance", tolerance), confidence_level(confidence)
    look = _Look(x0, kept, whole_number("paths", paths, 2), seed_number(seed), risk)
    exact = has_moments(sgd) and risk is None
    limit = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StabilityWarning)  # infinite risks say it
        if exact:
            curves = [look.exact(rung.process, rung.each) for rung in rungs]
            if sgd.sampling == "with_replacement":  # the diffusion's batches are drawn so
                limit = look.exact(ModifiedEquation.of(sgd))
        else:
            curves = [look.drawn(rung.process, rung.each, place) for place, rung in enumerate(rungs)]
    floor = (risk_floor(sgd.problem) or 0.0) if risk is None else 0.0
    found = measured(rungs, curves, limit, floor, tolerance, confidence)
    attributes = {
        "knob": knob, "problem": repr(sgd.problem), "process": sgd.label, "step_size": sgd.step_size,
        "batch_size": sgd.batch_size, "sampling": sgd.sampling, "label_noise": sgd.label_noise, "exact": int(exact),
        "limit_known": int(limit is not None), "paths": 0 if exact else look.paths, "seed": look.seed,
        "tolerance": tolerance, "confidence": confidence, "floor": floor, "slope": found.slope,
        "slope_error": found.slope_error, "slope_step": int(kept[found.slope_place]),
        "claims": claim_notes([rungs[-1].process], [str(rungs[-1].process.label)]),
    }  # fmt: skip
    return MatchedNoise(labelled(found, AXES, {"rung": [rung.value for rung in rungs], "step": kept}, attributes))
