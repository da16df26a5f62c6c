"""The linear part of a step of SGD on least squares, plain or with momentum, in coordinates that grow evenly. Derived.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sgdlimits.exact.even_coordinates import even_coordinates
from sgdlimits.problems.least_squares import LeastSquares
from sgdlimits.problems.quadratic import QuadraticProblem

if TYPE_CHECKING:
    from .sgd import SGD


@dataclass(frozen=True, eq=False)
class Split:
    """What a linear step leaves as it is and where it looks: A y = (base - scale lift sum of a (a.look), rest).

    Attributes
    ----------
    base, look : (P, r) arrays
    rest : (P, D - r) array
    """

    base: np.ndarray
    look: np.ndarray
    rest: np.ndarray


@dataclass(frozen=True, eq=False)
class LinearRule:
    """A y = (base y - scale lift sum of a (a.look y), rest y), the sum over the rows a of a batch.

    y = R x, with R upper triangular and x the modes (w,), or (w, w before) with momentum: noise enters y's first part
    alone.

    Attributes
    ----------
    scale : float
        Step size over batch size.
    base, look : (r, D) arrays
    rest : (D - r, D) array
    lift : (r, r) array
        First block of R; diagonal where no noise couples modes.
    spread : (D, D) array
        Second moments of y where they have settled.
    """

    scale: float
    base: np.ndarray
    look: np.ndarray
    rest: np.ndarray
    lift: np.ndarray
    spread: np.ndarray

    def split(self, state: np.ndarray) -> Split:
        """State (P, D) at unit norm."""
        return Split(state @ self.base.T, state @ self.look.T, state @ self.rest.T)


def linear_rule(
    sgd: SGD, problem: QuadraticProblem, eigenvalues: np.ndarray, penalty: np.ndarray | None = None
) -> LinearRule:
    """In the modes (r,) that the data move, or a `penalty` (r, r) that stands for the ridge."""
    size, mu, r = float(sgd.step_size), sgd.momentum, eigenvalues.size
    one, still, hessian = np.eye(r), np.zeros((r, r)), np.diag(eigenvalues)
    pull = problem.ridge * one if penalty is None else penalty
    look, kept = one, one - size * pull
    if mu:
        ahead, now = np.hstack([(1 + mu) * one, -mu * one]), np.hstack([one, still])
        look = ahead if sgd.nesterov else now
        kept = np.vstack([ahead - size * pull @ look, now])
    mean = kept.copy()
    mean[:r] -= size * hessian @ look
    spread = _spread(sgd, problem, hessian)

    def caused(second: np.ndarray) -> np.ndarray:
        found = np.zeros_like(second)
        found[:r, :r] = size**2 * spread(look @ second @ look.T)
        return found

    def felt(form: np.ndarray) -> np.ndarray:
        return size**2 * look.T @ spread(form[:r, :r]) @ look

    even = even_coordinates(mean, caused, felt)
    if penalty is not None and not isinstance(problem, LeastSquares):
        even = even.diagonal()  # features of a stream are independent in modes, and must stay so
    kept, look = even.root @ kept @ even.back, look @ even.back
    return LinearRule(size / sgd.batch_size, kept[:r], look, kept[r:], even.root[:r, :r], even.spread)


def _spread(sgd: SGD, problem: QuadraticProblem, hessian: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Q -> E (S - H) Q (S - H), S the Hessian of a batch: an adjoint of itself."""
    factor = problem.sampling_factor(sgd.batch_size, sgd.sampling)
    if isinstance(problem, LeastSquares):
        rows = problem.augmented_modes[:, : len(hessian)]

        def sampled(form: np.ndarray) -> np.ndarray:
            squares = np.einsum("ni,ni->n", rows @ form, rows)
            return factor * ((rows * squares[:, None]).T @ rows / len(rows) - hessian @ form @ hessian)

        return sampled
    return lambda form: factor * (hessian @ form @ hessian + np.trace(form @ hessian) * hessian)
