"""Compiled steps of noisy gradient descent: one loop, closed over each model's kernel.

The random numbers are those of sgdlimits.ensembles.random.Noise, so results do not depend on how steps and paths are
grouped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any

import numba
import numpy as np

from sgdlimits.exact.compiling import CompiledFunction, compiled
from sgdlimits.ensembles.limits import too_large
from sgdlimits.ensembles.normals import pack_normals, unit_interval
from sgdlimits.ensembles.philox import PACK, pack_words
from sgdlimits.ensembles.random import rows_with_replacement, rows_without_replacement, tile_word64
from .rules.registry import apply_rule

TILE = 128  # draws of one path made at once
KERNEL_SLOTS = ("labels", "units", "inputs", "eta")  # what a model's kernel takes besides rows
OWN_SLOTS = ("factor", "shift", "push", "carry")  # what the loop applies around the kernel, (m,) each
_MULTIPLIED = ("units", "factor")
OFFSET, SPAN, SIZE, PURPOSE, NORMAL, MULTIPLIES, FIRST, TRANSFORM = range(8)  # columns of Plan.draws


@dataclass(frozen=True, eq=False)
class Plan:
    """What one step draws, as arrays for the loop.

    Attributes
    ----------
    draws : (draws, 8) int64 array
        Of each draw that is not of rows: where it lands in the buffer, the size of its slot, its own size, purpose,
        whether it is normal, whether it multiplies, whether it is the first of its slot, its transform (-1: none).
    scales : (draws, 2) array
        Standard deviation of a normal draw, probability to keep of a Bernoulli draw.
    transforms : (transforms, m, m) array
    slots : dict
        slot -> (offset, shape) in the buffer; own slots always, others where something is drawn.
    size : int
        Length of the buffer.
    batch_size : int
        Rows of a step; 0 without a minibatch.
    replace : bool
        Whether rows are drawn with replacement.
    carrying : bool
        Whether a draw acts one step later.
    """

    draws: np.ndarray
    scales: np.ndarray
    transforms: np.ndarray
    slots: dict[str, tuple[int, tuple[int, ...]]]
    size: int
    batch_size: int
    replace: bool
    carrying: bool

    @classmethod
    def of(cls, draws: Sequence[Any], dimension: int) -> Plan:
        """Lay out the draws of a mechanism, see sgdlimits.problems.noise.Draw."""
        rows = [draw for draw in draws if draw.slot == "rows"]
        rest = [draw for draw in draws if draw.slot != "rows"]
        shapes: dict[str, tuple[int, ...]] = {slot: (dimension,) for slot in OWN_SLOTS}
        shapes |= {draw.slot: tuple(draw.shape) for draw in rest if draw.slot in KERNEL_SLOTS}
        for draw in rest:  # a mask shared by the samples and one for each of them: the larger shape holds both
            if prod(draw.shape) > prod(shapes[draw.slot]):
                shapes[draw.slot] = tuple(draw.shape)
        slots, size = {}, 0
        for slot, shape in shapes.items():
            slots[slot], size = (size, shape), size + prod(shape)
        table = np.zeros((len(rest), 8), np.int64)
        transforms: list[np.ndarray] = []
        met: set[str] = set()
        for row, draw in zip(table, rest):
            slot = "carry" if draw.carried else draw.slot
            offset, shape = slots[slot]
            row[:] = offset, prod(shape), prod(draw.shape), int(draw.purpose), 0, 0, 0, -1
            row[NORMAL], row[MULTIPLIES] = draw.law == "normal", slot in _MULTIPLIED
            row[FIRST] = slot not in met
            met.add(slot)
            if draw.transform is not None:
                row[TRANSFORM] = len(transforms)
                transforms.append(draw.transform)
        return cls(
            draws=table,
            scales=np.array([[draw.sigma, draw.keep] for draw in rest], float).reshape(-1, 2),
            transforms=np.array(transforms, float).reshape(-1, dimension, dimension),
            slots=slots,
            size=size,
            batch_size=prod(rows[0].shape) if rows else 0,
            replace=not rows or rows[0].law == "with_replacement",
            carrying=any(draw.carried for draw in rest),
        )

    def buffers(self) -> tuple[np.ndarray, dict[str, np.ndarray | None]]:
        """A fresh buffer, and views of it by slot (None where the slot is empty)."""
        flat = np.zeros(self.size)
        views: dict[str, np.ndarray | None] = dict.fromkeys(KERNEL_SLOTS)
        for slot, (offset, shape) in self.slots.items():
            views[slot] = flat[offset : offset + prod(shape)].reshape(shape)
        factor = views["factor"]
        assert factor is not None  # one of OWN_SLOTS, which every plan lays out
        factor[:] = 1.0
        views["rows"] = np.zeros(self.batch_size, np.int64) if self.batch_size else None
        return flat, views


@compiled
def fill_tile(tile, offset, draws, scales, i, start, end, seed, number, normals, words):
    """Values of draw i of steps start..end-1 of a pack, standard deviation included, from row `offset` on."""
    size, purpose = draws[i, SIZE], draws[i, PURPOSE]
    count, position = (end - start) * size, start * size
    if draws[i, NORMAL]:
        pack_normals(tile[offset : offset + count], normals, words, seed, purpose, number, position)
        for q in range(offset, offset + count):
            for lane in range(PACK):
                tile[q, lane] *= scales[i, 0]
        return
    keep, done = scales[i, 1], 0
    while done < count:
        block = (position + done) >> 1
        blocks = min((position + count - 1 >> 1) - block + 1, words.shape[0] // 4)
        pack_words(words[: 4 * blocks], seed, purpose, number, block)
        stop = min(count, 2 * (block + blocks) - position)
        for q in range(done, stop):
            for lane in range(PACK):
                u = unit_interval(tile_word64(words, position + q - 2 * block, lane))
                tile[offset + q, lane] = (1.0 / keep if u < keep else 0.0) - 1.0
        done = stop


@compiled
def empty_tile(draws):
    """Scratch for the values of all draws of some steps of a pack, and of how many steps."""
    total = 0
    for i in range(draws.shape[0]):
        total += draws[i, SIZE]
    length = max(1, TILE // max(1, total))
    return np.empty((length * total, PACK)), length


@compiled
def fill_tiles(tile, draws, scales, start, end, seed, number, normals, words):
    """Values of all draws of steps start..end-1 of a pack, one draw below the other."""
    offset = 0
    for i in range(draws.shape[0]):
        fill_tile(tile, offset, draws, scales, i, start, end, seed, number, normals, words)
        offset += (end - start) * draws[i, SIZE]


@compiled
def combine(flat, tile, place, lane, draws, i, transforms):
    """Put one step's values of draw i into its slot: the first sets, others multiply or add."""
    offset, size, transform = draws[i, OFFSET], draws[i, SIZE], draws[i, TRANSFORM]
    multiplies, first = draws[i, MULTIPLIES] != 0, draws[i, FIRST] != 0
    source = 0
    for j in range(draws[i, SPAN]):
        if transform < 0:
            value = tile[place + source, lane]
            source = source + 1 if source + 1 < size else 0  # masks shared by the samples repeat
        else:
            value = 0.0
            for other in range(size):
                value += transforms[transform, j, other] * tile[place + other, lane]
        if multiplies:
            flat[offset + j] = 1.0 + value if first else flat[offset + j] * (1.0 + value)
        else:
            flat[offset + j] = value if first else flat[offset + j] + value


