"""One hidden layer, f_i = sum_j a_j phi(b_j . x_i), with exact derivatives up to the third."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numba
import numpy as np

from sgdlimits.exact.errors import one_of, whole_number

from .activations import ACTIVATIONS
from .kernels import dot, weighted_sum
from .model import NoClosedLimit, NothingConserved, RowsRegression


@lru_cache(maxsize=None)
def network_kernel(activation: str):
    """Return the compiled kernel of networks with this activation; compiled in memory, once for each activation.

    Inner loops run over the hidden units, at inner weights turned so that those of an input lie side by side.
    """
    value_and_slope = ACTIVATIONS[activation][1]

    @numba.njit(nogil=True, error_model="numpy")
    def kernel(w, data, rows, labels, units, inputs, eta, out, work):
        features, targets, weight = data
        entries, p = features.shape
        width = w.size // (1 + p)
        scale = weight[0]
        if rows is not None:
            entries = rows.size
            scale = weight[0] * features.shape[0] / rows.size
        inner, row = np.empty((p, width)), np.empty(width)
        x, pulls = np.empty((entries, p)), np.empty((entries, width))
        for j in range(width):
            out[j] = 0.0
            for k in range(p):
                inner[k, j] = w[width + j * p + k]
        for s in range(entries):
            i = s
            if rows is not None:
                i = rows[s]
            for k in range(p):
                x[s, k] = features[i, k]
                if inputs is not None:
                    x[s, k] += inputs[s, k]
            phi, slope = row, pulls[s]
            weighted_sum(x[s], inner, phi)
            for j in range(width):
                phi[j], slope[j] = value_and_slope(phi[j])
            if units is not None:
                kept = units[s % units.shape[0]]
                for j in range(width):
                    phi[j] *= kept[j]
                    slope[j] *= kept[j]
            target = targets[i]
            if labels is not None:
                target = target + labels[s]
            pull = scale * (dot(w, 0, phi, width) - target)
            for j in range(width):
                out[j] += pull * phi[j]
                slope[j] *= pull * w[j]
        for k in range(p):
            weighted_sum(x[:, k], pulls, row)
            for j in range(width):
                out[width + j * p + k] = row[j]

    return kernel


@dataclass(frozen=True, eq=False)
class ShallowNetwork(NothingConserved, NoClosedLimit, RowsRegression):
    """f_i(w) = sum_j a_j phi(b_j . x_i), L = 1/(2N) sum_i (f_i - y_i)^2, w = (a, b_1, ..., b_width).

    A bias is a column of ones in `features`.

    Parameters
    ----------
    features : (N, p) array, rows x_i
    labels : (N,) array
    width : int
        Hidden units h; m = h (1 + p).
    activation : {"tanh", "sigmoid", "softplus", "silu", "sine", "erf", "gelu"}
    """

    features: np.ndarray
    labels: np.ndarray
    width: int
    activation: str = "tanh"

    def __post_init__(self) -> None:
        self._keep_rows()
        object.__setattr__(self, "width", whole_number("width", self.width, 1))
        one_of("activation", self.activation, ACTIVATIONS)

    @property
    def kernel(self):
        """Compiled for the activation."""
        return network_kernel(self.activation)

    @property
    def label(self) -> str:
        """Short name."""
        return f"{self.activation} network of width {self.width}"

    @property
    def dimension(self) -> int:
        """width (1 + p)."""
        return self.width * (1 + self.features.shape[1])

    @property
    def units(self) -> int:
        """The width."""
        return self.width

    def layers(self, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """a (..., h) and b (..., h, p)."""
        w = np.asarray(w, float)
        return w[..., : self.width], w[..., self.width :].reshape(*w.shape[:-1], self.width, self.input_size)

    def _join(self, outer, inner):
        """Put (..., h) and (..., h, p) side by side as (..., m)."""
        return np.concatenate([outer, inner.reshape(*inner.shape[:-2], -1)], axis=-1)

    def _activate(self, b, inputs):
        """The activation and three derivatives at b_j . x_s, each (..., S, h)."""
        return ACTIVATIONS[self.activation][0](inputs @ b.swapaxes(-1, -2))

    def predict_with_jacobian(self, w, inputs=None, units=None):
        """Predictions and their Jacobian."""
        a, b = self.layers(w)
        inputs = self.features if inputs is None else inputs
        phi, slope, _, _ = self._activate(b, inputs)
        if units is not None:
            phi, slope = units * phi, units * slope
        pull = a[..., None, :] * slope
        return (a[..., None, :] * phi).sum(-1), self._join(phi, pull[..., None] * inputs[..., None, :])

    def predict(self, w):
        """Predictions."""
        a, b = self.layers(w)
        return (a[..., None, :] * self._activate(b, self.features)[0]).sum(-1)

    def pullback(self, w, slopes_of):
        """Forth and back through both layers."""
        a, b = self.layers(w)
        phi, slope, _, _ = self._activate(b, self.features)
        slopes = slopes_of((a[..., None, :] * phi).sum(-1))[..., None]
        pull = slopes * a[..., None, :] * slope
        return self._join((slopes * phi).sum(-2), pull.swapaxes(-1, -2) @ self.features)

    def unit_outputs(self, w):
        """a_j phi(b_j . x_i), (..., N, h)."""
        a, b = self.layers(w)
        return a[..., None, :] * self._activate(b, self.features)[0]

    def prediction_hvp(self, w, vectors):
        """Hessian of each prediction times its vector."""
        a, b = self.layers(w)
        _, slope, bend, _ = self._activate(b, self.features)
        outer, inner = self.layers(vectors)
        along = np.einsum("...ihp,ip->...ih", inner, self.features)
        pull = slope * outer + a[..., None, :] * bend * along
        return self._join(slope * along, pull[..., None] * self.features[:, None, :])

    def _blocks(self, matrix):
        """x_i' A_{b_j a_j} and x_i' A_{b_j b_j} x_i, each (..., N, h)."""
        h, p = self.width, self.input_size
        units = np.arange(h)
        between = matrix[..., h:, :h].reshape(*matrix.shape[:-2], h, p, h)[..., units, :, units]
        inner = matrix[..., h:, h:].reshape(*matrix.shape[:-2], h, p, h, p)[..., units, :, units, :]
        x = self.features
        # The paired index moved to the front: (h, ..., p) and (h, ..., p, p).
        return np.einsum("h...p,ip->...ih", between, x), np.einsum("h...pq,ip,iq->...ih", inner, x, x, optimize=True)

    def prediction_hessian_inner(self, w, matrix):
        """<matrix, Hessian of each prediction>."""
        a, b = self.layers(w)
        _, slope, bend, _ = self._activate(b, self.features)
        between, inner = self._blocks(matrix)
        return (2 * between * slope + a[..., None, :] * bend * inner).sum(-1)

    def weighted_hessians(self, w, coefficients):
        """Sum of the predictions' Hessians; unit j meets only itself."""
        a, b = self.layers(w)
        _, slope, bend, _ = self._activate(b, self.features)
        h, p = self.width, self.input_size
        x = self.features
        between = np.einsum("...i,...ih,ip->...hp", coefficients, slope, x, optimize=True)
        weighted = coefficients[..., None] * a[..., None, :] * bend
        inner = np.einsum("...ih,ip,iq->...hpq", weighted, x, x, optimize=True)
        out = np.zeros((*between.shape[:-2], self.dimension, self.dimension))
        for j in range(h):
            block = slice(h + j * p, h + (j + 1) * p)
            out[..., j, block] = between[..., j, :]
            out[..., block, j] = between[..., j, :]
            out[..., block, block] = inner[..., j, :, :]
        return out

    def hessian_gradient(self, w, matrix):
        """Gradient of <matrix, Hessian of each prediction>."""
        a, b = self.layers(w)
        _, _, bend, twist = self._activate(b, self.features)
        between, inner = self._blocks(matrix)
        pull = 2 * between * bend + a[..., None, :] * twist * inner
        return self._join(bend * inner, pull[..., None] * self.features[:, None, :])

    def input_gradient(self, w):
        """sum_j a_j phi'_ij b_j, (..., N, p)."""
        a, b = self.layers(w)
        slope = self._activate(b, self.features)[1]
        return (a[..., None, :] * slope) @ b

    def mixed(self, w):
        """Derivative of the input gradient in w, (..., N, p, m)."""
        a, b = self.layers(w)
        _, slope, bend, _ = self._activate(b, self.features)
        outer = np.einsum("...ih,...hp->...iph", slope, b)
        pull, push = a[..., None, :] * bend, a[..., None, :] * slope
        inner = np.einsum("...ih,...hp,iq->...iphq", pull, b, self.features, optimize=True)
        inner = inner + np.einsum("...ih,pq->...iphq", push, np.eye(self.input_size))
        return self._join(outer, inner)
