"""Fresh Gaussian samples of streaming least squares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sgdlimits.ensembles import packs
from sgdlimits.ensembles.engine import Simulator
from sgdlimits.ensembles.normals import scratch
from sgdlimits.ensembles.random import Noise, Purpose
from sgdlimits.ensembles.simulators import ArraySimulator, PathArrays
from sgdlimits.problems.streaming import StreamingLeastSquares

from ..kernels import streaming, streaming_in_memory
from ..rules.momentum import Plain
from ..rules.registry import compiled_rule
from .rows import batch_gradient
from .source import Descent, Source, loop_for


@dataclass(frozen=True, eq=False)
class Stream(Source):
    """Samples that nobody has seen before; label noise adds to the problem's own."""

    problem: StreamingLeastSquares
    batch_size: int
    sampling: str
    label_noise: float
    compiled: bool = True

    def gradient(self, k: int, x: np.ndarray, noise: Noise) -> np.ndarray:
        problem, batch = self.problem, self.batch_size
        normals = noise.normals(Purpose.FEATURES, k, batch * problem.dimension)
        features = normals.reshape(-1, batch, problem.dimension) * np.sqrt(problem.eigenvalues)
        features = features @ problem.eigenvectors.T
        scale = float(np.hypot(problem.noise, self.label_noise))
        return batch_gradient(problem, features, features @ problem.truth, scale, k, x, noise)

    def simulator(self, descent: Descent) -> Simulator:
        """In packs of paths: in the eigenbasis (not centred) where the rule allows."""
        problem, modal = self.problem, descent.update_rule.equivariant
        basis = np.ascontiguousarray(problem.eigenvectors)
        into = np.ascontiguousarray(problem.eigenvectors.T)

        def enter(positions: np.ndarray) -> np.ndarray:
            return packs.rotate(packs.pack(positions), into) if modal else packs.pack(positions)

        def leave(state: PathArrays) -> np.ndarray:
            return packs.unpack(packs.rotate(state.x, basis) if modal else state.x)

        def kept(x: np.ndarray) -> dict[str, np.ndarray]:
            return {"slots": np.zeros((len(x), descent.update_rule.slots, *x.shape[1:]))}

        def risk(state: PathArrays) -> np.ndarray:
            modes = state.x if modal else packs.rotate(state.x, into)
            centred = modes - (problem.eigenvectors.T @ problem.least_risk_point)[:, None]
            return packs.quadratic(centred, problem.least_risk, np.zeros(problem.dimension), 0.5 * problem.eigenvalues)

        def advance(state: PathArrays, first: int, last: int, noise: Noise) -> None:
            rule, settings = compiled_rule(descent.update_rule)
            loop_for(rule, streaming, streaming_in_memory)(
                state.x, state.kept["slots"], state.overflow, np.sqrt(problem.eigenvalues),
                problem.eigenvectors.T @ problem.truth, np.zeros((0, 0)) if modal else basis,
                descent.step_sizes(first, last), problem.ridge,
                float(np.hypot(problem.noise, descent.label_noise)), rule, settings,
                isinstance(descent.update_rule, Plain), descent.batch_weights,
                np.uint64(noise.seed), state.path, first, last, *scratch(noise.quality),
            )  # fmt: skip

        return ArraySimulator(
            "SGD on a stream", problem.dimension, advance, enter, leave,
            {"risk": risk, "norm": lambda state: packs.norm(state.x)}, kept, packed=True,
        )  # fmt: skip
