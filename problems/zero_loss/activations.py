"""Activations with their first three derivatives, and compiled twins that give value and slope."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from sgdlimits.exact.compiling import compiled

from .tanh import compiled_tanh

Derivatives = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _tanh(z: np.ndarray) -> Derivatives:
    t = np.tanh(z)
    slope = 1 - t * t
    return t, slope, -2 * t * slope, slope * (6 * t * t - 2)


def _logistic(z: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(0.5 * z))


def _sigmoid(z: np.ndarray) -> Derivatives:
    s = _logistic(z)
    slope = s * (1 - s)
    return s, slope, slope * (1 - 2 * s), slope * (1 - 6 * slope)


def _softplus(z: np.ndarray) -> Derivatives:
    s, slope, bend, _ = _sigmoid(z)
    return np.logaddexp(0.0, z), s, slope, bend


def _silu(z: np.ndarray) -> Derivatives:
    s, slope, bend, twist = _sigmoid(z)
    return z * s, s + z * slope, 2 * slope + z * bend, 3 * bend + z * twist


def _sine(z: np.ndarray) -> Derivatives:
    return np.sin(z), np.cos(z), -np.sin(z), -np.cos(z)


def _erf(z: np.ndarray) -> Derivatives:
    from scipy.special import erf

    slope = 2 / math.sqrt(math.pi) * np.exp(-z * z)
    return erf(z), slope, -2 * z * slope, (4 * z * z - 2) * slope


def _gelu(z: np.ndarray) -> Derivatives:
    from scipy.special import ndtr

    density = np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
    return z * ndtr(z), ndtr(z) + z * density, (2 - z * z) * density, z * (z * z - 4) * density


def _relu(z: np.ndarray) -> Derivatives:
    zero = np.zeros_like(z)
    return np.maximum(z, 0.0), np.where(z > 0, 1.0, 0.0), zero, zero


@compiled
def _compiled_relu(z):
    return max(z, 0.0), 1.0 if z > 0.0 else 0.0


@compiled
def _compiled_tanh(z):
    t = compiled_tanh(z)
    return t, 1 - t * t


@compiled
def _compiled_sigmoid(z):
    s = 0.5 * (1 + compiled_tanh(0.5 * z))
    return s, s * (1 - s)


@compiled
def _compiled_softplus(z):
    return max(z, 0.0) + math.log1p(math.exp(-abs(z))), 0.5 * (1 + compiled_tanh(0.5 * z))


@compiled
def _compiled_silu(z):
    s = 0.5 * (1 + compiled_tanh(0.5 * z))
    return z * s, s + z * s * (1 - s)


@compiled
def _compiled_sine(z):
    return math.sin(z), math.cos(z)


@compiled
def _compiled_erf(z):
    return math.erf(z), 2 / math.sqrt(math.pi) * math.exp(-z * z)


@compiled
def _compiled_gelu(z):
    below = 0.5 * (1 + math.erf(z / math.sqrt(2)))
    return z * below, below + z * math.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)


# smooth: name -> (value and three derivatives in NumPy, compiled value and slope)
ACTIVATIONS: dict[str, tuple[Callable[[np.ndarray], Derivatives], Callable]] = {
    "tanh": (_tanh, _compiled_tanh),
    "sigmoid": (_sigmoid, _compiled_sigmoid),
    "softplus": (_softplus, _compiled_softplus),
    "silu": (_silu, _compiled_silu),
    "sine": (_sine, _compiled_sine),
    "erf": (_erf, _compiled_erf),
    "gelu": (_gelu, _compiled_gelu),
}
# not smooth, for networks without a set of zero loss: the derivatives hold outside the kinks
PIECEWISE_LINEAR: dict[str, tuple[Callable[[np.ndarray], Derivatives], Callable]] = {"relu": (_relu, _compiled_relu)}
