"""A user's predictor in NumPy or numba functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numba
import numpy as np

from sgdlimits.exact.derivative_check import check_derivative, probe, symmetric_probe
from sgdlimits.exact.errors import InvalidInput, whole_number
from sgdlimits.exact.user_functions import call, numbers, tried_out, unchanged, user_function

from .predictor import (
    Predictor,
    differentials_by_differences,
    hessian_gradient_by_differences,
    hessians_by_differences,
    input_pullback_by_differences,
    mixed_by_differences,
)


@dataclass(frozen=True, eq=False, repr=False)
class UserPredictor(Predictor):
    """A user's outputs and their pullback.

    Parameters
    ----------
    output_function : callable
        NumPy form: (x (P, d), inputs (P, B, p)) -> (P, B, K). Compiled form: (x (d,), input (p,), work, out (K,)) ->
        None.
    pullback_function : callable
        NumPy form: (x (P, d), inputs (P, B, p), slopes (P, B, K)) -> (P, B, d), the gradients of <slopes, outputs>.
        Compiled form: (x (d,), input (p,), slope (K,), work, out (d,)) -> None. `out` is zero on entry, and `work` as
        the outputs of the same x and input left it.
    inputs, outputs, dimension : int
        p, K and d.
    compiled : bool
        Both are compiled with numba.njit.
    hessian_function : function of (x, inputs, slopes) with values (P, B, d, d), optional
        In NumPy: Hessians of <slopes, outputs>; without it, sixth-order differences of the pullback.
    third_function : function of (x, inputs, slopes, matrix (P, d, d)) with values (P, B, d), optional
        In NumPy: gradients of <matrix, Hessians>; without it, differences of the pullback.
    work_size : int
        Numbers of `work`.
    layer_sizes : mapping from names to numbers of parameters, optional
        In the order in which they lie in x, all of it; by default one layer.

    Raises
    ------
    InvalidInput
        If a shape is wrong, or a derivative does not belong to its function (one difference quotient at one point).
    """

    output_function: Callable[..., Any]
    pullback_function: Callable[..., Any]
    inputs: int
    outputs: int
    dimension: int
    compiled: bool = False
    hessian_function: Callable[..., Any] | None = None
    third_function: Callable[..., Any] | None = None
    work_size: int = 0
    layer_sizes: Mapping[str, int] | None = None

    def __post_init__(self) -> None:
        check_sizes(self)
        if self.layer_sizes is not None:
            sizes = {str(name): whole_number(f"the size of layer {name!r}", size, 1) for name, size in
                     dict(self.layer_sizes).items()}
            if sum(sizes.values()) != self.dimension:
                raise InvalidInput(
                    f"layer_sizes add up to {sum(sizes.values())}, but there are {self.dimension} parameters: name "
                    "every layer, in the order of x"
                )
            object.__setattr__(self, "layer_sizes", sizes)
        object.__setattr__(self, "work_size", whole_number("work_size", self.work_size))
        given = probe(self.dimension)[0], probe(self.inputs)[0], probe(self.outputs)[0]
        for name, count, form, size in (
            ("output_function", 2, "(x, input, work, out)", self.outputs),
            ("pullback_function", 3, "(x, input, slope, work, out)", self.dimension),
        ):
            user_function(name, getattr(self, name), self.compiled, form)
            if self.compiled:
                tried_out(name, getattr(self, name), form, given[:count], (np.zeros(self.work_size), np.zeros(size)))
        for name in ("hessian_function", "third_function"):
            if getattr(self, name) is not None:
                user_function(name, getattr(self, name))
        self._check_derivatives()

    def __repr__(self) -> str:
        return f"UserPredictor(inputs={self.inputs}, outputs={self.outputs}, dimension={self.dimension})"

    def _check_derivatives(self) -> None:
        """What was given, at one input."""
        d, point, slope = self.dimension, probe(self.inputs)[0][None, None], probe(self.outputs)[0][None, None]

        def at(method: Callable[..., np.ndarray], x: np.ndarray, *more: np.ndarray) -> np.ndarray:
            spread = (np.broadcast_to(array, (len(x), *array.shape[1:])) for array in (point, slope, *more))
            return method(x, *spread)[:, 0]

        def value(x: np.ndarray) -> np.ndarray:
            return self.predict(x, np.broadcast_to(point, (len(x), 1, self.inputs)))[:, 0] @ slope[0, 0]

        def slopes(x: np.ndarray) -> np.ndarray:
            return at(self.pullback, x)

        def bends(x: np.ndarray) -> np.ndarray:
            return at(self.hessians, x)

        check_derivative("pullback_function", value, lambda x, v: slopes(x[None])[0] @ v, d)
        if self.hessian_function is not None:
            check_derivative("hessian_function", slopes, lambda x, v: bends(x[None])[0] @ v, d)
        if self.third_function is not None:
            matrix = symmetric_probe(d)
            check_derivative(
                "third_function", lambda x: np.einsum("pij,ij->p", bends(x), matrix),
                lambda x, v: at(self.hessian_gradient, x[None], matrix[None])[0] @ v, d,
            )  # fmt: skip

    @property
    def compiled_outputs(self):
        """The user's."""
        return self.output_function

    @property
    def compiled_pullback(self):
        """The user's."""
        return self.pullback_function

    @property
    def layers(self):
        """The user's, or one."""
        return layers_of_sizes(self.layer_sizes or {"weights": self.dimension})

    def _call(self, name, tail, x, inputs, *more):
        given = f" for x of shape {x.shape} and inputs of shape {inputs.shape}"
        return numbers(name, call(name, getattr(self, name), x, inputs, *more), (*inputs.shape[:-1], *tail), given)

    def _loop(self, x, inputs, slopes):
        """Outputs, and gradients where there are slopes, of the compiled functions, one sample after the other."""
        lead = inputs.shape[:2]
        outputs, gradients = np.zeros((*lead, self.outputs)), np.zeros((*lead, self.dimension))
        given = [np.ascontiguousarray(array, dtype=np.float64) for array in (x, inputs)]
        copies = [array.copy() for array in given]
        slopes = None if slopes is None else np.ascontiguousarray(slopes)
        _over_samples(self.output_function, self.pullback_function)(
            *copies, slopes, np.zeros(self.work_size), outputs, gradients
        )
        unchanged("output_function" if slopes is None else "pullback_function", given, copies)
        return outputs, gradients

    def predict(self, x, inputs):
        """The user's outputs."""
        if self.compiled:
            return self._loop(x, inputs, None)[0]
        return self._call("output_function", (self.outputs,), x, inputs)

    def pullback(self, x, inputs, slopes):
        """The user's pullback."""
        if self.compiled:
            return self._loop(x, inputs, slopes)[1]
        return self._call("pullback_function", (self.dimension,), x, inputs, slopes)

    def predict_and_pullback(self, x, inputs, slopes):
        """Both."""
        if self.compiled:
            return self._loop(x, inputs, slopes)
        return self.predict(x, inputs), self.pullback(x, inputs, slopes)

    def hessians(self, x, inputs, slopes):
        """The user's, or by differences."""
        if self.hessian_function is None:
            return hessians_by_differences(self, x, inputs, slopes)
        return self._call("hessian_function", (self.dimension, self.dimension), x, inputs, slopes)

    def differentials(self, x, inputs, slopes, direction):
        """By differences."""
        return differentials_by_differences(self, x, inputs, slopes, direction)

    def hessian_gradient(self, x, inputs, slopes, matrix):
        """The user's, or by differences."""
        if self.third_function is None:
            return hessian_gradient_by_differences(self, x, inputs, slopes, matrix)
        return self._call("third_function", (self.dimension,), x, inputs, slopes, matrix)

    def input_pullback(self, x, inputs, slopes):
        """By differences."""
        return input_pullback_by_differences(self, x, inputs, slopes)

    def mixed(self, x, inputs, slopes):
        """By differences."""
        return mixed_by_differences(self, x, inputs, slopes)

    def start(self, paths, seed=0):
        """Standard normals over sqrt(d): the user's own scale is not known."""
        return normal_start(paths, seed, self.dimension)


