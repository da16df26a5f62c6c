"""compare.bounds: how wrong at worst, over all steps and over a range of step sizes, from exact moments."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from sgdlimits.ensembles.initial import initial_moments
from sgdlimits.exact.errors import InvalidInput, finite_array, flag, one_of
from sgdlimits.exact.stationary_law import Stability

from ..capabilities import (
    claim_notes,
    distinct_labels,
    has_moments,
    has_one_step_size,
    mismatches,
    one_blas_thread,
    with_start,
)
from .constants import MOST, WHOLE, largest_constant, power_of
from .curves import Worst
from .errors import Errors, Pair
from .quadratic import METRICS, ORIGINS
from .result import NEVER, QUANTITIES, SCALED, Bounds

LARGE = 50  # modes beyond which the covariances for all quadratic observables are not made unless asked for


@one_blas_thread
def bounds(
    reference: Any,
    *others: Any,
    x0: Any = None,
    step_sizes: Sequence[float] | None = None,
    origin: str = "minimiser",
    metric: str = "euclidean",
    quadratic: bool | None = None,
) -> Bounds:
    """How wrong limits are at worst, ever: suprema over all steps, and constants over a range of step sizes.

    Exact moments only: nothing is sampled and no constant is missing. A supremum is over every whole step and the
    stationary end; the grid is refined until a maximum is found to rounding.

    Parameters
    ----------
    reference : SGD
        On least squares, with a constant step size.
    *others : diffusions, or SGD that samples differently
        The start may follow them as the last positional argument.
    x0 : array (d,), array (paths, d), Gaussian, or tuple (mean, covariance)
    step_sizes : (low, high), optional
        The range over which |error| <= C step_size^p is to hold; low = 0 includes the leading constant. Default: from
        0 to the reference's step size.
    origin : "minimiser" or "start"
        About which quadratic observables are of unit size.
    metric : "euclidean" or "risk"
        In which they are: of positions, or of H^(1/2) times positions, where the risk is one of them.
    quadratic : bool, optional
        Whether the supremum over all quadratic observables is computed; default up to 50 modes.

    Returns
    -------
    Bounds

    Examples
    --------
    >>> import numpy as np
    >>> from sgdlimits import compare, diffusions, discrete, problems
    >>> sgd = discrete.SGD(problems.LeastSquares.from_dataset("diabetes"), 0.05)
    >>> found = compare.bounds(sgd, diffusions.HomogenizedSGD.of(sgd), x0=np.zeros(10))
    >>> print(f"{found.table()[0]['size']:.4f}")
    0.0045

    Raises
    ------
    InvalidInput
        If moments do not close, the sides do not belong together, or an argument cannot be used.
    OutOfReach
        If a mode is too slow for a statement about all steps.
    """
    compared, x0 = with_start(others, x0)
    processes = [reference, *compared]
    labels = distinct_labels(processes)
    _check(processes, labels)
    low, high = _range(step_sizes, float(reference.step_size))
    one_of("origin", origin, ORIGINS)
    one_of("metric", metric, METRICS)
    problem = reference.problem
    mean, _ = initial_moments(x0, problem.dimension)
    about = problem.minimiser if origin == "minimiser" else mean
    wanted = problem.dimension <= LARGE if quadratic is None else flag("quadratic", quadratic)
    sides = [
        _of_one((reference, process), (labels[0], label), x0, (low, high), (about, metric) if wanted else None)
        for process, label in zip(compared, labels[1:])
    ]
    return _result(processes, labels, sides, (low, high), origin, metric)


def _of_one(
    pair: Pair, labels: tuple[str, str], x0: Any, span: tuple[float, float], quadratic: tuple[np.ndarray, str] | None
) -> dict[str, Any]:
    """Everything about one limit: rows over QUANTITIES and SCALED, and sentences."""
    found: dict[str, Any] = {name: np.full(len(QUANTITIES), np.nan) for name in ("size", "signed")}
    found |= {name: np.full(len(SCALED), np.nan) for name in ("constant", "at_step_size", "leading")}
    found |= {"step": np.full(len(QUANTITIES), NEVER), "rates": np.full(2, np.nan), "notes": []}
    found |= {"power": np.zeros(len(SCALED), dtype=int), "looked_at": np.zeros(len(SCALED), dtype=int)}
    step_size, high = float(pair[0].step_size), span[1]
    stabilities = [process.stability() for process in pair]
    # What is found at a step size serves every quantity.
    errors_at = functools.cache(lambda step_size: Errors(pair, x0, step_size))
    past = _unstable(stabilities, labels, step_size)
    if past:
        found["size"][:] = found["signed"][:] = np.inf
        found["notes"].append(f"{past}: what grows for ever has no bound.")
    else:
        errors = errors_at(step_size)
        worst: list[Worst | None] = [errors.risk, errors.relative]
        worst.append(None if quadratic is None else errors.quadratic(*quadratic))
        for column, each in enumerate(worst):
            if each is not None:
                found["size"][column], found["signed"][column] = each.size, each.signed
                found["step"][column] = NEVER if each.step is None else each.step
        if errors.relative is None:
            found["rates"][:] = errors.decay_rates
    past = _unstable(stabilities, labels, high)
    if past:
        found["constant"][:] = np.inf
        found["notes"].append(f"{past}: no constant holds for step sizes up to there.")
        return found
    for column in range(len(SCALED)):
        if not (column and errors_at(high).void):
            _constant(found, errors_at, labels[1], span, column)
    return found


def _constant(
    found: dict[str, Any], errors_at: Callable[[float], Errors], label: str, span: tuple[float, float], column: int
) -> None:
    """Fill in the constant of one quantity."""
    def worst_at(step_size: float) -> Worst:
        errors = errors_at(step_size)
        worst = errors.relative if column else errors.risk
        assert worst is not None  # void at one step size is void at all
        return worst

    power, seen = power_of(lambda step_size: worst_at(step_size).size, span[1])
    found["power"][column] = power
    if abs(seen - power) > WHOLE:
        found["notes"].append(
            f"{label}, {SCALED[column]}: for small step sizes it falls like step_size^{seen:.2f}, which is no whole "
            "power."
        )

    def scaled(step_size: float) -> tuple[float, float]:
        worst = worst_at(step_size)
        size, slope = worst.size / step_size**power, errors_at(step_size).slope(worst, bool(column))
        return size, slope / step_size**power - power * size / step_size

    constant = largest_constant(scaled, *span)
    found["constant"][column], found["at_step_size"][column] = constant.value, constant.step_size
    found["leading"][column], found["looked_at"][column] = constant.leading, constant.looked_at
    if not constant.settled:
        found["notes"].append(
            f"{label}, {SCALED[column]}: the search ended after {MOST} step sizes with an interval in which the "
            "constant may be larger by more than 1e-3 of itself."
        )


def _unstable(stabilities: Sequence[Stability], labels: tuple[str, str], step_size: float) -> str:
    """Which side is past its threshold at this step size, in words; empty if none is."""
    for stability, label in zip(stabilities, labels):
        if not replace(stability, step_size=step_size).mean_square_stable:
            threshold = min(stability.mean_threshold, stability.mean_square_threshold)
            return (
                f"the second moment of {label} settles only below step size {threshold:.6g}, which "
                f"{step_size:.6g} does not lie below"
            )
    return ""


def _check(processes: Sequence[Any], labels: Sequence[str]) -> None:
    if len(processes) < 2:
        raise InvalidInput("bounds needs a limit beside the reference: bounds(sgd, HomogenizedSGD.of(sgd), x0=...)")
    for process, label in zip(processes, labels):
        if not has_moments(process) or not hasattr(process, "stationary"):
            raise InvalidInput(
                f"{label} has no closed moments, and bounds are made of these: they need least squares and a rule "
                "whose step is affine"
            )
        if not has_one_step_size(process):
            raise InvalidInput(f"{label} has a schedule of step sizes, and bounds are about a constant one")
    found = mismatches(processes, labels)
    if found:
        raise InvalidInput(f"the sides do not belong together: {found[0]}")


def _range(step_sizes: Sequence[float] | None, own: float) -> tuple[float, float]:
    if step_sizes is None:
        return 0.0, own
    low, high = finite_array("step_sizes", step_sizes, shape=(2,)).tolist()
    if not 0 <= low < high:
        raise InvalidInput(f"step_sizes must be (low, high) with 0 <= low < high, got ({low:g}, {high:g})")
    return low, high


def _result(
    processes: Sequence[Any], labels: Sequence[str], sides: Sequence[dict[str, Any]], span: tuple[float, float],
    origin: str, metric: str,
) -> Bounds:  # fmt: skip
    import xarray as xr

    import sgdlimits

    reference, problem = processes[0], processes[0].problem
    axes = {
        "size": "quantity", "signed": "quantity", "step": "quantity", "constant": "scaled", "at_step_size": "scaled",
        "leading": "scaled", "power": "scaled", "looked_at": "scaled", "rates": "side",
    }  # fmt: skip
    variables: dict[str, Any] = {
        name: (("process", axis), np.array([side[name] for side in sides])) for name, axis in axes.items()
    }
    attributes = {
        "title": f"How wrong at worst, ever: against {labels[0]}, step size {float(reference.step_size):g}",
        "problem": repr(problem), "batch_size": reference.batch_size, "step_size": float(reference.step_size),
        "low": span[0], "high": span[1], "origin": origin, "metric": metric, "version": sgdlimits.__version__,
        "claims": claim_notes(processes[1:], labels[1:]),
        "notes": json.dumps([note for side in sides for note in side["notes"]]),
    }  # fmt: skip
    coordinates = {
        "process": list(labels[1:]), "quantity": list(QUANTITIES), "scaled": list(SCALED),
        "side": ["reference", "limit"],
    }  # fmt: skip
    return Bounds(xr.Dataset(variables, coordinates, attributes))
