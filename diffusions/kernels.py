"""Compiled steps of linear-drift diffusions, a pack of paths at a time, with their normals drawn in the loop.

State is (packs, d, PACK) float64 (sgdlimits.ensembles.packs). Every kernel takes the integrator's steps
first..last-1 and writes into `overflow` (packs, PACK) int64, where it is still -1, the number of steps done
when a path first was past sgdlimits.ensembles.limits. `scratch` of sgdlimits.ensembles.normals gives
the last two arguments and with them the quality of the normals. Step k of path p uses the normals
Noise.normals(Purpose.BROWNIAN, k, size), so results do not depend on how steps and paths are grouped.
"""

from __future__ import annotations

import math

import llvmlite.ir as ir
import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from sgdlimits.exact.compiling import compiled
from sgdlimits.ensembles.lanes import I64, Lanes, filled, load, store
from sgdlimits.ensembles.limits import too_large
from sgdlimits.ensembles.normals import fill_normals, pack_normals
from sgdlimits.ensembles.packs import add_quadratic, multiply
from sgdlimits.ensembles.philox import PACK
from sgdlimits.ensembles.random import Purpose

LANES = 16  # that a sweep takes at once


@compiled
def _record_overflow(overflow, sums, step):
    for lane in range(overflow.size):
        if overflow[lane] < 0 and too_large(sums[2 * PACK + lane]):
            overflow[lane] = step


@intrinsic
def _sweep(typing_context, y, sums, a, b, w1, w2, xi, count):
    """`count` coordinates in order, the three sums of all lanes in registers; arrays are flat."""

    def generate(context, builder, signature, arguments):
        y, sums, a, b, w1, w2, xi = (
            context.make_array(kind)(context, builder, value).data
            for kind, value in zip(signature.args[:-1], arguments)
        )
        for half in range(0, PACK, LANES):

            def place(row):
                return builder.add(builder.mul(row, ir.Constant(I64, PACK)), ir.Constant(I64, half))

            s, start, start_of_square = (load(builder, sums, place(ir.Constant(I64, k)), LANES) for k in range(3))
            total = cgutils.alloca_once_value(builder, start.value)
            square = cgutils.alloca_once_value(builder, start_of_square.value)
            with cgutils.for_range(builder, arguments[-1]) as loop:
                i = loop.index
                a0, b0, u0, v0 = (
                    filled(builder, builder.load(builder.gep(each, [i])), LANES) for each in (a, b, w1, w2)
                )
                y0 = a0 * load(builder, y, place(i), LANES) + b0 * s * load(builder, xi, place(i), LANES).double()
                store(y, place(i), y0)
                builder.store((Lanes(builder, builder.load(total)) + y0 * (u0 + v0 * y0)).value, total)
                builder.store((Lanes(builder, builder.load(square)) + y0 * y0).value, square)
            store(sums, place(ir.Constant(I64, 1)), Lanes(builder, builder.load(total)))
            store(sums, place(ir.Constant(I64, 2)), Lanes(builder, builder.load(square)))
        return context.get_dummy_value()

    return types.void(y, sums, a, b, w1, w2, xi, types.int64), generate


@compiled
def _sweep_common(y, sums, a, b, w1, w2, slope, shift, xi, lanes):
    for i in range(a.size):
        o = i * PACK
        a0, b0, u0, v0, slope0, shift0 = a[i], b[i], w1[i], w2[i], slope[i], shift[i]
        for lane in range(lanes):
            z = sums[3 * PACK + lane]
            y0 = (a0 + slope0 * z) * y[o + lane] + shift0 * z + b0 * sums[lane] * xi[o + lane]
            y[o + lane] = y0
            sums[PACK + lane] += y0 * (u0 + v0 * y0)
            sums[2 * PACK + lane] += y0 * y0


@compiled
def _amplitudes(sums, w0, lanes):
    for lane in range(lanes):
        value = w0 + sums[PACK + lane]
        sums[lane] = math.sqrt(value if value > 0.0 else 0.0)
        sums[PACK + lane] = 0.0
        sums[2 * PACK + lane] = 0.0