def layers_of_sizes(sizes: Mapping[str, int]) -> dict[str, slice]:
    """Where layers of these sizes lie, one after the other."""
    ends = np.cumsum(list(sizes.values())).tolist()
    return {name: slice(end - size, end) for (name, size), end in zip(sizes.items(), ends)}


def check_sizes(predictor: Predictor) -> None:
    for name in ("inputs", "outputs", "dimension"):
        object.__setattr__(predictor, name, whole_number(name, getattr(predictor, name), 1))


@lru_cache(maxsize=None)
def _over_samples(outputs_of: Callable[..., None], pullback_of: Callable[..., None]) -> Callable[..., None]:
    """Compiled functions of one sample as a loop over paths and samples; no gradients where slopes are None."""

    @numba.njit(nogil=True, error_model="numpy")
    def loop(x, inputs, slopes, work, outputs, gradients):
        for p in range(inputs.shape[0]):
            for b in range(inputs.shape[1]):
                outputs_of(x[p], inputs[p, b], work, outputs[p, b])
                if slopes is not None:
                    pullback_of(x[p], inputs[p, b], slopes[p, b], work, gradients[p, b])

    return loop


def normal_start(paths: int, seed: int, dimension: int) -> np.ndarray:
    generator = np.random.Generator(np.random.Philox(whole_number("seed", seed)))
    return generator.standard_normal((whole_number("paths", paths, 1), dimension)) / np.sqrt(dimension)
