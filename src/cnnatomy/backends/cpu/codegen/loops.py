"""Loops and branches of a kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from cnnatomy.backends.cpu.codegen.kernel_function import KernelFunction
from cnnatomy.backends.cpu.codegen.vector_types import I64


class Loops(KernelFunction):
    """A kernel whose statements repeat and depend."""

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
