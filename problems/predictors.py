"""Predictors: outputs (K,) of parameters (d,) and one input (p,), with the pullback of a slope in the outputs.

Parameters are laid out as `torch.nn.utils.parameters_to_vector` lays out the same layers: each layer's weights row by
row, then its biases. The compiled twins take one sample; `work` is theirs to write in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sgdlimits.exact.compiling import compiled
from sgdlimits.exact.errors import flag, whole_number

from .diagonal_network import DiagonalNetwork as DiagonalNetwork
from .predictor import Predictor
from .two_layer import TwoLayer as TwoLayer
from .two_layer import uniform_start


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

    affine = exact_hessians = multiplies_batches = True
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

    @property
    def layers(self):
        """One."""
        return {"weights": slice(0, self.dimension)}

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

    def differentials(self, x, inputs, slopes, direction):
        """The outputs of the direction, and zero."""
        return self.outputs_along(x, inputs, direction), np.zeros((*slopes.shape[:-1], self.dimension))

    def outputs_along(self, x, inputs, directions):
        """The outputs of the direction."""
        return self.predict(directions, inputs)

    def hessian_products(self, x, inputs, slopes, curvatures, directions):
        """Outputs of the directions, curved, on the inputs."""
        P, m, _ = directions.shape
        ends = self.outputs * self.inputs
        moved = inputs[:, None] @ directions[..., :ends].reshape(P, m, self.outputs, self.inputs).swapaxes(-1, -2)
        if self.bias:
            moved = moved + directions[..., None, ends:]
        pulled = np.einsum("pbkl,pmbl->pmkb", curvatures, moved)
        parts = [(pulled @ inputs[:, None]).reshape(P, m, -1), pulled.sum(axis=-1)]
        return np.concatenate(parts if self.bias else parts[:1], axis=-1)

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
        return uniform_start(paths, seed, [(self.dimension, self.inputs)])

    def _weights(self, x):
        return x[:, : self.outputs * self.inputs].reshape(len(x), self.outputs, self.inputs)


def __getattr__(name: str) -> Any:
    if name == "UserPredictor":
        from .user_predictors import UserPredictor

        return UserPredictor
    if name == "TorchPredictor":
        from .torch_predictors import TorchPredictor

        return TorchPredictor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
