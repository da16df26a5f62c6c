"""Products of a row of data with a path's position, in one order of sums, alone or in the pass that moves the path.

The coordinates go in blocks of 32, what is left in blocks of 16, 8, 4, 2 and 1; the partial sums are folded by halves.
Both functions sum in this order, so a step's product has the same bits whether it was taken ahead or not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import llvmlite.ir as ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from sgdlimits.ensembles.lanes import F64, I32, I64, Lanes, filled, load, store

WIDEST = 32


def _row(context: Any, builder: Any, kind: Any, value: Any, number: Any) -> tuple[Any, Any]:
    """Data of row `number` of a contiguous array (rows, d), and d."""
    if kind.layout != "C":
        raise TypeError(f"rows must be contiguous in memory, got an array of layout {kind.layout}")
    array = context.make_array(kind)(context, builder, value)
    length = builder.extract_value(array.shape, 1)
    return builder.gep(array.data, [builder.mul(number, length)]), length


def _halves(builder: Any, total: Any) -> Any:
    """Sum of a vector's halves."""
    width = total.type.count // 2
    kind = ir.VectorType(I32, width)
    low, high = (
        builder.shuffle_vector(total, total, ir.Constant(kind, list(range(first, first + width))))
        for first in (0, width)
    )
    return builder.fadd(low, high)


def _summed(builder: Any, length: Any, term: Callable[[Any, int, Any], Any]) -> Any:
    """Fold the sums of term(place, width, sum so far) over a row of this length."""
    total, begin = ir.Constant(ir.VectorType(F64, WIDEST), [0.0] * WIDEST), ir.Constant(I64, 0)
    for width in (32, 16, 8, 4, 2, 1):
        if width < WIDEST:
            total = _halves(builder, total)
        held, size = cgutils.alloca_once_value(builder, total), ir.Constant(I64, width)
        count = builder.udiv(builder.sub(length, begin), size)
        with cgutils.for_range(builder, count) as loop:
            place = builder.add(begin, builder.mul(loop.index, size))
            builder.store(term(place, width, builder.load(held)), held)
        begin, total = builder.add(begin, builder.mul(count, size)), builder.load(held)
    return builder.extract_element(total, ir.Constant(I64, 0))


def _add_product(sum_so_far: Any, a: Lanes, b: Lanes) -> Any:
    return Lanes(a.builder, sum_so_far).plus_product(a, b).value


@intrinsic
def row_product(typing_context, rows, i, x, p):
    """rows_i . x_p for C-contiguous float64 arrays (n, d) and (P, d)."""

    def generate(context, builder, signature, arguments):
        row, length = _row(context, builder, signature.args[0], arguments[0], arguments[1])
        path, _ = _row(context, builder, signature.args[2], arguments[2], arguments[3])

        def term(place, width, total):
            return _add_product(total, load(builder, row, place, width), load(builder, path, place, width))

        return _summed(builder, length, term)

    return types.float64(rows, types.int64, x, types.int64), generate


@intrinsic
def move_and_product(typing_context, x, p, keep, coefficient, rows, i, ahead):
    """x_p <- keep x_p + coefficient rows_i; returns rows_ahead . x_p of where it is now, all in one pass."""

    def generate(context, builder, signature, arguments):
        path, length = _row(context, builder, signature.args[0], arguments[0], arguments[1])
        row, _ = _row(context, builder, signature.args[4], arguments[4], arguments[5])
        upcoming, _ = _row(context, builder, signature.args[4], arguments[4], arguments[6])

        def term(place, width, total):
            keep, coefficient = (filled(builder, each, width) for each in arguments[2:4])
            kept = keep * load(builder, path, place, width)
            moved = kept.plus_product(coefficient, load(builder, row, place, width))
            store(path, place, moved)
            return _add_product(total, load(builder, upcoming, place, width), moved)

        return _summed(builder, length, term)

    signature = types.float64(x, types.int64, types.float64, types.float64, rows, types.int64, types.int64)
    return signature, generate


@intrinsic
def push_and_product(typing_context, x, slots, p, ridge, residual, momentum, of_gradient, of_slot, rows, i, ahead):
    """The same with momentum: g = ridge x_p + residual rows_i, the slot v <- momentum v + g, and x_p moves by
    of_gradient g + of_slot v; `slots` is (P, 1, d)."""

    def generate(context, builder, signature, arguments):
        path, length = _row(context, builder, signature.args[0], arguments[0], arguments[2])
        kept = builder.gep(
            context.make_array(signature.args[1])(context, builder, arguments[1]).data,
            [builder.mul(arguments[2], length)],
        )
        row, _ = _row(context, builder, signature.args[8], arguments[8], arguments[9])
        upcoming, _ = _row(context, builder, signature.args[8], arguments[8], arguments[10])

        def term(place, width, total):
            ridge, residual, momentum, of_gradient, of_slot = (filled(builder, each, width) for each in arguments[3:8])
            here = load(builder, path, place, width)
            g = (ridge * here).plus_product(residual, load(builder, row, place, width))
            v = g.plus_product(momentum, load(builder, kept, place, width))
            store(kept, place, v)
            moved = here.plus_product(of_gradient, g).plus_product(of_slot, v)
            store(path, place, moved)
            return _add_product(total, load(builder, upcoming, place, width), moved)

        return _summed(builder, length, term)

    numbers = [types.float64] * 5
    return types.float64(x, slots, types.int64, *numbers, rows, types.int64, types.int64), generate
