"""A user's predictor: NumPy or numba functions, or a torch function or module (torch is imported only here)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numba
import numpy as np

from sgdlimits.exact.errors import InvalidInput, whole_number

from sgdlimits.exact.derivative_check import check_derivative, probe
from .predictor import Predictor
from .torch_functions import module_function, vmapped
from sgdlimits.exact.user_functions import call, numbers, unchanged, user_function


@dataclass(frozen=True, eq=False)
class UserPredictor(Predictor):
    """A user's outputs and their pullback.

    Parameters
    ----------
    output_function : callable
        NumPy form: (x (P, d), inputs (P, B, p)) -> (P, B, K). Compiled form: (x (d,), input (p,), out (K,)) -> None.
    pullback_function : callable
        NumPy form: (x (P, d), inputs (P, B, p), slopes (P, B, K)) -> (P, B, d), the gradients of <slopes, outputs>.
        Compiled form: (x (d,), input (p,), slope (K,), out (d,)) -> None. `out` is zero on entry.
    inputs, outputs, dimension : int
        p, K and d.
    compiled : bool
        Both are compiled with numba.njit.

    Raises
    ------
    InvalidInput
        If a shape is wrong, or the pullback does not belong to the outputs (one difference quotient at one point).
    """

    output_function: Callable[..., Any]
    pullback_function: Callable[..., Any]
    inputs: int
    outputs: int
    dimension: int
    compiled: bool = False

    def __post_init__(self) -> None:
        for name in ("inputs", "outputs", "dimension"):
            object.__setattr__(self, name, whole_number(name, getattr(self, name), 1))
        for name in ("output_function", "pullback_function"):
            user_function(name, getattr(self, name), self.compiled, "(x, input, out) and (x, input, slope, out)")
        point = probe(self.inputs)[0]
        slope = probe(self.outputs)[0]

        def value(points: np.ndarray) -> np.ndarray:
            spread = np.broadcast_to(point, (len(points), 1, self.inputs))
            return self.predict(points, spread)[:, 0] @ slope

        check_derivative(
            "pullback_function", value,
            lambda x, v: self.pullback(x[None], point[None, None], slope[None, None])[0, 0] @ v, self.dimension,
        )  # fmt: skip

    @property
    def compiled_outputs(self):
        """The user's, with the arguments of every compiled predictor."""
        return _per_sample(self.output_function, False)

    @property
    def compiled_pullback(self):
        """The user's, with the arguments of every compiled predictor."""
        return _per_sample(self.pullback_function, True)

    def predict(self, x, inputs):
        """The user's outputs."""
        shape = (*inputs.shape[:-1], self.outputs)
        if self.compiled:
            return _one_by_one(self.output_function, shape, x, inputs)
        given = f" for x of shape {x.shape} and inputs of shape {inputs.shape}"
        return numbers("output_function", call("output_function", self.output_function, x, inputs), shape, given)

    def pullback(self, x, inputs, slopes):
        """The user's pullback."""
        shape = (*inputs.shape[:-1], self.dimension)
        if self.compiled:
            return _one_by_one(self.pullback_function, shape, x, inputs, slopes)
        found = call("pullback_function", self.pullback_function, x, inputs, slopes)
        return numbers("pullback_function", found, shape, f" for x of shape {x.shape}, inputs of shape {inputs.shape}")

    def start(self, paths, seed=0):
        """Standard normals over sqrt(d): the user's own scale is not known."""
        return _normal_start(paths, seed, self.dimension)


@dataclass(frozen=True, eq=False)
class TorchPredictor(Predictor):
    """A predictor in torch, in double precision; every derivative by torch.func.

    Parameters
    ----------
    function : f(x (d,), input (p,)) -> tensor (K,), or () for one output
        Written for one path and one sample.
    inputs, outputs, dimension : int
        p, K and d.

    Raises
    ------
    MissingLibrary
        If torch is not installed.
    InvalidInput
        If the function returns another shape.
    """

    function: Callable[..., Any]
    inputs: int
    outputs: int
    dimension: int
    initial: np.ndarray | None = None
    compiled: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        for name in ("inputs", "outputs", "dimension"):
            object.__setattr__(self, name, whole_number(name, getattr(self, name), 1))
        x, point = probe(self.dimension)[0][None], probe(self.inputs)[0][None, None]
        found = vmapped(self.function)(x, point)
        if found.reshape(1, 1, -1).shape[-1] != self.outputs:
            raise InvalidInput(f"function must return {self.outputs} outputs for one input, got {found.shape[2:]}")

    @classmethod
    def from_module(cls, net: Any, inputs: int) -> TorchPredictor:
        """A torch module: x holds its parameters as `parameters_to_vector` orders them, `initial` those it has now.

        A copy in double precision and evaluation mode is used; the module itself is left alone.
        """
        function, initial, outputs = module_function(net, inputs)
        return cls(function, inputs, outputs, initial.size, initial)

    def predict(self, x, inputs):
        """The function's outputs."""
        return vmapped(self.function)(x, inputs).reshape(*inputs.shape[:-1], self.outputs)

    def pullback(self, x, inputs, slopes):
        """Gradients of <slopes, outputs>."""

        def inner(x, a, slope):
            return (self.function(x, a).reshape(-1) * slope).sum()

        return vmapped(inner, gradient=True)(x, inputs, slopes)

    def start(self, paths, seed=0):
        """The module's own parameters, else standard normals over sqrt(d)."""
        if self.initial is not None:
            return np.tile(self.initial, (whole_number("paths", paths, 1), 1))
        return _normal_start(paths, seed, self.dimension)


def _one_by_one(function: Callable[..., Any], shape: tuple[int, ...], x: np.ndarray, *arrays: np.ndarray) -> np.ndarray:
    """Call a compiled function of one sample, which must not write into what it reads; x (P, d), arrays (P, B, ...)."""
    out = np.zeros(shape)
    for p in range(shape[0]):
        for b in range(shape[1]):
            given = [x[p], *(array[p, b] for array in arrays)]
            copies = [array.copy() for array in given]
            function(*copies, out[p, b])
            unchanged(getattr(function, "__name__", "function"), given, copies)
    return out


@lru_cache(maxsize=None)
def _per_sample(function: Callable[..., Any], sloped: bool) -> Callable[..., None]:
    """A user's compiled function of one sample with the arguments of every compiled predictor: `work` in between."""
    if sloped:

        @numba.njit(nogil=True, error_model="numpy")
        def called(x, a, slope, work, out):
            function(x, a, slope, out)

    else:

        @numba.njit(nogil=True, error_model="numpy")
        def called(x, a, work, out):
            function(x, a, out)

    return called


def _normal_start(paths: int, seed: int, dimension: int) -> np.ndarray:
    generator = np.random.Generator(np.random.Philox(whole_number("seed", seed)))
    return generator.standard_normal((whole_number("paths", paths, 1), dimension)) / np.sqrt(dimension)
