"""Pairs of paths of SGD with the same noise, one from a point and one from stationarity; W_p on lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sgdlimits.ensembles.crowd import Crowd
from sgdlimits.ensembles.random import PACK, Noise


@dataclass(frozen=True, eq=False)
class CoupledPaths:
    """What groups of pairs show at recorded steps.

    Attributes
    ----------
    coupled : (groups, recorded) array
        (mean |x_n - y_n|^p)^(1 / p) over the pairs of a group.
    projected : (groups, lines, recorded) array
        W_p of x_n and an independent stationary sample of the same size, along lines.
    floors : (groups, lines) array
        W_p of two such samples.
    stationary : float
        (mean |y|^p)^(1 / p) about the minimiser.
    """

    coupled: np.ndarray
    projected: np.ndarray
    floors: np.ndarray
    stationary: float


def coupled_paths(
    sgd: Any, start: np.ndarray, record: np.ndarray, order: float, lines: np.ndarray, groups: int, size: int,
    burn_in: int, seed: int,
) -> CoupledPaths:  # fmt: skip
    """Run groups of pairs: y from the minimiser for `burn_in` steps, then x from `start` with the same noise ahead.

    Distances are those in the range of the data, outside which x starts where y stands.

    Parameters
    ----------
    start : (r,) array
        Modes in the range.
    lines : (lines, r) array
        Unit vectors.
    size : int
        Pairs in a group, a multiple of PACK.
    """
    problem, simulator, r = sgd.problem, sgd.simulator(), start.size
    coupled, looks = np.empty((groups, record.size)), np.empty((groups, len(lines), record.size, size))
    ends, norms = np.empty((groups, len(lines), size)), np.empty(groups)
    for group in range(groups):
        noise = Noise(seed, np.arange(group * size, (group + 1) * size))
        still = Crowd(simulator, np.repeat(problem.minimiser[None], size, axis=0), noise)
        still.advance_to(burn_in)
        moving, modes = still.branch(), problem.to_modes(still.positions())
        ends[group] = np.sort(modes[:, :r] @ lines.T, axis=0).T
        norms[group] = _mean_power(modes[:, :r], order)
        modes[:, :r] = start
        moving.restart(problem.from_modes(modes))
        for place, step in enumerate(record):
            moving.advance_to(burn_in + int(step))
            still.advance_to(burn_in + int(step))
            x = problem.to_modes(moving.positions())[:, :r]
            coupled[group, place] = _mean_power(x - problem.to_modes(still.positions())[:, :r], order)
            looks[group, :, place] = np.sort(x @ lines.T, axis=0).T
    others = np.roll(ends, -1, axis=0)  # those of another group are independent
    projected = np.power(np.abs(looks - others[:, :, None]), order).mean(axis=-1) ** (1 / order)
    floors = np.power(np.abs(ends - others), order).mean(axis=-1) ** (1 / order)
    return CoupledPaths(coupled ** (1 / order), projected, floors, float(norms.mean() ** (1 / order)))


def _mean_power(modes: np.ndarray, order: float) -> float:
    return float(np.power(np.square(modes).sum(axis=1), order / 2).mean())


def whole_packs(paths: int, groups: int) -> int:
    """Paths of a group, upwards to a multiple of what is advanced together."""
    return -(-paths // (groups * PACK)) * PACK
