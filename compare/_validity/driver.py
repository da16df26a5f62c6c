"""compare.validity: the largest step size at which a limit is still within an allowance of SGD."""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from sgdlimits.diffusions import GradientFlow, HomogenizedSGD, ModifiedEquation, OrnsteinUhlenbeck
from sgdlimits.discrete import SGD
from sgdlimits.exact.errors import (
    InvalidInput,
    OutOfReach,
    calling,
    flag,
    one_of,
    positive,
    real_array,
    several,
    whole_number,
)
from sgdlimits.exact.threads import thread_pool, threads_of
from sgdlimits.problems.quadratic import QuadraticProblem

from ..capabilities import has_moments, one_blas_thread
from .crossings import ACCURATE, Component, Found, components
from .curves import SCALES, UNITS, Cell, Horizon
from .result import NO_COMPONENT, Validity
from .sampled import AT_LEAST, BELOW, GROUPS, SampledCell, end_of

DECADES, POINTS = 4, 25  # of the scan below the mean threshold
MOST_CELLS = 10**4
FEWEST = 200  # paths
WIDER = 6  # doublings of an interval about an end
TRIAL = 1e-12  # a step size at which every recurrence can be asked for its thresholds


@one_blas_thread
def validity(
    make: Any,
    *,
    over: Mapping[str, Iterable[Any]] | None = None,
    within: float = 0.05,
    along: str = "step_size",
    values: Any = None,
    quantity: str = "risk",
    scale: str = "excess",
    horizon: float = 3.0,
    unit: str = "relaxation times",
    x0: Any = None,
    paths: int | None = None,
    seed: int = 0,
    substeps: int = 4,
    lyapunov: bool = False,
    threads: int | None = None,
    progress: Any = None,
) -> Validity:
    """Up to which step size is each limit within, say, 5 % of SGD at every step up to the horizon?

    For each cell of `over` and each limit: the end of the component (0, s*) of such step sizes, further components, the
    step at which the allowance is used up and the term of the error budget that does it. Where moments close nothing is
    sampled, and an end is found to 1e-7 of itself; with `paths` it has a 95 % interval.

    Parameters
    ----------
    make : quadratic problem, or function
        A function of `along` and the names of `over` (a batch size, a ridge) that returns an SGD, or a tuple (SGD,
        limit, ...). With a problem or an SGD alone the limits are gradient flow, Ornstein-Uhlenbeck, homogenized SGD,
        and modified equations of order 1 and 2, whose moments close on least squares; on other losses gradient flow
        and the modified equation of order 1.
    over : mapping from names to values, optional
        What is varied beside the step size; all combinations.
    within : float
        The allowance, relative to `scale`.
    along : str
        The name of the step size in `make`.
    values : array, optional
        Step sizes that are scanned, ascending; default 25 over four decades up to the largest that any cell bears in
        the mean.
    quantity : "risk"
        Of which the error is taken: the expected risk.
    scale : "excess", "noise" or "risk"
        What an error is divided by: SGD's risk above its least value (without the ridge) at the same step, the
        largest part of SGD's risk up to the horizon that its noise makes (exact moments only), or the risk itself.
    horizon, unit : float, "relaxation times" or "gradient-flow time"
        In relaxation times of the slowest mode whose curvature is no rounding, or in step size times steps; never a
        number of steps, in which small step sizes move nothing.
    x0 : array (d,), Gaussian, or tuple (mean, covariance), optional
        Default: zero.
    paths : int, optional
        Paths of SGD, a multiple of 20, for problems and rules whose moments do not close, or to see what sampling makes
        of it; a limit is sampled only where its own moments do not close. The search then goes from the largest step
        size down to the first two in a row that are within.
    seed, substeps : int
        Of those paths; substeps of a limit that is sampled, for each step of SGD.
    lyapunov : bool
        Whether the thresholds of almost sure stability are computed too; seconds to minutes a cell.
    threads : int, optional
        Never changes a number.
    progress : True, None, or object with update(n) and close()

    Returns
    -------
    Validity

    Raises
    ------
    InvalidInput
        If `within` does not lie in (0, 1), moments do not close, or there is no cell.
    OutOfReach
        If the horizon takes more steps than can be counted.

    Notes
    -----
    Derived: suprema over steps of differences of exact expected risks.

    Examples
    --------
    >>> from sgdlimits import compare, problems
    >>> problem = problems.LeastSquares.from_dataset("diabetes", ridge=0.1)
    >>> found = compare.validity(problem, over={"batch_size": [1, 16]})
    >>> print(f"{found.table()[0]['boundary']:.5f}")
    0.00013
    """
    from sgdlimits.ensembles.progress import open_progress

    within = positive("within", within)
    if not within < 1:
        raise InvalidInput(f"within must lie in (0, 1), as a part of the {scale}, got {within:g}")
    one_of("quantity", quantity, ("risk",))
    one_of("scale", scale, SCALES)
    if paths is not None:
        paths = whole_number("paths", paths, FEWEST)
        if paths % GROUPS:
            raise InvalidInput(f"paths must be a multiple of {GROUPS}, as the interval is made of groups, got {paths}")
        if scale == "noise":
            raise InvalidInput('scale="noise" needs exact moments: take "excess" or "risk", or leave paths out')
    seed, substeps = whole_number("seed", seed, 0, 2**32 - 1), whole_number("substeps", substeps, 1)
    lyapunov = flag("lyapunov", lyapunov)
    one_of("unit", unit, UNITS)
    horizon = positive("horizon", horizon)
    names, cells = _cells(over)
    maker = _maker(make, along, names, paths is None)
    scan = _scan(values, maker, cells)
    bar = open_progress(progress, len(cells), "cells")

    def one(cell: tuple[Any, ...]) -> dict[str, Any]:
        def at(size: float) -> tuple[Any, dict[str, Any]]:
            return maker(size, cell)

        sgd, limits = at(float(scan[0]))
        start = np.zeros(sgd.problem.dimension) if x0 is None else x0
        length, thresholds = Horizon.of(sgd.problem, horizon, unit), _thresholds(sgd, lyapunov)
        if paths is None:
            exact = Cell(at, length, start, scale)
            settles = thresholds["mean_square_threshold"]
            each = {label: _of_limit(exact, label, scan, within, settles) for label in limits}
        else:
            sampled = SampledCell(at, length, start, scale, paths, seed, substeps, threads)
            each = {label: end_of(sampled, label, scan, within) for label in limits}
        bar.update(1)
        return thresholds | {"limits": each}

    try:
        if paths is not None:  # the paths have all threads
            found = [one(cell) for cell in cells]
        else:
            with thread_pool(threads_of(threads)) as pool:
                found = list(pool.map(one, cells))
    finally:
        bar.close()
    return _result(found, names, cells, scan, dict(within=within, along=along, quantity=quantity, scale=scale,
                   horizon=horizon, unit=unit, paths=paths or 0, seed=seed, substeps=substeps))  # fmt: skip


