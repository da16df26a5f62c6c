"""A predictor with squares on rows, as a model with a set of zero loss: the door for a user's predictions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numba
import numpy as np
from numba.extending import register_jitable

from sgdlimits.exact.errors import InvalidInput, instance_of, whole_number

from ..predictor import Predictor
from .kernels import multiplier, regression_kernel
from .model import NoClosedLimit, NothingConserved, RowsRegression


@dataclass(frozen=True, eq=False)
class PredictorRegression(NothingConserved, NoClosedLimit, RowsRegression):
    """L(w) = 1/(2N) sum_i (f(w, x_i) - y_i)^2 for any predictor f with one output.

    Parameters
    ----------
    predictor : problems.predictors.Predictor
        `UserPredictor` takes functions in NumPy or numba, `TorchPredictor` in torch.
    features : (N, p) array
    labels : (N,) array
    units : int
        Hidden units h that Dropout acts on: the predictor's last h inputs are their multipliers, 1 without noise, and
        its output is sum_j multipliers_j h_j(w, x).
    label : str

    Raises
    ------
    InvalidInput
        If predictor and features do not fit, or the output is not linear in the multipliers (tried at one point).
    """

    predictor: Predictor
    features: np.ndarray
    labels: np.ndarray
    units: int = 0
    label: str = "regression on a predictor"

    def __post_init__(self) -> None:
        instance_of("predictor", self.predictor, Predictor, "take one of problems.predictors")
        self._keep_rows()
        object.__setattr__(self, "units", whole_number("units", self.units))
        if self.predictor.outputs != 1:
            raise InvalidInput(f"the predictor must have one output, got {self.predictor.outputs}")
        if self.predictor.inputs != self.input_size + self.units:
            raise InvalidInput(
                f"the predictor takes {self.predictor.inputs} inputs, and there are {self.input_size} features and "
                f"{self.units} multipliers of hidden units"
            )
        if self.units:
            self._check_units()

    def _check_units(self) -> None:
        with np.errstate(all="ignore"):
            w, ones = np.full(self.dimension, 0.5), np.ones((1, self.units))
            once, twice, none = (self.predict_with_jacobian(w, units=c * ones)[0] for c in (1.0, 2.0, 0.0))
            gap = np.abs(np.stack([twice - 2 * once, none])).max()
        if gap > 1e-8 * np.abs(once).max():
            raise InvalidInput("the predictor must be linear in the multipliers of its units: sum_j multipliers_j h_j")

    @property
    def dimension(self) -> int:
        """m."""
        return self.predictor.dimension

    @property
    def kernel(self):
        """Compiled for the predictor, where it is."""
        if not self.predictor.compiled:
            return None
        parts = self.predictor
        return _kernel(parts.compiled_outputs, parts.compiled_pullback, parts.inputs, parts.work_size)

    def _each(self, method, w, *more, inputs=None, units=None):
        """A predictor's method at w (..., m), the rows and arrays (array, number of own axes): values (..., S, own)."""
        inputs = self.features if inputs is None else inputs
        units = np.ones((1, self.units)) if units is None else units
        more = [(np.asarray(array, float), own) for array, own in more]
        leads = (array.shape[: array.ndim - own] for array, own in more)
        lead = np.broadcast_shapes(np.shape(w)[:-1], inputs.shape[:-2], units.shape[:-2], *leads)
        S = inputs.shape[-2]

        def flat(array, *own):
            return np.broadcast_to(array, (*lead, *own)).reshape(math.prod(lead), *own)

        rows = flat(inputs, S, self.input_size)
        if self.units:
            rows = np.concatenate([rows, flat(units, S, self.units)], axis=-1)
        arrays = [flat(array, *array.shape[array.ndim - own :]) for array, own in more]
        found = method(flat(np.asarray(w, float), self.dimension), rows, *arrays)
        return [part.reshape((*lead, *part.shape[1:])) for part in (found if isinstance(found, tuple) else (found,))]

    def _slopes(self, inputs=None):
        return np.ones((len(self.labels) if inputs is None else inputs.shape[-2], 1)), 2

    def predict_with_jacobian(self, w, inputs=None, units=None):
        """Predictions and their Jacobian."""
        outputs, jacobian = self._each(
            self.predictor.predict_and_pullback, w, self._slopes(inputs), inputs=inputs, units=units
        )
        return outputs[..., 0], jacobian

    def _rows(self, lead=()):
        """The features, with multipliers 1 beside them: (*lead, N, columns)."""
        rows = np.concatenate([self.features, np.ones((self.samples, self.units))], axis=-1)
        return np.broadcast_to(rows, (*lead, *rows.shape))

    def predict(self, w):
        """The predictor's output."""
        flat = np.asarray(w, float).reshape(-1, self.dimension)
        return self.predictor.predict(flat, self._rows((len(flat),))).reshape(*np.shape(w)[:-1], self.samples)

    def pullback(self, w, slopes_of):
        """All samples in one way forth and back, where the predictor has one."""
        w, predictor = np.asarray(w, float), self.predictor
        if not (predictor.batched or predictor.sums_pullbacks):
            predictions, jacobian = self.predict_with_jacobian(w)
            return np.einsum("...i,...ij->...j", slopes_of(predictions), jacobian)
        flat = w.reshape(-1, self.dimension)
        rows = self._rows((len(flat),))

        def slopes_at(outputs, paths, samples):
            if outputs.shape[1] < self.samples:  # a part of them: the others may count
                outputs = predictor.predict(flat[paths], rows[paths])
            return slopes_of(outputs[..., 0])[:, samples, None]

        if predictor.batched:
            return predictor.batch_pullback(flat, rows, slopes_at).reshape(w.shape)
        slopes = slopes_at(predictor.predict(flat, rows), slice(None), slice(None))
        return predictor.summed_pullback(flat, rows, slopes).reshape(w.shape)

    def _hessians(self, w):
        return self._each(self.predictor.hessians, w, self._slopes())[0]

    def prediction_hvp(self, w, vectors):
        """Hessian of each prediction times its vector: every sample is a path of its own, with one input."""
        lead, count = np.broadcast_shapes(np.shape(w)[:-1], vectors.shape[:-2]), self.samples
        own = (*lead, count, self.dimension)
        x = np.broadcast_to(np.asarray(w, float)[..., None, :], own).reshape(-1, self.dimension)
        along = np.broadcast_to(vectors, own).reshape(-1, self.dimension)
        rows = self._rows(lead).reshape(len(x), 1, -1)
        return self.predictor.differentials(x, rows, np.ones((len(x), 1, 1)), along)[1].reshape(own)

    def prediction_hessian_inner(self, w, matrix):
        """<matrix, Hessian of each prediction>."""
        return np.einsum("...ijk,...jk->...i", self._hessians(w), matrix)

    def weighted_hessians(self, w, coefficients):
        """Sum of the predictions' Hessians."""
        return np.einsum("...i,...ijk->...jk", coefficients, self._hessians(w))

    def hessian_gradient(self, w, matrix):
        """Gradient of <matrix, Hessian of each prediction>."""
        return self._each(self.predictor.hessian_gradient, w, self._slopes(), (matrix, 2))[0]

    def unit_outputs(self, w):
        """h_j, (..., N, h): the predictions with one multiplier 1 and the others 0."""
        each = np.asarray(w, float)[..., None, :]
        return self._each(self.predictor.predict, each, units=np.eye(self.units)[:, None])[0][..., 0].swapaxes(-1, -2)

    def input_gradient(self, w):
        """Gradient of each prediction in its input, (..., N, p)."""
        return self._each(self.predictor.input_pullback, w, self._slopes())[0][..., : self.input_size]

    def mixed(self, w):
        """Derivative of the input gradient in w, (..., N, p, m)."""
        return self._each(self.predictor.mixed, w, self._slopes())[0][..., : self.input_size, :]


@lru_cache(maxsize=None)
def _kernel(outputs_of, pullback_of, inputs, work_size):
    """Kernel of a compiled predictor with one output."""

    @register_jitable
    def room():
        return np.zeros(inputs), np.zeros(work_size), np.zeros(1), np.ones(1)

    @numba.njit(nogil=True, error_model="numpy")
    def sample(w, x, multipliers, row, a, work, output, slope):
        for j in range(inputs):
            a[j] = x[j] if j < x.size else multiplier(multipliers, j - x.size)
        output[0] = 0.0
        for j in range(row.size):
            row[j] = 0.0
        outputs_of(w, a, work, output)
        pullback_of(w, a, slope, work, row)
        return output[0]

    return regression_kernel(sample, room)
