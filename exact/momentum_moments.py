"""Moments of modes of several numbers (momentum) at far steps: powers of the matrix of a step. Derived.

A pair of modes i, j carries the s^2 covariances V of the numbers of one with those of the other. With T_i the
transition of a mode, e the entry of the noise, w its weights and m the means,

    V_ij <- T_i V_ij T_j^T + e e^T w_ij (response (V + m m^T)_xx + tilt m_x + floor)_ij,

x the positions. What is linear in one pair couples all pairs where samples are finitely many, and all variances on a
stream, whose other pairs move alone. Products of means and means fade by themselves: they force.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from .map_powers import Forcing, Power, leaps
from .moment_spectra import MomentSpectra
from .noise_maps import ConstantNoise, NoiseMap, RankOneNoise, Structure

GROUPS = 2**14  # systems of pairs that move alone, solved at once


class Recurrence(Protocol):
    """What is asked of a `MomentMap`."""

    @property
    def noise(self) -> NoiseMap: ...

    @property
    def weights(self) -> np.ndarray: ...

    @property
    def entry(self) -> np.ndarray: ...

    @property
    def lost(self) -> np.ndarray: ...

    @property
    def noise_scale(self) -> float: ...


@dataclass(frozen=True, eq=False)
class Closed:
    """Pairs of modes whose covariances close among themselves, in groups of K pairs that means of M modes force.

    Attributes
    ----------
    rows, columns : (groups, K) arrays
        Numbers of the two modes.
    response : (groups, K, K) array
        Noise of a pair by the second moments of the positions of a pair.
    forcing : (groups, M) array
        Numbers of modes.
    tilt : (groups, K, M) array
        Noise of a pair by the mean position of a mode.
    floor : (groups, K) array
    """

    rows: np.ndarray
    columns: np.ndarray
    response: np.ndarray
    forcing: np.ndarray
    tilt: np.ndarray
    floor: np.ndarray


def size_of(structure: Structure, dimension: int, numbers: int) -> int:
    """Covariances in the largest system that closes."""
    pairs = dimension if structure is not Structure.GENERAL else dimension * (dimension + 1) // 2
    return numbers**2 * pairs


def means_after(equations: Recurrence, mean: np.ndarray, times: Sequence[int] | np.ndarray) -> np.ndarray:
    """Mean positions (times, d)."""
    return _means(equations, _at_rest(mean, equations.entry.size), times)[:, 0]


def variances_after(
    equations: Recurrence, mean: np.ndarray, spread: np.ndarray, times: Sequence[int] | np.ndarray
) -> np.ndarray:
    """Variances (times, d), or covariances (times, d, d) where those of the start are given."""
    s = equations.entry.size
    start = np.zeros((s, s, *spread.shape))
    start[0, 0] = spread
    return _spread(equations, _at_rest(mean, s), start, times, 1)[:, 0, 0]


def numbers_after(
    equations: Recurrence, means: np.ndarray, spread: np.ndarray, times: Sequence[int] | np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Means (times, s, d) and covariances (times, s, s, d) or (times, s, s, d, d) of all numbers, from theirs.

    Parameters
    ----------
    means : (s, d) array
    spread : (s, s, d) or (s, s, d, d) array
    """
    return _means(equations, means, times), _spread(equations, means, spread, times, equations.entry.size)


def _at_rest(mean: np.ndarray, numbers: int) -> np.ndarray:
    """Means (s, d) whose momentum is zero."""
    means = np.zeros((numbers, mean.size))
    means[0] = mean
    return means


def _means(equations: Recurrence, means: np.ndarray, times: Sequence[int] | np.ndarray) -> np.ndarray:
    states = leaps(Power.of(-equations.lost), np.ascontiguousarray(means.T), (), times)
    return np.transpose(states, (2, 1, 0))


def _spread(
    equations: Recurrence, means: np.ndarray, start: np.ndarray, times: Sequence[int] | np.ndarray, kept: int
) -> np.ndarray:
    """Covariances (times, kept, kept, d) or (times, kept, kept, d, d) of the first numbers of modes."""
    whole, s = start.ndim == 4, equations.entry.size
    found = np.empty((len(times), kept, kept) + start.shape[2:])
    for part in closed(equations, whole):
        states = _numbers(equations, part, means, start, times)
        for a in range(kept):
            for b in range(kept):
                values = np.moveaxis(states[:, :, a * s + b], -1, 0)
                if whole:
                    found[:, a, b, part.rows, part.columns] = values
                    found[:, b, a, part.columns, part.rows] = values
                else:
                    found[:, a, b, part.rows] = values
    return found


