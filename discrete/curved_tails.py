"""Tail indices of stochastic Newton and proximal steps: whether the linear or the additive part decides. Derived.

x' = A x + b with A = I - size (H' + s)^-1 (H + ridge). Where A multiplies at random and expands, Kesten's root decides.
Where it does not, the tail of b does: with the batch's own Hessian, no damping and no ridge b has that of the inverse
of a Wishart matrix.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.ensembles.random import Noise
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.exact.listed_steps import ListedSteps
from sgdlimits.exact.newton_growth import newton_index
from sgdlimits.exact.tail_index import TailIndex, refuse_growth
from sgdlimits.problems.streaming import StreamingLeastSquares

from .kesten import Populations, kesten_index

if TYPE_CHECKING:
    from .newton_step import NewtonStep
    from .sgd import SGD

PLACES = 95  # purpose of the random numbers of batches of a list
MOST_MATRICES = 64  # that populations choose among with weights; of more, draws are cheaper
LINEAR = "the linear part decides, as every moment of the additive part is finite"
ADDITIVE = "the additive part decides"


def linear_part_decides(found: TailIndex) -> TailIndex:
    """Say so where the index is finite."""
    return found if math.isinf(found.index) else replace(found, method=f"{found.method}; {LINEAR}")


def dies_out(sgd: SGD) -> TailIndex | None:
    """inf where paths end in the minimiser, whatever happens on the way; None where they do not."""
    if sgd.problem.ridge or not sgd.problem.noise_dies(sgd.label_noise):
        return None
    return TailIndex(
        math.inf, 0.0, "the noise dies out",
        note="the risk is zero at the minimiser and there is no label noise: paths that settle end there",
    )  # fmt: skip


def expands_nothing(sgd: SGD, newton: NewtonStep) -> bool:
    """Whether no batch's step expands, whatever its Hessian: all eigenvalues of A lie in [1 - size, 1]."""
    return newton.batch is None and sgd.problem.ridge >= 0 and float(newton.size) <= 2


def nonexpansive(sgd: SGD, newton: NewtonStep) -> TailIndex:
    """inf, with its reason.

    Raises
    ------
    NoStationaryLaw
        If steps keep all distances.
    """
    ridge, size = sgd.problem.ridge, float(newton.size)
    if size == 2 and not newton.damping:
        refuse_growth(sgd.label, 0.0)
    matrix = f"I - {size:.4g} (H + {ridge + newton.damping:.4g})^-1 (H + {ridge:.4g})"
    if newton.proximal:
        matrix = f"(I + {sgd.step_size:.4g} (H + {ridge:.4g}))^-1"
    return TailIndex(
        math.inf, 0.0, "no batch's step expands",
        note=f"A = {matrix} has norm at most 1 for every H, and what is added is a bounded multiple of labels, and of "
        "a constant: every moment is finite",
    )  # fmt: skip


def listed_index(sgd: SGD, steps: ListedSteps, size: float, **options: Any) -> TailIndex:
    """Of a list of batches, in the modes that something moves."""
    matrices = np.eye(steps.dimension) - size * np.einsum("lij,mjk->lmik", steps.outer, steps.pulls, optimize=True)
    found = dies_out(sgd)
    if found is not None:
        return found
    if steps.dimension > 1 and matrices.shape[0] * matrices.shape[1] > MOST_MATRICES:
        start = np.ones(steps.dimension)
        return linear_part_decides(kesten_index(DrawnSteps(steps, size), start, **options))
    weights = np.outer(steps.outer_weights, steps.weights).ravel()
    return linear_part_decides(kesten_index((matrices.reshape(-1, *matrices.shape[2:]), weights), **options))


