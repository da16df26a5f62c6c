"""The built-in diffusions made ready for the engine: packs of modes, advanced by fused kernels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from sgdlimits.ensembles import limits, packs
from sgdlimits.ensembles.crowd import Arrays, PackedState, PathState, RowState
from sgdlimits.ensembles.normals import scratch
from sgdlimits.ensembles.packs import PACK
from sgdlimits.ensembles.random import Noise, Purpose
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.problems.least_squares import LeastSquares
from sgdlimits.problems.quadratic import QuadraticProblem
from sgdlimits.problems.streaming import StreamingLeastSquares

from .kernels import covariance_noise, dense_noise, diagonal_noise, sample_noise

NONE = np.empty(0)


@dataclass(eq=False)
class Modes(PackedState):
    """State of consecutive paths from number `path`: packs (P / PACK, d, PACK) and integrator steps of overflow."""

    path: int
    packs: np.ndarray
    overflow: np.ndarray


class ModalSimulator:
    """Common to the kernels of this file: positions and observables of packs y = decay_before_noise * modes."""

    problem: QuadraticProblem
    substeps: int
    compiled: bool = True

    @property
    def dimension(self) -> int:
        return self.problem.dimension

    @property
    def scale(self) -> np.ndarray:
        """Factor (d,) between what the kernel moves and the modes; not 1 for splitting schemes only."""
        return getattr(self, "decay_before_noise", np.ones(self.dimension))

    def start(self, positions: np.ndarray, noise: Noise) -> Modes:
        rotation = np.ascontiguousarray(self.problem.eigenvectors.T * self.scale[:, None])
        centred = positions - self.problem.minimiser
        if (centred == centred[0]).all():  # one start for all: turn one pack, not each
            state = packs.rotate(packs.pack(centred[:PACK]), rotation).repeat(len(centred) // PACK, axis=0)
        else:
            state = packs.rotate(packs.pack(centred), rotation)
        return Modes(int(noise.paths[0]), state, np.full((len(state), PACK), -1, dtype=np.int64))

    def positions(self, state: Modes) -> np.ndarray:
        rotation = np.ascontiguousarray(self.problem.eigenvectors / self.scale)
        return packs.unpack(packs.rotate(state.packs, rotation)) + self.problem.minimiser

    def measure(self, name: str, state: Modes) -> np.ndarray | None:
        problem, scale = self.problem, self.scale
        if name == "risk":
            linear, square = problem.risk_slope / scale, 0.5 * problem.eigenvalues / scale**2
            return packs.quadratic(state.packs, problem.risk_at_minimiser, linear, square)
        if name == "norm":
            return packs.norm(state.packs / scale[:, None] + problem.minimiser_modes[:, None])
        return None

    def overflow_steps(self, state: Modes) -> np.ndarray:
        steps = state.overflow.ravel()
        return np.where(steps < 0, -1, -(-steps // self.substeps))

    def span(self, first: int, last: int) -> tuple[int, int]:
        """The integrator's steps of SGD steps first..last-1."""
        return first * self.substeps, last * self.substeps


