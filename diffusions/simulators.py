"""The built-in diffusions made ready for the engine: packs of modes, advanced by fused kernels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from sgdlimits.ensembles import limits, packs
from sgdlimits.ensembles.engine import Simulator
from sgdlimits.ensembles.normals import scratch
from sgdlimits.ensembles.packs import PACK
from sgdlimits.ensembles.random import Noise, Purpose
from sgdlimits.ensembles.simulators import ArraySimulator, PathArrays, risk_of
from sgdlimits.exact.schedules import StepSizes
from sgdlimits.problems.least_squares import LeastSquares
from sgdlimits.problems.quadratic import QuadraticProblem
from sgdlimits.problems.streaming import StreamingLeastSquares

from .flow_simulator import FlowSimulator
from .kernels import covariance_noise, dense_noise, diagonal_noise, sample_noise

NONE = np.empty(0)
MOST_SIZES = 4096  # of a schedule that are kept ready


def modal_simulator(
    name: str, problem: QuadraticProblem, substeps: int, advance: Callable[[PathArrays, int, int, Noise], None],
    scale: np.ndarray | None = None,
) -> Simulator:  # fmt: skip
    """A process that moves packs of y = scale * modes; `scale` (d,) is not 1 for splitting schemes only."""
    factor = np.ones(problem.dimension) if scale is None else scale
    into = np.ascontiguousarray(problem.eigenvectors.T * factor[:, None])
    out = np.ascontiguousarray(problem.eigenvectors / factor)

    def enter(positions: np.ndarray) -> np.ndarray:
        centred = positions - problem.minimiser
        if (centred == centred[0]).all():  # one start for all: turn one pack, not each
            return packs.rotate(packs.pack(centred[:PACK]), into).repeat(len(centred) // PACK, axis=0)
        return packs.rotate(packs.pack(centred), into)

    def leave(state: PathArrays) -> np.ndarray:
        return packs.unpack(packs.rotate(state.x, out)) + problem.minimiser

    def risk(state: PathArrays) -> np.ndarray:
        linear, square = problem.risk_slope / factor, 0.5 * problem.eigenvalues / factor**2
        return packs.quadratic(state.x, problem.risk_at_minimiser, linear, square)

    def norm(state: PathArrays) -> np.ndarray:
        return packs.norm(state.x / factor[:, None] + problem.minimiser_modes[:, None])

    return ArraySimulator(
        name, problem.dimension, advance, enter, leave, {"risk": risk, "norm": norm}, packed=True, substeps=substeps,
        scale=scale,
    )  # fmt: skip


def scheduled_simulator(at: Callable[[float], Simulator], sizes: StepSizes) -> Simulator:
    """Under a schedule: each step by the simulator of its own step size, in the coordinates of the first one."""
    at, first = lru_cache(MOST_SIZES)(at), at(sizes(0))
    if isinstance(first, FlowSimulator):
        return replace(first, step_size=sizes)
    assert isinstance(first, ArraySimulator)  # the only other kind

    def advance(state: PathArrays, begin: int, end: int, noise: Noise) -> None:
        each = first.substeps
        for size, a, b in sizes.runs(begin // each, -(-end // each)):
            moving: Any = at(size)
            if moving.scale is None or size == sizes(0):
                moving.advance(state, max(a * each, begin), min(b * each, end), noise)
                continue
            ratio = (moving.scale / first.scale)[:, None]
            for k in range(a, b):  # step by step: how a run is cut into calls must not change any bit
                state.x = state.x * ratio
                moving.advance(state, max(k * each, begin), min((k + 1) * each, end), noise)
                state.x = state.x / ratio

    return replace(first, name=f"{first.name}, on a schedule", advance=advance)


def diagonal_simulator(
    name: str, problem: QuadraticProblem, substeps: int, decay_before_noise: np.ndarray, decay: np.ndarray,
    spread: np.ndarray, floor: float, slope: np.ndarray, coupling: np.ndarray, two_point: bool = False,
) -> Simulator:  # fmt: skip
    """y <- decay y + sqrt(level) spread xi, level = floor + slope . z + coupling . z^2, z = y / decay_before_noise."""

    def advance(state: PathArrays, first: int, last: int, noise: Noise) -> None:
        # Splitting schemes see the noise level at y itself: that is their point.
        quality = "two_point" if two_point else noise.quality
        diagonal_noise(
            state.x, state.overflow, decay, spread, floor, slope, coupling, NONE, NONE, np.uint64(noise.seed),
            state.path, first, last, *scratch(quality, 2 if two_point else 64),
        )  # fmt: skip

    return modal_simulator(name, problem, substeps, advance, decay_before_noise)


def dense_simulator(
    name: str, problem: QuadraticProblem, substeps: int, decay: np.ndarray, root: np.ndarray
) -> Simulator:
    """z <- decay z + root xi with a constant root (d, m)."""

    def advance(state: PathArrays, first: int, last: int, noise: Noise) -> None:
        dense_noise(
            state.x, state.overflow, decay, root, np.uint64(noise.seed), state.path, first, last,
            *scratch(noise.quality),
        )  # fmt: skip

    return modal_simulator(name, problem, substeps, advance)


def sample_simulator(
    name: str, problem: LeastSquares, substeps: int, decay: np.ndarray, noise_scale: float, label_noise: float
) -> Simulator:
    """z <- decay z + noise of the covariance noise_scale^2 (C(z) + label_noise^2 H), one normal a sample."""
    rows = np.ascontiguousarray(problem.augmented_modes[:, :-1])
    columns, offsets = np.ascontiguousarray(rows.T), np.ascontiguousarray(problem.augmented_modes[:, -1])
    own = noise_scale * label_noise * np.sqrt(problem.eigenvalues) if label_noise else NONE

    def advance(state: PathArrays, first: int, last: int, noise: Noise) -> None:
        sample_noise(
            state.x, state.overflow, decay, noise_scale, rows, columns, offsets, own, np.uint64(noise.seed),
            state.path, first, last, *scratch(noise.quality),
        )  # fmt: skip

    return modal_simulator(name, problem, substeps, advance)


def covariance_simulator(
    name: str, problem: LeastSquares, substeps: int, decay: np.ndarray, noise_scale: float, label_noise: float
) -> Simulator:
    """The same law with d normals a step, from the covariance's table: for many more samples than d^2."""
    table = covariance_table(problem, label_noise)

    def advance(state: PathArrays, first: int, last: int, noise: Noise) -> None:
        covariance_noise(
            state.x, state.overflow, decay, noise_scale, table, np.uint64(noise.seed), state.path, first, last,
            *scratch(noise.quality),
        )  # fmt: skip

    return modal_simulator(name, problem, substeps, advance)


