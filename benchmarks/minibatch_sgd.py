"""Minibatch SGD on least squares (n = 1000, d = 100): this package against a vectorised NumPy gather."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sgdlimits import problems
from sgdlimits.discrete import SGD


def setting(batch_size: int) -> tuple[SGD, np.ndarray]:
    """SGD in a stable setting, and its start."""
    problem = problems.LeastSquares.gaussian(1000, 100, spectrum=0.5, noise=0.5, seed=1)
    return SGD(problem, 0.5 / problem.eigenvalues.sum(), batch_size), np.zeros(100)


def package(sgd: SGD, x0: np.ndarray, steps: int, paths: int) -> Callable[[], object]:
    """This package on one thread, everything included."""
    return lambda: sgd.simulate(x0, steps, paths, observables=("risk",), record=10, threads=1)


def numpy_gather(sgd: SGD, x0: np.ndarray, steps: int, paths: int) -> Callable[[], object]:
    """Rows gathered for all paths at once, batched products, in float64."""
    features, targets = sgd.problem.features, sgd.problem.targets
    scale = sgd.step_size / sgd.batch_size

    def run() -> np.ndarray:
        generator = np.random.Generator(np.random.SFC64(0))
        x = np.tile(x0, (paths, 1))
        for _ in range(steps):
            rows = generator.integers(0, targets.size, (paths, sgd.batch_size))
            batch = features[rows]
            if sgd.batch_size == 1:
                batch = batch[:, 0]
                residual = np.einsum("pd,pd->p", batch, x) - targets[rows[:, 0]]
                batch *= (scale * residual)[:, None]
                x -= batch
            else:
                residual = np.matmul(batch, x[:, :, None])[:, :, 0] - targets[rows]
                x -= scale * np.matmul(residual[:, None, :], batch)[:, 0]
        return x

    return run


def rows_read(sgd: SGD, steps: int, paths: int) -> Callable[[], object]:
    """As many rows as the paths draw, read once and summed by numba: what their memory allows."""
    import numba

    features, count = sgd.problem.features, steps * paths * sgd.batch_size
    drawn = np.random.Generator(np.random.SFC64(0)).integers(0, len(features), 1 << 16)

    @numba.njit(fastmath=True)
    def read(rows, drawn, count):
        total = 0.0
        for k in range(count):
            i = drawn[k & (drawn.size - 1)]
            for j in range(rows.shape[1]):
                total += rows[i, j]
        return total

    return lambda: read(features, drawn, count)
