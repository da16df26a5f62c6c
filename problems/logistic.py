"""Logistic regression on stored rows, compiled in one piece."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numba
import numpy as np

from sgdlimits.exact.errors import InvalidInput, real_number

from .losses import LogisticLoss, signed
from .prediction import PredictionProblem
from .predictor import Predictor
from .predictors import Linear
from .sources import Rows, Source
from .tables import checked_rows


@numba.njit(nogil=True, error_model="numpy")
def _logistic_value(x, i, features, labels):
    """Linear and LogisticLoss in one, without arrays in between."""
    margin = 0.0
    for j in range(x.size):
        margin += features[i, j] * x[j]
    margin *= labels[i]
    return max(-margin, 0.0) + np.log1p(np.exp(-abs(margin)))


@numba.njit(nogil=True, error_model="numpy")
def _logistic_gradient(x, i, out, features, labels):
    """-label logistic(-margin) features, without overflow."""
    margin = 0.0
    for j in range(x.size):
        margin += features[i, j] * x[j]
    margin *= labels[i]
    small = np.exp(-abs(margin))
    pull = -labels[i] * (small if margin > 0 else 1.0) / (1.0 + small)
    for j in range(x.size):
        out[j] = pull * features[i, j]


@dataclass(frozen=True, eq=False, repr=False)
class Logistic(PredictionProblem):
    """Logistic regression: l_i(x) = log(1 + exp(-y_i a_i.x)) with y_i = -1 or +1, without an intercept.

    Parameters
    ----------
    features : array (n, d)
    labels : array (n,)
        0 and 1, or -1 and +1.
    ridge : float

    Raises
    ------
    InvalidInput
        If a shape is wrong, or the labels are neither 0/1 nor -1/+1.
    """

    features: np.ndarray
    labels: np.ndarray
    ridge: float = 0.0
    compiled: bool = True
    test = None

    loss = LogisticLoss()
    compiled_value = staticmethod(_logistic_value)
    compiled_gradient = staticmethod(_logistic_gradient)

    def __post_init__(self) -> None:
        features, labels = checked_rows(self.features, self.labels)
        object.__setattr__(self, "features", features)
        object.__setattr__(self, "labels", signed(labels))
        object.__setattr__(self, "ridge", real_number("ridge", self.ridge))

    @classmethod
    def from_arrays(cls, A: np.ndarray, b: np.ndarray, ridge: float = 0.0) -> Logistic:
        """Use A (n, d) and labels b (n,) exactly as they are."""
        return cls(A, b, ridge)

    @classmethod
    def from_csv(
        cls, path: Any, target: str, ridge: float = 0.0, standardise: bool = True, **form: Any
    ) -> Logistic:
        """Rows of a CSV file with a header line; the column `target` holds 0 and 1, or -1 and +1.

        Features have mean 0 and variance 1 unless `standardise` is false; `form` as in `Rows.from_csv`.
        """
        rows = Rows.from_csv(path, target, standardise, **form)
        return cls(rows.inputs, rows.labels, ridge)

    @classmethod
    def from_dataset(cls, name: str, ridge: float = 0.0, standardise: bool = True) -> Logistic:
        """A named data set with two classes, "breast_cancer" for example."""
        rows = Rows.from_dataset(name, standardise)
        return cls(rows.inputs, rows.labels, ridge)

    @cached_property
    def predictor(self) -> Predictor:
        """One output, no bias."""
        return Linear(self.features.shape[1], bias=False)

    @cached_property
    def source(self) -> Source:
        """The rows."""
        return Rows(self.features, self.labels)

    @property
    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """Features and labels."""
        return self.features, self.labels

    @cached_property
    def minimiser(self) -> np.ndarray:
        """Minimiser (d,) of the descended objective by Newton's method; of least norm where it is not unique.

        Raises
        ------
        InvalidInput
            If there is none: the ridge is negative, or there is no ridge and the labels can be separated.
        """
        if self.ridge < 0:
            raise InvalidInput(f"ridge is {self.ridge!r}, so the objective has no minimum; take a ridge of at least 0")
        x = np.zeros(self.dimension)
        for _ in range(100):
            slope = self.gradient(x)
            curvature = self.hessian(x) + self.ridge * np.eye(self.dimension)
            move = -np.linalg.lstsq(curvature, slope, rcond=1e-13)[0]
            length, start, descent = 1.0, self._objective(x), slope @ move
            while length > 1e-4 and self._objective(x + length * move) > start + 1e-4 * length * descent + 1e-15:
                length /= 2
            x = x + length * move
            if length == 1.0 and np.linalg.norm(move) <= 1e-10 * (1 + np.linalg.norm(x)):
                x.flags.writeable = False
                return x
        raise InvalidInput("the labels can be separated, so the loss has no minimiser; add a ridge")

    def _objective(self, x: np.ndarray) -> float:
        return float(self.risk(x) + 0.5 * self.ridge * (x @ x))

    def __repr__(self) -> str:
        return f"Logistic(n={self.samples}, d={self.dimension}, ridge={self.ridge:g})"
