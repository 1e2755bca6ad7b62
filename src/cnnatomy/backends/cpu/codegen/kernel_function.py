"""A kernel as an LLVM function: its arguments, its plan, its integers, and the share of one thread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir

from cnnatomy.backends.cpu.codegen.vector_types import I32, I64, PTR

STORAGE: dict[str, tuple[ir.Type, ir.Type]] = {
    "float32": (ir.FloatType(), ir.FloatType()),
    "float64": (ir.DoubleType(), ir.DoubleType()),
    "float16": (ir.HalfType(), ir.FloatType()),
    "bfloat16": (ir.IntType(16), ir.FloatType()),
    "uint8": (ir.IntType(8), ir.DoubleType()),
}
"""For each dtype: how an element lies in memory, and the type it is computed in."""


class KernelFunction:
    """One kernel `void(ptr plan, ptr..., i64 lo, i64 hi)`; the plan holds 64-bit integers."""

    def __init__(self, name: str, pointers: Sequence[str], dtype: str) -> None:
        self.module = ir.Module(name=name)
        kind = ir.FunctionType(ir.VoidType(), [PTR] + [PTR] * len(pointers) + [I64, I64])
        self.function = ir.Function(self.module, kind, name=name)
        self.entry = self.function.append_basic_block("entry")
        self.builder = ir.IRBuilder(self.function.append_basic_block("body"))
        for argument in self.function.args[: 1 + len(pointers)]:
            argument.add_attribute("noalias")
        self.plan = self.function.args[0]
        self.pointers = dict(zip(pointers, self.function.args[1:], strict=False))
        self.lo, self.hi = self.function.args[-2:]
        self.memory, self.compute = STORAGE[dtype]
        self.dtype = dtype
        self.tap = I64 if dtype == "float64" else I32  # as wide as a value, so that masks fit both

    def finish(self) -> str:
        """The kernel's LLVM text."""
        self.builder.ret_void()
        ir.IRBuilder(self.entry).branch(self.function.basic_blocks[1])
        self._share()
        return str(self.module)

    def _share(self) -> None:
        """Write `void shared(ptr job)`: this thread's share of the units, for a team of OpenMP's.

        The job is the kernel's arguments up to `hi`, then the bytes of scratch for each thread, then the
        addresses of OpenMP's `omp_get_thread_num` and `omp_get_num_threads`. Scratch is the last pointer.
        """
        kind = ir.FunctionType(ir.VoidType(), [PTR])
        shared = ir.Function(self.module, kind, name=f"{self.function.name}_shared")
        b = ir.IRBuilder(shared.append_basic_block("entry"))
        count = len(self.function.args)

        def word(i: int) -> Any:
            slot = b.gep(shared.args[0], [ir.Constant(I64, i)], source_etype=I64)
            return b.load(slot, typ=I64)

        ask = ir.FunctionType(I32, []).as_pointer()
        here, team = (b.sext(b.call(b.inttoptr(word(count + i), ask), []), I64) for i in (1, 2))
        pointers = [word(i) for i in range(count - 2)]
        pointers[-1] = b.add(pointers[-1], b.mul(here, word(count)))
        lo, hi = word(count - 2), word(count - 1)
        cuts = [
            b.add(lo, b.sdiv(b.mul(b.sub(hi, lo), i), team)) for i in (here, b.add(here, ir.Constant(I64, 1)))
        ]
        b.call(self.function, [*(b.inttoptr(pointer, PTR) for pointer in pointers), *cuts])
        b.ret_void()

    def const(self, value: int) -> Any:
        """A 64-bit integer constant."""
        return ir.Constant(I64, value)

    def size(self, slot: int) -> Any:
        """The plan's integer in `slot`."""
        return self.item(self.plan, self.const(slot))

    def table(self, address: Any) -> Any:
        """The pointer that an integer of the plan holds."""
        return self.builder.inttoptr(address, PTR)

    def item(self, table: Any, index: Any) -> Any:
        """table[index], of 64-bit integers."""
        return self.builder.load(self.builder.gep(table, [index], source_etype=I64), typ=I64)

    def add(self, *terms: Any) -> Any:
        """The sum of integers."""
        total = terms[0]
        for term in terms[1:]:
            total = self.builder.add(total, term)
        return total

    def mul(self, *factors: Any) -> Any:
        """The product of integers."""
        total = factors[0]
        for factor in factors[1:]:
            total = self.builder.mul(total, factor)
        return total

    def smaller(self, a: Any, b: Any) -> Any:
        """min(a, b) of integers."""
        return self.builder.select(self.builder.icmp_signed("<", a, b), a, b)

    def larger(self, a: Any, b: Any) -> Any:
        """max(a, b) of integers."""
        return self.builder.select(self.builder.icmp_signed(">", a, b), a, b)

    def equal(self, a: Any, b: Any) -> Any:
        """a == b of integers."""
        return self.builder.icmp_signed("==", a, b)

    def cell(self, kind: ir.Type) -> Any:
        """A mutable variable (the optimiser turns it into a register)."""
        return ir.IRBuilder(self.entry).alloca(kind)
