"""Fresh Gaussian samples of streaming least squares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sgdlimits.ensembles import packs
from sgdlimits.ensembles.crowd import PackedState
from sgdlimits.ensembles.normals import scratch
from sgdlimits.ensembles.random import Noise, Purpose
from sgdlimits.problems.streaming import StreamingLeastSquares

from ..kernels import streaming, streaming_in_memory
from ..rules.momentum import Plain
from ..rules.registry import compiled_rule
from .rows import batch_gradient
from .source import Source, loop_for

if TYPE_CHECKING:
    from ..sgd import SGD


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

    def simulator(self, descent: SGD) -> StreamingSimulator:
        return StreamingSimulator(descent)


@dataclass(eq=False)
class PackedPaths(PackedState):
    """State of consecutive paths from number `path`, in packs."""

    path: int
    x: np.ndarray
    slots: np.ndarray
    overflow: np.ndarray


@dataclass(frozen=True, eq=False)
class StreamingSimulator:
    """Descent on streaming least squares, in packs of paths: in the eigenbasis (not centred) where the rule allows."""

    descent: SGD
    compiled: bool = True

    @property
    def dimension(self) -> int:
        return self.descent.problem.dimension

    @property
    def modal(self) -> bool:
        """Whether the state is in the eigenbasis."""
        return self.descent.update_rule.equivariant

    def start(self, positions: np.ndarray, noise: Noise) -> PackedPaths:
        x = packs.pack(positions)
        if self.modal:
            x = self._modes(x)
        return PackedPaths(
            path=int(noise.paths[0]),
            x=x,
            slots=np.zeros((len(x), self.descent.update_rule.slots, *x.shape[1:])),
            overflow=np.full((x.shape[0], x.shape[2]), -1, dtype=np.int64),
        )

    def advance(self, state: PackedPaths, first: int, last: int, noise: Noise) -> None:
        descent, problem = self.descent, self.descent.problem
        rule, settings = compiled_rule(descent.update_rule)
        loop_for(rule, streaming, streaming_in_memory)(
            state.x, state.slots, state.overflow, np.sqrt(problem.eigenvalues),
            problem.eigenvectors.T @ problem.truth,
            np.zeros((0, 0)) if self.modal else np.ascontiguousarray(problem.eigenvectors),
            descent.step_sizes(first, last), problem.ridge,
            float(np.hypot(problem.noise, descent.label_noise)), rule, settings,
            isinstance(descent.update_rule, Plain), descent.batch_size,
            np.uint64(noise.seed), state.path, first, last, *scratch(noise.quality),
        )  # fmt: skip

    def positions(self, state: PackedPaths) -> np.ndarray:
        if not self.modal:
            return packs.unpack(state.x)
        return packs.unpack(packs.rotate(state.x, np.ascontiguousarray(self.descent.problem.eigenvectors)))

    def measure(self, name: str, state: PackedPaths) -> np.ndarray | None:
        problem = self.descent.problem
        if name == "risk":
            modes = state.x if self.modal else self._modes(state.x)
            centred = modes - (problem.eigenvectors.T @ problem.least_risk_point)[:, None]
            return packs.quadratic(
                centred, problem.least_risk, np.zeros(problem.dimension), 0.5 * problem.eigenvalues
            )
        return packs.norm(state.x) if name == "norm" else None

    def _modes(self, x: np.ndarray) -> np.ndarray:
        return packs.rotate(x, np.ascontiguousarray(self.descent.problem.eigenvectors.T))

    def overflow_steps(self, state: PackedPaths) -> np.ndarray:
        return state.overflow.ravel()