@compiled
def diagonal_noise(state, overflow, a, b, w0, w1, w2, slope, shift, seed, path, first, last, normals, words):
    """y_i <- a_i y_i + sqrt(max(w0 + sum_j y_j (w1_j + w2_j y_j), 0)) b_i xi_i + (slope_i y_i + shift_i)
    xi_0.

    The common term is left out where `slope` and `shift` are empty: a step then draws d normals, the xi_i;
    with it d + 1, of which xi_0 is the first. `path` is the number of the first path, a multiple of PACK;
    a, b, w1, w2 are (d,) float64, w0 a float.
    """
    d, lanes, per_block = state.shape[1], state.shape[2], 4 * normals.shape[0] // words.shape[0]
    common = 1 if slope.size else 0
    size = d + common
    sums = np.zeros(4 * lanes)  # amplitude of this step; quadratic and square sum of the next state; xi_0
    for pack in range(state.shape[0]):
        y = state[pack].reshape(-1)
        sums[:] = 0.0
        add_quadratic(sums[PACK : 2 * PACK], state[pack], w1, w2)
        _amplitudes(sums, w0, lanes)
        j, step, position, stop = -common, first, first * size, last * size
        while position < stop:
            window = position - position % per_block
            end = min(stop, window + normals.shape[0])
            blocks = (end - window - 1) // per_block + 1  # a call that ends soon draws no more than it takes
            fill_normals(
                normals[: blocks * per_block], words[: 4 * blocks], seed, Purpose.BROWNIAN, path + pack * PACK,
                window // per_block,
            )  # fmt: skip
            while position < end:
                if j < 0:
                    for lane in range(lanes):
                        sums[3 * PACK + lane] = normals[position - window, lane]
                    j, position = 0, position + 1
                i = j + min(d - j, end - position)
                xi = normals[position - window : position - window + i - j].reshape(-1)
                part = y[j * PACK : i * PACK]
                if common:
                    _sweep_common(
                        part, sums, a[j:i], b[j:i], w1[j:i], w2[j:i], slope[j:i], shift[j:i], xi, lanes
                    )
                else:
                    _sweep(part, sums, a[j:i], b[j:i], w1[j:i], w2[j:i], xi, i - j)
                position, j = position + i - j, i
                if j == d:
                    j, step = -common, step + 1
                    _record_overflow(overflow[pack], sums, step)
                    _amplitudes(sums, w0, lanes)


@compiled
def _affine(y, sums, a, noise, lanes):
    flat, added = y.reshape(-1), noise.reshape(-1)
    sums[2 * PACK :] = 0.0
    for i in range(a.size):
        o, a0 = i * PACK, a[i]
        for lane in range(lanes):
            y0 = a0 * flat[o + lane] + added[o + lane]
            flat[o + lane] = y0
            sums[2 * PACK + lane] += y0 * y0


@compiled
def dense_noise(state, overflow, a, matrix, seed, path, first, last, normals, words):
    """y_i <- a_i y_i + sum_j matrix_ij xi_j with a constant matrix (d, m); m normals a step."""
    lanes, size = state.shape[2], matrix.shape[1]
    xi, noise, sums = np.empty((size, lanes)), np.empty((state.shape[1], lanes)), np.zeros(3 * lanes)
    for pack in range(state.shape[0]):
        for step in range(first, last):
            pack_normals(xi, normals, words, seed, Purpose.BROWNIAN, path + pack * PACK, step * size)
            multiply(noise, matrix, xi)
            _affine(state[pack], sums, a, noise, lanes)
            _record_overflow(overflow[pack], sums, step + 1)


@compiled
def _weigh_residuals(residual, offsets, weights, factor):
    # residual_i <- factor (residual_i + offset_i) (w_i - mean w)
    lanes, samples = residual.shape[1], residual.shape[0]
    mean = np.zeros(lanes)
    for i in range(samples):
        for lane in range(lanes):
            mean[lane] += weights[i, lane]
    mean /= samples
    for i in range(samples):
        for lane in range(lanes):
            residual[i, lane] = factor * (residual[i, lane] + offsets[i]) * (weights[i, lane] - mean[lane])