def _cells(over: Mapping[str, Iterable[Any]] | None) -> tuple[list[str], list[tuple[Any, ...]]]:
    if over is None:
        return [], [()]
    if not isinstance(over, Mapping):
        raise InvalidInput(f'over must be a mapping such as {{"batch_size": [1, 2, 4]}}, got {type(over).__name__}')
    axes = {}
    for name, values in over.items():
        axes[name] = list(np.asarray(several(f"over[{name!r}]", values)).tolist())
    for name, axis in axes.items():
        if not axis:
            raise InvalidInput(f"over[{name!r}] has no values, so there is no cell: give one at least")
        if len(set(axis)) < len(axis):
            raise InvalidInput(f"over[{name!r}] has a value twice: {axis}")
    cells = list(product(*axes.values()))
    if len(cells) > MOST_CELLS:
        raise InvalidInput(f"over makes {len(cells)} cells, and {MOST_CELLS} can be done: take fewer values")
    return list(axes), cells


Maker = Callable[[float, tuple[Any, ...]], tuple[Any, dict[str, Any]]]


def _maker(make: Any, along: str, names: Sequence[str], exact: bool) -> Maker:
    """A function of a step size and a cell that gives SGD and its limits by their labels."""
    if isinstance(make, QuadraticProblem):
        problem = make
        allowed = [name for name in inspect.signature(SGD).parameters if name not in ("problem", "step_size")]
        for name in names:
            one_of("a name of over, with a problem,", name, allowed)
        if along != "step_size":
            raise InvalidInput(f'with a problem, along is "step_size"; for {along!r} give a function that makes an SGD')

        def call(size: float, settings: dict[str, Any]) -> Any:
            return SGD(problem, size, **settings)
    elif callable(make):

        def call(size: float, settings: dict[str, Any]) -> Any:
            with calling("make"):
                return make(**{along: size}, **settings)
    else:
        raise InvalidInput(
            f"make must be a quadratic problem or a function of {along} that returns an SGD, got {type(make).__name__}"
        )

    def maker(size: float, cell: tuple[Any, ...]) -> tuple[Any, dict[str, Any]]:
        return _sides(call(size, dict(zip(names, cell))), exact)

    return maker


def _sides(made: Any, exact: bool) -> tuple[Any, dict[str, Any]]:
    """SGD and its limits by their labels, checked."""
    sgd, *limits = made if isinstance(made, tuple) else (made,)
    if not isinstance(sgd, SGD):
        raise InvalidInput(f"make must return an SGD, or a tuple that begins with one, got {type(sgd).__name__}")
    if not limits:
        limits = [GradientFlow.of(sgd), ModifiedEquation.of(sgd)]
        if isinstance(sgd.problem, QuadraticProblem):
            limits += [OrnsteinUhlenbeck.of(sgd), HomogenizedSGD.of(sgd), ModifiedEquation.of(sgd, order=2)]
    for side in limits:
        if getattr(side, "problem", None) is None:
            raise InvalidInput(
                f"{getattr(side, 'label', type(side).__name__)} does not know its problem, so it has no risk: take a "
                "limit that is made of the SGD, such as GradientFlow.of(sgd), or compare.laws with observables"
            )
    for side in (sgd, *limits) if exact else ():
        if not has_moments(side):
            raise InvalidInput(
                f"the moments of {getattr(side, 'label', side)} do not close: give paths=, to find the end by sampling "
                "with an interval"
            )
    return sgd, {limit.label: limit for limit in limits}


