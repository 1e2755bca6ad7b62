"""The few statements that CPU kernels are written in: loops, vector loads and stores, shuffles."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from llvmlite import ir

from cnnatomy.backends.cpu.codegen.vectors import I32, I64, PTR, Lanes, Truth, declared, splat, traced, vector
from cnnatomy.reducers.contract import Lane

BYTE = ir.IntType(8)
STORAGE: dict[str, tuple[ir.Type, ir.Type]] = {
    "float32": (ir.FloatType(), ir.FloatType()),
    "float64": (ir.DoubleType(), ir.DoubleType()),
    "float16": (ir.HalfType(), ir.FloatType()),
    "bfloat16": (ir.IntType(16), ir.FloatType()),
    "uint8": (ir.IntType(8), ir.DoubleType()),
}
"""For each dtype: how an element lies in memory, and the type it is computed in."""


class Emitter:
    """Writes one kernel `void(ptr plan, ptr..., i64 lo, i64 hi)`; the plan holds 64-bit integers."""

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

    # integers and loops

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

    def cell(self, kind: ir.Type) -> Any:
        """A mutable variable (the optimiser turns it into a register)."""
        return ir.IRBuilder(self.entry).alloca(kind)

    @contextmanager
    def loop(self, start: Any, stop: Any, step: int = 1) -> Iterator[Any]:
        """For i in range(start, stop, step)."""
        b = self.builder
        counter = self.cell(I64)
        b.store(start, counter)
        test, body, after = (b.append_basic_block(name) for name in ("test", "loop", "after"))
        b.branch(test)
        b.position_at_end(test)
        i = b.load(counter, typ=I64)
        b.cbranch(b.icmp_signed("<", i, stop), body, after)
        b.position_at_end(body)
        yield i
        b.store(b.add(i, self.const(step)), counter)
        b.branch(test)
        b.position_at_end(after)

    @contextmanager
    def odometer(self, start: Any, stop: Any, bases: Sequence[Any]) -> Iterator[list[Any]]:
        """For start <= i < stop, the digits of i, last digit first; one division a loop, not one a step."""
        b, rest, digits = self.builder, start, list[Any]()
        for base in bases:
            cell = self.cell(I64)
            b.store(b.srem(rest, base), cell)
            rest = b.sdiv(rest, base)
            digits.append(cell)
        last = self.cell(I64)
        b.store(rest, last)
        with self.loop(start, stop):
            yield [b.load(cell, typ=I64) for cell in (*digits, last)]
            carry: Any = self.const(1)
            for cell, base in zip(digits, bases, strict=True):
                digit = b.add(b.load(cell, typ=I64), carry)
                full = b.icmp_signed("==", digit, base)
                b.store(b.select(full, self.const(0), digit), cell)
                carry = b.zext(full, I64)
            b.store(b.add(b.load(last, typ=I64), carry), last)

    def either(self, condition: Any, yes: Callable[[], None], no: Callable[[], None]) -> None:
        """`yes()` if the condition holds, else `no()`."""
        with self.builder.if_else(condition) as (then, otherwise):
            with then:
                yes()
            with otherwise:
                no()

    def when(self, condition: Any, body: Callable[[], None]) -> None:
        """`body()` if the condition holds."""
        with self.builder.if_then(condition):
            body()

    def equal(self, a: Any, b: Any) -> Any:
        """a == b of integers."""
        return self.builder.icmp_signed("==", a, b)

    def sweep(
        self, length: Any, widths: Sequence[int], body: Callable[[Any, int], None], apart: bool = False
    ) -> None:
        """`body(start, width)` over `length` elements; the last vector steps back to end where they end.

        Elements it shares with the vector before are computed twice, to the same result. A vector that steps
        back is better written `apart` where steps are short: asking for it spoils the addresses' regular way.
        """
        width, rest = widths[0], widths[1:]

        def wide() -> None:
            b = self.builder
            if apart and width > 1:
                whole = b.sub(length, b.srem(length, self.const(width)))
                with self.loop(self.const(0), whole, width) as i:
                    body(i, width)
                last = b.sub(length, self.const(width))
                self.when(b.icmp_signed("!=", whole, length), lambda: body(last, width))
                return
            with self.loop(self.const(0), length, width) as i:
                body(self.smaller(i, b.sub(length, self.const(width))) if width > 1 else i, width)

        if not rest:
            wide()
            return
        fits = self.builder.icmp_signed(">=", length, self.const(width))
        self.either(fits, wide, lambda: self.sweep(length, rest, body, apart))

    def pieces(self, length: Any, widths: Sequence[int], body: Callable[[Any, int], None]) -> None:
        """`body(start, width)` over `length` elements, each just once: what is left in narrower vectors."""
        b, start = self.builder, self.const(0)
        for width in widths:
            whole = b.sub(length, b.srem(b.sub(length, start), self.const(width))) if width > 1 else length
            with self.loop(start, whole, width) as i:
                body(i, width)
            start = whole

    # vectors

    def lanes(self, value: Any) -> Lanes:
        """A traced vector."""
        return Lanes(self.builder, value)

    def full(self, number: float, width: int, kind: ir.Type) -> Lanes:
        """The same number in every lane."""
        return self.lanes(splat(vector(kind, width), number))

    def spread(self, scalar: Any, width: int) -> Lanes:
        """A run-time scalar in every lane."""
        if width == 1:
            return self.lanes(scalar)
        kind = vector(scalar.type, width)
        first = self.builder.insert_element(ir.Constant(kind, ir.Undefined), scalar, ir.Constant(I32, 0))
        zeros = ir.Constant(ir.VectorType(I32, width), [0] * width)
        return self.lanes(self.builder.shuffle_vector(first, first, zeros))

    def mask(self, truth: Any, width: int) -> Truth:
        """A run-time truth in every lane."""
        return Truth(self.builder, self.spread(truth, width).value)

    def taps(self, number: Any, width: int) -> Lanes:
        """A 64-bit tap number in every lane."""
        return self.spread(number if self.tap == I64 else self.builder.trunc(number, I32), width)

    def counting(self, lanes: Lanes) -> Lanes:
        """Integers, each lane one more than the lane before."""
        count = getattr(lanes.kind, "count", 1)
        if count == 1:
            return lanes
        return self.lanes(self.builder.add(lanes.value, ir.Constant(lanes.kind, list(range(count)))))

    def moved(self, lanes: Lane, by: int) -> Lane:
        """Every lane `by` lanes further up; those that come in are some of these."""
        value = traced(lanes)
        if not by:
            return lanes
        width = value.type.count
        order = [min(max(i - by, 0), width - 1) for i in range(width)]
        mask = ir.Constant(ir.VectorType(I32, width), order)
        return self.lanes(self.builder.shuffle_vector(value, value, mask))

    def within(self, width: int, first: int, stop: int) -> Truth:
        """True in the lanes from `first` up to `stop`."""
        bits = [int(first <= i < stop) for i in range(width)]
        bit = ir.IntType(1)
        return Truth(self.builder, ir.Constant(vector(bit, width), bits if width > 1 else bits[0]))

    def part(self, lanes: Lane, width: int, number: int) -> Lanes:
        """The lanes of one part of so many."""
        value, first = traced(lanes), width * number
        if not isinstance(value.type, ir.VectorType):
            return self.lanes(value)
        if width == 1:
            return self.lanes(self.builder.extract_element(value, ir.Constant(I32, first)))
        mask = ir.Constant(ir.VectorType(I32, width), list(range(first, first + width)))
        return self.lanes(self.builder.shuffle_vector(value, value, mask))

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

    def pick(self, lanes: Lane, phase: int, stride: int, width: int) -> Lanes:
        """Every `stride`-th lane from `phase` on."""
        value = traced(lanes)
        if stride == 1:
            return self.lanes(value)
        if width == 1:
            return self.lanes(self.builder.extract_element(value, ir.Constant(I32, phase)))
        mask = ir.Constant(ir.VectorType(I32, width), [phase + stride * i for i in range(width)])
        return self.lanes(self.builder.shuffle_vector(value, value, mask))

    def interleave(self, parts: Sequence[Lanes], width: int) -> Lanes:
        """a0 b0 .. a1 b1 ..: the inverse of picking every phase."""
        b = self.builder
        if len(parts) == 1:
            return parts[0]
        if width == 1:
            joined: Any = ir.Constant(vector(parts[0].kind, len(parts)), ir.Undefined)
            for i, part in enumerate(parts):
                joined = b.insert_element(joined, part.value, ir.Constant(I32, i))
            return self.lanes(joined)
        joined, have = parts[0].value, width
        for part in parts[1:]:  # concatenate: both sides of a shuffle must be equally long
            grow = ir.Constant(ir.VectorType(I32, have), [min(i, width - 1) for i in range(have)])
            other = b.shuffle_vector(part.value, part.value, grow) if have > width else part.value
            join = ir.Constant(ir.VectorType(I32, have + width), list(range(have + width)))
            joined = b.shuffle_vector(joined, other, join)
            have += width
        order = [p * width + i for i in range(width) for p in range(len(parts))]
        mask = ir.Constant(ir.VectorType(I32, have), order)
        return self.lanes(b.shuffle_vector(joined, joined, mask))
