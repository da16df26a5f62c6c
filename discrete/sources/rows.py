"""Batches of rows of finite least squares."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from sgdlimits.ensembles.engine import Simulator
from sgdlimits.ensembles.normals import scratch
from sgdlimits.ensembles.random import PACK, SAMPLINGS, Noise, Purpose
from sgdlimits.ensembles.simulators import ArraySimulator, PathArrays, risk_of
from sgdlimits.problems.least_squares import LeastSquares
from sgdlimits.problems.quadratic import QuadraticProblem

from ..kernels import minibatch, minibatch_in_memory
from ..rules.momentum import Plain
from ..rules.registry import compiled_rule
from .source import Descent, Source, drawn_rows, kept_of_rows, loop_for


@dataclass(frozen=True, eq=False)
class Rows(Source):
    """Rows drawn from the data, each label with fresh noise."""

    problem: LeastSquares
    batch_size: int
    sampling: str
    label_noise: float
    compiled: bool = True

    def gradient(self, k: int, x: np.ndarray, noise: Noise) -> np.ndarray:
        rows = drawn_rows(k, noise, self.batch_size, self.problem.samples, self.sampling)
        features, labels = self.problem.features[rows], self.problem.targets[rows]
        return batch_gradient(self.problem, features, labels, self.label_noise, k, x, noise)

    def simulator(self, descent: Descent) -> Simulator:
        return ArraySimulator(
            "SGD on rows", self.problem.dimension, partial(_advance, descent), kept=partial(kept_of_rows, descent),
            measures=risk_of(partial(least_squares_risk, self.problem)),
        )  # fmt: skip


def batch_gradient(
    problem: QuadraticProblem,
    features: np.ndarray,
    labels: np.ndarray,
    label_noise: float,
    k: int,
    x: np.ndarray,
    noise: Noise,
) -> np.ndarray:
    """Gradient (P, d) of least squares on features (P, B, d) and labels (P, B) with noise of this size."""
    label_errors: float | np.ndarray = 0.0
    batch = labels.shape[1]
    if label_noise:
        label_errors = label_noise * noise.normals(Purpose.LABEL_NOISE, k, batch)
    residuals = np.einsum("pbj,pj->pb", features, x) - labels - label_errors
    return np.einsum("pbj,pb->pj", features, residuals) / batch + problem.ridge * x


def _advance(descent: Descent, state: PathArrays, first: int, last: int, noise: Noise) -> None:
    problem, kept = descent.problem, state.kept
    rule, settings = compiled_rule(descent.update_rule)
    loop_for(rule, minibatch, minibatch_in_memory)(
        state.x, kept["slots"], state.overflow, kept["orders"], kept["epochs"], problem.features, problem.targets,
        descent.step_sizes(first, last), problem.ridge, descent.label_noise, rule, settings,
        isinstance(descent.update_rule, Plain),
        descent.batch_weights, SAMPLINGS.index(descent.sampling), np.uint64(noise.seed), state.path, first, last,
        *scratch(noise.quality),
    )  # fmt: skip


def least_squares_risk(problem: QuadraticProblem, positions: np.ndarray) -> np.ndarray:
    """L (P,) at positions (P, d), P a multiple of PACK; the bits of a path do not depend on P."""
    # One product a pack: the bits of a matrix product may depend on its number of rows.
    with np.errstate(over="ignore", invalid="ignore"):  # the engine reports paths that overflowed
        centred = (positions - problem.least_risk_point).reshape(-1, PACK, problem.dimension)
        modes = (centred @ problem.eigenvectors).reshape(positions.shape)
        return problem.least_risk + (0.5 * problem.eigenvalues * modes * modes).sum(axis=1)
