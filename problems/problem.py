"""What every problem is: an objective with a gradient, and what else it can do, declared and never probed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np


class ReadOnlyFields(ABC):
    """Arrays in the fields of a copy cannot be written to either, and what was derived from them is derived anew."""

    def __getstate__(self) -> dict[str, Any]:
        """Fields, without what cached properties hold."""
        kinds = type(self)
        return {k: v for k, v in self.__dict__.items() if not isinstance(getattr(kinds, k, None), cached_property)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for value in state.values():
            if isinstance(value, np.ndarray):  # pickle and deepcopy hand out arrays that can be written to
                value.flags.writeable = False
        self.__dict__.update(state)


class Objective(ReadOnlyFields):
    """A function of parameters (..., d) with a gradient.

    Attributes
    ----------
    dimension : int
        d.
    quadratic : bool
        Mean and covariance of SGD obey closed equations: a `QuadraticProblem`.
    sampled : bool
        Gives losses and gradients of chosen samples: a `SampledProblem`.
    endless : bool
        Fresh samples: nothing can be drawn without replacement, and no sum over all samples exists.
    single_pass : bool
        Stored samples of which a run meets each once at most.
    """

    quadratic: ClassVar[bool] = False
    sampled: ClassVar[bool] = False

    if TYPE_CHECKING:  # read only: a leaf has a field or a property

        @property
        def dimension(self) -> int: ...

        @property
        def endless(self) -> bool: ...

        @property
        def single_pass(self) -> bool: ...

    else:
        endless = False
        single_pass = False

    @abstractmethod
    def gradient(self, x: np.ndarray) -> np.ndarray:
        """Gradient (..., d) at x (..., d) of what is descended."""


class Problem(Objective):
    """A loss over data, descended by SGD with the ridge (ridge / 2) |x|^2 added; `risk` never contains the ridge.

    Attributes
    ----------
    ridge : float
    compiled : bool
        Sampled, and `compiled_value` and `compiled_gradient` exist.
    """

    ridge: float

    if TYPE_CHECKING:

        @property
        def compiled(self) -> bool: ...

    else:
        compiled = False

    @abstractmethod
    def risk(self, x: np.ndarray) -> np.ndarray:
        """L (...) at positions (..., d), without the ridge."""

    @abstractmethod
    def gradient_noise_covariance(self, x: np.ndarray) -> np.ndarray:
        """Covariance (d, d) of one sample's gradient at the position x (d,)."""

    @abstractmethod
    def check_batch_size(self, batch_size: int, sampling: str) -> int:
        """Return the batch size if it can be drawn under this sampling, else raise InvalidInput."""
