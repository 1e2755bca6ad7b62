"""The few statements that CPU kernels are written in: integers, loops, shuffles, and here loads and stores.

Each class adds one kind of statement to the one before: `KernelFunction`, `Loops`, `Shuffles`, `Emitter`.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from cnnatomy.backends.cpu.codegen.shuffles import Shuffles
from cnnatomy.backends.cpu.codegen.vector_types import I32, I64, PTR, declared, splat, vector
from cnnatomy.backends.cpu.codegen.vectors import Lanes, traced
from cnnatomy.reducers.contract import Lane

BYTE = ir.IntType(8)


class Emitter(Shuffles):
    """A kernel that reads and writes tensors; all that kernels are written with."""

    def at(self, pointer: Any, index: Any, element: ir.Type) -> Any:
        """The address of pointer[index]."""
        return self.builder.gep(pointer, [index], source_etype=element)

    def raw_load(self, pointer: Any, index: Any, element: ir.Type, width: int) -> Any:
        """`width` elements as they lie in memory."""
        align = 1 if isinstance(element, ir.IntType) and element.width == 8 else 2
        return self.builder.load(self.at(pointer, index, element), align=align, typ=vector(element, width))

    def raw_store(self, value: Any, pointer: Any, index: Any, element: ir.Type) -> None:
        """Elements as they shall lie in memory."""
        align = 1 if isinstance(element, ir.IntType) and element.width == 8 else 2
        self.builder.store(value, self.at(pointer, index, element), align=align)

    def clear(self, pointer: Any, index: Any, count: Any) -> None:
        """Zeros into so many elements of a tensor, by the C library, which need not read them first."""
        size = self.const({"float64": 8, "float32": 4, "uint8": 1}.get(self.dtype, 2))
        name, no = "llvm.memset.p0.i64", ir.Constant(ir.IntType(1), 0)
        signature = ir.FunctionType(ir.VoidType(), [PTR, BYTE, I64, ir.IntType(1)])
        function = declared(self.module, name, signature)
        start = self.at(pointer, index, self.memory)
        self.builder.call(function, [start, ir.Constant(BYTE, 0), self.mul(count, size), no])

    def prefetch(self, pointer: Any, index: Any, ahead: int, write: bool = False) -> None:
        """Have what lies so many bytes behind pointer[index] brought near; no address is wrong."""
        at = self.builder.gep(self.at(pointer, index, self.memory), [self.const(ahead)], source_etype=BYTE)
        signature = ir.FunctionType(ir.VoidType(), [PTR, I32, I32, I32])
        name = "llvm.prefetch.p0"
        function = declared(self.module, name, signature)
        nearest, data = 3, 1
        self.builder.call(function, [at, *(ir.Constant(I32, flag) for flag in (int(write), nearest, data))])

    def load(self, pointer: Any, index: Any, width: int) -> Lanes:
        """`width` values from a tensor, in the type they are computed in."""
        return self.widened(self.raw_load(pointer, index, self.memory, width), width)

    def widened(self, value: Any, width: int) -> Lanes:
        """Elements as they lie in memory, in the type they are computed in."""
        b = self.builder
        if self.dtype == "bfloat16":
            high = b.shl(b.zext(value, vector(I32, width)), splat(vector(I32, width), 16))
            value = b.bitcast(high, vector(self.compute, width))
        elif self.dtype == "float16":
            value = b.fpext(value, vector(self.compute, width))
        elif self.dtype == "uint8":
            value = b.sitofp(b.zext(value, vector(I32, width)), vector(self.compute, width))
        return self.lanes(value)

    def load_inside(self, pointer: Any, index: Any, width: int, first: Any, limit: Any) -> Lanes:
        """`width` values from pointer[index], those of places first .. that lie in 0 .. limit - 1 only."""
        b = self.builder
        if width == 1:
            back = b.sub(self.smaller(self.larger(first, self.const(0)), b.sub(limit, self.const(1))), first)
            return self.load(pointer, self.add(index, back), 1)
        start = self.spread(b.trunc(first, I32), width)
        places = b.add(start.value, ir.Constant(start.kind, list(range(width))))
        mask = b.icmp_unsigned("<", places, self.spread(b.trunc(limit, I32), width).value)
        kind = vector(self.memory, width)
        name = f"llvm.masked.load.v{width}{self.memory.intrinsic_name}.p0"
        signature = ir.FunctionType(kind, [PTR, I32, ir.VectorType(ir.IntType(1), width), kind])
        function = declared(self.module, name, signature)
        align, none = ir.Constant(I32, 2), ir.Constant(kind, [0] * width)
        address = self.at(pointer, index, self.memory)
        return self.widened(b.call(function, [address, align, mask, none]), width)

    def store(self, lanes: Lane, pointer: Any, index: Any, width: int) -> None:
        """Values into a tensor, rounded to nearest even where it is narrower, and half up to whole bytes."""
        value, b = traced(lanes), self.builder
        if self.dtype == "bfloat16":
            value = self._round_bfloat16(value, width)
        elif self.dtype == "float16":
            value = b.fptrunc(value, vector(self.memory, width))
        elif self.dtype == "uint8":
            value = self._round_byte(value, width)
        self.raw_store(value, pointer, index, self.memory)

    def _round_byte(self, value: Any, width: int) -> Any:
        b, zero, most = self.builder, *(splat(vector(self.compute, width), edge) for edge in (0.0, 255.0))
        value = b.fadd(value, splat(value.type, 0.5))
        value = b.select(b.fcmp_ordered(">", value, zero), value, zero)
        value = b.select(b.fcmp_ordered("<", value, most), value, most)
        return b.trunc(b.fptosi(value, vector(I32, width)), vector(self.memory, width))

    def _round_bfloat16(self, value: Any, width: int) -> Any:
        b, word = self.builder, vector(I32, width)
        bits = b.bitcast(value, word)
        odd = b.and_(b.lshr(bits, splat(word, 16)), splat(word, 1))
        rounded = b.lshr(b.add(bits, b.add(odd, splat(word, 0x7FFF))), splat(word, 16))
        quiet = splat(word, 0x7FC0)
        return b.trunc(
            b.select(b.fcmp_unordered("uno", value, value), quiet, rounded), vector(self.memory, width)
        )