def _scan(values: Any, maker: Maker, cells: Sequence[tuple[Any, ...]]) -> np.ndarray:
    if values is not None:
        scan = real_array("values", values)
        if scan.ndim != 1 or scan.size < 2 or not (scan > 0).all() or not (np.diff(scan) > 0).all():
            raise InvalidInput(f"values must be at least two ascending step sizes above 0, got {values!r}")
        return scan
    made = [maker(TRIAL, cell)[0] for cell in cells]
    try:
        top = max(float(sgd.stability().mean_threshold) for sgd in made)
    except InvalidInput:
        top = math.inf
    return usual_scan(top)


def usual_scan(top: float) -> np.ndarray:
    """Step sizes that are scanned up to a threshold of the mean."""
    if not math.isfinite(top):
        raise InvalidInput("no threshold in the mean is known: give the step sizes to scan, values=np.geomspace(...)")
    return top * np.logspace(-DECADES, 0, POINTS)


def _thresholds(sgd: Any, lyapunov: bool) -> dict[str, Any]:
    """Step sizes up to which the recurrence settles; nan where they are not known, or not asked for."""
    if not has_moments(sgd):
        return {"mean_square_threshold": math.nan, "lyapunov_threshold": math.nan}
    stability = sgd.stability()
    return {
        "mean_square_threshold": stability.mean_square_threshold,
        "lyapunov_threshold": stability.lyapunov_threshold if lyapunov else math.nan,
    }


def _of_limit(cell: Cell, label: str, scan: np.ndarray, within: float, settles: float) -> dict[str, Any]:
    errors: dict[float, float] = {}

    def error(size: float) -> float:
        if size not in errors:
            if size < scan[0] and cell.tells(float(scan[0])) and not cell.tells(size):
                raise OutOfReach(f"at step size {size:g} the part that noise makes is lost in rounding")
            errors[size] = cell.error(label, size, within).signed
        return errors[size]

    found: Found = components(error, scan, within, settles)
    first = found.first
    place = found.smallest if first is None else first.high
    none = NO_COMPONENT if found.stays else BELOW
    worst = cell.error(label, place, within)
    low, high = 0.0, 0.0 if found.stays else place
    if first is not None:
        low, high = _ends(cell, label, first, within, worst.uncertain)
    return {
        "boundary": first.high if first else 0.0 if found.stays else place,
        "low": low,
        "high": high,
        "status": none if first is None else AT_LEAST if first.open else "",
        "searched": found.smallest,
        "step": worst.step,
        "steps": cell.horizon.steps(place),
        "signed": worst.signed,
        "term": cell.term(label, place, worst.step),
        "error": np.abs([error(float(size)) for size in scan]),
        "others": [(other.low, other.high) for other in found.others],
    }


def _ends(cell: Cell, label: str, first: Component, within: float, uncertain: float) -> tuple[float, float]:
    """Step sizes between which the error crosses its allowance, to the accuracy of a root or by bounds of the error."""
    end = first.high
    if first.open or not uncertain:
        return (1 - ACCURATE) * end, math.inf if first.open else (1 + ACCURATE) * end
    wide = max(ACCURATE, uncertain / within)
    for place in range(WIDER):
        wide, last = 2 * wide, place + 1 == WIDER
        low, high = end / (1 + wide), end * (1 + wide)
        below, above = (cell.error(label, size, within, exact=last) for size in (low, high))
        if below.size + below.uncertain <= within <= above.size - above.uncertain:
            return low, high
    return 0.0, math.inf


def _result(
    found: Sequence[dict[str, Any]], names: Sequence[str], cells: Sequence[tuple[Any, ...]], scan: np.ndarray,
    settings: dict[str, Any],
) -> Validity:  # fmt: skip
    import xarray as xr

    import sgdlimits

    labels = list(found[0]["limits"])
    variables: dict[str, Any] = {
        name: (("cell",), np.array([each[name] for each in found]))
        for name in ("mean_square_threshold", "lyapunov_threshold")
    }
    for name in ("boundary", "low", "high", "status", "searched", "step", "steps", "signed", "term"):
        values = [[each["limits"][label][name] for each in found] for label in labels]
        variables[name] = (("process", "cell"), np.array(values))
    variables["error"] = (
        ("process", "cell", "scanned"),
        np.array([[each["limits"][label]["error"] for each in found] for label in labels]),
    )
    others = [[json.dumps(each["limits"][label]["others"]) for each in found] for label in labels]
    variables["others"] = (("process", "cell"), np.array(others, dtype=object).astype(str))
    coordinates: dict[str, Any] = {"process": labels, "scanned": scan}
    for place, name in enumerate(names):
        coordinates[name] = ("cell", np.array([cell[place] for cell in cells]))
    attributes = {"names": json.dumps(list(names)), **settings, "version": sgdlimits.__version__, "claims": "[]"}
    return Validity(xr.Dataset(variables, coordinates, attributes))
