"""Compiled descents on one row a step: a path at a time through the rows of a tile, a product and a pass each.

The built-in rules whose step is a pass over the coordinates have their own loop here; what a rule means is written in
`discrete.rules`, and tests hold the two together. Rounding may differ from there by fused multiplications.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sgdlimits.ensembles.limits import too_large
from sgdlimits.exact.compiling import compiled

from .row_products import move_and_product, push_and_product, row_product
from .rules import Adam, AdamW, HeavyBall, Nesterov, Plain, Rule

OTHER, PLAIN, MOMENTUM, AHEAD, ADAM = range(5)  # which loop takes a rule
# The sum's order depends on d alone, never on paths or steps.
FUSED: dict[str, Any] = {"fastmath": {"reassoc", "contract", "nsz"}}


def form_of(rule: Rule) -> int:
    """The loop of a rule: PLAIN, MOMENTUM, AHEAD (Nesterov), ADAM, or OTHER, which goes step by step."""
    if isinstance(rule, Plain):
        return PLAIN
    if isinstance(rule, (HeavyBall, Nesterov)):
        return MOMENTUM if isinstance(rule, HeavyBall) else AHEAD
    return ADAM if isinstance(rule, (Adam, AdamW)) and not rule.amsgrad else OTHER


@compiled(**FUSED)
def _square(x, p):
    total = 0.0
    for j in range(x.shape[1]):
        total += x[p, j] * x[p, j]
    return total


@compiled
def follow_plain(x, p, rows, targets, chosen, errors, steps, keep, scale, overflow, first, watch):
    """Steps x <- keep x + scale (row.x - target - error) row, row after row; the step of an overflow.

    Of paths p and p + 1 side by side, so that one's sums do not wait for the other's: `chosen` and `errors` are (2,
    steps at least). The product with the next row is taken while the path moves.
    """
    last = steps - 1
    product, other = row_product(rows, chosen[0, 0], x, p), row_product(rows, chosen[1, 0], x, p + 1)
    for k in range(steps):
        i, j, ahead = chosen[0, k], chosen[1, k], min(k + 1, last)
        pull, tug = scale * (product - targets[i] - errors[0, k]), scale * (other - targets[j] - errors[1, k])
        product = move_and_product(x, p, keep, pull, rows, i, chosen[0, ahead])
        other = move_and_product(x, p + 1, keep, tug, rows, j, chosen[1, ahead])
        for q in range(p, p + 2 if watch else p):
            if overflow[q] < 0 and too_large(_square(x, q)):
                overflow[q] = first + k + 1


@compiled
def follow_momentum(
    x, slots, p, rows, targets, chosen, errors, steps, ridge, size, momentum, ahead, overflow, first, watch
):  # fmt: skip
    """The same with momentum; `ahead`: of Nesterov."""
    of_gradient, of_slot, last = -size if ahead else 0.0, -size * momentum if ahead else -size, steps - 1
    product, other = row_product(rows, chosen[0, 0], x, p), row_product(rows, chosen[1, 0], x, p + 1)
    for k in range(steps):
        i, j, following = chosen[0, k], chosen[1, k], min(k + 1, last)
        pull, tug = product - targets[i] - errors[0, k], other - targets[j] - errors[1, k]
        product = push_and_product(
            x, slots, p, ridge, pull, momentum, of_gradient, of_slot, rows, i, chosen[0, following]
        )
        other = push_and_product(
            x, slots, p + 1, ridge, tug, momentum, of_gradient, of_slot, rows, j, chosen[1, following]
        )
        for q in range(p, p + 2 if watch else p):
            if overflow[q] < 0 and too_large(_square(x, q)):
                overflow[q] = first + k + 1


@compiled(**FUSED)
def follow_adam(
    x, slots, p, rows, targets, chosen, errors, ridge, size, settings, lengths, roots, overflow, first, watch
):  # fmt: skip
    """The same of Adam and AdamW; `lengths` and `roots` (steps,) are their corrections for bias, see `corrections`."""
    b1, b2, eps, decay, decoupled = settings[0], settings[1], settings[2], settings[3], settings[4] != 0.0
    kept = 1.0 - size * decay if decoupled else 1.0
    pulled = ridge if decoupled else ridge + decay
    for k in range(chosen.size):
        i, length, root = chosen[k], lengths[k], roots[k]
        residual = row_product(rows, i, x, p) - targets[i] - errors[k]
        for j in range(x.shape[1]):
            g = pulled * x[p, j] + residual * rows[i, j]
            m = slots[p, 0, j] + (1.0 - b1) * (g - slots[p, 0, j])
            v = b2 * slots[p, 1, j] + (1.0 - b2) * g * g
            slots[p, 0, j], slots[p, 1, j] = m, v
            x[p, j] = kept * x[p, j] - length * m / (root * np.sqrt(v) + eps)
        if watch and overflow[p] < 0 and too_large(_square(x, p)):
            overflow[p] = first + k + 1


@compiled
def corrections(lengths, roots, settings, size, first):
    """Adam's length of a step and one over the root of its correction, from step `first` on."""
    for k in range(lengths.size):
        lengths[k] = size / (1.0 - settings[0] ** (first + k + 1))
        roots[k] = 1.0 / np.sqrt(1.0 - settings[1] ** (first + k + 1))
