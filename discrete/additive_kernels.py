"""Compiled steps of SGD on a quadratic whose gradient noise is Gaussian and the same everywhere, in packs of paths."""

from __future__ import annotations

import numpy as np

from sgdlimits.ensembles.limits import too_large
from sgdlimits.ensembles.normals import pack_normals
from sgdlimits.ensembles.packs import multiply
from sgdlimits.ensembles.random import PACK, Purpose
from sgdlimits.exact.compiling import compiled, in_memory

from .rules.registry import apply_rule


def _additive(
    state, slots, overflow, curvatures, minimiser, hessian, roots, root, step_sizes, rule, settings, seed, path,
    first, last, normals, words,
):  # fmt: skip
    """Gradient curvatures (x - minimiser) + roots z, elementwise, z standard normal: d numbers a step.

    With `hessian` (d, d) instead of `curvatures`, and with `root` (d, d) instead of `roots`, where these are not
    (0, 0). state is packs (packs, d, PACK), slots (packs, m, d, PACK), overflow (packs, PACK). The rest as in
    `discrete.kernels.streaming`.
    """
    d, lanes, turned, mixed = state.shape[1], state.shape[2], hessian.shape[0] > 0, root.shape[0] > 0
    z, centred, pull, push = np.empty((d, lanes)), np.empty((d, lanes)), np.empty((d, lanes)), np.empty((d, lanes))
    gradient, squares = np.empty((d, lanes)), np.empty(lanes)
    for pack in range(state.shape[0]):
        x, number = state[pack], path + pack * PACK
        rows, kept, gradients = x.T, slots[pack].transpose(2, 0, 1), gradient.T  # a row a path
        for step in range(first, last):
            step_size = step_sizes[0] if step_sizes.size == 1 else step_sizes[step - first]
            pack_normals(z, normals, words, seed, Purpose.GRADIENT, number, step * d)
            for i in range(d):
                for lane in range(lanes):
                    centred[i, lane] = x[i, lane] - minimiser[i]
            if turned:
                multiply(pull, hessian, centred)
            if mixed:
                multiply(push, root, z)
            for i in range(d):
                for lane in range(lanes):
                    drawn = push[i, lane] if mixed else roots[i] * z[i, lane]
                    gradient[i, lane] = (pull[i, lane] if turned else curvatures[i] * centred[i, lane]) + drawn
            for lane in range(lanes):
                apply_rule(rule, rows, kept, lane, gradients, lane, step_size, step, settings)
            squares[:] = 0.0
            for i in range(d):
                for lane in range(lanes):
                    squares[lane] += x[i, lane] * x[i, lane]
            for lane in range(lanes):
                if overflow[pack, lane] < 0 and too_large(squares[lane]):
                    overflow[pack, lane] = step + 1


additive, additive_in_memory = compiled(_additive), in_memory(_additive)
