"""One path's noisy gradient of any regression, compiled once for each model from its function of one sample."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
from numba.extending import register_jitable

from sgdlimits.exact.compiling import compiled


@compiled(fastmath={"reassoc", "contract", "nsz"})  # the sum's order depends on the length alone
def dot(x, start, a, length):
    """Sum of x[start + i] a[i] over i < length."""
    total = 0.0
    for i in range(length):
        total += x[start + i] * a[i]
    return total


@register_jitable
def multiplier(multipliers, j):
    """Multiplier of unit j; 1 where there are none."""
    if multipliers is None:
        return 1.0
    else:
        return multipliers[j]


@register_jitable
def nothing():
    """No room to work in."""
    return ()


@compiled(fastmath={"contract"})
def weighted_sum(weights, rows, out):
    """Write sum_k weights_k rows_k into `out`, four rows at a time: `out` is the less often read and written."""
    count, width = rows.shape
    for j in range(width):
        out[j] = 0.0
    whole = count - count % 4
    for k in range(0, whole, 4):
        a, b, c, d = weights[k], weights[k + 1], weights[k + 2], weights[k + 3]
        for j in range(width):
            out[j] += (a * rows[k, j] + b * rows[k + 1, j]) + (c * rows[k + 2, j] + d * rows[k + 3, j])
    for k in range(whole, count):
        for j in range(width):
            out[j] += weights[k] * rows[k, j]


def regression_kernel(sample: Callable[..., Any], room: Callable[..., Any] = nothing) -> Callable[..., Any]:
    """Return the kernel of a regression; compiled in memory, because numba does not keep closures on disk.

    `sample(w, x, multipliers, row, *room())`, compiled, returns the prediction at input x and writes its gradient into
    `row`; `multipliers` is (h,) or None, and `room()` gives arrays to work in, the same for all samples of a step. The
    kernel writes the gradient of (weight/2) sum_s (f_s - label_s - labels[s])^2 into `out`; with `rows` the sum runs
    over them, times N / B.
    """

    @numba.njit(nogil=True, error_model="numpy")
    def kernel(w, data, rows, labels, units, inputs, eta, out, work):
        features, targets, weight = data
        entries = features.shape[0]
        scale = weight[0]
        if rows is not None:
            entries = rows.size
            scale = weight[0] * features.shape[0] / rows.size
        for j in range(out.size):
            out[j] = 0.0
        spare = room()
        for s in range(entries):
            i = s
            if rows is not None:
                i = rows[s]
            x = features[i]
            if inputs is not None:
                x = x + inputs[s]
            target = targets[i]
            if labels is not None:
                target = target + labels[s]
            if units is None:
                value = sample(w, x, None, work, *spare)
            else:
                value = sample(w, x, units[s % units.shape[0]], work, *spare)
            pull = scale * (value - target)
            for j in range(out.size):
                out[j] += pull * work[j]

    return kernel
