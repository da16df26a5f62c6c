"""Predictors: outputs (K,) of parameters (d,) and one input (p,), with the pullback of a slope in the outputs.

Parameters are laid out as `torch.nn.utils.parameters_to_vector` lays out the same layers: each layer's weights row by
row, then its biases. The compiled twins take one sample; `work` is theirs to write in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numba
import numpy as np

from sgdlimits.exact.compiling import compiled
from sgdlimits.exact.errors import flag, one_of, whole_number

from .predictor import Predictor, hessian_gradient_by_differences, hessians_by_differences, mixed_by_differences
from .zero_loss.activations import ACTIVATIONS


@compiled
def linear_outputs(x, a, work, out):
    """W a, and a bias where there is one."""
    inputs, outputs = a.size, out.size
    biased = x.size > inputs * outputs
    for k in range(outputs):
        total = 0.0
        for j in range(inputs):
            total += a[j] * x[k * inputs + j]
        out[k] = total + (x[inputs * outputs + k] if biased else 0.0)


@compiled
def linear_pullback(x, a, slope, work, out):
    """Outer product of slope and input; the slope for the bias."""
    inputs, outputs = a.size, slope.size
    biased = x.size > inputs * outputs
    for k in range(outputs):
        pull = slope[k]
        for j in range(inputs):
            out[k * inputs + j] = pull * a[j]
        if biased:
            out[inputs * outputs + k] = pull


@dataclass(frozen=True)
class Linear(Predictor):
    """f = W a + bias: least squares, logistic and multinomial regression. x = (W row by row, bias).

    Parameters
    ----------
    inputs : int
        p.
    outputs : int
        K.
    bias : bool
    """

    inputs: int
    outputs: int = 1
    bias: bool = True

    affine = True
    compiled_outputs = staticmethod(linear_outputs)
    compiled_pullback = staticmethod(linear_pullback)

    def __post_init__(self) -> None:
        for name in ("inputs", "outputs"):
            object.__setattr__(self, name, whole_number(name, getattr(self, name), 1))
        object.__setattr__(self, "bias", flag("bias", self.bias))

    @property
    def dimension(self) -> int:
        """K p, and K with a bias."""
        return self.outputs * (self.inputs + self.bias)

    def predict(self, x, inputs):
        """W a + bias."""
        found = inputs @ self._weights(x).swapaxes(-1, -2)
        return found + x[:, None, self.outputs * self.inputs :] if self.bias else found

    def pullback(self, x, inputs, slopes):
        """Outer products."""
        weights = (slopes[..., :, None] * inputs[..., None, :]).reshape(*slopes.shape[:-1], -1)
        return np.concatenate([weights, slopes], axis=-1) if self.bias else weights

    def predict_and_pullback(self, x, inputs, slopes):
        """Both."""
        return self.predict(x, inputs), self.pullback(x, inputs, slopes)

    def hessians(self, x, inputs, slopes):
        """Zero."""
        return np.zeros((*slopes.shape[:-1], self.dimension, self.dimension))

    def hessian_gradient(self, x, inputs, slopes, matrix):
        """Zero."""
        return np.zeros((*slopes.shape[:-1], self.dimension))

    def input_pullback(self, x, inputs, slopes):
        """W' slopes."""
        return slopes @ self._weights(x)

    def mixed(self, x, inputs, slopes):
        """The slope of output k where a weight leads from the input to it; zero for a bias."""
        weights = (slopes[..., None, :, None] * np.eye(self.inputs)[:, None, :]).reshape(
            *slopes.shape[:-1], self.inputs, self.outputs * self.inputs
        )
        return np.concatenate([weights, np.zeros((*weights.shape[:-1], self.dimension - weights.shape[-1]))], axis=-1)

    def start(self, paths, seed=0):
        """Uniform on +-1 / sqrt(p)."""
        return _uniform(paths, seed, [(self.dimension, self.inputs)])

    def _weights(self, x):
        return x[:, : self.outputs * self.inputs].reshape(len(x), self.outputs, self.inputs)


@lru_cache(maxsize=None)
def _network(activation: str) -> tuple[Callable[..., None], Callable[..., None]]:
    """Compiled outputs and pullback of two layers; work holds the hidden values, their slopes and the width."""
    value_and_slope = ACTIVATIONS[activation][1]

    @numba.njit(nogil=True, error_model="numpy")
    def outputs_of(x, a, work, out):
        width, p, K = work.size // 2, a.size, out.size
        second = width * (p + 1)
        for j in range(width):
            z = x[width * p + j]
            for i in range(p):
                z += x[j * p + i] * a[i]
            work[j], work[width + j] = value_and_slope(z)
        for k in range(K):
            total = x[second + K * width + k]
            for j in range(width):
                total += x[second + k * width + j] * work[j]
            out[k] = total

    @numba.njit(nogil=True, error_model="numpy")
    def pullback_of(x, a, slope, work, out):
        width, p, K = work.size // 2, a.size, slope.size
        second = width * (p + 1)
        for k in range(K):
            for j in range(width):
                out[second + k * width + j] = slope[k] * work[j]
            out[second + K * width + k] = slope[k]
        for j in range(width):
            pull = 0.0
            for k in range(K):
                pull += slope[k] * x[second + k * width + j]
            pull *= work[width + j]
            for i in range(p):
                out[j * p + i] = pull * a[i]
            out[width * p + j] = pull

    return outputs_of, pullback_of


