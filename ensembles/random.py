"""Random numbers of an ensemble: a stateless stream for each (seed, purpose, path).

A stream is one linear sequence: number j of the `size` that step k draws has position q = k * size + j, so
any number of any path and step is reached at once, and the same numbers come out whatever the pack, the
chunk or the thread.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numba import uint64

from sgdlimits.exact.cost import check_memory
from sgdlimits.exact.errors import InvalidInput, axes, one_of, positive, seed_number, shown, whole_number

from sgdlimits.exact.compiling import compiled
from .normals import fill_normals, scratch, unit_interval
from .philox import PACK, path_words
from .stable_increments import path_positive_stable, path_symmetric_stable
from .weak_increments import path_signs

QUALITIES = ("float32", "float64")
LAST_PATH = 2**56 - 1
LAST_STEP = 2**40  # of a number drawn by hand: its place in a stream is still a 64-bit number
INDEPENDENT = ("with_replacement", "without_replacement")  # batches of different steps are independent
SAMPLINGS = (*INDEPENDENT, "reshuffle")  # their places are what kernels take
_LOW, _32 = np.uint64(0xFFFFFFFF), np.uint64(32)


class Purpose(IntEnum):
    """What a stream is for: streams of different purposes are independent. The numbers are part of the
    results."""

    INITIAL_STATE = 0
    ROWS = 1
    LABEL_NOISE = 2
    BROWNIAN = 3
    FEATURES = 4
    RESAMPLING = 5
    PERMUTATION = 6
    MASK = 7
    BRIDGE = 8
    AREA = 9
    WEAK = 10
    CROSSING = 11
    STABLE = 12
    SUBORDINATOR = 13
    GRADIENT = 14
    USER = 64


@compiled(forceinline=True)
def path_word64(seed, purpose, path, position):
    """Uniform 64-bit word number `position` of a stream, two to a block."""
    w0, w1, w2, w3 = path_words(seed, purpose, path, position >> 1)
    return (w2 | (w3 << _32)) if position & 1 else (w0 | (w1 << _32))


@compiled(forceinline=True)
def tile_word64(words, position, lane):
    """The same from a tile of `pack_words` (4 * blocks, PACK); `position` counts from its first block."""
    row = 2 * position
    return uint64(words[row, lane]) | (uint64(words[row + 1, lane]) << _32)


@compiled(forceinline=True)
def bounded(word, bound):
    """Index in 0..bound-1 from a 64-bit word, bias below bound / 2^64; bound at most 2^32."""
    bound = uint64(bound)
    return np.int64(((word >> _32) * bound + (((word & _LOW) * bound) >> _32)) >> _32)


@compiled
def rows_with_replacement(out, seed, path, k, samples):
    """Fill `out` (batch_size,) with the independent rows that `path` draws at step k."""
    for j in range(out.size):
        out[j] = bounded(path_word64(seed, Purpose.ROWS, path, k * out.size + j), samples)


@compiled
def rows_without_replacement(out, order, seed, path, k):
    """Fill `out` (batch_size,) with distinct rows; `order` is arange(samples), left as it was found."""
    size, samples = out.size, order.size
    for j in range(size):
        out[j] = j + bounded(path_word64(seed, Purpose.ROWS, path, k * size + j), samples - j)
        order[j], order[out[j]] = order[out[j]], order[j]
    for j in range(size - 1, -1, -1):
        chosen = order[j]
        order[j], order[out[j]] = order[out[j]], order[j]
        out[j] = chosen


@compiled
def permutation(order, seed, path, epoch):
    """Fill `order` (samples,) with the permutation that `path` uses in an epoch (Fisher-Yates)."""
    samples = order.size
    for j in range(samples):
        order[j] = j
    for j in range(samples - 1):
        other = j + bounded(path_word64(seed, Purpose.PERMUTATION, path, epoch * samples + j), samples - j)
        order[j], order[other] = order[other], order[j]


@compiled
def path_normals(out, normals, words, seed, purpose, paths, position):
    per_block = 4 * normals.shape[0] // words.shape[0]
    start, stop = position, position + out.shape[1]
    while start < stop:
        first = start // per_block * per_block
        end = min(stop, first + normals.shape[0])
        pack = np.int64(-1)
        for i in range(paths.size):
            lane = paths[i] % PACK
            if paths[i] - lane != pack:
                pack = paths[i] - lane
                fill_normals(normals, words, seed, purpose, pack, first // per_block)
            row, block = out[i, start - position : end - position], normals[start - first : end - first]
            for q in range(row.size):
                row[q] = block[q, lane]
        start = end


@compiled
def _path_uniforms(out, seed, purpose, paths, position):
    for i in range(paths.size):
        for j in range(out.shape[1]):
            out[i, j] = unit_interval(path_word64(seed, purpose, paths[i], position + j))


@compiled
def _path_rows(out, seed, paths, k, samples, replace):
    order = np.arange(1 if replace else samples)
    for i in range(paths.size):
        if replace:
            rows_with_replacement(out[i], seed, paths[i], k, samples)
        else:
            rows_without_replacement(out[i], order, seed, paths[i], k)


@compiled
def _path_permutations(out, seed, paths, epoch):
    for i in range(paths.size):
        permutation(out[i], seed, paths[i], epoch)


def child_seed(seed: int, *labels: int | str) -> int:
    """A seed of its own for a part of a computation, from the whole's seed and the part's name (BLAKE2).

    Unlike seed + i, no two pairs of seed and labels share numbers (but by a chance of 2^-64).

    Raises
    ------
    InvalidInput
        If the seed cannot be used, no label is given, or one is neither a text nor a whole number.
    """
    words = [f"seed {seed_number(seed)}"]
    if not labels:
        raise InvalidInput("a child needs a label: a text or a whole number, such as child('rung', 3)")
    for label in labels:
        text = label if isinstance(label, str) else str(whole_number("label", label))
        words.append(f"{'text' if isinstance(label, str) else 'number'} {len(text)} {text}")
    return int.from_bytes(hashlib.blake2b("\0".join(words).encode(), digest_size=8).digest(), "little")


def path_numbers(paths: Any) -> np.ndarray:
    """Numbers of paths as a fresh (P,) int64 array.

    Raises
    ------
    InvalidInput
        If they are no whole numbers from 0 to 2^56 - 1 along one axis.
    """
    given = np.array(paths) if axes(paths) == 1 else None
    if given is None or not np.issubdtype(given.dtype, np.integer):
        raise InvalidInput(f"paths must be a 1-D array of integers, got {shown(paths)}")
    if given.size and (given.min() < 0 or given.max() > LAST_PATH):
        raise InvalidInput(f"path numbers must lie between 0 and 2^56 - 1, got {given.min()} to {given.max()}")
    return given.astype(np.int64)


@dataclass(frozen=True, eq=False)
class Noise:
    """The random numbers of some paths of an ensemble; every method is a pure function of its arguments.

    Parameters
    ----------
    seed : int
        0 to 2^64 - 1.
    paths : (P,) int64 array
        Numbers of the paths, 0 to 2^56 - 1.
    quality : {"float32", "float64"}
        Precision of the normals; both are returned as float64.
    """

    seed: int
    paths: np.ndarray
    quality: str = "float32"

    def __post_init__(self) -> None:
        object.__setattr__(self, "seed", seed_number(self.seed))
        paths = path_numbers(self.paths)
        paths.flags.writeable = False
        object.__setattr__(self, "paths", paths)
        one_of("quality", self.quality, QUALITIES)

    def child(self, *labels: int | str) -> Noise:
        """Return the noise of the same paths under a seed of its own, see `child_seed`."""
        return Noise(child_seed(self.seed, *labels), self.paths, self.quality)

    def _place(self, purpose: int, k: int, size: int) -> tuple[int, int, int]:
        """Check where in which stream the numbers of a step lie, and that they fit in memory."""
        size = whole_number("size", size, 0, 2**32)
        check_memory("the random numbers of one step", 8.0 * self.paths.size * size, "take fewer paths or numbers")
        return whole_number("purpose", purpose, 0, 255), whole_number("k", k, 0, LAST_STEP), size

    def normals(self, purpose: int, k: int, size: int) -> np.ndarray:
        """Return the standard normals of step k, (P, size)."""
        purpose, k, size = self._place(purpose, k, size)
        out = np.empty((self.paths.size, size))
        normals, words = scratch(self.quality, min(64, size // 2 + 2))
        path_normals(out, normals, words, np.uint64(self.seed), int(purpose), self.paths, int(k) * size)
        return out

    def uniforms(self, purpose: int, k: int, size: int) -> np.ndarray:
        """Return uniforms in the open interval (0, 1) of step k, (P, size)."""
        purpose, k, size = self._place(purpose, k, size)
        out = np.empty((self.paths.size, size))
        _path_uniforms(out, np.uint64(self.seed), int(purpose), self.paths, int(k) * size)
        return out

    def two_point(self, purpose: int, k: int, size: int) -> np.ndarray:
        """Return fair signs, +1.0 or -1.0, of step k, (P, size)."""
        purpose, k, size = self._place(purpose, k, size)
        out = np.empty((self.paths.size, size))
        path_signs(out, np.uint64(self.seed), int(purpose), self.paths, int(k) * size)
        return out

    def stable(self, k: int, size: int, index: float, isotropic: bool = False) -> np.ndarray:
        """Return symmetric stable numbers of step k, (P, size), with E exp(i t X) = exp(-|t|^index).

        At index 2 they are normal of variance 2. Isotropic: each row is one vector with E exp(i t . X) =
        exp(-|t|^index), the root of a positive stable number times normals (sub-Gaussian); otherwise all are
        independent. `quality` is that of those normals alone.
        """
        purpose = Purpose.SUBORDINATOR if isotropic else Purpose.STABLE
        _, k, size = self._place(purpose, k, size)
        index = positive("index", index)
        if index > 2:
            raise InvalidInput(f"index must be above 0 and at most 2, got {index:g}: no law is stable with more")
        seed = np.uint64(self.seed)
        if not isotropic:
            out = np.empty((self.paths.size, size))
            path_symmetric_stable(out, seed, int(purpose), self.paths, int(k) * size, index)
            return out
        clock = np.empty((self.paths.size, 1))
        path_positive_stable(clock, seed, int(purpose), self.paths, int(k), index / 2)
        return np.sqrt(2 * clock) * self.normals(Purpose.BROWNIAN, k, size)

    def rows(self, k: int, batch_size: int, samples: int, sampling: str = "with_replacement") -> np.ndarray:
        """Return the minibatch of step k as row indices, (P, batch_size) int64; independent from step to
        step."""
        one_of("sampling", sampling, INDEPENDENT)
        samples = whole_number("samples", samples, 1, 2**32)
        replace = sampling == "with_replacement"
        batch_size = whole_number("batch_size", batch_size, 1, None if replace else samples)
        k = whole_number("k", k, 0, LAST_STEP)
        check_memory("the rows of a batch", 8.0 * self.paths.size * batch_size, "lower batch_size")
        out = np.empty((self.paths.size, batch_size), np.int64)
        _path_rows(out, np.uint64(self.seed), self.paths, k, samples, replace)
        return out

    def permutation(self, epoch: int, samples: int) -> np.ndarray:
        """Return one fresh permutation of the rows for an epoch, (P, samples) int64."""
        samples, epoch = whole_number("samples", samples, 1, 2**32), whole_number("epoch", epoch, 0, LAST_STEP)
        check_memory("the permutations", 8.0 * self.paths.size * samples, "take fewer paths")
        out = np.empty((self.paths.size, samples), np.int64)
        _path_permutations(out, np.uint64(self.seed), self.paths, epoch)
        return out
