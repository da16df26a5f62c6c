"""Compiled steps of SGD on least squares: finite data (row-major) and streaming features (packs of paths).

Every kernel takes the steps first..last-1 of consecutive paths from number `path`, a multiple of PACK, and
writes into `overflow` int64, where it is still -1, the number of steps done when a path's norm first exceeded
1e150 or was not a number. The random numbers are those of sgdlimits.ensembles.random.Noise, so results do not
depend on how steps and paths are grouped. The last two arguments are `scratch(quality)` of
sgdlimits.ensembles.normals.
"""

from __future__ import annotations

import numpy as np

from sgdlimits.exact.compiling import compiled, in_memory
from sgdlimits.ensembles.limits import too_large
from sgdlimits.ensembles.normals import pack_normals
from sgdlimits.ensembles.packs import multiply
from sgdlimits.ensembles.philox import PACK, pack_words
from sgdlimits.ensembles.random import Purpose, bounded, permutation, tile_word64

from .rules.registry import apply_rule
from .single_rows import ADAM, AHEAD, MOMENTUM, OTHER, PLAIN, corrections, follow_adam, follow_momentum, follow_plain

TILE = 128  # draws of one path made at once


# Helpers take an array and a row number: a row as an array of its own would cost two atomic reference counts.


@compiled(
    fastmath={"reassoc", "contract", "nsz"}
)  # the sum's order depends on d alone, never on paths or steps
def _dot(rows, row, x, p):
    total = 0.0
    for j in range(x.shape[1]):
        total += rows[row, j] * x[p, j]
    return total


@compiled
def _combine(out, p, keep, coefficients, chosen, rows):
    # out_p <- keep out_p + sum_b coefficients_b rows[chosen_b], four rows at a time
    d, whole = out.shape[1], chosen.size - chosen.size % 4
    for b in range(0, whole, 4):
        c0, c1, c2, c3 = coefficients[b], coefficients[b + 1], coefficients[b + 2], coefficients[b + 3]
        r0, r1, r2, r3 = chosen[b], chosen[b + 1], chosen[b + 2], chosen[b + 3]
        for j in range(d):
            out[p, j] = (
                keep * out[p, j] + c0 * rows[r0, j] + c1 * rows[r1, j] + c2 * rows[r2, j] + c3 * rows[r3, j]
            )
        keep = 1.0
    for b in range(whole, chosen.size):
        c0, r0 = coefficients[b], chosen[b]
        for j in range(d):
            out[p, j] = keep * out[p, j] + c0 * rows[r0, j]
        keep = 1.0


@compiled
def _choose(chosen, orders, row, words, lane, position, sampling):
    # Rows of one step: `position` is its first draw in the tile of words; for reshuffle, in orders[row].
    size = chosen.size
    if sampling == 2:
        for b in range(size):
            chosen[b] = orders[row, position + b]
    elif sampling == 0:
        for b in range(size):
            chosen[b] = bounded(tile_word64(words, position + b, lane), orders.shape[1])
    else:
        for b in range(size):
            other = b + bounded(tile_word64(words, position + b, lane), orders.shape[1] - b)
            chosen[b] = other
            orders[row, b], orders[row, other] = orders[row, other], orders[row, b]
        for b in range(size - 1, -1, -1):
            other, found = chosen[b], orders[row, b]
            orders[row, b], orders[row, other] = orders[row, other], orders[row, b]
            chosen[b] = found


@compiled
def _renew(orders, epochs, p, epoch, seed, number):
    if epochs[p] != epoch:
        permutation(orders[p], seed, number, epoch)
        epochs[p] = epoch


@compiled
def _copy(out, first, source, row, count):
    for i in range(count):
        for j in range(out.shape[1]):
            out[first + i, j] = source[row + i, j]


@compiled
def _copy_slots(out, first, source, row, count):
    for i in range(count):
        for m in range(out.shape[1]):
            for j in range(out.shape[2]):
                out[first + i, m, j] = source[row + i, m, j]


@compiled
def _any_too_large(x, overflow, first):
    for p in range(first, first + PACK):
        if overflow[p] < 0 and too_large(_dot(x, p, x, p)):
            return True
    return False


