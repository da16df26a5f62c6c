"""Batches of rows of finite least squares."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from sgdlimits.ensembles.engine import Simulator
from sgdlimits.ensembles.normals import scratch
from sgdlimits.ensembles.random import PACK, SAMPLINGS, Noise, Purpose
from sgdlimits.ensembles.simulators import ArraySimulator, PathArrays, risk_of
from sgdlimits.exact.cost import check_memory
from sgdlimits.exact.path_matrices import Dense, LowRank, PathMatrices
from sgdlimits.problems.least_squares import LeastSquares
from sgdlimits.problems.quadratic import QuadraticProblem

from ..kernels import minibatch, minibatch_in_memory
from ..rules.curved import Curvature
from ..rules.registry import compiled_rule
from ..single_rows import form_of
from .matrices import ROUNDING, fisher, needs, noise_for, why_batches_of_rows_are_singular
from .source import Descent, Source, drawn_rows, kept_of_rows, loop_for


@dataclass(frozen=True, eq=False)
class Rows(Source):
    """Rows drawn from the data, each label with fresh noise."""

    problem: LeastSquares
    batch_size: int
    sampling: str
    label_noise: float
    compiled: bool = True
    quadratic = True

    def gradient(self, k: int, x: np.ndarray, noise: Noise) -> np.ndarray:
        features, labels = self._batch(k, noise, self.batch_size)
        return batch_gradient(self.problem, features, labels, self.label_noise, k, x, noise)

    def _batch(self, k: int, noise: Noise, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Features (P, size, d) and labels (P, size) that the paths draw."""
        rows = drawn_rows(k, noise, size, self.problem.samples, self.sampling)
        return self.problem.features[rows], self.problem.targets[rows]

    def curvature(self, asked: Curvature, k: int, x: np.ndarray, noise: Noise) -> PathMatrices:
        problem = self.problem
        if asked.samples == "all":
            if asked.matrix in ("hessian", "expected"):
                return Dense(problem.hessian[None], problem.ridge)
            return self._fisher_of_all(asked.matrix, x)
        noise = noise_for(asked, noise)
        features, labels = self._batch(k, noise, asked.size or self.batch_size)
        return batch_matrix(problem, features, labels, self.label_noise, asked, k, x, noise)

    def _fisher_of_all(self, matrix: str, x: np.ndarray) -> Dense:
        """Label noise counts, fresh as it is."""
        problem = self.problem
        n, d = problem.features.shape
        residuals = x @ problem.features.T - problem.targets
        second = ((np.square(residuals) + self.label_noise**2) @ self._products).reshape(-1, d, d) / n
        slope = residuals @ problem.features / n
        return _centred(second, slope) if matrix == "centred" else _with_ridge(second, slope, x, problem.ridge)

    @cached_property
    def _products(self) -> np.ndarray:
        """a a^T (n, d^2) of all rows a."""
        a = self.problem.features
        check_memory("products of columns of all rows", 8.0 * a.size * a.shape[1], "use fewer rows or columns")
        return (a[:, :, None] * a[:, None, :]).reshape(len(a), -1)

    def lacks(self, asked: Curvature) -> str:
        return lacks_batch(asked, self.batch_size, self.sampling, self.problem.samples)

    def may_be_singular(self, asked: Curvature, damping: float) -> str:
        problem = self.problem
        if asked.matrix not in ("hessian", "expected"):
            return "" if damping > 0 else "gradients may vanish together: state a damping above 0"
        shift = problem.ridge + damping
        if shift > 0:
            return ""
        if asked.samples == "all":
            least = problem.eigenvalues.min()
            if least + shift > ROUNDING * problem.eigenvalues.max():
                return ""
            return needs(shift, "it is singular")
        batch = asked.size or self.batch_size
        why = why_batches_of_rows_are_singular(problem.features, batch, self.sampling)
        return needs(shift, why) if why or shift < 0 else ""

    def simulator(self, descent: Descent) -> Simulator:
        return ArraySimulator(
            "SGD on rows", self.problem.dimension, partial(_advance, descent), kept=partial(kept_of_rows, descent),
            measures=risk_of(partial(least_squares_risk, self.problem)),
        )  # fmt: skip


def batch_matrix(
    problem: QuadraticProblem, features: np.ndarray, labels: np.ndarray, label_noise: float, asked: Curvature, k: int,
    x: np.ndarray, noise: Noise,
) -> LowRank:  # fmt: skip
    """Of a batch of least squares, features (P, B, d) and labels (P, B), with the label noise of its gradient."""
    if asked.matrix in ("hessian", "expected"):
        return LowRank(features / np.sqrt(features.shape[1]), problem.ridge)
    errors = label_noise * noise.normals(Purpose.LABEL_NOISE, k, labels.shape[1]) if label_noise else 0.0
    residuals = np.einsum("pbj,pj->pb", features, x) - labels - errors
    return fisher(features * residuals[:, :, None] + problem.ridge * x[:, None], asked.matrix)


def lacks_batch(asked: Curvature, batch_size: int, sampling: str, samples: int | None) -> str:
    """Why a batch cannot give the matrix: of one sample there is no covariance, and a batch has at most all rows."""
    size = asked.size or batch_size
    if asked.matrix == "centred" and asked.samples != "all" and size == 1:
        return "one sample has no covariance: raise batch_size, or take fisher='empirical'"
    if sampling != "with_replacement" and samples is not None and size > samples:
        return f"hessian_batch_size is {size}, over the {samples} samples that there are"
    return ""


def _centred(second: np.ndarray, slope: np.ndarray) -> Dense:
    return Dense(second - slope[:, :, None] * slope[:, None, :])


def _with_ridge(second: np.ndarray, slope: np.ndarray, x: np.ndarray, ridge: float) -> Dense:
    """Mean of (g + ridge x)(g + ridge x)^T from that of g g^T and the mean g."""
    if not ridge:
        return Dense(second)
    cross = ridge * slope[:, :, None] * x[:, None, :]
    return Dense(second + cross + cross.swapaxes(1, 2) + ridge**2 * x[:, :, None] * x[:, None, :])


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
        form_of(descent.update_rule), descent.batch_weights, SAMPLINGS.index(descent.sampling),
        np.uint64(noise.seed), state.path, first, last, *scratch(noise.quality),
    )  # fmt: skip


def least_squares_risk(problem: QuadraticProblem, positions: np.ndarray) -> np.ndarray:
    """L (P,) at positions (P, d), P a multiple of PACK; the bits of a path do not depend on P."""
    # One product a pack: the bits of a matrix product may depend on its number of rows.
    with np.errstate(over="ignore", invalid="ignore"):  # the engine reports paths that overflowed
        centred = (positions - problem.least_risk_point).reshape(-1, PACK, problem.dimension)
        modes = (centred @ problem.eigenvectors).reshape(positions.shape)
        return problem.least_risk + (0.5 * problem.eigenvalues * modes * modes).sum(axis=1)
