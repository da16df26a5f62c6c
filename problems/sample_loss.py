"""A user's smooth loss, given sample by sample: NumPy, numba or torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba.core.errors import NumbaError

from sgdlimits.exact.derivative_check import check_derivative
from sgdlimits.exact.errors import (
    InvalidInput,
    finite_array,
    flag,
    function as checked_function,
    real_number,
    whole_number,
)
from sgdlimits.exact.user_functions import call, numbers, unchanged, user_function

from .sample_loops import path_gradients, path_values
from .sampled import SampledProblem, along, summed
from .sources import Rows
from .torch_functions import import_torch, stands_alone
from .torch_modules import module_function
from .torch_samples import TorchSamples


@dataclass(frozen=True, eq=False, repr=False)
class SampleLoss(SampledProblem):
    """A user's smooth loss, given sample by sample.

    Parameters
    ----------
    value : callable
        NumPy form: (x (P, d), rows (P, B)) -> losses (P, B). Compiled form: (x (d,), i) -> float.
    gradient : callable
        NumPy form: (x (P, d), rows (P, B)) -> (P, B, d). Compiled form: (x (d,), i, out (d,)) -> None; `out` is zero on
        entry. Kept as `gradient_of_sample`.
    samples : int
        n; rows run from 0 to n - 1.
    dimension : int
        d.
    ridge : float
    compiled : bool
        Both functions are compiled with numba.njit; much faster.
    start : array (d,), optional
        Where training starts, for those who ask.

    Raises
    ------
    InvalidInput
        If a function returns another shape (looked at here and at every call), is not compiled, writes into x, or the
        gradient is not that of the value (one difference quotient at one point, of at most three samples).
    """

    value: Callable[..., Any]
    gradient_of_sample: Callable[..., Any]
    samples: int
    dimension: int
    ridge: float = 0.0
    compiled: bool = False
    start: np.ndarray | None = None

    data = ()

    def __init__(
        self,
        value: Callable[..., Any],
        gradient: Callable[..., Any],
        samples: int,
        dimension: int,
        ridge: float = 0.0,
        compiled: bool = False,
        start: np.ndarray | None = None,
    ) -> None:
        object.__setattr__(self, "value", value)
        object.__setattr__(self, "gradient_of_sample", gradient)
        object.__setattr__(self, "samples", whole_number("samples", samples, 1))
        object.__setattr__(self, "dimension", whole_number("dimension", dimension, 1))
        object.__setattr__(self, "ridge", real_number("ridge", ridge))
        object.__setattr__(self, "compiled", flag("compiled", compiled))
        if start is not None:
            start = np.array(finite_array("start", start, shape=(self.dimension,)))
            start.flags.writeable = False
        object.__setattr__(self, "start", start)
        for name, function in (("value", value), ("gradient", gradient)):
            user_function(name, function, self.compiled, "value(x, i) -> float, gradient(x, i, out) -> None")
        self._try_out()

    def _try_out(self) -> None:
        """Shapes at zero, whether x is left alone, and the gradient against the value."""
        x, rows = np.zeros((2, self.dimension)), np.arange(6).reshape(2, 3) % self.samples
        few = np.arange(min(3, self.samples))
        try:
            with np.errstate(all="ignore"):  # zero need not be a point where the loss is finite
                self.sample_values(x, rows)
                self.sample_loss_gradients(x, rows)
        except NumbaError as error:
            raise InvalidInput(
                "value or gradient cannot be compiled for x (d,) float64 and i int64; they must be "
                f"value(x, i) -> float and gradient(x, i, out) -> None. numba says: {error}"
            ) from None
        check_derivative(
            "gradient",
            lambda points: self.sample_values(points, np.tile(few, (len(points), 1))),
            lambda point, direction: self.sample_loss_gradients(point[None], few[None])[0] @ direction,
            self.dimension,
        )

    @classmethod
    def from_rows(
        cls, value: Callable[..., Any], gradient: Callable[..., Any], rows: Rows, dimension: int, ridge: float = 0.0
    ) -> SampleLoss:
        """A loss of a data set's rows (`problems.sources.Rows.from_csv` reads a file), in NumPy.

        `value(x (P, d), inputs (P, B, p), labels (P, B))` gives (P, B), `gradient` of the same gives (P, B, d).
        """
        if not isinstance(rows, Rows):
            raise InvalidInput(f"rows must be problems.sources.Rows, got {type(rows).__name__}")

        def chosen(function: Callable[..., Any]) -> Callable[..., Any]:
            return lambda x, numbers: function(x, *rows.sample(numbers))

        return cls(chosen(value), chosen(gradient), rows.rows, dimension, ridge)

    @classmethod
    def from_torch(
        cls, loss: Callable[..., Any], inputs: tuple[np.ndarray, ...], dimension: int, ridge: float = 0.0
    ) -> SampleLoss:
        """A loss written in torch: `loss(x (d,), *sample)` gives a number; each array of `inputs` has n rows.

        The derivatives come from torch.func, for all paths and samples at once; float32 and other floating-point data
        are taken to double precision, whole numbers to int64.

        Raises
        ------
        MissingLibrary
            If torch is not installed.
        InvalidInput
            If the arrays have different numbers of rows, or the loss does not give one number.
        """
        return cls._from_torch(loss, _checked(inputs), dimension, ridge, None)

    @classmethod
    def from_module(cls, net: Any, inputs: np.ndarray, labels: np.ndarray, loss: Any, ridge: float = 0.0) -> SampleLoss:
        """A torch module and its data.

        Parameters
        ----------
        net : torch.nn.Module
            A copy in double precision is used, without Dropout and the like in training mode. x holds its parameters in
            the order of `torch.nn.utils.parameters_to_vector`; `start` holds those it has now.
        inputs : array (n, p)
        labels : array (n,) or (n, K)
            Whole numbers stay whole (classes), others are float64.
        loss : callable (output (K,) or (), label) -> one number
            As in torch.nn.functional: cross_entropy, mse_loss, ...; an output of length 1 becomes a number where the
            label is one.
        ridge : float

        Raises
        ------
        MissingLibrary
            If torch is not installed.
        InvalidInput
            If the module cannot take an input, or the numbers of rows differ.
        """
        inputs, labels = _checked((inputs, labels))
        if inputs.ndim != 2:
            raise InvalidInput(f"inputs must have shape (n, p), got {inputs.shape}")
        checked_function("loss", loss, "of output and label")
        function, outputs, activations = module_function(net, inputs.shape[1:], batched=False)
        initial = function.initial()
        single = outputs == 1 and labels.ndim == 1

        def of_sample(x: Any, a: Any, label: Any) -> Any:
            found = function(x, a)
            return loss(found[0] if single else found, label)

        return cls._from_torch(of_sample, (inputs, labels), initial.size, ridge, initial, activations)

    @classmethod
    def _from_torch(
        cls, loss: Callable[..., Any], arrays: tuple[np.ndarray, ...], dimension: int, ridge: float, start: Any,
        activations: int = 0,
    ) -> SampleLoss:  # fmt: skip
        import_torch()
        numbers = sum(array[0].size for array in arrays)
        made = TorchSamples(loss, arrays, numbers + (activations or 8 * (numbers + 1)))
        return cls(made.value, made.gradient, len(arrays[0]), dimension, ridge, start=start)

    @property
    def _torch(self) -> TorchSamples | None:
        """The torch loss that value and gradient are of."""
        owner = getattr(self.value, "__self__", None)
        return owner if isinstance(owner, TorchSamples) else None

    @property
    def evaluated(self) -> int:
        """All samples."""
        return self.samples

    @property
    def compiled_value(self) -> Callable[..., Any]:
        """(x (d,), i) -> float."""
        return self.value

    @property
    def compiled_gradient(self) -> Callable[..., Any]:
        """(x (d,), i, out (d,)) -> None."""
        return self.gradient_of_sample

    def sample_values(self, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Losses (P, B) of the samples `rows` (P, B) at positions (P, d)."""
        return self._call("value", self.value, path_values, x, rows, ())

    def sample_loss_gradients(self, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Gradients (P, B, d) of the samples `rows` (P, B) at positions (P, d)."""
        return self._call("gradient", self.gradient_of_sample, path_gradients, x, rows, (self.dimension,))

    def summed_gradients(self, x: np.ndarray, rows: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """Sum (P, d) of the samples' gradients, times weights (P, B); in torch by one pass back."""
        if self._torch is not None:
            return self._torch.weighted(x, rows, weights)
        return summed(self.sample_loss_gradients(x, rows), weights)

    def _slopes_along(self, x: np.ndarray, rows: np.ndarray, directions: np.ndarray) -> np.ndarray:
        if self._torch is not None:
            return self._torch.along(x, rows, directions)
        return along(self.sample_loss_gradients(x, rows), directions)

    @property
    def row_size(self) -> int:
        """d, or what a torch loss makes on the way."""
        return self.dimension if self._torch is None else self._torch.row_size

    @property
    def own_blocks(self) -> bool:
        """In torch."""
        return self._torch is not None

    @property
    def alone(self) -> bool:
        """Compiled loops take path after path, and so does torch where many samples of one are work enough."""
        return self.compiled or (self._torch is not None and stands_alone(self.samples, self.row_size))

    @property
    def mean_products(self) -> Callable[[np.ndarray, np.ndarray], np.ndarray] | None:
        """In torch."""
        return None if self._torch is None else self._mean_products

    def _mean_products(self, x: np.ndarray, directions: np.ndarray) -> np.ndarray:
        torch, total = self._torch, np.zeros(x.shape)
        assert torch is not None  # asked where there is one
        for rows in self._all_rows(len(x), self.row_size):
            total += torch.weighted(x, rows, None, directions)
        return total / self.samples

    def _call(
        self, name: str, function: Any, loop: Any, x: np.ndarray, rows: np.ndarray, tail: tuple[int, ...]
    ) -> np.ndarray:
        """The user's function for all paths, by the compiled `loop` where it is compiled."""
        if not self.compiled:
            given = f" for x of shape {x.shape} and rows of shape {rows.shape}"
            return numbers(name, call(name, function, x, rows), (*rows.shape, *tail), given)
        copy = np.array(x, order="C")
        found = loop(function, self.data, copy, np.ascontiguousarray(rows))
        unchanged(name, [x], [copy])
        return found

    def hessian(self, x: np.ndarray) -> np.ndarray:
        """Hessian (d, d) of L at x (d,) by central differences of the gradient, without the ridge."""
        return self._hessian_by_differences(finite_array("x", x, shape=(self.dimension,)))

    exact_hessians = False

    def batch_hessians(self, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Mean Hessians (P, d, d) of the samples `rows` (P, B) by differences of the gradient, without the ridge."""
        return self._batch_hessians_by_differences(x, rows)

    def batch_hessian_products(self, x: np.ndarray, rows: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """Mean Hessians of the samples `rows` (P, B) times directions (P, m, d), by differences of the gradient."""
        return self._batch_products_by_differences(x, rows, directions)

    def hessian_product(self, x: np.ndarray, direction: np.ndarray) -> np.ndarray:
        """Hessian of L at x (d,), without the ridge, times a direction (d,), by differences of the gradient."""
        return self._hessian_product_by_differences(x, direction)

    def __repr__(self) -> str:
        form = "compiled" if self.compiled else "NumPy"
        return f"SampleLoss(n={self.samples}, d={self.dimension}, ridge={self.ridge:g}; {form})"


def _checked(arrays: Any) -> tuple[np.ndarray, ...]:
    """Arrays of equal length, at least one row: whole numbers as they are, others float64."""
    if not isinstance(arrays, (tuple, list)) or not arrays:
        raise InvalidInput("inputs must be a tuple of arrays with one row for each sample")
    found = []
    for place, given in enumerate(arrays):
        try:
            array = np.asarray(given)
        except RuntimeError:  # a torch tensor that needs a gradient
            array = given.detach().numpy()
        whole = array.dtype.kind in "iub"
        found.append(array if whole and array.ndim else finite_array(f"inputs[{place}]", array))
    lengths = [array.shape[0] if array.ndim else 0 for array in found]
    if 0 in lengths or len(set(lengths)) > 1:
        raise InvalidInput(
            f"inputs must all have the same number of rows, at least one, got {', '.join(map(str, lengths))} "
            f"from shapes {', '.join(str(array.shape) for array in found)}"
        )
    return tuple(found)
