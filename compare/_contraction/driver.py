"""compare.contraction: how fast the law of SGD comes to its stationary law in W_p, beside the bound of theory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sgdlimits.discrete import SGD
from sgdlimits.discrete.contraction import contraction_bound
from sgdlimits.ensembles.initial import recorded_steps
from sgdlimits.exact.contraction import ContractionBound
from sgdlimits.exact.cost import check_memory
from sgdlimits.exact.errors import (
    InvalidInput,
    NoStationaryLaw,
    SgdlimitsError,
    finite_array,
    instance_of,
    positive,
    seed_number,
    whole_number,
)
from sgdlimits.exact.moment_growth import alike

from ..capabilities import one_blas_thread
from ..estimates import confidence_level, student_quantile
from ..results import labelled
from .result import AXES, Contraction
from .coupled_paths import CoupledPaths, coupled_paths, whole_packs

GROUPS = 16  # of pairs, whose scatter is the error
RESIDUAL = 1e-3  # of the stationary size, how near to stationarity the burn-in leads
LONGEST = 10**6  # steps of a burn-in
ABOVE = 3.0  # floors that a distance must lie above to be seen
SEEN = 0.1  # relative variance of a mean of |x - y|^p up to which its paths show it
COUPLED = "coupled paths"


@one_blas_thread
def contraction(
    sgd: SGD,
    x0: Any,
    steps: int,
    p: float = 2.0,
    *,
    paths: int = 16_384,
    record: int | Sequence[int] | None = None,
    seed: int = 0,
    growth: float | None = None,
    confidence: float = 0.95,
) -> Contraction:
    """Measure W_p(nu_n, nu) of SGD beside its bound C k(p)^(n/p) W_p(nu_0, nu), p below the tail index.

    Two things are measured: (E |x_n - y_n|^p)^(1/p) of pairs with the same noise, y stationary, which W_p does not
    exceed and which the bound is about; and W_p along lines between independent samples, which is smaller, down to the
    sampling floor: W_p of two samples of one law.

    Parameters
    ----------
    sgd : SGD
        Plain, on least squares, with one step size.
    x0 : array (d,)
    steps : int
    p : float
        At least 1. Even, or any where directions are alike, on a line, or on a stream in the plane; else no constant is
        known, and only a bound of the exponent.
    paths : int
        Of all 16 groups together, rounded up.
    record : None, int or sequence of int
        Steps to look at, about 50 by default.
    seed : int
    growth : float, optional
        Another number in the place of k(p): a control, or a conjecture.
    confidence : float
        Of the verdict, at all steps and for all that is measured at once.

    Returns
    -------
    Contraction

    Raises
    ------
    InvalidInput
        If p is not below the tail index, or an argument cannot be used.
    NoStationaryLaw
        If there is no law to come to.
    """
    instance_of("sgd", sgd, SGD, "a diffusion has even_moments(x0, steps, order), whose `rate` is its k(p)")
    bound = contraction_bound(sgd, positive("p", p))
    if bound.growth >= 1:
        _refuse(sgd, bound)
    problem: Any = sgd.problem
    moving = problem.eigenvalues > 0
    start = problem.to_modes(finite_array("x0", x0, shape=(problem.dimension,)))[moving]
    kept = np.union1d(0, recorded_steps(record, whole_number("steps", steps, 1)))
    seed, confidence = seed_number(seed), confidence_level(confidence)
    names, lines = _lines(problem.curvatures[moving], start)
    size = whole_packs(whole_number("paths", paths, GROUPS), GROUPS)
    check_memory(
        f"keeping {GROUPS * size} paths at {kept.size} steps", 24.0 * GROUPS * size * kept.size * len(names),
        "take fewer paths, or record fewer steps",
    )  # fmt: skip
    known = 1.0 if math.isnan(bound.constant) else bound.constant
    burn_in = math.ceil(math.log(known / RESIDUAL) / -bound.exponent)
    if burn_in > LONGEST:
        raise InvalidInput(
            f"k({bound.order:g}) is {bound.growth:.9g}, so that {burn_in:.3g} steps lead to stationarity, more than "
            f"{LONGEST:.0e}: take a larger step size"
        )
    seen = coupled_paths(sgd, start, kept, bound.order, lines, GROUPS, size, burn_in, seed)
    tried = bound.growth if growth is None else positive("growth", growth)
    double = _growth_of_squares(sgd, bound)
    found = _measured(seen, kept, bound, tried, _reach(bound, double, GROUPS * size), confidence)
    attributes = {
        "process": sgd.label, "problem": repr(problem), "step_size": sgd.step_size, "batch_size": sgd.batch_size,
        "p": bound.order, "growth": tried, "constant": bound.constant, "method": bound.method,
        "exact": int(bound.exact), "growth_of_squares": double,
        "control": int(growth is not None), "paths": GROUPS * size, "group": size,
        "groups": GROUPS, "burn_in": burn_in, "residual": RESIDUAL, "stationary": seen.stationary, "seed": seed,
        "confidence": confidence, "above": ABOVE,
    }  # fmt: skip
    return Contraction(labelled(found, AXES, {"quantity": [COUPLED, *names], "step": kept}, attributes))


@dataclass(frozen=True, eq=False)
class Measured:
    """Over quantity and step, as in `Contraction`."""

    distance: np.ndarray
    error: np.ndarray
    bound: np.ndarray
    floor: np.ndarray
    exponent: np.ndarray
    exponent_error: np.ndarray
    last: np.ndarray
    verdict: np.ndarray


def _measured(
    seen: CoupledPaths, steps: np.ndarray, bound: ContractionBound, growth: float, reach: float, confidence: float
) -> Measured:
    groups = len(seen.coupled)
    values = np.concatenate([seen.coupled[:, None], seen.projected], axis=1)
    mean = values.mean(axis=0)
    floor = np.concatenate([[0.0], seen.floors.mean(axis=0)])
    last = np.array([_last_above(row, ABOVE * low) for row, low in zip(mean, floor)])
    last[0] = np.flatnonzero(steps <= reach)[-1]
    gone = (values == 0).any(axis=0)  # below the range of numbers, or rounding has closed the gap
    last = np.array([min(place, int(np.argmax(row)) - 1) if row.any() else place for place, row in zip(last, gone)])
    if last.min() < 0:
        raise InvalidInput(
            "the paths start at distance zero from the stationary law, which is the minimiser itself: there is no "
            "label noise, and x0 lies there; take another x0"
        )
    slopes = [_slopes(steps, values[:, row], place) for row, place in enumerate(last)]
    factor = bound.constant * growth ** (steps / bound.order)
    # What a sample adds to a distance is at most W_p of it and its law, twice; a floor is about as much.
    lowered = np.concatenate([seen.coupled[:, None], seen.projected - 2 * seen.floors[:, :, None]], axis=1)
    apart = lowered - factor * seen.coupled[:, :1, None]
    judged = [np.arange(1, place + 1) for place in last]
    quantile = student_quantile(1 - (1 - confidence) / max(1, sum(map(len, judged))), groups - 1)
    verdicts = []
    for row, places in enumerate(judged):
        gap = apart[:, row, places]
        low = gap.mean(axis=0) - quantile * gap.std(axis=0, ddof=1) / math.sqrt(groups)
        broken = bool((low > 1e-9 * mean[row, 0]).any())  # beyond rounding
        verdicts.append("violated" if broken else "holds" if len(places) else "not seen")
    if math.isnan(bound.constant):
        verdicts = ["constant not known"] * len(verdicts)
    return Measured(
        mean, values.std(axis=0, ddof=1) / math.sqrt(groups), factor * mean[0, 0], floor,
        np.array([each.mean() for each in slopes]),
        np.array([each.std(ddof=1) / math.sqrt(groups) for each in slopes]), steps[last],
        np.array(verdicts, dtype=object),
    )  # fmt: skip


def _last_above(distances: np.ndarray, level: float) -> int:
    """Place of the last step up to which all lie above it."""
    below = np.flatnonzero(distances <= level)
    return max(int(below[0]) - 1, 0) if below.size else distances.size - 1


def _slopes(steps: np.ndarray, values: np.ndarray, last: int) -> np.ndarray:
    """Slope (groups,) of log values (groups, steps) by least squares over the second half up to a place.

    The first half is left to what fades sooner; nan from fewer than 3 steps.
    """
    late = slice(last // 2, last + 1)
    if last < 2:
        return np.full(len(values), math.nan)
    x = steps[late] - steps[late].mean()
    return np.log(values[:, late]) @ x / (x @ x)


def _growth_of_squares(sgd: SGD, bound: ContractionBound) -> float:
    """k(2 p), or a number above it; nan where it is not known."""
    try:
        return contraction_bound(sgd, 2 * bound.order).growth
    except SgdlimitsError:
        return math.nan


def _reach(bound: ContractionBound, double: float, paths: int) -> float:
    """Steps over which the mean of |x - y|^p is carried by many paths, as far as k(2 p) tells."""
    spread = math.log(double) - 2 * math.log(bound.growth)
    return math.log(SEEN * paths) / spread if spread > 1e-12 else math.inf


def _lines(curvatures: np.ndarray, start: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Unit vectors: from the minimiser to the start, and the slowest mode where directions are unlike."""
    found: dict[str, np.ndarray] = {}
    slowest = np.eye(start.size)[int(np.argmin(np.abs(curvatures)))]
    if start.any():
        found["W_p along the start"] = start / np.linalg.norm(start)
    if not alike(curvatures) or not found:
        found["W_p along the slowest mode"] = slowest
    return list(found), np.array(list(found.values()))


def _refuse(sgd: SGD, bound: ContractionBound) -> None:
    index = sgd.tail_index()  # raises where there is no law
    if not bound.exact and bound.order < index.index:
        raise InvalidInput(
            f"p is {bound.order:g}, below the tail index {index.index:.6g}, but k(p) is only known to be at most "
            f"{bound.growth:.6g}: take an even p, or {math.floor(index.index / 2) * 2} at most"
        )
    if not math.isfinite(index.index) and bound.growth >= 1:
        raise NoStationaryLaw(
            f"p is {bound.order:g}, but E |x_n - y_n|^p of two paths with one noise grows by {bound.growth:.6g} a "
            "step; take a smaller p",
            math.nan,
        )
    raise InvalidInput(
        f"p is {bound.order:g}, not below the tail index {index.index:.6g}: W_p to the stationary law is infinite, and "
        f"E |x_n - y_n|^p grows by k(p) = {bound.growth:.6g} a step; take a smaller p"
    )
