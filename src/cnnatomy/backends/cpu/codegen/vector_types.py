"""Types and constants of LLVM's vectors, and the one table that a processor looks up in a register."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

from llvmlite import ir

I64 = ir.IntType(64)
I32 = ir.IntType(32)
PTR = ir.PointerType()


def vector(element: ir.Type, width: int) -> ir.Type:
    """The LLVM type of `width` elements; a plain scalar for one."""
    return element if width == 1 else ir.VectorType(element, width)


def element(kind: ir.Type) -> ir.Type:
    """The type of one lane."""
    return kind.element if isinstance(kind, ir.VectorType) else kind


def splat(kind: ir.Type, value: float) -> ir.Constant:
    """The same number in every lane."""
    one = element(kind)
    number = float(value) if isinstance(one, (ir.FloatType, ir.DoubleType)) else int(value)
    constant = ir.Constant(one, number)
    return ir.Constant(kind, [constant] * kind.count) if isinstance(kind, ir.VectorType) else constant


def declared(module: ir.Module, name: str, signature: ir.FunctionType) -> Any:
    """A function of the compiler's."""
    return module.globals.get(name) or ir.Function(module, signature, name=name)


def table_lookup(builder: ir.IRBuilder, value: Any, table: Sequence[float], found: ir.Type) -> Any:
    """Of 32-bit integers: which of eight numbers their last three bits name."""
    b, count = builder, getattr(value.type, "count", 1)
    kind = ir.VectorType(ir.FloatType(), 8)
    numbers = ir.Constant(kind, [ir.Constant(kind.element, number) for number in table])
    signature = ir.FunctionType(kind, [kind, ir.VectorType(I32, 8)])
    choose = declared(b.module, "llvm.x86.avx2.permps", signature)
    names = b.bitcast(value, ir.VectorType(I32, count))

    def some(one: Any, other: Any, order: Sequence[int]) -> Any:
        return b.shuffle_vector(one, other, ir.Constant(ir.VectorType(I32, len(order)), list(order)))

    def eight(start: int) -> Any:
        order = [min(i, count - 1) for i in range(start, start + 8)]
        return b.call(choose, [numbers, some(names, names, order)])

    parts = [eight(start) for start in range(0, count, 8)]
    while len(parts) > 1:  # both sides of a shuffle are equally long
        pairs = zip_longest(parts[::2], parts[1::2], fillvalue=parts[-1])
        parts = [some(one, other, range(2 * one.type.count)) for one, other in pairs]
    return b.bitcast(some(parts[0], parts[0], range(count)), found)
