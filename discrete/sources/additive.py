"""Gaussian noise of one covariance on the gradient of a quadratic."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sgdlimits.ensembles.engine import Simulator
from sgdlimits.ensembles.normals import scratch
from sgdlimits.ensembles.random import Noise, Purpose
from sgdlimits.ensembles.simulators import PathArrays
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.exact.path_matrices import Dense, PathMatrices
from sgdlimits.problems.quadratic import QuadraticProblem

from ..additive_kernels import additive, additive_in_memory
from ..rules.curved import Curvature
from ..rules.registry import compiled_rule
from .matrices import ROUNDING
from .packed import PackedPaths
from .source import Descent, Source, loop_for


@dataclass(frozen=True, eq=False)
class Additive(Source):
    """The mean of a batch: the gradient, and one draw of the noise with its covariance times the sampling factor."""

    problem: QuadraticProblem
    batch_size: int
    sampling: str
    label_noise: float
    compiled: bool = True
    quadratic = True

    @cached_property
    def _root(self) -> np.ndarray:
        """Root (d, d) of the covariance of a batch's gradient, in modes; diagonal where that is."""
        problem = self.problem
        factor = problem.sampling_factor(self.batch_size, self.sampling)
        covariance = factor * problem.noise_covariance_map(np.zeros((0, 0)), np.zeros(0))
        diagonal = np.diagonal(covariance)
        if not (covariance - np.diag(diagonal)).any():
            return np.diag(np.sqrt(diagonal))
        values, vectors = np.linalg.eigh(covariance)
        return vectors * np.sqrt(np.maximum(values, 0.0)) @ vectors.T

    def gradient(self, k: int, x: np.ndarray, noise: Noise) -> np.ndarray:
        modes = self.problem.to_modes(x)
        drawn = noise.normals(Purpose.GRADIENT, k, self.problem.dimension) @ self._root
        return (modes * self.problem.curvatures + drawn) @ self.problem.eigenvectors.T

    def curvature(self, asked: Curvature, k: int, x: np.ndarray, noise: Noise) -> PathMatrices:
        """Every batch has the Hessian of the whole."""
        problem = self.problem
        if asked.matrix == "hessian":
            return Dense(problem.hessian[None], problem.ridge)
        covariance = problem.gradient_noise_covariance(problem.minimiser)
        if asked.matrix == "centred":
            return Dense(covariance[None])
        slope = problem.gradient(x)
        return Dense(covariance + slope[:, :, None] * slope[:, None, :])

    def lacks(self, asked: Curvature) -> str:
        if asked.matrix == "expected":
            return "noise of a covariance is no model of labels: take fisher='centred' or 'empirical'"
        if asked.matrix != "hessian" and asked.samples != "all":
            return "samples of a batch are not drawn one by one here: take samples='all'"
        return ""

    def may_be_singular(self, asked: Curvature, damping: float) -> str:
        problem = self.problem
        if asked.matrix == "hessian":
            values, what = problem.curvatures, "the objective has curvature"
        else:
            covariance = problem.gradient_noise_covariance(problem.minimiser)
            values, what = np.linalg.eigvalsh(covariance), "the noise has variance"
        lowest = float(values.min())
        least = lowest + damping
        if least > ROUNDING * float(np.abs(values).max()):
            return ""
        return f"{what} {lowest:.4g} in some direction: state a damping above {max(0.0, -lowest):.4g}"

    def simulator(self, descent: Descent) -> Simulator:
        """In packs of paths: in the eigenbasis (not centred) where the rule allows."""
        if (descent.batch_weights != 1).any():
            raise InvalidInput("weights on a batch's samples need samples, and this problem has only their covariance")
        problem, paths = self.problem, PackedPaths(self.problem, descent.update_rule)
        inner = np.diag(problem.curvatures) if paths.modal else paths.basis * problem.curvatures @ paths.into
        curvatures, hessian = _split(inner)
        roots, root = _split(self._root if paths.modal else paths.basis @ self._root)
        minimiser = problem.minimiser_modes if paths.modal else problem.minimiser

        def advance(state: PathArrays, first: int, last: int, noise: Noise) -> None:
            rule, settings = compiled_rule(descent.update_rule)
            loop_for(rule, additive, additive_in_memory)(
                state.x, state.kept["slots"], state.overflow, curvatures, minimiser, hessian, roots, root,
                descent.step_sizes(first, last), rule, settings, np.uint64(noise.seed), state.path, first, last,
                *scratch(noise.quality),
            )  # fmt: skip

        return paths.simulator("SGD with additive noise", advance)


def _split(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Diagonal (d,) and nothing of a diagonal matrix; else zeros and the matrix."""
    diagonal = np.diagonal(matrix).copy()
    if (matrix - np.diag(diagonal)).any():
        return np.zeros(len(matrix)), np.ascontiguousarray(matrix)
    return diagonal, np.zeros((0, 0))
