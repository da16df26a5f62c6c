"""Compiled steps of SGD on a loss whose sample gradient is a compiled function."""

from __future__ import annotations

import numba
import numpy as np

from sgdlimits.ensembles.limits import too_large
from sgdlimits.ensembles.random import permutation, rows_with_replacement, rows_without_replacement



# Not kept on disk: it takes a compiled function as an argument, and numba would add a copy in every process.
@numba.njit(nogil=True, error_model="numpy")
def compiled_loss(
    gradient, data, x, velocity, overflow, orders, epochs, samples, step_size, ridge, momentum, nesterov,
    batch_size, sampling, seed, path, first, last,
):  # fmt: skip
    """SGD with g = mean_b gradient of sample b + ridge x; arguments and rows as in `kernels.minibatch`.

    `gradient(x (d,), i, out (d,), *data)` writes the gradient of sample i.
    """
    paths, d = x.shape
    moving, per_epoch = velocity.shape[0] > 0, samples // batch_size
    one, total, chosen, identity = (
        np.empty(d),
        np.empty(d),
        np.empty(batch_size, np.int64),
        np.arange(samples),
    )
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
                chosen[:] = orders[p, place : place + batch_size]
            total[:] = 0.0
            for b in range(batch_size):
                gradient(x[p], chosen[b], one, *data)
                total += one
            square = 0.0
            for j in range(d):
                g = total[j] / batch_size + ridge * x[p, j]
                if moving:
                    v = momentum * velocity[p, j] + g
                    velocity[p, j] = v
                    g = g + momentum * v if nesterov else v
                x[p, j] -= step_size * g
                square += x[p, j] * x[p, j]
            if overflow[p] < 0 and too_large(square):
                overflow[p] = step + 1
