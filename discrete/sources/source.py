"""Where a step's gradient comes from: the interface, and what the compiled sources share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Protocol
from weakref import WeakKeyDictionary

import numpy as np

from sgdlimits.ensembles.engine import Simulator
from sgdlimits.ensembles.random import Noise
from sgdlimits.exact.path_matrices import PathMatrices

from ..rules.curved import Curvature

# The last permutations of each crowd of paths, for as long as it lives.
_last: WeakKeyDictionary[Noise, tuple[tuple[int, int], np.ndarray]] = WeakKeyDictionary()


class Descent(Protocol):
    """What a compiled loop asks of a recurrence: SGD itself, or what amplifies its noise."""

    @property
    def problem(self) -> Any: ...

    @property
    def update_rule(self) -> Any: ...

    @property
    def batch_weights(self) -> np.ndarray:
        """Weights (B,) of a batch's samples, of mean 1."""

    @property
    def sampling(self) -> str: ...

    @property
    def label_noise(self) -> float: ...

    def step_sizes(self, first: int, last: int) -> np.ndarray:
        """The one step size, (1,), or those of steps first..last-1."""


class Source(ABC):
    """The gradient of a batch, once in NumPy, and once inside a compiled loop that applies the rule as well.

    Attributes
    ----------
    quadratic : bool
        The objective of every batch is a quadratic.
    """

    quadratic: ClassVar[bool] = False

    @property
    @abstractmethod
    def compiled(self) -> bool:
        """Whether there is a compiled loop."""

    @abstractmethod
    def gradient(self, k: int, x: np.ndarray, noise: Noise) -> np.ndarray:
        """Gradient (P, d) of the batch of step k at positions x (P, d), ridge included."""

    @abstractmethod
    def curvature(self, asked: Curvature, k: int, x: np.ndarray, noise: Noise) -> PathMatrices:
        """The matrix that a rule asks for at step k and positions x (P, d), ridge included."""

    @abstractmethod
    def lacks(self, asked: Curvature) -> str:
        """Why there is no such matrix here; empty where there is."""

    @abstractmethod
    def may_be_singular(self, asked: Curvature, damping: float) -> str:
        """Why it may be singular in spite of this damping, and what to do; empty where it is not."""

    @abstractmethod
    def simulator(self, descent: Descent) -> Simulator:
        """The compiled loop for a descent whose rule has a compiled form."""


def drawn_rows(k: int, noise: Noise, batch_size: int, samples: int, sampling: str) -> np.ndarray:
    """Rows (P, batch_size) that the paths draw at step k."""
    if sampling != "reshuffle":
        return noise.rows(k, batch_size, samples, sampling)
    epoch, place = divmod(k, samples // batch_size)
    which, order = _last.get(noise, ((-1, -1), np.empty((0, 0))))
    if which != (epoch, samples):
        order = noise.permutation(epoch, samples)
        _last[noise] = (epoch, samples), order
    return order[:, place * batch_size :][:, :batch_size].copy()


def kept_of_rows(descent: Descent, x: np.ndarray) -> dict[str, np.ndarray]:
    """What a loop over rows keeps beside x (P, d): the rule's slots, and the permutations of reshuffled epochs."""
    stored = len(x) if descent.sampling == "reshuffle" else 0
    return {
        "slots": np.zeros((len(x), descent.update_rule.slots, x.shape[1])),
        "orders": np.zeros((stored, descent.problem.samples if stored else 0), dtype=np.int64),
        "epochs": np.full(stored, -1, dtype=np.int64),
    }


def loop_for(rule: Any, on_disk: Any, in_memory: Any) -> Any:
    """The loop kept on disk for a built-in rule, the one in memory for a user's compiled function."""
    return on_disk if isinstance(rule, int) else in_memory