def covariance_table(problem: LeastSquares, label_noise: float) -> np.ndarray:
    """Matrix from the packed triangle of (modes, 1) (modes, 1)^T to that of one sample's gradient covariance."""
    rows, columns = np.triu_indices(problem.dimension)
    assert problem.fourth_moments is not None  # made only where the table pays
    table = problem.fourth_moments.copy()
    table[rows == columns, -1] += label_noise**2 * problem.eigenvalues
    return table


def common_simulator(
    name: str, problem: StreamingLeastSquares, substeps: int, decay: np.ndarray, noise_scale: float, label_noise: float
) -> Simulator:
    """Noise of Gaussian features: sqrt(2 L + label_noise^2) sqrt(H) xi plus the gradient times one common normal."""
    spread = noise_scale * np.sqrt(problem.eigenvalues)
    pull = noise_scale * problem.eigenvalues
    level = 2 * problem.risk_at_minimiser + label_noise**2, 2 * problem.risk_slope, problem.eigenvalues

    def advance(state: PathArrays, first: int, last: int, noise: Noise) -> None:
        diagonal_noise(
            state.x, state.overflow, decay, spread, *level, pull, pull * problem.offset_modes, np.uint64(noise.seed),
            state.path, first, last, *scratch(noise.quality),
        )  # fmt: skip

    return modal_simulator(name, problem, substeps, advance)


def sampled_simulator(process: Any, substeps: int) -> Simulator:
    """Euler-Maruyama with one normal a sample, for losses given sample by sample: no d x d matrix is formed."""
    problem, gradient, dt = process.problem, process.gradient, 1 / (float(process.clock) * substeps)
    scale = np.sqrt(dt * process.step_size)

    def advance(state: PathArrays, first: int, last: int, noise: Noise) -> None:
        for k in range(first, last):
            with np.errstate(over="ignore", invalid="ignore"):
                w = noise.normals(Purpose.BROWNIAN, k, problem.samples)
                if process.drift_order == 1:  # whose drift is the gradient
                    state.x += gradient.descent(state.x, w, dt, scale)
                else:
                    state.x = state.x + dt * process.drift(k * dt, state.x) + scale * gradient.noise(state.x, w)
            limits.mark(state.overflow, state.x, k + 1)

    return ArraySimulator(
        process.label, process.dimension, advance, measures=risk_of(problem.risk), substeps=substeps,
        compiled=False, alone=problem.alone,  # the problem's functions may be a user's NumPy
    )  # fmt: skip