@dataclass(frozen=True, eq=False)
class DiagonalSimulator(ModalSimulator):
    """y <- decay y + sqrt(level) spread xi, level = floor + slope . z + coupling . z^2, z = y / decay_before_noise."""

    problem: QuadraticProblem
    substeps: int
    decay_before_noise: np.ndarray
    decay: np.ndarray
    spread: np.ndarray
    floor: float
    slope: np.ndarray
    coupling: np.ndarray
    two_point: bool = False

    def advance(self, state: Modes, first: int, last: int, noise: Noise) -> None:
        # Splitting schemes see the noise level at y itself: that is their point.
        quality = "two_point" if self.two_point else noise.quality
        diagonal_noise(
            state.packs, state.overflow, self.decay, self.spread, self.floor, self.slope, self.coupling, NONE, NONE,
            np.uint64(noise.seed), state.path, *self.span(first, last), *scratch(quality, 2 if self.two_point else 64),
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class DenseNoiseSimulator(ModalSimulator):
    """z <- decay z + root xi with a constant root (d, d)."""

    problem: QuadraticProblem
    substeps: int
    decay: np.ndarray
    root: np.ndarray

    def advance(self, state: Modes, first: int, last: int, noise: Noise) -> None:
        dense_noise(
            state.packs, state.overflow, self.decay, self.root, np.uint64(noise.seed), state.path,
            *self.span(first, last), *scratch(noise.quality),
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class SampleNoiseSimulator(ModalSimulator):
    """z <- decay z + noise of the covariance scale^2 (C(z) + label_noise^2 H), one normal a sample."""

    problem: LeastSquares
    substeps: int
    decay: np.ndarray
    noise_scale: float
    label_noise: float

    def advance(self, state: Modes, first: int, last: int, noise: Noise) -> None:
        rows = np.ascontiguousarray(self.problem.augmented_modes[:, :-1])
        offsets = np.ascontiguousarray(self.problem.augmented_modes[:, -1])
        own = self.noise_scale * self.label_noise * np.sqrt(self.problem.eigenvalues) if self.label_noise else NONE
        sample_noise(
            state.packs, state.overflow, self.decay, self.noise_scale, rows, np.ascontiguousarray(rows.T), offsets,
            own, np.uint64(noise.seed), state.path, *self.span(first, last), *scratch(noise.quality),
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class CovarianceNoiseSimulator(ModalSimulator):
    """The same law with d normals a step, from the covariance's table: for many more samples than d^2."""

    problem: LeastSquares
    substeps: int
    decay: np.ndarray
    noise_scale: float
    label_noise: float

    @cached_property
    def table(self) -> np.ndarray:
        """Packed triangle of (modes, 1) (modes, 1)^T -> that of the covariance."""
        return covariance_table(self.problem, self.label_noise)

    def advance(self, state: Modes, first: int, last: int, noise: Noise) -> None:
        covariance_noise(
            state.packs, state.overflow, self.decay, self.noise_scale, self.table, np.uint64(noise.seed), state.path,
            *self.span(first, last), *scratch(noise.quality),
        )  # fmt: skip


def covariance_table(problem: LeastSquares, label_noise: float) -> np.ndarray:
    """Matrix from the packed triangle of (modes, 1) (modes, 1)^T to that of one sample's gradient covariance."""
    rows, columns = np.triu_indices(problem.dimension)
    table = problem.fourth_moments.copy()
    table[rows == columns, -1] += label_noise**2 * problem.eigenvalues
    return table


@dataclass(frozen=True, eq=False)
class CommonNoiseSimulator(ModalSimulator):
    """Noise of Gaussian features: sqrt(2 L + label_noise^2) sqrt(H) xi plus the gradient times one common normal."""

    problem: StreamingLeastSquares
    substeps: int
    decay: np.ndarray
    noise_scale: float
    label_noise: float

    def advance(self, state: Modes, first: int, last: int, noise: Noise) -> None:
        problem, scale = self.problem, self.noise_scale
        diagonal_noise(
            state.packs, state.overflow, self.decay, scale * np.sqrt(problem.eigenvalues),
            2 * problem.risk_at_minimiser + self.label_noise**2, 2 * problem.risk_slope, problem.eigenvalues,
            scale * problem.eigenvalues, scale * problem.eigenvalues * problem.offset_modes,
            np.uint64(noise.seed), state.path, *self.span(first, last), *scratch(noise.quality),
        )  # fmt: skip


@dataclass(eq=False)
class Positions(RowState):
    """Positions (P, d) in original coordinates, and the integrator step of overflow (P,)."""

    x: np.ndarray
    overflow: np.ndarray


@dataclass(frozen=True, eq=False)
class SampledLossSimulator:
    """Euler-Maruyama with one normal a sample, for losses given sample by sample: no d x d matrix is formed."""

    process: Any
    substeps: int
    compiled: bool = False  # the problem's functions may be a user's NumPy

    @property
    def dimension(self) -> int:
        return self.process.dimension

    def start(self, positions: np.ndarray, noise: Noise) -> Positions:
        return Positions(np.array(positions), np.full(len(positions), -1, dtype=np.int64))

    def advance(self, state: Positions, first: int, last: int, noise: Noise) -> None:
        process, problem = self.process, self.process.problem
        dt = 1 / (float(process.clock) * self.substeps)
        scale = np.sqrt(dt * process.step_size / (process.batch_size * problem.samples))
        for k in range(first * self.substeps, last * self.substeps):
            with np.errstate(over="ignore", invalid="ignore"):
                weights = noise.normals(Purpose.BROWNIAN, k, problem.samples)
                weights -= weights.mean(axis=1, keepdims=True)
                noisy = scale * problem.weighted_gradients(state.x, weights)
                state.x = state.x + dt * process.drift(k * dt, state.x) + noisy
            limits.mark(state.overflow, state.x, k + 1)

    def positions(self, state: Positions) -> np.ndarray:
        return state.x.copy()

    def measure(self, name: str, state: Positions) -> np.ndarray | None:
        return self.process.problem.risk(state.x) if name == "risk" else None

    def overflow_steps(self, state: Positions) -> np.ndarray:
        return np.where(state.overflow < 0, -1, -(-state.overflow // self.substeps))


@dataclass(eq=False)
class Flow(PathState):
    """Distinct starts (u, d), which of them each path (P,) follows, and the step (u,) at which they overflowed."""

    x: np.ndarray
    member: np.ndarray
    overflow: np.ndarray

    def dump(self) -> Arrays:
        return {"x": self.x[self.member], "overflow": self.overflow[self.member]}

    def load(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.x, first, member = np.unique(arrays["x"], axis=0, return_index=True, return_inverse=True)
        self.member, self.overflow = member.ravel(), np.array(arrays["overflow"])[first]


@dataclass(frozen=True, eq=False)
class FlowSimulator:
    """Gradient flow of any loss, by an adaptive Runge-Kutta method to a relative 1e-10 a step."""

    problem: Any
    step_size: float
    compiled: bool = True  # a path's bits do not depend on its company

    @property
    def dimension(self) -> int:
        return self.problem.dimension

    def start(self, positions: np.ndarray, noise: Noise) -> Flow:
        starts, member = np.unique(positions, axis=0, return_inverse=True)
        return Flow(starts, member.ravel(), np.full(len(starts), -1, dtype=np.int64))

    def advance(self, state: Flow, first: int, last: int, noise: Noise) -> None:
        # Step by step: how a run is cut into calls must not change any bit.
        for row in range(len(state.x)):
            for step in range(first, last):
                if state.overflow[row] >= 0:
                    break
                state.x[row] = self._moved(state.x[row], step)
                limits.mark(state.overflow[row : row + 1], state.x[row : row + 1], step + 1)

    def _moved(self, x: np.ndarray, step: int) -> np.ndarray:
        from scipy.integrate import solve_ivp

        def drift(t: float, y: np.ndarray) -> np.ndarray:
            return -self.problem.gradient(y)

        with np.errstate(over="ignore", invalid="ignore"):
            solved = solve_ivp(drift, (0, self.step_size), x, "DOP853", rtol=1e-10, atol=1e-12)
        if solved.success:
            return solved.y[:, -1]
        if np.linalg.norm(solved.y[:, -1]) > 1e10 * (1 + np.linalg.norm(x)):
            return np.full_like(x, np.inf)  # it explodes in finite time
        raise InvalidInput(f"gradient flow cannot be solved past step {step}: {solved.message.lower()}")

    def positions(self, state: Flow) -> np.ndarray:
        return state.x[state.member]

    def measure(self, name: str, state: Flow) -> np.ndarray | None:
        if name != "risk":
            return None
        risks = [np.inf if gone >= 0 else float(self.problem.risk(x)) for x, gone in zip(state.x, state.overflow)]
        return np.array(risks)[state.member]

    def overflow_steps(self, state: Flow) -> np.ndarray:
        return state.overflow[state.member]
