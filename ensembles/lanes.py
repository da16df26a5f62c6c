"""Formulas compiled for all lanes of a pack at once, or for one number: the same operations in the same order.

A formula is a Python function of `Lanes`, which emit LLVM code where they are added, multiplied or shifted. Vectors are
as long as a pack, whatever the processor: LLVM cuts them to its registers. Arithmetic is elementwise IEEE, so the bits
depend neither on the length nor on the processor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import llvmlite.ir as ir
import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

I32, I64, F32, F64 = ir.IntType(32), ir.IntType(64), ir.FloatType(), ir.DoubleType()
_ROUNDED: dict[Any, Any] = {F32: np.float32, F64: np.float64}
_LLVM = {types.uint32: I32, types.uint64: I64, types.float32: F32, types.float64: F64}


class Lanes:
    """One number, or a vector of them, under way in an LLVM builder; plain numbers beside it are constants."""

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder, self.value = builder, value

    @property
    def element(self) -> Any:
        """LLVM type of one lane."""
        kind = self.value.type
        return kind.element if isinstance(kind, ir.VectorType) else kind

    def _like(self, element: Any) -> Any:
        kind = self.value.type
        return ir.VectorType(element, kind.count) if isinstance(kind, ir.VectorType) else element

    def _other(self, other: Any) -> Any:
        if isinstance(other, Lanes):
            return other.value
        kind, element = self.value.type, self.element
        if element in _ROUNDED:
            number = float(_ROUNDED[element](other))
        else:
            number = int(other) & ((1 << element.width) - 1)
        return ir.Constant(kind, [number] * kind.count if isinstance(kind, ir.VectorType) else number)

    def _by(self, operation: str, other: Any, swapped: bool = False) -> Lanes:
        name = "f" + operation if self.element in _ROUNDED else operation
        pair = (self._other(other), self.value) if swapped else (self.value, self._other(other))
        return Lanes(self.builder, getattr(self.builder, name)(*pair))

    def __add__(self, other: Any) -> Lanes:
        return self._by("add", other)

    def __radd__(self, other: Any) -> Lanes:
        return self._by("add", other, swapped=True)

    def __sub__(self, other: Any) -> Lanes:
        return self._by("sub", other)

    def __rsub__(self, other: Any) -> Lanes:
        return self._by("sub", other, swapped=True)

    def __mul__(self, other: Any) -> Lanes:
        return self._by("mul", other)

    def __rmul__(self, other: Any) -> Lanes:
        return self._by("mul", other, swapped=True)

    def __truediv__(self, other: Any) -> Lanes:
        return self._by("div", other)

    def __and__(self, other: Any) -> Lanes:
        return self._by("and_", other)

    def __or__(self, other: Any) -> Lanes:
        return self._by("or_", other)

    def __xor__(self, other: Any) -> Lanes:
        return self._by("xor", other)

    def __lshift__(self, places: int) -> Lanes:
        return self._by("shl", places)

    def __rshift__(self, places: int) -> Lanes:
        return self._by("lshr", places)

    def signed_shift(self, places: int) -> Lanes:
        """To the right, the sign coming in from the left."""
        return self._by("ashr", places)

    def at_most(self, largest: float) -> Lanes:
        """The smaller of the two; not a number stays so."""
        beyond = self.builder.fcmp_ordered(">", self.value, self._other(largest))
        return Lanes(self.builder, self.builder.select(beyond, self._other(largest), self.value))

    def bits(self, element: Any) -> Lanes:
        """The same bits read as another type of the same width."""
        return Lanes(self.builder, self.builder.bitcast(self.value, self._like(element)))

    def low(self) -> Lanes:
        """The low 32 bits of 64."""
        return Lanes(self.builder, self.builder.trunc(self.value, self._like(I32)))

    def real(self, element: Any) -> Lanes:
        """A signed whole number as a float."""
        return Lanes(self.builder, self.builder.sitofp(self.value, self._like(element)))

    def double(self) -> Lanes:
        """Signed whole numbers or floats as float64."""
        if self.element == F64:
            return self
        convert = self.builder.fpext if self.element == F32 else self.builder.sitofp
        return Lanes(self.builder, convert(self.value, self._like(F64)))

    def _call(self, name: str, *values: Any) -> Lanes:
        kind = self.value.type
        length = f"v{kind.count}" if isinstance(kind, ir.VectorType) else ""
        full = f"llvm.{name}.{length}f{32 if self.element == F32 else 64}"
        signature = ir.FunctionType(kind, [kind] * len(values))
        function = cgutils.get_or_insert_function(self.builder.module, signature, full)
        return Lanes(self.builder, self.builder.call(function, values))

    def root(self) -> Lanes:
        """Square root."""
        return self._call("sqrt", self.value)

    def plus_product(self, a: Lanes, b: Lanes) -> Lanes:
        """This plus a b, rounded once where the processor can: bits then differ between processors."""
        return self._call("fmuladd", a.value, b.value, self.value)


def filled(builder: Any, value: Any, count: int) -> Lanes:
    """A vector whose lanes all hold one number."""
    kind = ir.VectorType(value.type, count)
    nothing = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(nothing, value, ir.Constant(I32, 0))
    return Lanes(builder, builder.shuffle_vector(first, nothing, ir.Constant(ir.VectorType(I32, count), [0] * count)))


def numbered(builder: Any, element: Any, count: int) -> Lanes:
    """A vector of 0, 1, 2, ..."""
    return Lanes(builder, ir.Constant(ir.VectorType(element, count), list(range(count))))


def _vector(builder: Any, data: Any, place: Any, count: int) -> tuple[Any, int]:
    element = data.type.pointee
    target = builder.bitcast(builder.gep(data, [place]), ir.VectorType(element, count).as_pointer())
    return target, {F32: 4, F64: 8}.get(element) or element.width // 8


def store(data: Any, place: Any, values: Lanes) -> None:
    """Write a vector to consecutive elements of flat array data, from number `place` on."""
    target, align = _vector(values.builder, data, place, values.value.type.count)
    values.builder.store(values.value, target).align = align


def load(builder: Any, data: Any, place: Any, count: int) -> Lanes:
    """Read a vector from there."""
    target, align = _vector(builder, data, place, count)
    found = builder.load(target)
    found.align = align
    return Lanes(builder, found)


def of_numbers(formula: Callable[..., Any], arguments: Sequence[Any], results: Sequence[Any]) -> Any:
    """Function for compiled code of single numbers with these numba types: one result, or a tuple of them."""
    result = results[0] if len(results) == 1 else types.Tuple(list(results))
    count = len(arguments)
    if count > 6:
        raise TypeError(f"a formula takes at most 6 numbers, not {count}")

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        found = formula(*(Lanes(builder, value) for value in values))
        if len(results) == 1:
            return found.value
        return context.make_tuple(builder, signature.return_type, [each.value for each in found])

    signature = result(*arguments)
    takes = {
        1: lambda typing, a: (signature, generate),
        2: lambda typing, a, b: (signature, generate),
        6: lambda typing, a, b, c, d, e, f: (signature, generate),
    }  # numba counts the arguments by the function's own names
    return intrinsic(takes[count])


def transposed(rows: Sequence[Lanes]) -> list[Lanes]:
    """The columns of a square of vectors, their number a power of two: in each pass half of every row changes place."""
    rows, size = list(rows), len(rows)
    builder, width = rows[0].builder, size // 2
    while width:
        for i in (i for i in range(size) if not i & width):
            upper, lower = rows[i].value, rows[i + width].value
            kept = [j if not j & width else size + j - width for j in range(size)]
            for place, each in ((i, kept), (i + width, [j + width for j in kept])):
                mask = ir.Constant(ir.VectorType(I32, size), each)
                rows[place] = Lanes(builder, builder.shuffle_vector(upper, lower, mask))
        width //= 2
    return rows
