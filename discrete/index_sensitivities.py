"""How the tail index of SGD moves with step size, ridge, one eigenvalue and batch size, by the implicit function.

The index s solves log k(s; theta) = 0, so that ds / d theta = -(d log k / d theta) / (d log k / ds) where the two are
smooth: derivatives at one order, of a function that is known to some digits, and no differences of roots. Derived.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import logsumexp

from sgdlimits.ensembles.blas_threads import one_blas_thread
from sgdlimits.exact.errors import InvalidInput, OutOfReach, some_of
from sgdlimits.exact.index_sensitivities import (
    PARAMETERS, ROUNDING, STEP, Derivative, TailIndexSensitivities, difference,
)  # fmt: skip
from sgdlimits.exact.moment_growth import alike, isotropic_growth
from sgdlimits.exact.tail_index import TailIndex
from sgdlimits.problems.least_squares import LeastSquares
from sgdlimits.problems.quadratic import QuadraticProblem
from sgdlimits.problems.streaming import StreamingLeastSquares

from .kesten import Populations
from .moment_equations import with_a_law_of_samples
from .moment_exponents import few_paths, moment_exponent
from .tail_index import batch_curvatures, tail_index

if TYPE_CHECKING:
    from .sgd import SGD

WIDE = 0.05  # relative, of a difference of sampled growth, over that and twice as much


def tail_index_sensitivities(
    sgd: SGD, parameters: Sequence[str] | None = None, **options: Any
) -> TailIndexSensitivities:
    """As `SGD.tail_index_sensitivities`."""
    chosen = some_of("parameters", parameters, PARAMETERS)
    problem = with_a_law_of_samples(sgd, "the derivative of a tail index")
    index = tail_index(sgd, **options)
    if not math.isfinite(index.index):
        raise InvalidInput(
            f"the tail index of {sgd.label} is infinite ({index.note}): it does not move; "
            + ("add label noise" if problem.noise_dies(sgd.label_noise) else "raise the step size")
        )
    sizes = few_paths(sgd, options)
    with one_blas_thread():
        growth = _Growth(sgd, problem, index, sizes)
        found: dict[str, Any] = {"index": index, "sampled": growth.sampled}
        if "step_size" in chosen:
            found["step_size"] = growth.moved(
                "step_size", lambda t: replace(sgd, step_size=t), sgd.step_size, sgd.step_size
            )
        if "ridge" in chosen:
            scale = float(problem.eigenvalues.max()) + abs(problem.ridge)
            found["ridge"] = growth.moved(
                "ridge", lambda t: replace(sgd, problem=problem.with_ridge(t)), problem.ridge, scale
            )
        if "eigenvalue" in chosen:
            found["eigenvalue"] = growth.eigenvalues()
        if "batch_size" in chosen:
            found |= growth.batch_sizes(options)
    return TailIndexSensitivities(**found)


class _Growth:
    """log k about the index, of neighbouring settings."""

    def __init__(self, sgd: SGD, problem: QuadraticProblem, index: TailIndex, sizes: Populations) -> None:
        self.sgd, self.problem, self.index, self.sizes = sgd, problem, index, sizes
        self.sampled = moment_exponent(sgd, index.index, sizes).sampled
        self.batches = _batches(sgd, problem)
        if self.batches is None:
            self.slope = self._difference(lambda s: self.at(sgd, s), index.index, index.index)
        else:
            self.slope = _slope_of_batches(sgd, problem, *self.batches, index)

    def at(self, sgd: SGD, order: float) -> tuple[float, float]:
        """log k with its error."""
        found = moment_exponent(sgd, order, self.sizes)
        return found.value, found.error

    def _difference(self, known: Callable[[float], tuple[float, float]], at: float, scale: float) -> Derivative:
        """Of a function about a place, over steps relative to a scale."""
        if self.sampled:
            return _of_samples(known, at, WIDE * scale)
        return difference(known, at, STEP * scale)

    def _of_batches(self, parameter: str, value: float = 1.0) -> Derivative | None:
        """Of the index on a line of data, where a difference would not see how near a batch's factor is to 0."""
        if self.batches is None:
            return None
        curvatures, weights = self.batches
        sgd, order = self.sgd, self.index.index
        kept = 1 - sgd.step_size * (curvatures + self.problem.ridge)
        moves = {
            "step_size": -(curvatures + self.problem.ridge), "ridge": np.full(kept.size, -float(sgd.step_size)),
            "eigenvalue": -sgd.step_size * curvatures / value,
        }[parameter]  # fmt: skip
        near = ROUNDING * (1 + np.abs(1 - kept))  # what rounding leaves of a factor
        if order <= 1 and (np.abs(kept) <= near).any():
            raise OutOfReach(
                f"the {parameter.replace('_', ' ')} of {sgd.label} puts a batch's factor at 0, where the index has a "
                "kink and no derivative: move it a little"
            )
        parts = weights * order * np.abs(kept) ** (order - 1) * moves / (weights @ np.abs(kept) ** order)
        lost = np.abs(parts) @ (ROUNDING + abs(order - 1) * near / np.maximum(np.abs(kept), near))
        return self.over_the_slope(Derivative(float(parts @ np.sign(kept)), float(lost)))

    def over_the_slope(self, change: Derivative) -> Derivative:
        """-(d log k / d theta) / (d log k / ds)."""
        value = -change.value / self.slope.value
        parts = change.error / abs(self.slope.value), value * self.slope.error / self.slope.value
        return Derivative(value, math.hypot(*parts) if self.sampled else sum(map(abs, parts)))

    def moved(self, parameter: str, setting: Callable[[float], SGD], at: float, scale: float) -> Derivative:
        """Of the index in a setting."""
        known = self._of_batches(parameter, at)
        if known:
            return known
        return self.over_the_slope(self._difference(lambda t: self.at(setting(t), self.index.index), at, scale))

    def eigenvalues(self) -> tuple[Derivative, ...]:
        """Of the index in each eigenvalue."""
        h = self.problem.eigenvalues[self.problem.eigenvalues > 0]
        if isinstance(self.problem, StreamingLeastSquares) and alike(h) and not self.sgd.momentum:
            # k is symmetric in all of them and smooth where they meet: each has an equal part.
            value = float(h.mean())
            together = self.moved(
                "eigenvalue", lambda t: self._stretched(np.full(h.size, t / value)), value, value
            )
            return (Derivative(together.value / h.size, together.error / h.size),) * h.size
        found = []
        for place, value in enumerate(h):

            def setting(t: float, place: int = place, value: float = float(value)) -> SGD:
                factors = np.ones(h.size)
                factors[place] = t / value
                return self._stretched(factors)

            found.append(self.moved("eigenvalue", setting, float(value), float(value)))
        return tuple(found)

    def _stretched(self, factors: np.ndarray) -> SGD:
        """With eigenvalues above zero multiplied; labels do not matter to the index."""
        problem = self.problem
        h = problem.eigenvalues[problem.eigenvalues > 0]
        if isinstance(problem, LeastSquares):
            rows = problem.range_modes * np.sqrt(factors)
            return replace(self.sgd, problem=LeastSquares.from_arrays(rows, np.ones(len(rows)), problem.ridge))
        return replace(
            self.sgd, problem=StreamingLeastSquares(h * factors, 1.0, np.zeros(h.size), problem.ridge)
        )

    def batch_sizes(self, options: dict[str, Any]) -> dict[str, Any]:
        """The derivative in the batch size, or ratios to neighbouring ones."""
        sgd, problem, batch = self.sgd, self.problem, self.sgd.batch_size
        h = problem.eigenvalues[problem.eigenvalues > 0]
        if isinstance(problem, StreamingLeastSquares) and alike(h) and not sgd.momentum:
            kept, order = 1 - sgd.step_size * problem.ridge, self.index.index

            def known(real: float, nodes: int = 16) -> float:
                return isotropic_growth(h.size, kept, sgd.step_size / real * float(h[0]), real, nodes)(order)

            return {"batch_size": self.over_the_slope(_from_above(known, float(batch)) if batch == 1 else (
                self._difference(lambda real: (known(real), abs(known(real) - known(real, 12))), batch, batch / 4)
            ))}  # fmt: skip
        found: dict[str, Any] = {}
        said = []
        for name, other in (("smaller_batch", batch - 1), ("larger_batch", batch + 1)):
            if other < 1:
                continue
            try:
                beside = tail_index(replace(sgd, batch_size=other), **options)
            except (OutOfReach, ValueError) as error:
                said.append(f"batch size {other}: {error}")
                continue
            ratio = beside.index / self.index.index
            errors = math.hypot(beside.error / beside.index, self.index.error / self.index.index)
            found[name] = Derivative(ratio, ratio * errors if math.isfinite(ratio) else 0.0)
        return found | {"why_not": tuple(said)}


