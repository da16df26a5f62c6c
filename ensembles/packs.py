"""Paths in packs: positions (P, d) laid out as (P / PACK, d, PACK), so that a SIMD lane is a path.

Every sum runs over coordinates in one fixed order within a lane, so results do not depend on how many paths
there are.
"""

from __future__ import annotations

import numpy as np

from sgdlimits.exact.compiling import compiled
from .philox import PACK


def pack(positions: np.ndarray) -> np.ndarray:
    """Return positions (P, d) as packs (P / PACK, d, PACK), a copy; P is a multiple of PACK."""
    paths, dimension = positions.shape
    return positions.reshape(paths // PACK, PACK, dimension).transpose(0, 2, 1).astype(np.float64, order="C")


def unpack(packs: np.ndarray) -> np.ndarray:
    """Return packs (P / PACK, d, PACK) as positions (P, d), a copy."""
    return packs.transpose(0, 2, 1).reshape(-1, packs.shape[1]).copy()


@compiled
def _two_products(out_0, out_1, row_0, row_1, x):
    # Flat x at constant distances: LLVM then needs few overlap checks to vectorise the lane loop.
    lanes, whole = out_0.size, row_0.size // 4
    flat = x.reshape(-1)
    out_0[:] = 0.0
    out_1[:] = 0.0
    for block in range(whole):
        j, o = 4 * block, 4 * block * PACK
        a0, a1, a2, a3 = row_0[j], row_0[j + 1], row_0[j + 2], row_0[j + 3]
        b0, b1, b2, b3 = row_1[j], row_1[j + 1], row_1[j + 2], row_1[j + 3]
        for lane in range(lanes):
            x0, x1 = flat[o + lane], flat[o + PACK + lane]
            x2, x3 = flat[o + 2 * PACK + lane], flat[o + 3 * PACK + lane]
            out_0[lane] = out_0[lane] + a0 * x0 + a1 * x1 + a2 * x2 + a3 * x3
            out_1[lane] = out_1[lane] + b0 * x0 + b1 * x1 + b2 * x2 + b3 * x3
    for j in range(4 * whole, row_0.size):
        a0, b0, last = row_0[j], row_1[j], x[j]
        for lane in range(lanes):
            out_0[lane] += a0 * last[lane]
            out_1[lane] += b0 * last[lane]


@compiled
def multiply(out, matrix, x):
    """Set `out` (m, PACK) to matrix (m, d) @ x (d, PACK), summed over d in order."""
    rows = matrix.shape[0]
    spare = np.empty(out.shape[1])
    for i in range(0, rows - 1, 2):
        _two_products(out[i], out[i + 1], matrix[i], matrix[i + 1], x)
    if rows % 2:
        _two_products(out[rows - 1], spare, matrix[rows - 1], matrix[rows - 1], x)


@compiled
def rotate(packs, matrix):
    """Return packs (P / PACK, m, PACK) of matrix (m, d) @ x for each path x of packs (P / PACK, d, PACK)."""
    out = np.empty((packs.shape[0], matrix.shape[0], packs.shape[2]))
    for i in range(packs.shape[0]):
        multiply(out[i], matrix, packs[i])
    return out


@compiled
def add_quadratic(out, x, linear, square):
    """Add sum_j x_j (linear_j + square_j x_j) to `out` (PACK,) for a pack x (d, PACK)."""
    lanes = out.size
    for j in range(x.shape[0]):
        w1, w2 = linear[j], square[j]
        for lane in range(lanes):
            out[lane] += x[j, lane] * (w1 + w2 * x[j, lane])


@compiled
def quadratic(packs, constant, linear, square):
    """Return constant + sum_j x_j (linear_j + square_j x_j) of each path, (P,)."""
    out = np.zeros((packs.shape[0], packs.shape[2]))
    for i in range(packs.shape[0]):
        add_quadratic(out[i], packs[i], linear, square)
    return out.ravel() + constant


def norm(packs: np.ndarray) -> np.ndarray:
    """Return the Euclidean norm of each path, (P,)."""
    dimension = packs.shape[1]
    return np.sqrt(quadratic(packs, 0.0, np.zeros(dimension), np.ones(dimension)))