def stream_index(sgd: SGD, newton: NewtonStep, **options: Any) -> TailIndex:
    """Of Gaussian features."""
    problem, label = sgd.problem, sgd.label
    d, ridge, size = problem.dimension, problem.ridge, float(newton.size)
    shift, rank = ridge + newton.damping, int((problem.eigenvalues > 0).sum())
    constant = newton.batch is None and newton.damping == 0  # A = (1 - size) I
    if constant:
        refuse_growth(label, math.log(abs(1 - size)) if size != 1 else -math.inf)
    found = dies_out(sgd)
    if found is not None:
        return found
    if constant and shift == 0:
        index = sgd.batch_size - d + 1
        return TailIndex(
            float(index), 0.0, f"closed form: {ADDITIVE}",
            math.log(abs(1 - size)) if size != 1 else -math.inf, 0.0,
            f"A = {1 - size:.4g} I, and b = {size:.4g} (X^T X)^-1 X^T y has the tail of the inverse of the least "
            f"singular value of X, whose density at 0 is of order batch_size - d = {index - 1}",
        )  # fmt: skip
    if expands_nothing(sgd, newton):
        return nonexpansive(sgd, newton)
    if newton.batch is not None and shift == 0:
        least = (newton.batch - d + 1) / 2
        said = f"E |A|^s is finite for s below (hessian batch - d + 1) / 2 = {least:g} alone, a bound of the index"
        if d == 1:
            from scipy import stats

            ratio = stats.f(sgd.batch_size, newton.batch, loc=-1.0, scale=size)
            found = kesten_index(ratio, **options)  # |1 - size F|
        else:
            Populations.of(options)
            found = newton_index(label, d, sgd.batch_size, newton.batch, size)
        decided = f"{found.method}; the linear part decides: k passes 1 before {least:g}, the additive part's index"
        return replace(found, method=decided, note=f"{found.note}; {said}" if found.note else said)
    if rank < d and ridge == 0:
        raise InvalidInput(
            f"the tail index of {label} on a stream with directions without features is not known: leave them out"
        )
    return linear_part_decides(_sampled(sgd, **options))


@dataclass(frozen=True, eq=False)
class LinearPart:
    """The linear part of a descent on data whose labels are all zero, whose rule keeps nothing but the position."""

    sgd: SGD

    def initial_state(self, x0: np.ndarray) -> np.ndarray:
        """The positions."""
        return x0.copy()

    def step(self, k: int, state: np.ndarray, noise: Noise) -> np.ndarray:
        """A step of the descent."""
        return self.sgd.position(self.sgd.step(k, self.sgd.initial_state(state), noise))

    def position(self, state: np.ndarray) -> np.ndarray:
        """The state."""
        return state


@dataclass(frozen=True, eq=False)
class DrawnSteps:
    """The linear part of a step over a list of batches, drawn by their probabilities."""

    steps: ListedSteps
    size: float

    def initial_state(self, x0: np.ndarray) -> np.ndarray:
        """The positions."""
        return x0.copy()

    def step(self, k: int, state: np.ndarray, noise: Noise) -> np.ndarray:
        """x - size P G x."""
        steps, uniforms = self.steps, noise.uniforms(PLACES, k, 2)
        pulls = steps.pulls[_chosen(steps.weights, uniforms[:, 0])]
        outer = steps.outer[_chosen(steps.outer_weights, uniforms[:, 1])]
        return state - self.size * (outer @ (pulls @ state[..., None]))[..., 0]

    def position(self, state: np.ndarray) -> np.ndarray:
        """The state."""
        return state


def _chosen(weights: np.ndarray, uniforms: np.ndarray) -> np.ndarray:
    return np.minimum(np.searchsorted(np.cumsum(weights), uniforms), len(weights) - 1)


def _sampled(sgd: SGD, **options: Any) -> TailIndex:
    """By populations of the linear part: the same descent of a stream whose labels are all zero."""
    problem = sgd.problem
    assert isinstance(problem, StreamingLeastSquares)
    still = StreamingLeastSquares(problem.given, 0.0, np.zeros(problem.dimension), problem.ridge)
    start = problem.eigenvectors[:, : max(1, int((problem.eigenvalues > 0).sum()))].sum(axis=1)
    return kesten_index(LinearPart(replace(sgd, problem=still, label_noise=0.0)), start, **options)
