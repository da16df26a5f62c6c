"""SGD made ready for the engine: least squares and compiled losses run in kernels, the rest in NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sgdlimits.ensembles import packs
from sgdlimits.ensembles.crowd import PackedState, RowState
from sgdlimits.ensembles.engine import Simulator
from sgdlimits.ensembles.normals import scratch
from sgdlimits.ensembles.random import PACK, SAMPLINGS, Noise
from sgdlimits.ensembles.recurrences import RecurrenceSimulator
from sgdlimits.problems.least_squares import LeastSquares
from sgdlimits.problems.quadratic import QuadraticProblem
from sgdlimits.problems.streaming import StreamingLeastSquares

from .kernels import minibatch, streaming
from .loss_kernels import compiled_loss

if TYPE_CHECKING:
    from .sgd import SGD


def make_simulator(sgd: SGD) -> Simulator:
    """The fastest simulator that the problem allows."""
    if isinstance(sgd.problem, LeastSquares):
        return MinibatchSimulator(sgd)
    if isinstance(sgd.problem, StreamingLeastSquares):
        return StreamingSimulator(sgd)
    if sgd.problem.compiled:
        return CompiledLossSimulator(sgd)
    return RecurrenceSimulator(sgd, sgd.problem.dimension, sgd.problem.risk)


@dataclass(eq=False)
class Paths(RowState):
    """State of P consecutive paths from number `path`; `orders` and `epochs` only for reshuffled epochs."""

    path: int
    x: np.ndarray
    velocity: np.ndarray
    overflow: np.ndarray
    orders: np.ndarray
    epochs: np.ndarray


@dataclass(eq=False)
class PackedPaths(PackedState):
    """State of consecutive paths from number `path`, in packs of modes."""

    path: int
    x: np.ndarray
    velocity: np.ndarray
    overflow: np.ndarray


class RowsSimulator:
    """Common to the simulators that hold positions (P, d) row by row, in original coordinates."""

    sgd: SGD

    @property
    def dimension(self) -> int:
        return self.sgd.problem.dimension

    def start(self, positions: np.ndarray, noise: Noise) -> Paths:
        paths = len(positions)
        x = np.array(positions, dtype=np.float64, order="C")
        stored = paths if self.sgd.sampling == "reshuffle" else 0
        return Paths(
            path=int(noise.paths[0]),
            x=x,
            velocity=np.zeros((paths if self.sgd.momentum else 0, x.shape[1])),
            overflow=np.full(paths, -1, dtype=np.int64),
            orders=np.zeros((stored, self.sgd.problem.samples), dtype=np.int64),
            epochs=np.full(stored, -1, dtype=np.int64),
        )

    def positions(self, state: Paths) -> np.ndarray:
        return state.x.copy()

    def overflow_steps(self, state: Paths) -> np.ndarray:
        return state.overflow


def risk_of(problem: QuadraticProblem, positions: np.ndarray) -> np.ndarray:
    """L (P,) at positions (P, d), P a multiple of PACK; the bits of a path do not depend on P."""
    # One product a pack: the bits of a matrix product may depend on its number of rows.
    with np.errstate(over="ignore", invalid="ignore"):  # the engine reports paths that overflowed
        centred = (positions - problem.least_risk_point).reshape(-1, PACK, problem.dimension)
        modes = (centred @ problem.eigenvectors).reshape(positions.shape)
        return problem.least_risk + (0.5 * problem.eigenvalues * modes * modes).sum(axis=1)


@dataclass(frozen=True, eq=False)
class MinibatchSimulator(RowsSimulator):
    """SGD on finite least squares, in original coordinates."""

    sgd: SGD
    compiled: bool = True

    def advance(self, state: Paths, first: int, last: int, noise: Noise) -> None:
        sgd, problem = self.sgd, self.sgd.problem
        minibatch(
            state.x, state.velocity, state.overflow, state.orders, state.epochs, problem.features,
            problem.targets, sgd.step_size, problem.ridge, sgd.label_noise, sgd.momentum, sgd.nesterov,
            sgd.batch_size, SAMPLINGS.index(sgd.sampling), np.uint64(noise.seed), state.path, first, last,
            *scratch(noise.quality),
        )  # fmt: skip

    def measure(self, name: str, state: Paths) -> np.ndarray | None:
        return risk_of(self.sgd.problem, state.x) if name == "risk" else None


@dataclass(frozen=True, eq=False)
class StreamingSimulator:
    """SGD on streaming least squares, in packs of paths and in the eigenbasis (not centred)."""

    sgd: SGD
    compiled: bool = True

    @property
    def dimension(self) -> int:
        return self.sgd.problem.dimension

    def start(self, positions: np.ndarray, noise: Noise) -> PackedPaths:
        x = packs.rotate(packs.pack(positions), np.ascontiguousarray(self.sgd.problem.eigenvectors.T))
        return PackedPaths(
            path=int(noise.paths[0]),
            x=x,
            velocity=np.zeros_like(x) if self.sgd.momentum else np.zeros((0, *x.shape[1:])),
            overflow=np.full((x.shape[0], x.shape[2]), -1, dtype=np.int64),
        )

    def advance(self, state: PackedPaths, first: int, last: int, noise: Noise) -> None:
        sgd, problem = self.sgd, self.sgd.problem
        streaming(
            state.x, state.velocity, state.overflow, np.sqrt(problem.eigenvalues),
            problem.eigenvectors.T @ problem.truth, sgd.step_size, problem.ridge,
            float(np.hypot(problem.noise, sgd.label_noise)), sgd.momentum, sgd.nesterov, sgd.batch_size,
            np.uint64(noise.seed), state.path, first, last, *scratch(noise.quality),
        )  # fmt: skip

    def positions(self, state: PackedPaths) -> np.ndarray:
        return packs.unpack(packs.rotate(state.x, np.ascontiguousarray(self.sgd.problem.eigenvectors)))

    def measure(self, name: str, state: PackedPaths) -> np.ndarray | None:
        problem = self.sgd.problem
        if name == "risk":
            centred = state.x - (problem.eigenvectors.T @ problem.least_risk_point)[:, None]
            return packs.quadratic(
                centred, problem.least_risk, np.zeros(problem.dimension), 0.5 * problem.eigenvalues
            )
        return packs.norm(state.x) if name == "norm" else None

    def overflow_steps(self, state: PackedPaths) -> np.ndarray:
        return state.overflow.ravel()


@dataclass(frozen=True, eq=False)
class CompiledLossSimulator(RowsSimulator):
    """SGD on a loss whose sample gradient is compiled."""

    sgd: SGD
    compiled: bool = True

    def advance(self, state: Paths, first: int, last: int, noise: Noise) -> None:
        sgd, problem = self.sgd, self.sgd.problem
        compiled_loss(
            problem.compiled_gradient, problem.data, state.x, state.velocity, state.overflow, state.orders,
            state.epochs, problem.samples, sgd.step_size, problem.ridge, sgd.momentum, sgd.nesterov,
            sgd.batch_size, SAMPLINGS.index(sgd.sampling), np.uint64(noise.seed), state.path, first, last,
        )  # fmt: skip

    def measure(self, name: str, state: Paths) -> np.ndarray | None:
        return self.sgd.problem.risk(state.x) if name == "risk" else None
