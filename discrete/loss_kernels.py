"""Compiled steps of SGD on a loss whose sample gradient is a compiled function."""

from __future__ import annotations

import numpy as np

from sgdlimits.exact.compiling import in_memory
from sgdlimits.ensembles.limits import too_large
from sgdlimits.ensembles.random import permutation, rows_with_replacement, rows_without_replacement

from .rules.registry import apply_rule



@in_memory
def compiled_loss(
    gradient, data, x, slots, overflow, orders, epochs, samples, step_sizes, ridge, rule, settings,
    batch_weights, sampling, seed, path, first, last,
):  # fmt: skip
    """SGD with g = mean_b w_b gradient of sample b + ridge x; arguments and rows as in `kernels.minibatch`.

    `gradient(x (d,), i, out (d,), *data)` writes the gradient of sample i.
    """
    paths, d = x.shape
    batch_size = batch_weights.size
    per_epoch, constant = samples // batch_size, step_sizes.size == 1
    one, total = np.empty(d), np.empty((1, d))
    chosen, identity = np.empty(batch_size, np.int64), np.arange(samples if sampling == 1 else 0)
    for p in range(paths):
        for step in range(first, last):
            if sampling == 0:
                rows_with_replacement(chosen, seed, path + p, step, samples)
            elif sampling == 1:
                rows_without_replacement(chosen, identity, seed, path + p, step)
            else:
                epoch, place = step // per_epoch, step % per_epoch * batch_size
                if epochs[p] != epoch:
                    permutation(orders[p], seed, path + p, epoch)
                    epochs[p] = epoch
                for b in range(batch_size):
                    chosen[b] = orders[p, place + b]
            total[:] = 0.0
            for b in range(batch_size):
                one[:] = 0.0  # what a gradient does not write is zero
                gradient(x[p], chosen[b], one, *data)
                for j in range(d):
                    total[0, j] += batch_weights[b] * one[j]
            for j in range(d):
                total[0, j] = total[0, j] / batch_size + ridge * x[p, j]
            apply_rule(rule, x, slots, p, total, 0, step_sizes[0 if constant else step - first], step, settings)
            square = 0.0
            for j in range(d):
                square += x[p, j] * x[p, j]
            if overflow[p] < 0 and too_large(square):
                overflow[p] = step + 1
