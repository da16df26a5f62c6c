"""Batches of the samples of a loss given sample by sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.ensembles.random import SAMPLINGS, Noise

from ..loss_kernels import compiled_loss
from ..rules.registry import compiled_rule
from .source import Paths, RowsSimulator, Source, drawn_rows

if TYPE_CHECKING:
    from ..sgd import SGD


@dataclass(frozen=True, eq=False)
class Samples(Source):
    """Rows of a mean of sample losses."""

    problem: Any
    batch_size: int
    sampling: str
    label_noise: float

    @property
    def compiled(self) -> bool:
        return bool(self.problem.compiled)

    def gradient(self, k: int, x: np.ndarray, noise: Noise) -> np.ndarray:
        rows = drawn_rows(k, noise, self.batch_size, self.problem.samples, self.sampling)
        return self.problem.sample_gradients(x, rows).mean(axis=1)

    def simulator(self, descent: SGD) -> CompiledLossSimulator:
        return CompiledLossSimulator(descent)


@dataclass(frozen=True, eq=False)
class CompiledLossSimulator(RowsSimulator):
    """Descent on a loss whose sample gradient is compiled."""

    descent: SGD
    compiled: bool = True

    def advance(self, state: Paths, first: int, last: int, noise: Noise) -> None:
        descent, problem = self.descent, self.descent.problem
        compiled_loss(
            problem.compiled_gradient, problem.data, state.x, state.slots, state.overflow, state.orders, state.epochs,
            problem.samples, descent.step_sizes(first, last), problem.ridge, *compiled_rule(descent.update_rule),
            descent.batch_size, SAMPLINGS.index(descent.sampling), np.uint64(noise.seed), state.path, first, last,
        )  # fmt: skip

    def measure(self, name: str, state: Paths) -> np.ndarray | None:
        return self.descent.problem.risk(state.x) if name == "risk" else None
