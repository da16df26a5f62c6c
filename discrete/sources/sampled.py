"""Batches of the samples of a loss given sample by sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from sgdlimits.ensembles.engine import Simulator
from sgdlimits.ensembles.random import SAMPLINGS, Noise
from sgdlimits.ensembles.simulators import ArraySimulator, PathArrays, risk_of
from sgdlimits.exact.path_matrices import Dense, LowRank, PathMatrices
from sgdlimits.problems.batch_curvature import model_factors, model_fisher
from sgdlimits.problems.prediction import PredictionProblem

from ..loss_kernels import compiled_loss
from ..rules.curved import Curvature
from ..rules.registry import compiled_rule
from .matrices import fisher, needs, noise_for
from .rows import lacks_batch
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

    def combined(self, steps: Sequence[int], factors: Sequence[float], x: np.ndarray, noise: Noise) -> np.ndarray:
        """Factors times the gradients (P, d) of the batches of these steps, added up: one gradient of weighted rows."""
        problem, batch = self.problem, self.batch_size
        rows = [drawn_rows(k, noise, batch, problem.samples, self.sampling) for k in steps]
        weights = np.broadcast_to(np.repeat(np.divide(factors, batch), batch), (len(x), len(steps) * batch))
        return problem.summed_gradients(x, np.concatenate(rows, axis=1), weights) + sum(factors) * problem.ridge * x

    def curvature(self, asked: Curvature, k: int, x: np.ndarray, noise: Noise) -> PathMatrices:
        problem, whole = self.problem, asked.samples == "all"
        if whole and asked.matrix == "hessian":
            return Dense(np.stack([problem.hessian(place) for place in x]), problem.ridge)
        if whole and asked.matrix == "expected":
            return Dense(model_fisher(problem, x), problem.ridge)
        if whole:
            return Dense(problem.gradient_products(x, asked.matrix == "centred"))
        rows = drawn_rows(k, noise_for(asked, noise), asked.size or self.batch_size, problem.samples, self.sampling)
        if asked.matrix == "hessian":
            return Dense(problem.batch_hessians(x, rows), problem.ridge)
        if asked.matrix == "expected":
            return LowRank(model_factors(problem, x, rows) / np.sqrt(rows.shape[1]), problem.ridge)
        return fisher(problem.sample_gradients(x, rows), asked.matrix)

    def lacks(self, asked: Curvature) -> str:
        if asked.matrix == "expected" and not isinstance(self.problem, PredictionProblem):
            return (
                f"{type(self.problem).__name__} gives losses of samples and no model of labels: take "
                "fisher='empirical' or 'centred', or a Supervised problem"
            )
        return lacks_batch(
            asked, self.batch_size, self.sampling, None if self.problem.endless else self.problem.samples
        )

    def may_be_singular(self, asked: Curvature, damping: float) -> str:
        problem = self.problem
        shift = damping + (problem.ridge if asked.matrix in ("hessian", "expected") else 0.0)
        convex = isinstance(problem, PredictionProblem) and problem.predictor.affine
        if damping > 0 or convex and shift > 0 or asked.matrix == "expected" and shift > 0:
            return ""
        return needs(min(shift, 0.0), "nothing keeps it from being singular")

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
