"""The two-layer network as a predictor, with its compiled twin and all its derivatives."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numba
import numpy as np

from sgdlimits.exact.errors import flag, one_of, whole_number

from .predictor import Predictor, hessian_gradient_by_differences
from .zero_loss.activations import ACTIVATIONS, PIECEWISE_LINEAR
from .zero_loss.kernels import dot

HIDDEN = {**ACTIVATIONS, **PIECEWISE_LINEAR}
BOUNDED = {"tanh": 1.0, "sigmoid": 0.25, "sine": 1.0, "erf": 2 / math.sqrt(math.pi)}  # by 1; suprema of their slopes


@lru_cache(maxsize=None)
def _network(activation: str, biased: bool) -> tuple[Callable[..., None], Callable[..., None]]:
    """Compiled outputs and pullback of two layers; work: the hidden values, their slopes, and what is pulled back."""
    value_and_slope = HIDDEN[activation][1]

    @numba.njit(nogil=True, error_model="numpy")
    def outputs_of(x, a, work, out):
        width, p, K = work.size // 3, a.size, out.size
        second = width * (p + 1) if biased else width * p
        for j in range(width):
            z = dot(x, j * p, a, p) + (x[width * p + j] if biased else 0.0)
            work[j], work[width + j] = value_and_slope(z)
        for k in range(K):
            out[k] = dot(x, second + k * width, work, width) + (x[second + K * width + k] if biased else 0.0)

    @numba.njit(nogil=True, error_model="numpy")
    def pullback_of(x, a, slope, work, out):
        width, p, K = work.size // 3, a.size, slope.size
        second = width * (p + 1) if biased else width * p
        for j in range(width):
            work[2 * width + j] = 0.0
        for k in range(K):
            for j in range(width):
                out[second + k * width + j] = slope[k] * work[j]
                work[2 * width + j] += slope[k] * x[second + k * width + j]
            if biased:
                out[second + K * width + k] = slope[k]
        for j in range(width):
            pull = work[2 * width + j] * work[width + j]
            if pull != 0.0:  # `out` is zero on entry, and half the units of a ReLU are silent
                for i in range(p):
                    out[j * p + i] = pull * a[i]
                if biased:
                    out[width * p + j] = pull

    return outputs_of, pullback_of


@dataclass(frozen=True)
class TwoLayer(Predictor):
    """f = V phi(U a + b) + c, one hidden layer; x = (U row by row, b, V row by row, c), without biases (U, V).

    Parameters
    ----------
    inputs : int
        p.
    width : int
        Hidden units h.
    outputs : int
        K.
    activation : {"tanh", "sigmoid", "softplus", "silu", "sine", "erf", "gelu", "relu"}
        The ReLU has a slope and second derivatives almost everywhere: the slope at 0 is 0, and what lies in the kinks
        is in no Hessian.
    bias : bool
        Whether there are b and c.
    """

    inputs: int
    width: int
    outputs: int = 1
    activation: str = "tanh"
    bias: bool = True

    exact_hessians = multiplies_batches = sums_pullbacks = True

    def __post_init__(self) -> None:
        for name in ("inputs", "width", "outputs"):
            object.__setattr__(self, name, whole_number(name, getattr(self, name), 1))
        one_of("activation", self.activation, HIDDEN)
        object.__setattr__(self, "bias", flag("bias", self.bias))

    @property
    def dimension(self) -> int:
        """h (p + 1) + K (h + 1), or h p + K h."""
        return self.width * (self.inputs + self.bias) + self.outputs * (self.width + self.bias)

    @property
    def layers(self):
        """(U, b) and (V, c)."""
        second = self.width * (self.inputs + self.bias)
        return {"first layer": slice(0, second), "second layer": slice(second, self.dimension)}

    @property
    def largest_value(self) -> float | None:
        """Supremum of |phi|; None where it is infinite."""
        return 1.0 if self.activation in BOUNDED else None

    @property
    def largest_rise(self) -> float | None:
        """Supremum of |phi'| of an activation of bounded values; None of others."""
        return BOUNDED.get(self.activation)

    @property
    def work_size(self) -> int:
        """Hidden values, their slopes, and what is pulled back to them."""
        return 3 * self.width

    @property
    def compiled_outputs(self):
        """Compiled for the activation."""
        return _network(self.activation, self.bias)[0]

    @property
    def compiled_pullback(self):
        """Compiled for the activation."""
        return _network(self.activation, self.bias)[1]

    def predict(self, x, inputs):
        """V phi(U a + b) + c."""
        hidden, outer, bias = self._forward(x, inputs, 0)
        return hidden[0] @ outer.swapaxes(-1, -2) + bias

    def pullback(self, x, inputs, slopes):
        """Back through both layers."""
        return self.predict_and_pullback(x, inputs, slopes)[1]

    def predict_and_pullback(self, x, inputs, slopes):
        """Forth and back through both layers."""
        (hidden, rise), outer, bias = self._forward(x, inputs, 1)
        lead = slopes.shape[:-1]
        inner = (slopes @ outer) * rise
        parts = [
            (inner[..., :, None] * inputs[..., None, :]).reshape(*lead, -1), inner,
            (slopes[..., :, None] * hidden[..., None, :]).reshape(*lead, -1), slopes,
        ]  # fmt: skip
        gradient = np.concatenate(parts if self.bias else parts[::2], axis=-1)
        return hidden @ outer.swapaxes(-1, -2) + bias, gradient

    def summed_pullback(self, x, inputs, slopes):
        """Back through both layers, samples summed on the way."""
        (hidden, rise), outer, _ = self._forward(x, inputs, 1)
        inner, turned = (slopes @ outer) * rise, slopes.swapaxes(-1, -2)
        parts = [
            (inner.swapaxes(-1, -2) @ inputs).reshape(len(x), -1), inner.sum(axis=1),
            (turned @ hidden).reshape(len(x), -1), slopes.sum(axis=1),
        ]  # fmt: skip
        return np.concatenate(parts if self.bias else parts[::2], axis=-1)

    def hessians(self, x, inputs, slopes):
        """Exact: a unit's own weights bend with phi'', and meet its weights in the second layer with phi'."""
        (_, rise, bend), outer, _ = self._forward(x, inputs, 2)
        h, p, K = self.width, self.inputs, self.outputs
        second, lead = h * (p + self.bias), slopes.shape[:-1]
        units = np.arange(h)
        own = units[:, None] * p + np.arange(p)  # places (h, p + bias) of a unit's own weights
        if self.bias:
            own = np.concatenate([own, h * p + units[:, None]], axis=1)
            inputs = np.concatenate([inputs, np.ones((*lead, 1))], axis=-1)
        total = np.zeros((*lead, self.dimension, self.dimension))
        squares = inputs[..., None, :, None] * inputs[..., None, None, :]
        total[..., own[:, :, None], own[:, None, :]] = ((slopes @ outer) * bend)[..., None, None] * squares
        across = rise[..., None, :, None] * slopes[..., :, None, None] * inputs[..., None, None, :]  # (.., K, h, own)
        outward = (second + np.arange(K)[:, None] * h + units)[..., None]
        total[..., outward, own] = across
        total[..., own, outward] = across
        return total

    def differentials(self, x, inputs, slopes, direction):
        """Exact: hidden values move by phi' z', and slopes of hidden values by phi'' z'."""
        (hidden, rise, bend), outer, _ = self._forward(x, inputs, 2)
        h, p, K, lead = self.width, self.inputs, self.outputs, slopes.shape[:-1]
        second = h * (p + self.bias)
        moved = inputs @ direction[:, : h * p].reshape(-1, h, p).swapaxes(-1, -2)
        if self.bias:
            moved = moved + direction[:, None, h * p : second]
        turned = direction[:, second : second + K * h].reshape(-1, K, h)
        outputs = (rise * moved) @ outer.swapaxes(-1, -2) + hidden @ turned.swapaxes(-1, -2)
        if self.bias:
            outputs = outputs + direction[:, None, second + K * h :]
        inner = (slopes @ turned) * rise + (slopes @ outer) * bend * moved
        parts = [
            (inner[..., :, None] * inputs[..., None, :]).reshape(*lead, -1), inner,
            (slopes[..., :, None] * (rise * moved)[..., None, :]).reshape(*lead, -1), np.zeros((*lead, K)),
        ]  # fmt: skip
        return outputs, np.concatenate(parts if self.bias else parts[::2], axis=-1)

    def hessian_products(self, x, inputs, slopes, curvatures, directions):
        """Exact, as `differentials`, and the pullback of the curved change of the outputs."""
        (hidden, rise, bend), outer, _ = self._forward(x, inputs, 2)
        h, p, K = self.width, self.inputs, self.outputs
        second, (P, m, _), B = h * (p + self.bias), directions.shape, inputs.shape[1]
        hidden, pull = hidden[:, None], (slopes @ outer)[:, None]
        rise, bent = rise[:, None], bend[:, None] * pull
        moved = (directions[..., : h * p].reshape(P, m * h, p) @ inputs.swapaxes(-1, -2)).reshape(P, m, h, B)
        moved = moved.swapaxes(-1, -2)
        if self.bias:
            moved = moved + directions[..., None, h * p : second]
        turned = directions[..., second : second + K * h].reshape(P, m, K, h)
        lifted = rise * moved
        outputs = lifted @ outer[:, None].swapaxes(-1, -2) + hidden @ turned.swapaxes(-1, -2)
        if self.bias:
            outputs = outputs + directions[..., None, second + K * h :]
        pulled = np.einsum("pbkl,pmbl->pmbk", curvatures, outputs)
        inner = (pulled @ outer[:, None] + slopes[:, None] @ turned) * rise + bent * moved
        weights = (inner.swapaxes(-1, -2).reshape(P, m * h, B) @ inputs).reshape(P, m, h * p)
        ahead = pulled.swapaxes(-1, -2) @ hidden + slopes[:, None].swapaxes(-1, -2) @ lifted
        parts = [weights, inner.sum(axis=-2), ahead.reshape(P, m, K * h), pulled.sum(axis=-2)]
        return np.concatenate(parts if self.bias else parts[::2], axis=-1)

    def hessian_gradient(self, x, inputs, slopes, matrix):
        """By differences; zero for the ReLU, whose Hessians are constant between its kinks."""
        if self.activation in PIECEWISE_LINEAR:
            return np.zeros((*slopes.shape[:-1], self.dimension))
        return hessian_gradient_by_differences(self, x, inputs, slopes, matrix)

    def input_pullback(self, x, inputs, slopes):
        """U' of the slopes in the hidden values."""
        (_, rise), outer, _ = self._forward(x, inputs, 1)
        return ((slopes @ outer) * rise) @ x[:, : self.width * self.inputs].reshape(-1, self.width, self.inputs)

    def mixed(self, x, inputs, slopes):
        """Exact."""
        (_, rise, bend), outer, _ = self._forward(x, inputs, 2)
        h, p, lead = self.width, self.inputs, slopes.shape[:-1]
        weights = x[:, None, : h * p].reshape(-1, 1, h, p).swapaxes(-1, -2)  # (P, 1, p, h)
        pull = slopes @ outer
        curved = weights * (pull * bend)[..., None, :]
        first = curved[..., None] * inputs[..., None, None, :]  # (P, B, p, h, p)
        first += (pull * rise)[..., None, :, None] * np.eye(p)[:, None, :]
        second = slopes[..., None, :, None] * (weights * rise[..., None, :])[..., None, :]  # (P, B, p, K, h)
        parts = [
            first.reshape(*lead, p, -1), curved, second.reshape(*lead, p, -1), np.zeros((*lead, p, self.outputs)),
        ]  # fmt: skip
        return np.concatenate(parts if self.bias else parts[::2], axis=-1)

    def start(self, paths, seed=0):
        """Uniform on +-1 / sqrt(p) in the first layer, +-1 / sqrt(h) in the second."""
        first = self.width * (self.inputs + self.bias)
        return uniform_start(paths, seed, [(first, self.inputs), (self.dimension - first, self.width)])

    def _forward(self, x, inputs, order):
        """Hidden values (P, B, h) and their derivatives up to `order`; the second layer's weights and biases."""
        h, p, K = self.width, self.inputs, self.outputs
        second = h * (p + self.bias)
        z = inputs @ x[:, : h * p].reshape(-1, h, p).swapaxes(-1, -2)
        if self.bias:
            z = z + x[:, None, h * p : second]
        hidden = HIDDEN[self.activation][0](z)[: order + 1]
        bias = x[:, None, second + K * h :] if self.bias else 0.0
        return hidden, x[:, second : second + K * h].reshape(-1, K, h), bias


def uniform_start(paths: int, seed: int, layers: list[tuple[int, int]]) -> np.ndarray:
    """Rows of uniform numbers, layers of (size, fan-in) side by side; row i does not depend on how many there are."""
    generator = np.random.Generator(np.random.Philox(whole_number("seed", seed)))
    bounds = np.concatenate([np.full(size, fan_in**-0.5) for size, fan_in in layers])
    return (2 * generator.random((whole_number("paths", paths, 1), bounds.size)) - 1) * bounds