def closed(equations: Recurrence, whole: bool) -> Iterator[Closed]:
    """The pairs that are asked, of all pairs or of each mode with itself."""
    noise: Any = equations.noise
    if isinstance(noise, ConstantNoise):
        yield from _unseeing(equations, whole)
    elif isinstance(noise, RankOneNoise):
        yield _variances(noise)
        if whole:
            yield from _alone(noise)
    else:
        yield _coupled(equations)


def _variances(noise: RankOneNoise) -> Closed:
    places, own = np.arange(noise.own.size)[None], noise.own**2
    return Closed(
        places, places, (np.outer(noise.spread, noise.coupling) + np.diag(own))[None], places,
        (np.outer(noise.spread, noise.slope) + np.diag(2 * own * noise.offsets))[None],
        (noise.floor * noise.spread + own * noise.offsets**2)[None],
    )  # fmt: skip


def _unseeing(equations: Recurrence, whole: bool) -> Iterator[Closed]:
    """Of a noise that does not see the modes: each pair alone."""
    noise: Any = equations.noise
    d = equations.lost.shape[0]
    rows, columns = np.triu_indices(d) if whole else (np.arange(d), np.arange(d))
    floor = np.broadcast_to(noise.covariance, (d, d))
    for first in range(0, rows.size, GROUPS):
        i, j = (modes[first : first + GROUPS, None] for modes in (rows, columns))
        nothing = np.zeros((len(i), 1, 1))
        yield Closed(i, j, nothing, i, nothing, floor[i, j])


def _alone(noise: RankOneNoise) -> Iterator[Closed]:
    rows, columns = np.triu_indices(noise.own.size, 1)
    for first in range(0, rows.size, GROUPS):
        i, j = (modes[first : first + GROUPS, None] for modes in (rows, columns))
        own, at = noise.own[i] * noise.own[j], noise.offsets
        yield Closed(
            i, j, own[:, None], np.concatenate([i, j], axis=1), (own * np.concatenate([at[j], at[i]], axis=1))[:, None],
            own * at[i] * at[j],
        )  # fmt: skip


def _coupled(equations: Recurrence) -> Closed:
    """Of any noise, by what it answers to one second moment, and to one mean."""
    spectra: Any = MomentSpectra(equations)  # type: ignore[arg-type]
    d = equations.lost.shape[0]
    rows, columns = np.triu_indices(d)
    still, tilt, response = (part[None] / equations.noise_scale for part in spectra.answers(d))
    return Closed(rows[None], columns[None], response, np.arange(d)[None], tilt, still)


def _numbers(
    equations: Recurrence, part: Closed, means: np.ndarray, start: np.ndarray, times: Sequence[int] | np.ndarray
) -> np.ndarray:
    """Covariances (groups, K, s^2, times) of the numbers of pairs of modes."""
    s, (groups, count) = equations.entry.size, part.rows.shape
    d, width, one = means.shape[1], s * s, np.eye(s)
    moved = -equations.lost
    left, right = moved[part.rows], moved[part.columns]
    both = (  # of T_i x T_j, less 1
        np.einsum("gkac,be->gkabce", left, one) + np.einsum("ac,gkbe->gkabce", one, right)
        + np.einsum("gkac,gkbe->gkabce", left, right)
    ).reshape(groups, count, width, width)  # fmt: skip
    weights = np.broadcast_to(equations.weights, (d, d))[part.rows, part.columns]
    enters = weights[:, :, None] * np.outer(equations.entry, equations.entry).ravel()  # noise of a pair in its numbers
    products = np.zeros((groups, count, width, count, width))
    products[..., 0] = enters[..., None] * part.response[:, :, None]
    step = products.copy()
    every = np.arange(count)
    step[:, every, :, every] += np.moveaxis(both, 1, 0)
    n, modes = count * width, part.forcing.shape[1]
    tilts = np.zeros((groups, count, width, modes, s))
    tilts[..., 0] = enters[..., None] * part.tilt[:, :, None]
    mean = means.T
    pairs = (mean[part.rows][..., :, None] * mean[part.columns][..., None, :]).reshape(groups, count, width)
    forcings = [
        Forcing(products.reshape(groups, n, count, width), Power.of(both), pairs),
        Forcing(tilts.reshape(groups, n, modes, s), Power.of(moved[part.forcing]), mean[part.forcing]),
        Forcing(
            (enters * part.floor[:, :, None]).reshape(groups, n, 1, 1), Power.of(np.zeros((groups, 1, 1, 1))),
            np.ones((groups, 1, 1)),
        ),
    ]  # fmt: skip
    places = (part.rows, part.columns) if start.ndim == 4 else (part.rows,)
    first = np.moveaxis(start[:, :, *places], (0, 1), (2, 3)).reshape(groups, count * width)
    states = leaps(Power.of(step.reshape(groups, n, n)), first, forcings, times)
    return states.reshape(groups, count, width, -1)
