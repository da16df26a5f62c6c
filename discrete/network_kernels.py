"""Compiled steps of noisy gradient descent on networks with one hidden layer, a pack of paths at a time.

Same numbers as the loops of `noisy_kernels`, to rounding; a SIMD lane is a path. Unlike those it is kept on disk.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sgdlimits.ensembles.functions import tanh
from sgdlimits.ensembles.limits import too_large
from sgdlimits.ensembles.philox import PACK
from sgdlimits.exact.compiling import compiled
from sgdlimits.problems.zero_loss import ShallowNetwork

from .noisy_kernels import OFFSET, OWN_SLOTS, SPAN, Plan, empty_tile, fill_tiles
from .pair_kernels import combine_packs

TANH, SIGMOID = range(2)
MOST_WEIGHTS = 400  # past some 500 a pack leaves the nearest cache, and loops over hidden units are faster
_KINDS = {"tanh": TANH, "sigmoid": SIGMOID}


def fits(model: Any, plan: Plan) -> bool:
    """Whether `network_descent` knows the activation, the noise is in the labels alone, and a pack is quick."""
    if not isinstance(model, ShallowNetwork) or model.activation not in _KINDS or model.dimension > MOST_WEIGHTS:
        return False
    drawn = {slot for slot in plan.slots if slot not in OWN_SLOTS}
    return drawn == {"labels"} and not plan.batch_size and not plan.carrying and _labels_only(plan)


def _labels_only(plan: Plan) -> bool:
    offset, (samples,) = plan.slots["labels"]
    return bool(((plan.draws[:, OFFSET] == offset) & (plan.draws[:, SPAN] == samples)).all())


# Loops over lanes run on flat arrays for a number of lanes that the compiler does not know: so it vectorises them.


@compiled
def _forth(kind, w, phi, slope, value, features, i, lanes):
    inputs = features.shape[1]
    width = phi.size // PACK
    for j in range(width):
        o = j * PACK
        for lane in range(lanes):
            phi[o + lane] = 0.0
        for k in range(inputs):
            q, x = (width + j * inputs + k) * PACK, features[i, k]
            for lane in range(lanes):
                phi[o + lane] += w[q + lane] * x
    if kind == TANH:
        for q in range(phi.size):
            t = tanh(phi[q])
            phi[q], slope[q] = t, 1 - t * t
    else:
        for q in range(phi.size):
            s = 0.5 * (1 + tanh(0.5 * phi[q]))
            phi[q], slope[q] = s, s * (1 - s)
    for lane in range(lanes):
        value[lane] = 0.0
    for o in range(0, phi.size, PACK):
        for lane in range(lanes):
            value[lane] += w[o + lane] * phi[o + lane]


@compiled
def _back(w, g, pull, phi, slope, features, i, lanes):
    inputs = features.shape[1]
    width = phi.size // PACK
    for j in range(width):
        o = j * PACK
        for lane in range(lanes):
            g[o + lane] += pull[lane] * phi[o + lane]
            slope[o + lane] = pull[lane] * (w[o + lane] * slope[o + lane])
        for k in range(inputs):
            q, x = (width + j * inputs + k) * PACK, features[i, k]
            for lane in range(lanes):
                g[q + lane] += slope[o + lane] * x


@compiled
def _gradient(kind, w, g, phi, slope, value, features, targets, weight, errors, lanes):
    g[:] = 0.0
    for i in range(features.shape[0]):
        _forth(kind, w, phi, slope, value, features, i, lanes)
        target, o = targets[i], i * PACK
        for lane in range(lanes):
            value[lane] = weight * (value[lane] - (target + errors[o + lane]))
        _back(w, g, value, phi, slope, features, i, lanes)


@compiled
def _move(w, g, squares, step_size, lanes):
    squares[:] = 0.0
    for o in range(0, w.size, PACK):
        for lane in range(lanes):
            w[o + lane] -= step_size * g[o + lane]
            squares[lane] += w[o + lane] * w[o + lane]


@compiled
def network_descent(
    kind, x, overflow, slots, label, features, targets, weight, draws, scales, transforms, step_sizes, seed, path,
    first, last, normals, words,
):  # fmt: skip
    """Steps first..last-1 of x (P, m); the noise of label i is row label + i of `slots` (rows, PACK)."""
    m, (samples, inputs) = x.shape[1], features.shape
    width, lanes = m // (1 + inputs), slots.shape[1]
    tile, length = empty_tile(draws)
    errors = slots[label : label + samples].reshape(-1)
    w, g = np.empty(m * PACK), np.empty(m * PACK)
    phi, slope = np.empty(width * PACK), np.empty(width * PACK)
    value, squares = np.empty(PACK), np.empty(PACK)
    for base in range(0, x.shape[0], PACK):
        for lane in range(PACK):
            for j in range(m):
                w[j * PACK + lane] = x[base + lane, j]
        for start in range(first, last, length):
            end = min(start + length, last)
            fill_tiles(tile, draws, scales, start, end, seed, path + base, normals, words)
            for step in range(start, end):
                step_size = step_sizes[0 if step_sizes.size == 1 else step - first]
                combine_packs(slots, tile, step, start, end, draws, transforms)
                _gradient(kind, w, g, phi, slope, value, features, targets, weight, errors, lanes)
                _move(w, g, squares, step_size, lanes)
                for lane in range(PACK):
                    if overflow[base + lane] < 0 and too_large(squares[lane]):
                        overflow[base + lane] = step + 1
        for lane in range(PACK):
            for j in range(m):
                x[base + lane, j] = w[j * PACK + lane]


def network_arguments(plan: Plan, model: Any) -> tuple[Any, ...]:
    """The kind for `network_descent`, then its arguments slots to weight."""
    features, targets, weight = model.kernel_data
    return _KINDS[model.activation], np.zeros((plan.size, PACK)), plan.slots["labels"][0], features, targets, weight[0]
