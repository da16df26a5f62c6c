"""The diagonal linear network as a predictor: f = a . (u^2 - v^2), with all its derivatives in closed form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sgdlimits.exact.compiling import compiled
from sgdlimits.exact.errors import whole_number

from .predictor import Predictor


@compiled
def diagonal_outputs(x, a, work, out):
    """a . (u^2 - v^2)."""
    p = a.size
    total = 0.0
    for j in range(p):
        total += a[j] * (x[j] * x[j] - x[p + j] * x[p + j])
    out[0] = total


@compiled
def diagonal_pullback(x, a, slope, work, out):
    """2 slope (a u, -a v)."""
    p, twice = a.size, 2.0 * slope[0]
    for j in range(p):
        out[j] = twice * a[j] * x[j]
        out[p + j] = -twice * a[j] * x[p + j]


@dataclass(frozen=True)
class DiagonalNetwork(Predictor):
    """f = a . (u^2 - v^2) of one output; x = (u, v). As a model with a set of zero loss: `DiagonalLinearNetwork`.

    Parameters
    ----------
    inputs : int
        p.
    """

    inputs: int

    outputs = 1
    exact_hessians = True
    compiled_outputs = staticmethod(diagonal_outputs)
    compiled_pullback = staticmethod(diagonal_pullback)

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", whole_number("inputs", self.inputs, 1))

    @property
    def dimension(self) -> int:
        """2 p."""
        return 2 * self.inputs

    @property
    def layers(self):
        """u and v, side by side."""
        return {"u": slice(0, self.inputs), "v": slice(self.inputs, self.dimension)}

    def coefficients(self, x: np.ndarray) -> np.ndarray:
        """u^2 - v^2 (..., p) of parameters (..., 2 p)."""
        return x[..., : self.inputs] ** 2 - x[..., self.inputs :] ** 2

    def predict(self, x, inputs):
        """a . (u^2 - v^2)."""
        return inputs @ self.coefficients(x)[..., None]

    def pullback(self, x, inputs, slopes):
        """2 slope (a u, -a v)."""
        return 2 * slopes * self._signed(inputs) * x[:, None, :]

    def predict_and_pullback(self, x, inputs, slopes):
        """Both."""
        return self.predict(x, inputs), self.pullback(x, inputs, slopes)

    def hessians(self, x, inputs, slopes):
        """2 slope diag(a, -a)."""
        return (2 * slopes * self._signed(inputs))[..., None] * np.eye(self.dimension)

    def differentials(self, x, inputs, slopes, direction):
        """2 a . (u u' - v v'), and 2 slope (a u', -a v')."""
        signed = self._signed(inputs)
        return 2 * signed @ (x * direction)[..., None], 2 * slopes * signed * direction[:, None, :]

    def hessian_gradient(self, x, inputs, slopes, matrix):
        """Zero: the Hessians do not depend on x."""
        return np.zeros((*slopes.shape[:-1], self.dimension))

    def input_pullback(self, x, inputs, slopes):
        """slope (u^2 - v^2)."""
        return slopes * self.coefficients(x)[:, None, :]

    def mixed(self, x, inputs, slopes):
        """2 slope (diag(u), -diag(v))."""
        p = self.inputs
        each = np.concatenate([x[:, :p, None] * np.eye(p), -x[:, p:, None] * np.eye(p)], axis=-1)
        return 2 * slopes[..., None] * each[:, None]

    def start(self, paths, seed=0):
        """u = v = 0.1, so that f = 0: the usual small start, without chance."""
        return np.full((whole_number("paths", paths, 1), self.dimension), 0.1)

    @staticmethod
    def _signed(inputs):
        return np.concatenate([inputs, -inputs], axis=-1)