def _batches(sgd: SGD, problem: QuadraticProblem) -> tuple[np.ndarray, np.ndarray] | None:
    """Curvatures (m,) of all batches without the ridge, and their probabilities (m,), on a line of data."""
    if sgd.momentum or not isinstance(problem, LeastSquares) or problem.rank > 1:
        return None
    found = batch_curvatures(sgd, problem, np.square(problem.range_modes).sum(axis=1))
    return None if found is None else (found[0], np.exp(found[1] - logsumexp(found[1])))


def _slope_of_batches(
    sgd: SGD, problem: QuadraticProblem, curvatures: np.ndarray, weights: np.ndarray, index: TailIndex
) -> Derivative:
    """Of log k at the index, with what the index's own error makes of it."""
    factors = np.abs(1 - sgd.step_size * (curvatures + problem.ridge))
    with np.errstate(divide="ignore"):
        logs = np.where(factors > 0, np.log(factors), 0.0)
    shares = weights * factors**index.index
    shares /= shares.sum()
    slope = float(shares @ logs)
    bend = float(shares @ logs**2) - slope**2
    return Derivative(slope, bend * index.error + ROUNDING * float(shares @ np.abs(logs)))


def _of_samples(known: Callable[[float], tuple[float, float]], at: float, step: float) -> Derivative:
    """By central differences over a step and two, what the longer one is off by taken away and its half an error."""
    ends = {q: (known(at + q * step), known(at - q * step)) for q in (1, 2)}
    fine, coarse = ((ends[q][0][0] - ends[q][1][0]) / (2 * q * step) for q in (1, 2))
    sampled = [math.hypot(ends[q][0][1], ends[q][1][1]) / (2 * q * step) for q in (1, 2)]
    bend = (coarse - fine) / 3
    return Derivative(fine - bend, math.hypot(4 / 3 * sampled[0], sampled[1] / 3, bend / 2))


def _from_above(known: Callable[[float], float], at: float) -> Derivative:
    """One-sided, of fifth and fourth order: below one sample the law of a batch has another singularity."""
    step = STEP * at
    values = np.array([known(at + q * step) for q in range(6)])
    fine = values @ np.array([-137 / 60, 5, -5, 10 / 3, -5 / 4, 1 / 5]) / step
    coarse = values[:5] @ np.array([-25 / 12, 4, -3, 4 / 3, -1 / 4]) / step
    return Derivative(float(fine), float(abs(fine - coarse)) + ROUNDING / step)