@lru_cache(maxsize=None)
def noisy_descent(kernel: CompiledFunction) -> Callable[..., Any]:
    """Compile the loop for a model's kernel, in memory, once a process and for each set of slots in use."""

    # Compiled anew: numba cannot keep on disk, and says so each time, what takes another function as an argument.
    gradient = numba.njit(nogil=True, error_model="numpy")(kernel.py_func)

    @numba.njit(nogil=True, error_model="numpy")
    def advance(
        x, carried, overflow, slots, rule, settings, data, rows, labels, units, inputs, eta, factor, shift, push, carry,
        flat, draws, scales, transforms, order, replace, step_sizes, seed, path, first, last, normals, words,
    ):  # fmt: skip
        """Steps first..last-1 of consecutive paths from number `path`, a multiple of PACK; x is (P, m).

        carried is (P, m), or (0, m) when no draw acts one step later. `slots` (P, slots, m), `rule` and `settings` are
        those of `rules.registry`. `overflow` (P,) gets, where it is still -1, the
        number of steps done when a path's norm first exceeded 1e150 or was not a number.
        """
        paths, m = x.shape
        count, carrying = draws.shape[0], carried.shape[0] > 0
        tile, length = empty_tile(draws)
        point, out, work, moving = np.empty(m), np.empty(m), np.empty(m), np.empty((1, m))
        for pack in range(paths // PACK):
            number = path + pack * PACK
            for start in range(first, last, length):
                end = min(start + length, last)
                fill_tiles(tile, draws, scales, start, end, seed, number, normals, words)
                for step in range(start, end):
                    step_size = step_sizes[0 if step_sizes.size == 1 else step - first]
                    for lane in range(PACK):
                        p, offset = pack * PACK + lane, 0
                        for i in range(count):
                            combine(flat, tile, offset + (step - start) * draws[i, SIZE], lane, draws, i, transforms)
                            offset += (end - start) * draws[i, SIZE]
                        if rows is not None:
                            if replace:
                                rows_with_replacement(rows, seed, number + lane, step, order.size)
                            else:
                                rows_without_replacement(rows, order, seed, number + lane, step)
                        if carrying:  # what multiplies weights multiplies the position
                            for j in range(m):
                                point[j] = (x[p, j] + carried[p, j]) * factor[j] + shift[j]
                                carried[p, j] = carry[j]
                        else:
                            for j in range(m):
                                point[j] = x[p, j] * factor[j] + shift[j]
                        gradient(point, data, rows, labels, units, inputs, eta, out, work)
                        for j in range(m):
                            moving[0, j] = factor[j] * out[j] + push[j]
                        apply_rule(rule, x, slots, p, moving, 0, step_size, step, settings)
                        square = 0.0
                        for j in range(m):
                            square += x[p, j] * x[p, j]
                        if overflow[p] < 0 and too_large(square):
                            overflow[p] = step + 1

    return advance