@dataclass(frozen=True)
class TwoLayer(Predictor):
    """f = V phi(U a + b) + c, one hidden layer; x = (U row by row, b, V row by row, c).

    Parameters
    ----------
    inputs : int
        p.
    width : int
        Hidden units h.
    outputs : int
        K.
    activation : {"tanh", "sigmoid", "softplus", "silu", "sine", "erf", "gelu"}
    """

    inputs: int
    width: int
    outputs: int = 1
    activation: str = "tanh"

    def __post_init__(self) -> None:
        for name in ("inputs", "width", "outputs"):
            object.__setattr__(self, name, whole_number(name, getattr(self, name), 1))
        one_of("activation", self.activation, ACTIVATIONS)

    @property
    def dimension(self) -> int:
        """h (p + 1) + K (h + 1)."""
        return self.width * (self.inputs + 1) + self.outputs * (self.width + 1)

    @property
    def work_size(self) -> int:
        """Hidden values and their slopes."""
        return 2 * self.width

    @property
    def compiled_outputs(self):
        """Compiled for the activation."""
        return _network(self.activation)[0]

    @property
    def compiled_pullback(self):
        """Compiled for the activation."""
        return _network(self.activation)[1]

    def predict(self, x, inputs):
        """V phi(U a + b) + c."""
        hidden, _, outer, bias = self._forward(x, inputs)
        return hidden @ outer.swapaxes(-1, -2) + bias[:, None, :]

    def pullback(self, x, inputs, slopes):
        """Back through both layers."""
        return self.predict_and_pullback(x, inputs, slopes)[1]

    def predict_and_pullback(self, x, inputs, slopes):
        """Forth and back through both layers."""
        hidden, rise, outer, bias = self._forward(x, inputs)
        lead = slopes.shape[:-1]
        inner = (slopes @ outer) * rise
        parts = (
            (inner[..., :, None] * inputs[..., None, :]).reshape(*lead, -1), inner,
            (slopes[..., :, None] * hidden[..., None, :]).reshape(*lead, -1), slopes,
        )  # fmt: skip
        return hidden @ outer.swapaxes(-1, -2) + bias[:, None, :], np.concatenate(parts, axis=-1)

    def hessians(self, x, inputs, slopes):
        """By differences."""
        return hessians_by_differences(self, x, inputs, slopes)

    def hessian_gradient(self, x, inputs, slopes, matrix):
        """By differences."""
        return hessian_gradient_by_differences(self, x, inputs, slopes, matrix)

    def input_pullback(self, x, inputs, slopes):
        """U' of the slopes in the hidden values."""
        _, rise, outer, _ = self._forward(x, inputs)
        return ((slopes @ outer) * rise) @ x[:, : self.width * self.inputs].reshape(-1, self.width, self.inputs)

    def mixed(self, x, inputs, slopes):
        """By differences."""
        return mixed_by_differences(self, x, inputs, slopes)

    def start(self, paths, seed=0):
        """Uniform on +-1 / sqrt(p) in the first layer, +-1 / sqrt(h) in the second."""
        first = self.width * (self.inputs + 1)
        return _uniform(paths, seed, [(first, self.inputs), (self.dimension - first, self.width)])

    def _forward(self, x, inputs):
        """Hidden values and slopes (P, B, h), and the second layer's weights (P, K, h) and biases (P, K)."""
        h, p, K = self.width, self.inputs, self.outputs
        second = h * (p + 1)
        weights, biases = x[:, : h * p].reshape(-1, h, p), x[:, h * p : second]
        z = inputs @ weights.swapaxes(-1, -2) + biases[:, None, :]
        hidden, rise, *_ = ACTIVATIONS[self.activation][0](z)
        return hidden, rise, x[:, second : second + K * h].reshape(-1, K, h), x[:, second + K * h :]


def _uniform(paths: int, seed: int, layers: list[tuple[int, int]]) -> np.ndarray:
    """Rows of uniform numbers, layers of (size, fan-in) side by side; row i does not depend on how many there are."""
    generator = np.random.Generator(np.random.Philox(whole_number("seed", seed)))
    bounds = np.concatenate([np.full(size, fan_in**-0.5) for size, fan_in in layers])
    return (2 * generator.random((whole_number("paths", paths, 1), bounds.size)) - 1) * bounds


def __getattr__(name: str) -> Any:
    if name in ("UserPredictor", "TorchPredictor"):
        from . import user_predictors

        return getattr(user_predictors, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
