"""Losses of one sample, l(outputs, label): squares, logistic, cross-entropy, and a user's own.

Every NumPy method takes outputs (..., K) and labels (...); the compiled twins take one sample.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from sgdlimits.exact.compiling import compiled
from sgdlimits.exact.errors import InvalidInput

from sgdlimits.exact.derivative_check import check_derivative
from sgdlimits.exact.numerical_derivatives import derivative
from sgdlimits.exact.user_functions import call, numbers, user_function


class OutputLoss(ABC):
    """A loss of the K outputs of a predictor for one sample.

    Attributes
    ----------
    compiled : bool
        Whether `compiled_value(outputs (K,), label)` -> float and `compiled_slope(outputs (K,), label, out (K,))`
        exist; the slope finds `out` filled with zeros.
    classifies : bool
        Whether labels are classes, so that `correct` means something.
    largest_slope : float
        Supremum of |slope|; inf where it is unbounded or not known.
    """

    compiled: bool = True
    classifies: ClassVar[bool] = False
    largest_slope: ClassVar[float] = math.inf
    compiled_value: Callable[..., float]
    compiled_slope: Callable[..., None]

    @abstractmethod
    def check(self, labels: np.ndarray, outputs: int) -> None:
        """Raise InvalidInput unless these labels (n,) fit this loss of `outputs` outputs."""

    @abstractmethod
    def value(self, outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Losses (...)."""

    @abstractmethod
    def slope(self, outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Derivative (..., K) in the outputs."""

    @abstractmethod
    def curvature(self, outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Second derivative (..., K, K) in the outputs."""

    @abstractmethod
    def correct(self, outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Whether the class with the largest output (of one output: its sign) is the label, (...)."""


@compiled
def squares_value(outputs, label):
    """(f - label)^2 / 2."""
    return 0.5 * (outputs[0] - label) ** 2


@compiled
def squares_slope(outputs, label, out):
    """f - label."""
    out[0] = outputs[0] - label


@dataclass(frozen=True)
class Squares(OutputLoss):
    """(f - label)^2 / 2 of one output."""

    compiled_value = staticmethod(squares_value)
    compiled_slope = staticmethod(squares_slope)

    def check(self, labels, outputs):
        """Any labels, one output."""
        _one_output("squares", outputs)

    def value(self, outputs, labels):
        """(f - label)^2 / 2."""
        return 0.5 * (outputs[..., 0] - labels) ** 2

    def slope(self, outputs, labels):
        """f - label."""
        return outputs - labels[..., None]

    def curvature(self, outputs, labels):
        """1."""
        return np.ones((*labels.shape, 1, 1))

    def correct(self, outputs, labels):
        """No classes."""
        raise InvalidInput("squares know no classes, so nothing is right or wrong; use LogisticLoss or CrossEntropy")


@compiled
def logistic_value(outputs, label):
    """log(1 + exp(-margin)), without overflow."""
    margin = outputs[0] * label
    return max(-margin, 0.0) + math.log1p(math.exp(-abs(margin)))


@compiled
def logistic_slope(outputs, label, out):
    """-label logistic(-margin), without overflow."""
    margin = outputs[0] * label
    small = math.exp(-abs(margin))
    out[0] = -label * (small if margin > 0 else 1.0) / (1.0 + small)


@dataclass(frozen=True)
class LogisticLoss(OutputLoss):
    """log(1 + exp(-label f)) of one output, labels -1 and +1."""

    classifies = True
    largest_slope = 1.0
    compiled_value = staticmethod(logistic_value)
    compiled_slope = staticmethod(logistic_slope)

    def check(self, labels, outputs):
        """Labels -1 and +1, one output."""
        _one_output("the logistic loss", outputs)
        if not np.isin(labels, (-1, 1)).all():
            found = labels[~np.isin(labels, (-1, 1))][:1].tolist()
            raise InvalidInput(f"labels of the logistic loss must be -1 and +1, got {found[0]:g}")

    def value(self, outputs, labels):
        """log(1 + exp(-margin))."""
        return np.logaddexp(0.0, -(outputs[..., 0] * labels))

    def slope(self, outputs, labels):
        """-label logistic(-margin)."""
        return -(labels * logistic(-(outputs[..., 0] * labels)))[..., None]

    def curvature(self, outputs, labels):
        """logistic(margin) logistic(-margin)."""
        margins = outputs[..., 0] * labels
        return (logistic(margins) * logistic(-margins))[..., None, None]

    def correct(self, outputs, labels):
        """A positive margin."""
        return outputs[..., 0] * labels > 0


@compiled
def cross_entropy_value(outputs, label):
    """log(sum_k exp f_k) - f_label, without overflow."""
    top = outputs.max()
    total = 0.0
    for k in range(outputs.size):
        total += math.exp(outputs[k] - top)
    return top + math.log(total) - outputs[np.int64(label)]


@compiled
def cross_entropy_slope(outputs, label, out):
    """softmax(f) - e_label."""
    top = outputs.max()
    total = 0.0
    for k in range(outputs.size):
        out[k] = math.exp(outputs[k] - top)
        total += out[k]
    for k in range(outputs.size):
        out[k] /= total
    out[np.int64(label)] -= 1.0


@dataclass(frozen=True)
class CrossEntropy(OutputLoss):
    """log(sum_k exp f_k) - f_label: softmax cross-entropy of K classes, labels 0 ... K - 1."""

    classifies = True
    largest_slope = math.sqrt(2.0)
    compiled_value = staticmethod(cross_entropy_value)
    compiled_slope = staticmethod(cross_entropy_slope)

    def check(self, labels, outputs):
        """Whole labels from 0 to K - 1."""
        if outputs < 2:
            raise InvalidInput("cross-entropy needs one output for each class, at least 2; for one use LogisticLoss")
        wrong = labels[(labels != np.floor(labels)) | (labels < 0) | (labels >= outputs)]
        if wrong.size:
            raise InvalidInput(
                f"labels of cross-entropy must be whole numbers from 0 to {outputs - 1}, one for each of the {outputs} "
                f"outputs, got {wrong[0]:g}"
            )

    def value(self, outputs, labels):
        """log(sum_k exp f_k) - f_label."""
        top = outputs.max(axis=-1)
        total = np.exp(outputs - top[..., None]).sum(axis=-1)
        return top + np.log(total) - np.take_along_axis(outputs, _classes(labels), -1)[..., 0]

    def slope(self, outputs, labels):
        """softmax(f) - e_label."""
        weights = np.exp(outputs - outputs.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        chosen = _classes(labels)
        np.put_along_axis(weights, chosen, np.take_along_axis(weights, chosen, -1) - 1.0, -1)
        return weights

    def curvature(self, outputs, labels):
        """diag(softmax) - softmax softmax^T."""
        weights = np.exp(outputs - outputs.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        return weights[..., None] * np.eye(outputs.shape[-1]) - weights[..., None] * weights[..., None, :]

    def correct(self, outputs, labels):
        """The first of the largest outputs is the label's."""
        return outputs.argmax(axis=-1) == labels


@dataclass(frozen=True, eq=False)
class UserOutputLoss(OutputLoss):
    """A user's smooth loss of outputs and label.

    Parameters
    ----------
    value_function : callable
        NumPy form: (outputs (..., K), labels (...)) -> (...). Compiled form: (outputs (K,), label) -> float.
    slope_function : callable
        NumPy form: the same arguments -> (..., K). Compiled form: (outputs (K,), label, out (K,)) -> None; `out` is
        zero on entry.
    compiled : bool
        Both are compiled with numba.njit.

    Raises
    ------
    InvalidInput
        When a problem is built with it: if a shape is wrong, or the slope is not the derivative of the value.
    """

    value_function: Callable[..., Any]
    slope_function: Callable[..., Any]
    compiled: bool = False

    def __post_init__(self) -> None:
        for name in ("value_function", "slope_function"):
            form = "value(outputs, label) -> float, slope(outputs, label, out) -> None"
            user_function(name, getattr(self, name), self.compiled, form)

    @property
    def compiled_value(self):
        """The user's."""
        return self.value_function

    @property
    def compiled_slope(self):
        """The user's."""
        return self.slope_function

    def check(self, labels, outputs):
        """Whether the slope is the value's derivative, at the first label."""
        check_derivative(
            "slope_function of the loss",
            lambda points: self.value(points, np.full(len(points), labels[0])),
            lambda point, direction: self.slope(point[None], labels[:1])[0] @ direction,
            outputs,
        )

    def value(self, outputs, labels):
        """The user's losses."""
        if self.compiled:
            flat = outputs.reshape(-1, outputs.shape[-1])
            found = [self.value_function(row.copy(), label) for row, label in zip(flat, labels.ravel())]
            return np.reshape(found, labels.shape)
        return numbers("value_function", call("value_function", self.value_function, outputs, labels), labels.shape)

    def slope(self, outputs, labels):
        """The user's slopes."""
        if self.compiled:
            found = np.zeros(outputs.shape)
            rows = zip(outputs.reshape(-1, outputs.shape[-1]), labels.ravel(), found.reshape(-1, outputs.shape[-1]))
            for row, label, out in rows:
                self.slope_function(row.copy(), label, out)
            return found
        return numbers("slope_function", call("slope_function", self.slope_function, outputs, labels), outputs.shape)

    def curvature(self, outputs, labels):
        """By differences of the slope."""
        found = derivative(lambda point: self.slope(point, labels), outputs)
        return (found + found.swapaxes(-1, -2)) / 2

    def correct(self, outputs, labels):
        """No classes."""
        raise InvalidInput("a user's loss knows no classes; compare outputs(x) with the labels yourself")


def find_loss(loss: Any) -> OutputLoss:
    """A loss from itself or from its name."""
    names: dict[str, Callable[[], OutputLoss]]
    names = {"squares": Squares, "logistic": LogisticLoss, "cross_entropy": CrossEntropy}
    if isinstance(loss, OutputLoss):
        return loss
    if isinstance(loss, str) and loss in names:
        return names[loss]()
    raise InvalidInput(
        f"loss is {str(loss)[:60]!r}, which is not known; allowed: {', '.join(map(repr, names))}, or an object of "
        "problems.losses"
    )


def logistic(t: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-t)), without overflow and to full relative precision."""
    return np.exp(-np.logaddexp(0.0, -t))


def signed(labels: np.ndarray) -> np.ndarray:
    """Labels (n,) as -1 and +1, read-only, from those or from 0 and 1."""
    found = np.unique(labels)
    if not (np.isin(found, (0, 1)).all() or np.isin(found, (-1, 1)).all()):
        raise InvalidInput(f"labels must be 0 and 1, or -1 and +1, got values such as {found[:4].tolist()}")
    signs = np.where(labels > 0, 1.0, -1.0)
    signs.flags.writeable = False
    return signs


def _classes(labels: np.ndarray) -> np.ndarray:
    return labels.astype(np.int64)[..., None]


def _one_output(name: str, outputs: int) -> None:
    if outputs != 1:
        raise InvalidInput(f"{name} takes one output, and the predictor has {outputs}; use CrossEntropy, or one output")