@compiled
def sample_noise(
    state, overflow, a, scale, rows, columns, offsets, own, seed, path, first, last, normals, words
):
    """y <- a y + scale / sqrt(n) sum_i rows_i r_i (w_i - mean w) + own * v, r_i = rows_i . y + offsets_i.

    A step takes n normals w and, where `own` (d,) is not empty, d normals v.

    The noise has the covariance scale^2 C(y), C = mean_i g_i g_i^T - g g^T of the gradients g_i = rows_i
    r_i with mean g. `rows` is (n, d), `columns` its transpose, stored contiguously; a is (d,).
    """
    (samples, d), lanes = rows.shape, state.shape[2]
    size = samples + own.size
    xi, residual, noise = np.empty((size, lanes)), np.empty((samples, lanes)), np.empty((d, lanes))
    sums, factor = np.zeros(3 * lanes), scale / math.sqrt(samples)
    for pack in range(state.shape[0]):
        for step in range(first, last):
            pack_normals(xi, normals, words, seed, Purpose.BROWNIAN, path + pack * PACK, step * size)
            multiply(residual, rows, state[pack])
            _weigh_residuals(residual, offsets, xi, factor)
            multiply(noise, columns, residual)
            for i in range(own.size):
                for lane in range(lanes):
                    noise[i, lane] += own[i] * xi[samples + i, lane]
            _affine(state[pack], sums, a, noise, lanes)
            _record_overflow(overflow[pack], sums, step + 1)


@compiled
def _monomials(out, y):
    # (y, 1) (y, 1)^T, its upper triangle row by row
    d, lanes, place = y.shape[0], y.shape[1], 0
    for i in range(d):
        for j in range(i, d):
            for lane in range(lanes):
                out[place, lane] = y[i, lane] * y[j, lane]
            place += 1
        for lane in range(lanes):
            out[place, lane] = y[i, lane]
        place += 1
    out[place] = 1.0


@compiled
def _factorise(c, d):
    # Cholesky in place on packed upper triangles (rows of L^T); a vanishing pivot ends its column with zeros
    lanes, start_i = c.shape[1], 0
    for i in range(d):
        for lane in range(lanes):
            pivot = c[start_i, lane]
            c[start_i, lane] = 1.0 / math.sqrt(pivot) if pivot > 0.0 else 0.0
        for j in range(i + 1, d):
            for lane in range(lanes):
                c[start_i + j - i, lane] *= c[start_i, lane]
        start_j = start_i + d - i
        for j in range(i + 1, d):
            for k in range(j, d):
                for lane in range(lanes):
                    c[start_j + k - j, lane] -= c[start_i + j - i, lane] * c[start_i + k - i, lane]
            for lane in range(lanes):  # rounding must not leave a pivot where the covariance is singular
                square = c[start_i + j - i, lane] * c[start_i + j - i, lane]
                if c[start_j, lane] < 1e-14 * square:
                    c[start_j, lane] = 0.0
            start_j += d - j
        for lane in range(lanes):
            c[start_i, lane] = 1.0 / c[start_i, lane] if c[start_i, lane] > 0.0 else 0.0
        start_i += d - i


@compiled
def covariance_noise(state, overflow, a, scale, table, seed, path, first, last, normals, words):
    """y <- a y + scale L xi with L L^T = C(y) by Cholesky; d normals a step.

    `table` maps the packed triangle of (y, 1) (y, 1)^T to that of C(y): the covariance of one sample's gradient
    without a loop over samples.
    """
    d, lanes = state.shape[1], state.shape[2]
    xi, noise = np.empty((d, lanes)), np.empty((d, lanes))
    monomials, c = np.empty((table.shape[1], lanes)), np.empty((table.shape[0], lanes))
    sums = np.zeros(3 * lanes)
    for pack in range(state.shape[0]):
        for step in range(first, last):
            pack_normals(xi, normals, words, seed, Purpose.BROWNIAN, path + pack * PACK, step * d)
            _monomials(monomials, state[pack])
            multiply(c, table, monomials)
            _factorise(c, d)
            noise[:] = 0.0
            place = 0
            for i in range(d):
                for j in range(i, d):
                    for lane in range(lanes):
                        noise[j, lane] += scale * c[place, lane] * xi[i, lane]
                    place += 1
            _affine(state[pack], sums, a, noise, lanes)
            _record_overflow(overflow[pack], sums, step + 1)