def _minibatch(
    x, slots, overflow, orders, epochs, rows, targets, step_sizes, ridge, label_noise, rule, settings, form,
    batch_weights, sampling, seed, path, first, last, normals, words,
):  # fmt: skip
    """SGD on rows (n, d) and targets (n,): g = mean_b w_b a_b (a_b.x - y_b - label_noise eps_b) + ridge x.

    x is (P, d) float64 and slots (P, m, d) what the rule keeps; `rule` and `settings` are those of
    `rules.registry`, `form` what `single_rows.form_of` says of the rule. `step_sizes` holds the one step size,
    or that of each step first..last-1; `batch_weights` (B,) the w, which a single row has not. `sampling` is a place in
    SAMPLINGS. For reshuffle `orders` (P, n) int64 holds each path's permutation and `epochs` (P,) its epoch, -1 at the
    start; n // B steps make an epoch. Otherwise both are empty, (0, n) and (0,).
    """
    paths, d = x.shape
    batch_size = batch_weights.size
    samples, tile, constant = rows.shape[0], max(1, TILE // batch_size), step_sizes.size == 1
    plain, ahead = form == PLAIN, form == AHEAD
    single = batch_size == 1 and constant and form != OTHER and settings[-1] == np.inf
    per_epoch = samples // batch_size
    tile_words = np.empty((4 * (tile * batch_size // 2 + 1), PACK), np.uint32)
    eps = np.zeros((tile * batch_size, PACK))
    identity = np.arange(samples).reshape(1, -1)
    chosen, residuals = np.empty(batch_size, np.int64), np.empty(batch_size)
    path_rows, errors = np.empty((2, tile), np.int64), np.empty((2, tile))  # of two paths that go side by side
    lengths, roots = np.empty(tile), np.empty(tile)
    gradient, saved, saved_slots = np.empty((1, d)), np.empty((PACK, d)), np.empty((PACK, slots.shape[1], d))
    step_size = step_sizes[0]
    # Of the plain rule the combination of rows goes straight into x.
    scale = -step_size / batch_size if plain else 1.0 / batch_size
    for pack in range(paths // PACK):
        for start in range(first, last, tile):
            end, number = min(start + tile, last), path + pack * PACK
            block = start * batch_size // 2
            if sampling != 2:
                blocks = (end * batch_size + 1) // 2 - block
                pack_words(tile_words[: 4 * blocks], seed, Purpose.ROWS, number, block)
            if label_noise != 0.0:
                draws = eps[: (end - start) * batch_size]
                pack_normals(draws, normals, words, seed, Purpose.LABEL_NOISE, number, start * batch_size)
            _copy(saved, 0, x, pack * PACK, PACK)
            _copy_slots(saved_slots, 0, slots, pack * PACK, PACK)
            if single and form == ADAM:
                corrections(lengths[: end - start], roots[: end - start], settings, step_size, start)
            watch = False
            while True:
                for lane in range(PACK if single else 0):
                    p, side = pack * PACK + lane, lane & 1
                    for step in range(start, end):
                        if sampling == 2:
                            _renew(orders, epochs, p, step // per_epoch, seed, number + lane)
                            path_rows[side, step - start] = orders[p, step % per_epoch]
                        else:
                            word = tile_word64(tile_words, step - 2 * block, lane)
                            path_rows[side, step - start] = bounded(word, samples)
                        errors[side, step - start] = label_noise * eps[step - start, lane]
                    taken, off = path_rows[side, : end - start], errors[side]
                    if plain and side:
                        keep = 1.0 - step_size * ridge
                        follow_plain(
                            x, p - 1, rows, targets, path_rows, errors, end - start, keep, scale, overflow, start,
                            watch,
                        )  # fmt: skip
                    elif (form == MOMENTUM or ahead) and side:
                        follow_momentum(
                            x, slots, p - 1, rows, targets, path_rows, errors, end - start, ridge, step_size,
                            settings[0], ahead, overflow, start, watch,
                        )  # fmt: skip
                    elif form == ADAM:
                        follow_adam(
                            x, slots, p, rows, targets, taken, off, ridge, step_size, settings, lengths, roots,
                            overflow, start, watch,
                        )
                # Paths inside, steps outside: the processor overlaps the independent dot products.
                for step in range(end if single else start, end):
                    if not constant:
                        step_size = step_sizes[step - first]
                        scale = -step_size / batch_size if plain else 1.0 / batch_size
                    for lane in range(PACK):
                        p = pack * PACK + lane
                        if sampling == 2:
                            _renew(orders, epochs, p, step // per_epoch, seed, number + lane)
                            _choose(
                                chosen, orders, p, tile_words, lane, step % per_epoch * batch_size, sampling
                            )
                        else:
                            _choose(
                                chosen, identity, 0, tile_words, lane, step * batch_size - 2 * block, sampling
                            )
                        for b in range(batch_size):
                            error = label_noise * eps[(step - start) * batch_size + b, lane]
                            residual = _dot(rows, chosen[b], x, p) - targets[chosen[b]] - error
                            residuals[b] = scale * batch_weights[b] * residual
                        if plain:
                            _combine(x, p, 1.0 - step_size * ridge, residuals, chosen, rows)
                        else:
                            _copy(gradient, 0, x, p, 1)
                            _combine(gradient, 0, ridge, residuals, chosen, rows)
                            apply_rule(rule, x, slots, p, gradient, 0, step_size, step, settings)
                        if watch and overflow[p] < 0 and too_large(_dot(x, p, x, p)):
                            overflow[p] = step + 1
                # Norms are looked at once a tile; a tile that ends too large is run again, every step
                # watched.
                if watch or not _any_too_large(x, overflow, pack * PACK):
                    break
                watch = True
                _copy(x, pack * PACK, saved, 0, PACK)
                _copy_slots(slots, pack * PACK, saved_slots, 0, PACK)


minibatch, minibatch_in_memory = compiled(_minibatch), in_memory(_minibatch)


@compiled
def _add_sample(gradient, residual, x, minimiser, roots, xi, error, factor):
    # residual of one fresh sample per lane, then its gradient: features root_i xi_i
    lanes, xi, x, gradient = residual.size, xi.reshape(-1), x.reshape(-1), gradient.reshape(-1)
    residual[:] = 0.0
    for i in range(roots.size):
        o, root, centre = i * PACK, roots[i], minimiser[i]
        for lane in range(lanes):
            residual[lane] += root * xi[o + lane] * (x[o + lane] - centre)
    for lane in range(lanes):
        residual[lane] = factor * (residual[lane] - error[lane])
    for i in range(roots.size):
        o, root = i * PACK, roots[i]
        for lane in range(lanes):
            gradient[o + lane] += root * xi[o + lane] * residual[lane]


def _streaming(
    state, slots, overflow, roots, minimiser, vectors, step_sizes, ridge, noise, rule, settings, plain, batch_weights,
    seed, path, first, last, normals, words,
):  # fmt: skip
    """SGD on fresh samples in the eigenbasis: features root_i xi_i, labels features.minimiser + noise eps.

    With `vectors` (d, d), else (0, 0), x and slots are in the coordinates of which those are the eigenvectors.

    state is packs (packs, d, PACK), slots (packs, m, d, PACK), overflow (packs, PACK); roots are the square roots of
    the features' eigenvalues, (d,), and minimiser (d,). The rest as in `minibatch`.
    """
    d, lanes, turned, batch_size = state.shape[1], state.shape[2], vectors.shape[0] > 0, batch_weights.size
    transposed, modes, along = np.ascontiguousarray(vectors.T), np.empty((d, lanes)), np.empty((d, lanes))
    xi, gradient, residual = np.empty((d, lanes)), np.empty((d, lanes)), np.empty(lanes)
    eps, squares = np.zeros((batch_size, lanes)), np.empty(lanes)
    for pack in range(state.shape[0]):
        x, number = state[pack], path + pack * PACK
        rows, kept, gradients = x.T, slots[pack].transpose(2, 0, 1), gradient.T  # a row a path
        for step in range(first, last):
            step_size = step_sizes[0] if step_sizes.size == 1 else step_sizes[step - first]
            along[:] = 0.0
            if noise != 0.0:
                pack_normals(eps, normals, words, seed, Purpose.LABEL_NOISE, number, step * batch_size)
                eps *= noise
            if turned:
                multiply(modes, transposed, x)
            for b in range(batch_size):
                pack_normals(xi, normals, words, seed, Purpose.FEATURES, number, (step * batch_size + b) * d)
                factor = batch_weights[b] / batch_size
                _add_sample(along, residual, modes if turned else x, minimiser, roots, xi, eps[b], factor)
            if turned:
                multiply(gradient, vectors, along)
            else:
                for i in range(d):
                    for lane in range(lanes):
                        gradient[i, lane] = along[i, lane]
            squares[:] = 0.0
            for i in range(d):
                for lane in range(lanes):
                    g = gradient[i, lane] + ridge * x[i, lane]
                    if plain:
                        x[i, lane] -= step_size * g
                        squares[lane] += x[i, lane] * x[i, lane]
                    else:
                        gradient[i, lane] = g
            if not plain:
                for lane in range(lanes):
                    apply_rule(rule, rows, kept, lane, gradients, lane, step_size, step, settings)
                for i in range(d):
                    for lane in range(lanes):
                        squares[lane] += x[i, lane] * x[i, lane]
            for lane in range(lanes):
                if overflow[pack, lane] < 0 and too_large(squares[lane]):
                    overflow[pack, lane] = step + 1


streaming, streaming_in_memory = compiled(_streaming), in_memory(_streaming)
