"""Predictor x loss x source: L(x) = mean over samples of loss(predictor(x, input), label), with a ridge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numba
import numpy as np

from sgdlimits.ensembles.philox import PACK
from sgdlimits.exact.errors import InvalidInput, finite_array, real_number, text

from .batch_curvature import hessians, products
from .losses import OutputLoss, find_loss
from .predictor import Predictor
from .sampled import SampledProblem, along, summed
from .sources import Source


class PredictionProblem(SampledProblem):
    """Everything that follows from a predictor, a loss and a source; leaves hold them, and compiled functions.

    Attributes
    ----------
    predictor : predictors.Predictor
    loss : losses.OutputLoss
    source : sources.Source
    test : sources.Source or None
        Held-out samples.
    """

    loss: OutputLoss
    test: Source | None

    if TYPE_CHECKING:  # read only: a leaf has a field or a property

        @property
        def predictor(self) -> Predictor: ...

        @property
        def source(self) -> Source: ...

    @property
    def samples(self) -> int:
        """Samples that can be drawn."""
        return self.source.rows

    @property
    def evaluated(self) -> int:
        """Samples that `risk` and `gradient` are means over."""
        return self.source.evaluated

    @property
    def endless(self) -> bool:
        """Fresh samples: `risk` is a mean over the first `evaluated` of them, with the error of such a mean."""
        return self.source.endless

    @property
    def dimension(self) -> int:
        """d."""
        return self.predictor.dimension

    @property
    def single_pass(self) -> bool:
        """A run meets each sample at most once."""
        return self.source.single_pass

    @property
    def row_size(self) -> int:
        """d, or what a predictor that sums over a batch itself keeps of a sample."""
        return self.predictor.row_size if self.predictor.batched else self.dimension

    @property
    def own_blocks(self) -> bool:
        """The predictor's."""
        return self.predictor.batched and not self.compiled

    @property
    def alone(self) -> bool:
        """Compiled loops take path after path; else as the predictor says."""
        return self.compiled or (self.predictor.batched and self.predictor.alone(self.evaluated))

    @property
    def mean_products(self) -> Callable[[np.ndarray, np.ndarray], np.ndarray] | None:
        """Where the predictor multiplies batches, and what is compiled does not."""
        return self._mean_products if self.predictor.multiplies_batches and not self.compiled else None

    def _mean_products(self, x: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """Hessians of L, without the ridge, at positions (P, d), times directions (P, d)."""
        total = np.zeros(x.shape)
        for some in self._groups(len(x)):
            for rows in self._all_rows(len(x[some]), self.row_size):
                found = products(self, x[some], rows, directions[some, None])
                total[some] += found[:, 0] * (rows.shape[1] / self.evaluated)
        return total

    def _samples(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Inputs (P, B, p) and labels (P, B), looked up once where all paths have the same rows."""
        if len(rows) == 1 or rows.strides[0]:
            return self.source.sample(rows)
        inputs, labels = self.source.sample(rows[0])
        return np.broadcast_to(inputs, (*rows.shape, inputs.shape[-1])), np.broadcast_to(labels, rows.shape)

    def sample_values(self, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Losses (P, B) of the samples `rows` (P, B) at positions (P, d)."""
        inputs, labels = self._samples(rows)
        return self.loss.value(self.predictor.predict(x, inputs), labels)

    def sample_loss_gradients(self, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Gradients (P, B, d) of the samples `rows` (P, B) at positions (P, d)."""
        inputs, labels = self._samples(rows)
        return self.predictor.pullback(x, inputs, self.loss.slope(self.predictor.predict(x, inputs), labels))

    def summed_gradients(self, x: np.ndarray, rows: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """Sum (P, d) of the samples' gradients, times weights (P, B); by the predictor where it sums itself."""
        if not self.predictor.batched:
            return summed(self.sample_loss_gradients(x, rows), weights)
        inputs, labels = self._samples(rows)

        def slopes_of(outputs: np.ndarray, paths: slice, samples: slice) -> np.ndarray:
            slopes = self.loss.slope(outputs, labels[paths, samples])
            return slopes if weights is None else weights[paths, samples, None] * slopes

        return self.predictor.batch_pullback(x, inputs, slopes_of)

    def _slopes_along(self, x: np.ndarray, rows: np.ndarray, directions: np.ndarray) -> np.ndarray:
        if not self.predictor.multiplies_batches:
            return along(self.sample_loss_gradients(x, rows), directions)
        inputs, labels = self._samples(rows)
        slopes = self.loss.slope(self.predictor.predict(x, inputs), labels)
        return (slopes * self.predictor.outputs_along(x, inputs, directions)).sum(axis=-1)

    def hessian(self, x: np.ndarray) -> np.ndarray:
        """Hessian (d, d) of L at x (d,), without the ridge: exact where the predictor's are, else by differences."""
        x = finite_array("x", x, shape=(self.dimension,))
        if not self.predictor.exact_hessians:
            return self._hessian_by_differences(x)
        total = np.zeros((self.dimension, self.dimension))
        for rows in self._all_rows(self.predictor.outputs if self.predictor.affine else self.dimension):
            inputs, labels = self.source.sample(rows[0])
            tangents = self._tangents(x, inputs)  # (B, K, d)
            outputs = self.predictor.predict(x[None], inputs[None])[0]
            curved = self.loss.curvature(outputs, labels) @ tangents
            total += tangents.reshape(-1, x.size).T @ curved.reshape(-1, x.size)
            if not self.predictor.affine:
                slopes = self.loss.slope(outputs, labels)
                total += self.predictor.hessians(x[None], inputs[None], slopes[None])[0].sum(axis=0)
        return total / self.evaluated

    def batch_hessians(self, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Mean Hessians (P, d, d) of the samples `rows` (P, B) at positions (P, d), without the ridge."""
        if self.predictor.exact_hessians:
            return hessians(self, x, rows)
        return self._batch_hessians_by_differences(x, rows)

    def batch_hessian_products(self, x: np.ndarray, rows: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """Mean Hessians of the samples `rows` (P, B) at (P, d), without the ridge, times directions (P, m, d)."""
        return products(self, x, rows, directions)

    @property
    def exact_hessians(self) -> bool:
        """The predictor's are."""
        return self.predictor.exact_hessians

    def hessian_product(self, x: np.ndarray, direction: np.ndarray) -> np.ndarray:
        """Hessian of L at x (d,), without the ridge, times a direction (d,): exact where the predictor's are."""
        if not self.exact_hessians:
            return self._hessian_product_by_differences(x, direction)
        place, along, total = x[None], direction[None], np.zeros(self.dimension)
        if self.mean_products is not None:
            return self.mean_products(place, along)[0]
        for rows in self._all_rows(1):
            inputs, labels = (values[None] for values in self.source.sample(rows[0]))
            outputs = self.predictor.predict(place, inputs)
            slopes = self.loss.slope(outputs, labels)
            moved, bent = self.predictor.differentials(place, inputs, slopes, along)
            curved = (self.loss.curvature(outputs, labels) @ moved[..., None])[..., 0]
            total += (self.predictor.pullback(place, inputs, curved) + bent)[0].sum(axis=0)
        return total / self.evaluated

    def outputs(self, x: np.ndarray, inputs: np.ndarray) -> np.ndarray:
        """Outputs (..., b, K) of parameters x (..., d) at inputs (b, p)."""
        flat, shape = self._flat(x)
        inputs = finite_array("inputs", inputs, shape=(None, self.source.columns))
        return self.predictor.predict(flat, np.broadcast_to(inputs, (len(flat), *inputs.shape))).reshape(
            *shape, len(inputs), self.predictor.outputs
        )

    def accuracy(self, x: np.ndarray) -> np.ndarray:
        """Fraction (...) of samples whose class x (..., d) predicts; 0 where x is no longer finite."""
        return self._mean(x, self.source, self.loss.correct)

    def test_accuracy(self, x: np.ndarray) -> np.ndarray:
        """The same of the held-out samples."""
        return self._mean(x, self._held_out(), self.loss.correct)

    def test_risk(self, x: np.ndarray) -> np.ndarray:
        """L (...) over the held-out samples at positions (..., d)."""
        return self._mean(x, self._held_out(), self.loss.value)

    def risk_error(self, x: np.ndarray) -> np.ndarray:
        """Standard error (...) of `risk` at x (..., d): of a mean over a stream's first rows; 0 for stored rows."""
        if not self.endless:
            return np.zeros(np.shape(x)[:-1])
        mean = self._mean(x, self.source, self.loss.value)
        square = self._mean(x, self.source, lambda outputs, labels: self.loss.value(outputs, labels) ** 2)
        return np.sqrt(np.maximum(square - mean**2, 0) / max(1, self.evaluated - 1))

    def _held_out(self) -> Source:
        if self.test is None:
            raise InvalidInput("no samples are held out; pass test= when building the problem")
        return self.test

    def _mean(self, x: np.ndarray, source: Source, function: Callable[..., np.ndarray]) -> np.ndarray:
        """Mean over a source of a function of outputs and labels."""
        flat, shape = self._flat(x)
        together = 1 / PACK if self.own_blocks else len(flat)
        length = max(1, int(2**20 / (together * (source.columns + self.predictor.outputs))))
        total = np.zeros(len(flat))
        with np.errstate(over="ignore", invalid="ignore"):
            for first in range(0, source.evaluated, length):
                inputs, labels = source.sample(np.arange(first, min(first + length, source.evaluated)))
                for some in self._groups(len(flat)):
                    spread = np.broadcast_to(inputs, (len(flat[some]), *inputs.shape))
                    outputs = self.predictor.predict(flat[some], spread)
                    total[some] += function(outputs, np.broadcast_to(labels, spread.shape[:2])).sum(axis=1)
        return (total / source.evaluated).reshape(shape)

    def _tangents(self, x: np.ndarray, inputs: np.ndarray) -> np.ndarray:
        """Jacobian (B, K, d) of the outputs."""
        K, rows = self.predictor.outputs, len(inputs)
        slopes = np.broadcast_to(np.eye(K)[:, None], (K, rows, K))
        spread = np.broadcast_to(inputs, (K, *inputs.shape))
        return self.predictor.pullback(np.tile(x, (K, 1)), spread, slopes).swapaxes(0, 1)


@lru_cache(maxsize=None)
def _composed(sample, outputs_of, pullback_of, value_of, slope_of):
    """Compiled value and gradient of a sample; sizes are p, K and the predictor's work."""

    @numba.njit(nogil=True, error_model="numpy")
    def value(x, i, sizes, *data):
        a, outputs, work = np.zeros(sizes[0]), np.zeros(sizes[1]), np.zeros(sizes[2])
        label = sample(i, a, *data)
        outputs_of(x, a, work, outputs)
        return value_of(outputs, label)

    @numba.njit(nogil=True, error_model="numpy")
    def gradient(x, i, out, sizes, *data):
        a, outputs, work = np.zeros(sizes[0]), np.zeros(sizes[1]), np.zeros(sizes[2])
        slope = np.zeros(sizes[1])
        label = sample(i, a, *data)
        outputs_of(x, a, work, outputs)
        slope_of(outputs, label, slope)
        pullback_of(x, a, slope, work, out)

    return value, gradient


@dataclass(frozen=True, eq=False, repr=False)
class Supervised(PredictionProblem):
    """A predictor trained on a source with a loss.

    Compiled where predictor and loss are; else NumPy or torch, for many paths and samples at once.

    Parameters
    ----------
    predictor : predictors.Predictor
    loss : losses.OutputLoss, or "squares", "logistic", "cross_entropy"
    source : sources.Source
        Rows, a Stream or Augmented rows.
    ridge : float
        Adds (ridge / 2) |x|^2 to what is descended.
    test : sources.Source, optional
        Held-out samples.

    Raises
    ------
    InvalidInput
        If the parts do not fit: lengths of inputs, number of outputs, labels.
    """

    predictor: Predictor
    loss: OutputLoss
    source: Source
    ridge: float = 0.0
    test: Source | None = None
    name: str = field(default="supervised")

    def __post_init__(self) -> None:
        for name, kind in (("predictor", Predictor), ("source", Source)):
            if not isinstance(getattr(self, name), kind):
                found = type(getattr(self, name)).__name__
                raise InvalidInput(f"{name} must be one of sgdlimits.problems.{name}s, got {found}")
        object.__setattr__(self, "loss", find_loss(self.loss))
        object.__setattr__(self, "ridge", real_number("ridge", self.ridge))
        for name, source in (("source", self.source), ("test", self.test)):
            if source is None:
                continue
            if not isinstance(source, Source):
                raise InvalidInput(f"{name} must be one of sgdlimits.problems.sources, got {type(source).__name__}")
            if source.columns != self.predictor.inputs:
                raise InvalidInput(
                    f"the predictor takes inputs of {self.predictor.inputs} numbers, and those of {name} have "
                    f"{source.columns}"
                )
            labels = source.sample(np.arange(source.evaluated))[1]
            self.loss.check(labels, self.predictor.outputs)

    @classmethod
    def from_module(
        cls, net: Any, data: Any, loss: Any, test: Any = None, ridge: float = 0.0, online: bool = False,
        name: str = "torch module",
    ) -> Supervised:  # fmt: skip
        """A torch module on a map-style data set, in double precision; `predictor.initial` are its own weights.

        Parameters
        ----------
        net : torch.nn.Module
            Called on batches (B, *shape of an input), it gives (B,) or (B, K). A copy is used; parameters that require
            no gradient stay as they are, and buffers too. Parts with another training than evaluation mode, as Dropout
            and BatchNorm, are refused, unless `net.eval()` was called.
        data : map-style data set
            `len(data)`, and `data[i]` = (input, target): a tensor, array or number of any shape, of whole numbers for
            an embedding, and a number, whole for a class. Each item is read once, and kept.
        loss : "cross_entropy", "squares", "logistic", an object of problems.losses, or a torch loss
            Squares are (output - target)^2 / 2. A torch loss is a function, or a module of torch.nn, of outputs and
            target, whose value for a batch is the mean over its samples.
        test : map-style data set, optional
            Held-out samples.
        ridge : float
        online : bool
            A run meets each sample once at most.
        name : str

        Raises
        ------
        MissingLibrary
            If torch is not installed.
        InvalidInput
            If an item, the module or the loss cannot be used.
        """
        from .torch_data import check_gradient, module_parts

        predictor, found, rows, held_out = module_parts(net, data, loss, test, online)
        problem = cls(predictor, found, rows, ridge, test=held_out, name=text("name", name))
        check_gradient(problem)
        return problem

    @property
    def compiled(self) -> bool:
        """Predictor and loss are."""
        return self.predictor.compiled and self.loss.compiled

    @property
    def compiled_value(self):
        """(x (d,), i, *data) -> float."""
        return self._compose()[0]

    @property
    def compiled_gradient(self):
        """(x (d,), i, out (d,), *data) -> None."""
        return self._compose()[1]

    def _compose(self):
        p, loss = self.predictor, self.loss
        return _composed(
            self.source.compiled_sample, p.compiled_outputs, p.compiled_pullback, loss.compiled_value,
            loss.compiled_slope,
        )  # fmt: skip

    @cached_property
    def data(self) -> tuple[np.ndarray, ...]:
        """Sizes, and the arrays of the source."""
        sizes = np.array([self.predictor.inputs, self.predictor.outputs, self.predictor.work_size])
        return sizes, *self.source.data

    def __repr__(self) -> str:
        n = "endless" if self.endless else f"n={self.samples}"
        parts = f"{type(self.predictor).__name__}, {type(self.loss).__name__}, {type(self.source).__name__}"
        return f"Supervised({parts}: {n}, d={self.dimension}, ridge={self.ridge:g})"
