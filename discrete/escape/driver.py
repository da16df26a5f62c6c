"""`escape.rate`: which method a process and a basin allow, and the call of it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from sgdlimits.ensembles.populations import Process
from sgdlimits.ensembles.recurrences import RecurrenceSimulator
from sgdlimits.ensembles.splitting import escapes_often, splitting_rate
from sgdlimits.exact.errors import (
    InvalidInput,
    NoStationaryLaw,
    OutOfReach,
    function,
    one_of,
    positive,
    seed_number,
    whole_number,
)
from sgdlimits.problems.basin import Basin, Scores
from sgdlimits.problems.landscapes import HarmonicWell

from ..sgd import SGD
from ..svag import SVAG
from .basins import basin_of, edge_points, line_ends
from .descent import LandscapeDescent
from .kramers import kramers
from .line import Found, Interval, line_rate
from .models import StepModel, model_of
from .pairs import pair_rate
from .partial_steps import PartialSteps, parts_of, settled_after
from .plane import plane_rate
from .result import EscapeRate, WeightedPoints
from .steps import NesterovSteps

METHODS = ("transfer", "splitting", "kramers", "walls")
SEEN = 9.0  # standard deviations about the minimum where paths are seen
NO_NOISE = 1e-12  # standard deviation of a step at the minimum that is rounding
NEAR = 4.0  # standard deviations beyond the nearest edge up to which edges matter


def rate(
    process: Any, basin: Any = None, method: str | None = None, *, tolerance: float = 0.1, seed: int = 0,
    importance: Any = None, burn_in: int | None = None, threads: int | None = None,
) -> EscapeRate:  # fmt: skip
    """Rate a step at which paths leave a basin, once those that stay have forgotten where they started.

    Parameters
    ----------
    process : LandscapeDescent, SGD, AdditiveRecurrence, or a recurrence with `initial_state`, `step`, `position`
        Its steps must not depend on their number.
    basin : Basin, Landscape or pair (lower, upper), optional
        Default: that of a LandscapeDescent's landscape. A pair is an interval of a line, either end infinite.
    method : {"transfer", "splitting", "kramers", "walls"}, optional
        "transfer": 1 less the top eigenvalue of the law of a step, killed outside; numerical, with the change between
        two resolutions as its error. d = 1 without momentum, with heavy ball and Nesterov, d = 2 without; Gaussian
        noise of any covariance, a law with a density on a line, SGD on StreamingLeastSquares (in the plane to some
        three digits), finite data with label noise on a line. "splitting": simulated, see `ensembles.splitting`, with
        an interval at 95 %. "kramers": the diffusion's rate in small noise. "walls": the stationary Gaussian law's mass
        beyond the walls of a HarmonicWell, which the rate tends to. Default: "transfer" where it is known and within
        reach, else "splitting"; the result says which.
    tolerance : float
        Of "splitting": half of the interval over the rate, which a few runs, added to one another, try to reach.
    seed, threads
        Of "splitting"; the result does not depend on `threads`.
    importance : function of positions (P, d) with values (P,), optional
        Of "splitting": what levels are taken of. Default: the score; where descent overshoots the minimum, the larger
        of the scores here and after a step without noise.
    burn_in : int, optional
        Of "splitting": steps before anything is counted.

    Returns
    -------
    EscapeRate

    Raises
    ------
    InvalidInput
        If an argument cannot be used, or the method does not know the process.
    NoStationaryLaw
        If paths leave without noise; `.threshold` is the step size from which they do.
    OutOfReach
        If the rate cannot be seen, or more nodes are needed than are used.
    """
    if isinstance(process, (SGD, SVAG)):
        _check_repeats(process)
    model = model_of(process)
    found_basin = basin_of(process, basin, model)
    if model is not None:
        _check_settles(model)
        _check_noise(model)
    if method is not None:
        one_of("method", method, METHODS)
    tolerance, seed = positive("tolerance", tolerance), seed_number(seed)
    options = {"tolerance": tolerance, "seed": seed, "importance": importance, "burn_in": burn_in, "threads": threads}
    if method == "kramers":
        known = kramers(process)
        return EscapeRate(known.rate, math.nan, "kramers", note=f"small noise and step size; {known.formula}")
    if method == "walls":
        return _walls(process, model)
    if method == "splitting":
        return _splitting(process, model, found_basin, **options)
    why = _why_not(model)
    if method == "transfer":
        if why:
            raise InvalidInput(f'the transfer operator of this process is not known, as {why}: pass method="splitting"')
        assert model is not None
        return _transfer(model, found_basin)
    if model is None or why:
        return _splitting(process, model, found_basin, **options)
    try:
        return _transfer(model, found_basin)
    except OutOfReach as error:
        if not math.isnan(error.about):  # the rate itself is too small: paths do not see it either
            raise
        measured = _splitting(process, model, found_basin, **options)
        return replace(measured, note=f"{measured.note}; the transfer operator was out of reach: {error}")


def _check_repeats(process: Any) -> None:
    if callable(process.step_size) or getattr(process, "sampling", "") == "reshuffle":
        raise InvalidInput(
            "the steps of this process depend on their number (a schedule, or reshuffled epochs), so it has no one "
            'rate of escape: pass a constant step size and sampling="with_replacement"'
        )


def _check_settles(model: StepModel) -> None:
    if model.dimension <= 200 and model.step_size >= model.threshold:
        raise NoStationaryLaw(
            f"step_size is {model.step_size:.6g}, past the threshold {model.threshold:.6g} by a factor "
            f"{model.step_size / model.threshold:.4g}: paths leave without noise, and there is no rate of escape; "
            "lower step_size", model.threshold,
        )  # fmt: skip


def _check_noise(model: StepModel) -> None:
    none = (NO_NOISE * model.step_size) ** 2 * max(1.0, float(np.square(model.minimum).max()))
    if getattr(model.process, "additive", False) and np.abs(model.noise).max() > 0:
        return  # however small, it was given
    if np.abs(model.noise).max() <= none:
        raise InvalidInput(
            "all noise dies out at the minimum, so that paths come to rest there and none escapes: give the labels or "
            "the gradient some noise"
        )


def _why_not(model: StepModel | None) -> str:
    """Why there is no transfer operator; empty where there is one."""
    if model is None:
        return "only its paths are known"
    return model.why or ("" if model.line or model.plane else "the law of its step is not known")


def _transfer(model: StepModel, basin: Basin) -> EscapeRate:
    covariance = model.covariance()
    spread = np.sqrt(np.diag(covariance))
    if model.line is not None:
        lower, upper = line_ends(basin)
        start = float(model.minimum[0])
        interval = Interval(lower, upper, start, float(spread[0]))
        steps = NesterovSteps(model.line, model.momentum) if model.nesterov else model.line
        found = (
            pair_rate(steps, model.momentum, interval, _drift(model, interval)) if model.momentum
            else line_rate(steps, interval)
        )  # fmt: skip
    else:
        assert model.plane is not None
        found = plane_rate(
            model.plane, lambda x: basin.scores(x) - basin.level, model.minimum, spread, _seen(model, basin, covariance)
        )
    return _of_found(found)


def _of_found(found: Found) -> EscapeRate:
    return EscapeRate(
        found.rate, found.error, "transfer", WeightedPoints(found.points, found.masses),
        WeightedPoints(found.exits, found.shares), note=found.resolution,
    )  # fmt: skip


def _drift(model: StepModel, interval: Interval) -> float:
    """Largest move without noise where paths are seen."""
    ends = interval.cut(1.0)
    x = np.linspace(*ends, 500)[:, None]
    return float(np.abs(model.drift(x) - x).max())


def _seen(model: StepModel, basin: Basin, covariance: np.ndarray) -> np.ndarray:
    """Places (k, 2) that a box must hold: the minimum, and where paths leave."""
    landscape = getattr(model.process, "landscape", None)
    if landscape is not None and landscape.saddle is not None and basin is model.basin:
        out = np.linalg.eigh(landscape.hessian(landscape.saddle))[1][:, 0]
        out = out * math.copysign(1.0, out @ (landscape.saddle - model.minimum))
        x, path = landscape.saddle + 1e-3 * np.linalg.norm(landscape.saddle - model.minimum) * out, [landscape.saddle]
        pace = 0.05 / max(abs(np.linalg.eigvalsh(landscape.hessian(landscape.saddle))))
        for _ in range(5000):
            path.append(x)
            if not basin.inside(x[None])[0]:
                break
            x = x - pace * landscape.gradient(x)
        return np.array([model.minimum, *path, x + (x - path[-2] if len(path) > 1 else 0)])
    edges = edge_points(basin, model.minimum)
    away = edges - model.minimum
    distance = np.sqrt(np.einsum("pi,ij,pj->p", away, np.linalg.inv(covariance), away))
    return np.concatenate([model.minimum[None], edges[distance <= distance.min() + NEAR]])


def _walls(process: Any, model: StepModel | None) -> EscapeRate:
    from scipy.special import ndtr

    if not isinstance(process, LandscapeDescent) or not isinstance(process.landscape, HarmonicWell):
        raise InvalidInput('method "walls" is for a LandscapeDescent of a HarmonicWell: pass another method')
    if not process.additive or process.law is not None:
        raise InvalidInput('method "walls" needs Gaussian noise that is the same everywhere: pass method="transfer"')
    assert model is not None
    well, covariance = process.landscape, model.covariance()
    total = sum(
        (2 if well.two_sided else 1) * float(ndtr(-wall / math.sqrt(n @ covariance @ n)))
        for n, wall in zip(well.normals, well.wall, strict=True)
    )
    return EscapeRate(total, math.nan, "walls", note="the limit of far walls")


def _importance(importance: Any, model: StepModel | None, basin: Basin) -> Scores:
    """What levels are taken of: what was passed, or the score, here or after a step that overshoots the minimum."""
    if importance is not None:
        return function("importance", importance, "of positions (P, d)")
    if model is None or np.linalg.eigvals(model.transition).real.min() >= 0:
        return basin.scores
    drift = model.drift

    def looking_ahead(x: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore", invalid="ignore"):
            ahead = drift(x)
        ahead = np.where(np.isfinite(ahead).all(axis=1, keepdims=True), ahead, x)
        return np.maximum(basin.scores(x), basin.scores(ahead))

    return looking_ahead


def _splitting(
    process: Any, model: StepModel | None, basin: Basin, tolerance: float, seed: int, importance: Any,
    burn_in: int | None, threads: int | None,
) -> EscapeRate:  # fmt: skip
    burn_in = None if burn_in is None else whole_number("burn_in", burn_in, 1)
    simulator = process.simulator() if isinstance(process, Process) else RecurrenceSimulator(process, basin.dimension)
    if simulator.dimension != basin.dimension:
        raise InvalidInput(f"the basin has dimension {basin.dimension}, but the process has {simulator.dimension}")
    chosen = _importance(importance, model, basin)
    start, parts = basin.start, 1
    score: Any = basin.scores
    if isinstance(process, LandscapeDescent):
        assert model is not None
        burn_in = settled_after(model) if burn_in is None else burn_in
        parts = parts_of(process, model, basin)
        if parts > 1 and escapes_often(simulator, start, score, basin.level, burn_in, seed):
            parts = 1  # what comes by itself is counted, in whole steps
    if parts > 1:
        assert model is not None and burn_in is not None
        partial, whole = PartialSteps(process, parts), chosen
        simulator, score, start = partial.simulator(), partial.score(basin), partial.start(start)
        burn_in *= parts
        chosen = partial.importance(model, basin) if importance is None else lambda x: whole(x[:, : basin.dimension])
    found = splitting_rate(
        simulator, start, score, basin.level, chosen, tolerance, seed, burn_in=burn_in, threads=threads, period=parts,
    )
    inside, outside = found.inside, found.outside
    if parts > 1:
        inside, outside = inside[inside[:, -1] == 0, : basin.dimension], outside[:, : basin.dimension]
    rate, lower, upper = (parts * value for value in (found.rate, found.lower, found.upper))
    equal = [WeightedPoints(x, np.full(len(x), 1 / max(len(x), 1))) for x in (inside, outside)]
    note = f"{len(found.levels)} levels" if found.levels else "escapes counted as they came"
    note += f", the noise of a step in {parts} parts" if parts > 1 else ""
    if upper - lower > 2 * tolerance * rate:
        note += f"; wider than the tolerance {tolerance:g}: pass an importance that grows along the way out"
    return EscapeRate(
        rate, (upper - lower) / 2, "splitting", equal[0], equal[1], (lower, upper),
        f"{note}, {found.path_steps:.2g} path-steps",
    )  # fmt: skip
