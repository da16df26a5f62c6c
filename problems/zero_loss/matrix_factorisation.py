"""L = |U V' - M|^2 / 2, every entry a sample; U'U - V'V is conserved by the flow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sgdlimits.exact.compiling import compiled
from sgdlimits.exact.errors import finite_array, whole_number

from .kernels import multiplier, regression_kernel
from .model import ByJacobian, NoClosedLimit, QuadraticPredictions, entry_count


@compiled
def sample(w, x, multipliers, row):
    """Entry (x[0], x[1]) of U V' and its gradient; x[2] and x[3] are the rows of U and the rank."""
    rank = np.int64(x[3])
    left, right = np.int64(x[0]) * rank, (np.int64(x[2]) + np.int64(x[1])) * rank
    for j in range(row.size):
        row[j] = 0.0
    value = 0.0
    for r in range(rank):
        keep = multiplier(multipliers, r)
        value += keep * w[left + r] * w[right + r]
        row[left + r] = keep * w[right + r]
        row[right + r] = keep * w[left + r]
    return value


@dataclass(frozen=True, eq=False)
class MatrixFactorisation(QuadraticPredictions, ByJacobian, NoClosedLimit):
    """L(w) = |U V' - M|^2 / 2 (a sum over entries), w = (U row by row, V row by row).

    The p q samples are the entries of M row by row; the hidden units are the `rank` columns.

    Parameters
    ----------
    target : (p, q) array, M
    rank : int, optional
        Columns of U (p, rank) and V (q, rank); default: the smaller side of M.
    """

    target: np.ndarray
    rank: int | None = None
    kernel = staticmethod(regression_kernel(sample))
    weight = 1.0
    label = "matrix factorisation"

    def __post_init__(self) -> None:
        target = np.array(finite_array("target", self.target, ndim=2))
        target.flags.writeable = False
        object.__setattr__(self, "target", target)
        rank = min(target.shape) if self.rank is None else self.rank
        object.__setattr__(self, "rank", whole_number("rank", rank, 1))

    @property
    def inputs(self) -> np.ndarray:
        """Row, column, rows of U and rank, for each entry: (p q, 4)."""
        p, q = self.target.shape
        row, column = np.divmod(np.arange(p * q), q)
        return np.stack([row, column, np.full(p * q, p), np.full(p * q, self.rank)], axis=-1).astype(float)

    @property
    def labels(self) -> np.ndarray:
        """Entries of M, (p q,)."""
        return self.target.ravel()

    @property
    def dimension(self) -> int:
        """(p + q) rank."""
        return sum(self.target.shape) * self.units

    @property
    def units(self) -> int:
        """The rank."""
        assert self.rank is not None  # __post_init__ puts the number
        return self.rank

    def factors(self, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """U (..., p, rank) and V (..., q, rank)."""
        (p, q), rank = self.target.shape, self.units
        lead = np.shape(w)[:-1]
        return w[..., : p * rank].reshape(*lead, p, rank), w[..., p * rank :].reshape(*lead, q, rank)

    def _places(self, inputs):
        """Columns (..., S, rank) of w that hold the row of U and the row of V of each entry."""
        ranks = np.arange(self.rank)
        left = inputs[..., 0].astype(np.int64)[..., None] * self.rank + ranks
        right = (self.target.shape[0] + inputs[..., 1].astype(np.int64))[..., None] * self.rank + ranks
        return left, right

    def predict_with_jacobian(self, w, inputs=None, units=None):
        """Entries of U V' and their Jacobian."""
        w = np.asarray(w, float)
        left, right = self._places(self.inputs if inputs is None else inputs)
        lead = np.broadcast_shapes(w.shape[:-1], left.shape[:-2], () if units is None else units.shape[:-2])
        shape = (*lead, entry_count(self, inputs), self.rank)
        left, right = np.broadcast_to(left, shape), np.broadcast_to(right, shape)
        spread = np.broadcast_to(w[..., None, :], (*shape[:-1], self.dimension))
        u, v = np.take_along_axis(spread, left, -1), np.take_along_axis(spread, right, -1)
        keep = 1.0 if units is None else units
        jacobian = np.zeros(spread.shape)
        np.put_along_axis(jacobian, left, keep * v, -1)
        np.put_along_axis(jacobian, right, keep * u, -1)
        return (keep * u * v).sum(-1), jacobian

    def unit_outputs(self, w):
        """U_kr V_lr, (..., p q, rank)."""
        u, v = self.factors(np.asarray(w, float))
        products = u[..., :, None, :] * v[..., None, :, :]
        return products.reshape(*products.shape[:-3], -1, self.rank)

    def prediction_hvp(self, w, vectors):
        """The Jacobian at w = vectors_i, sample by sample."""
        left, right = self._places(self.inputs)
        left, right = (np.broadcast_to(place, (*vectors.shape[:-1], self.rank)) for place in (left, right))
        out = np.zeros(vectors.shape)
        np.put_along_axis(out, left, np.take_along_axis(vectors, right, -1), -1)
        np.put_along_axis(out, right, np.take_along_axis(vectors, left, -1), -1)
        return out

    def prediction_hessian_inner(self, w, matrix):
        """Twice the trace of the block between row k of U and row l of V."""
        left, right = self._places(self.inputs)
        return 2 * matrix[..., left, right].sum(-1)

    def weighted_hessians(self, w, coefficients):
        """Two blocks that are Kronecker products with the identity."""
        p, q = self.target.shape
        block = coefficients.reshape(*coefficients.shape[:-1], p, q)
        out = np.zeros((*coefficients.shape[:-1], p + q, p + q))
        out[..., :p, p:] = block
        out[..., p:, :p] = block.swapaxes(-1, -2)
        return np.kron(out, np.eye(self.rank))

    def conserved(self, w):
        """U'U - V'V, its rows one after the other (..., rank^2)."""
        u, v = self.factors(np.asarray(w, float))
        gap = u.swapaxes(-1, -2) @ u - v.swapaxes(-1, -2) @ v
        return gap.reshape(*gap.shape[:-2], -1)
