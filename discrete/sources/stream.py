"""Fresh Gaussian samples of streaming least squares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sgdlimits.ensembles.engine import Simulator
from sgdlimits.ensembles.normals import scratch
from sgdlimits.ensembles.random import Noise, Purpose
from sgdlimits.ensembles.simulators import PathArrays
from sgdlimits.exact.path_matrices import Dense, DiagonalPlusRankOne, PathMatrices
from sgdlimits.problems.streaming import StreamingLeastSquares

from ..kernels import streaming, streaming_in_memory
from ..rules.curved import Curvature
from ..rules.momentum import Plain
from ..rules.registry import compiled_rule
from .matrices import needs, noise_for
from .packed import PackedPaths
from .rows import batch_gradient, batch_matrix, lacks_batch
from .source import Descent, Source, loop_for


@dataclass(frozen=True, eq=False)
class Stream(Source):
    """Samples that nobody has seen before; label noise adds to the problem's own."""

    problem: StreamingLeastSquares
    batch_size: int
    sampling: str
    label_noise: float
    compiled: bool = True
    quadratic = True

    def gradient(self, k: int, x: np.ndarray, noise: Noise) -> np.ndarray:
        features = self._features(k, noise, self.batch_size)
        return batch_gradient(self.problem, features, features @ self.problem.truth, self._scale, k, x, noise)

    @property
    def _scale(self) -> float:
        """Standard deviation of the noise on a label."""
        return float(np.hypot(self.problem.noise, self.label_noise))

    def _features(self, k: int, noise: Noise, size: int) -> np.ndarray:
        """Features (P, size, d) of fresh samples."""
        problem = self.problem
        normals = noise.normals(Purpose.FEATURES, k, size * problem.dimension)
        features = normals.reshape(-1, size, problem.dimension) * np.sqrt(problem.eigenvalues)
        return features @ problem.eigenvectors.T

    def curvature(self, asked: Curvature, k: int, x: np.ndarray, noise: Noise) -> PathMatrices:
        problem = self.problem
        if asked.samples == "all":
            if asked.matrix in ("hessian", "expected"):
                return Dense(problem.hessian[None], problem.ridge)
            return self._fisher_of_all(asked.matrix, x)
        noise = noise_for(asked, noise)
        features = self._features(k, noise, asked.size or self.batch_size)
        return batch_matrix(problem, features, features @ problem.truth, self._scale, asked, k, x, noise)

    def _fisher_of_all(self, matrix: str, x: np.ndarray) -> PathMatrices:
        """With z = x - truth in modes and h the eigenvalues: (sum h z^2 + noise^2) h + (h z)(h z)^T, by Isserlis."""
        problem, h = self.problem, self.problem.eigenvalues
        z = (x - problem.truth) @ problem.eigenvectors
        spread = (np.square(z) @ h + self._scale**2)[:, None] * h
        if matrix == "centred":
            return DiagonalPlusRankOne(problem.eigenvectors, spread, h * z)
        if not problem.ridge:
            return DiagonalPlusRankOne(problem.eigenvectors, spread, np.sqrt(2) * h * z)
        centred = DiagonalPlusRankOne(problem.eigenvectors, spread, h * z).dense()
        slope = (h * z) @ problem.eigenvectors.T + problem.ridge * x
        return Dense(centred + slope[:, :, None] * slope[:, None, :])

    def lacks(self, asked: Curvature) -> str:
        return lacks_batch(asked, self.batch_size, self.sampling, None)

    def may_be_singular(self, asked: Curvature, damping: float) -> str:
        problem, size = self.problem, asked.size or self.batch_size
        d, curved = problem.dimension, asked.matrix in ("hessian", "expected")
        shift = damping + (problem.ridge if curved else 0.0)
        if shift > 0:
            return ""
        if curved and asked.samples == "all" and problem.eigenvalues.min() + shift > 0:
            return ""
        if problem.eigenvalues.min() <= 0:
            return needs(shift, "some direction has no features")
        least = d + (asked.matrix == "centred")
        if asked.samples != "all" and size < least:
            rank = size - (asked.matrix == "centred")
            return needs(shift, f"a batch of {size} has rank {rank} at most in {d} parameters")
        return needs(shift, "") if shift < 0 else ""

    def simulator(self, descent: Descent) -> Simulator:
        """In packs of paths: in the eigenbasis (not centred) where the rule allows."""
        problem, paths = self.problem, PackedPaths(self.problem, descent.update_rule)

        def advance(state: PathArrays, first: int, last: int, noise: Noise) -> None:
            rule, settings = compiled_rule(descent.update_rule)
            loop_for(rule, streaming, streaming_in_memory)(
                state.x, state.kept["slots"], state.overflow, np.sqrt(problem.eigenvalues),
                problem.eigenvectors.T @ problem.truth, np.zeros((0, 0)) if paths.modal else paths.basis,
                descent.step_sizes(first, last), problem.ridge,
                float(np.hypot(problem.noise, descent.label_noise)), rule, settings,
                isinstance(descent.update_rule, Plain), descent.batch_weights,
                np.uint64(noise.seed), state.path, first, last, *scratch(noise.quality),
            )  # fmt: skip

        return paths.simulator("SGD on a stream", advance)
