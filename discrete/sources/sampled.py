"""Batches of the samples of a loss given sample by sample."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from sgdlimits.ensembles.engine import Simulator
from sgdlimits.ensembles.random import SAMPLINGS, Noise
from sgdlimits.ensembles.simulators import ArraySimulator, PathArrays, risk_of

from ..loss_kernels import compiled_loss
from ..rules.registry import compiled_rule
from .source import Descent, Source, drawn_rows, kept_of_rows


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
        problem = self.problem
        if self.sampling != "with_replacement" and self.batch_size == problem.samples:
            return problem.gradient(x)  # all samples, in whatever order
        return problem.batch_gradients(x, drawn_rows(k, noise, self.batch_size, problem.samples, self.sampling))

    def simulator(self, descent: Descent) -> Simulator:
        return ArraySimulator(
            "SGD on samples", self.problem.dimension, partial(_advance, descent), kept=partial(kept_of_rows, descent),
            measures=risk_of(self.problem.risk),
        )  # fmt: skip


def _advance(descent: Descent, state: PathArrays, first: int, last: int, noise: Noise) -> None:
    problem, kept = descent.problem, state.kept
    compiled_loss(
        problem.compiled_gradient, problem.data, state.x, kept["slots"], state.overflow, kept["orders"], kept["epochs"],
        problem.samples, descent.step_sizes(first, last), problem.ridge, *compiled_rule(descent.update_rule),
        descent.batch_weights, SAMPLINGS.index(descent.sampling), np.uint64(noise.seed), state.path, first, last,
    )  # fmt: skip
