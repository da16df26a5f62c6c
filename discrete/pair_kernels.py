"""Compiled steps of noisy gradient descent on the built-in models of two parameters, a pack of paths at a time.

Same numbers as the loops of `noisy_kernels`, to rounding; a SIMD lane is a path.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sgdlimits.exact.compiling import compiled
from sgdlimits.ensembles.limits import too_large
from sgdlimits.ensembles.philox import PACK
from sgdlimits.problems.zero_loss import Hyperbola, ProductSum, QuadraticDifference

from .noisy_kernels import FIRST, MULTIPLIES, OFFSET, SIZE, SPAN, TRANSFORM, Plan, empty_tile, fill_tiles


@compiled(forceinline=True)
def _product(x, y, label, keep):
    """Gradient of (keep x y - 1 - label)^2 / 2."""
    pull = keep * (keep * x * y - (1.0 + label))
    return pull * y, pull * x


@compiled(forceinline=True)
def _difference(u, v, label, keep_u, keep_v):
    """Gradient of (keep_u u^2 - keep_v v^2 - 1 - label)^2 / 2."""
    pull = 2.0 * (keep_u * u * u - keep_v * v * v - (1.0 + label))
    return pull * keep_u * u, -pull * keep_v * v


PAIRS = (Hyperbola, ProductSum, QuadraticDifference)


def fits(model: Any, plan: Plan) -> bool:
    """Whether `pair_descent` knows the model and the slots that the noise uses."""
    used = plan.batch_size or {"inputs", "eta"} & set(plan.slots)
    return type(model) in PAIRS and model.dimension == 2 and not used


@compiled
def combine_pack(slots, tile, place, draws, i, transforms):
    """Put one step's values of draw i into its rows of `slots` (size, PACK): the first sets, others multiply or add."""
    offset, size, transform = draws[i, OFFSET], draws[i, SIZE], draws[i, TRANSFORM]
    multiplies, first = draws[i, MULTIPLIES] != 0, draws[i, FIRST] != 0
    value = np.empty(PACK)
    source = 0
    for j in range(draws[i, SPAN]):
        if transform < 0:
            for lane in range(PACK):
                value[lane] = tile[place + source, lane]
            source = source + 1 if source + 1 < size else 0
        else:
            for lane in range(PACK):
                total = 0.0
                for other in range(size):
                    total += transforms[transform, j, other] * tile[place + other, lane]
                value[lane] = total
        for lane in range(PACK):
            if multiplies:
                slots[offset + j, lane] = (1.0 if first else slots[offset + j, lane]) * (1.0 + value[lane])
            else:
                slots[offset + j, lane] = (0.0 if first else slots[offset + j, lane]) + value[lane]


@compiled
def combine_packs(slots, tile, step, start, end, draws, transforms):
    """Put the values of all draws of one step into `slots`, from a tile of steps start..end-1."""
    offset = 0
    for i in range(draws.shape[0]):
        combine_pack(slots, tile, offset + (step - start) * draws[i, SIZE], draws, i, transforms)
        offset += (end - start) * draws[i, SIZE]


@compiled
def pair_descent(
    difference, x, carried, overflow, slots, label, units, factor, shift, push, carry, draws, scales, transforms,
    step_sizes, seed, path, first, last, normals, words,
):  # fmt: skip
    """Steps first..last-1 of u^2 - v^2 if `difference`, else of u v; the rest as in `noisy_kernels`.

    `label` and the others are rows of `slots` (rows, PACK); `units` are two rows.
    """
    carrying = carried.shape[0] > 0
    tile, length = empty_tile(draws)
    first_unit, last_unit = units
    u, v, c, e = np.empty(PACK), np.empty(PACK), np.zeros(PACK), np.zeros(PACK)
    for pack in range(x.shape[0] // PACK):
        base = pack * PACK
        for lane in range(PACK):
            u[lane], v[lane] = x[base + lane, 0], x[base + lane, 1]
            if carrying:
                c[lane], e[lane] = carried[base + lane, 0], carried[base + lane, 1]
        for start in range(first, last, length):
            end = min(start + length, last)
            fill_tiles(tile, draws, scales, start, end, seed, path + base, normals, words)
            for step in range(start, end):
                step_size = step_sizes[0 if step_sizes.size == 1 else step - first]
                combine_packs(slots, tile, step, start, end, draws, transforms)
                lost = 0
                for lane in range(PACK):
                    f, g = slots[factor, lane], slots[factor + 1, lane]
                    point_u = (u[lane] + c[lane]) * f + slots[shift, lane]
                    point_v = (v[lane] + e[lane]) * g + slots[shift + 1, lane]
                    error, keep_u, keep_v = slots[label, lane], slots[first_unit, lane], slots[last_unit, lane]
                    if difference:
                        a, b = _difference(point_u, point_v, error, keep_u, keep_v)
                    else:
                        a, b = _product(point_u, point_v, error, keep_u)
                    u[lane] -= step_size * (f * a + slots[push, lane])
                    v[lane] -= step_size * (g * b + slots[push + 1, lane])
                    lost += 1 if too_large(u[lane] * u[lane] + v[lane] * v[lane]) else 0
                if carrying:
                    for lane in range(PACK):
                        c[lane], e[lane] = slots[carry, lane], slots[carry + 1, lane]
                if lost:
                    for lane in range(PACK):
                        square = u[lane] * u[lane] + v[lane] * v[lane]
                        if overflow[base + lane] < 0 and too_large(square):
                            overflow[base + lane] = step + 1
        for lane in range(PACK):
            x[base + lane, 0], x[base + lane, 1] = u[lane], v[lane]
            if carrying:
                carried[base + lane, 0], carried[base + lane, 1] = c[lane], e[lane]


def pair_slots(plan: Plan, model: Any) -> tuple[Any, ...]:
    """Arguments slots, label, units, factor, shift, push, carry of `pair_descent`."""
    slots = np.zeros((plan.size + 2, PACK))
    none, one = plan.size, plan.size + 1
    slots[one] = 1.0
    factor = plan.slots["factor"][0]
    slots[factor : factor + 2] = 1.0
    label = plan.slots["labels"][0] if "labels" in plan.slots else none
    unit = plan.slots["units"][0] if "units" in plan.slots else one
    units = (unit, unit + model.units - 1 if "units" in plan.slots else one)
    return slots, label, units, factor, *(plan.slots[name][0] for name in ("shift", "push", "carry"))
