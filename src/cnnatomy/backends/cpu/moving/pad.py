"""The kernel that writes a tensor with borders that repeat its cells, or hold one value: one pass over both.

Tensors are seen as (planes, rows, columns, lanes) in the order of memory: columns are the last padded axis,
lanes all after it, and planes what lies evenly before the first padded one. One unit of work is one output
row, and a table says where its cells begin:

    y row    | before: cells named by a table | cells copied as they are | after: cells named by a table |
    x row               x[start of the row ..   the same run of cells ..]

Values are moved, not computed with: only their size matters.

Measured (time without / with, one thread, AVX2): memory asked for ahead of the copy 1.0 to 1.2. Stores past
the caches made no difference, and are not used.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from llvmlite import ir
from torch import Tensor

from cnnatomy.backends.cpu.codegen.emitter import Emitter
from cnnatomy.backends.cpu.codegen.vector_types import I64
from cnnatomy.backends.cpu.runtime import jit, threads
from cnnatomy.backends.cpu.runtime.huge_pages import prefer_large
from cnnatomy.backends.cpu.runtime.sizes import GRAIN
from cnnatomy.backends.layout import is_last, memory_format
from cnnatomy.geometry.borders import Pair, source

SLOTS = ("rows", "table", "plane", "first", "cells", "before", "after", "columns", "lanes", "out", "value")
"""The plan's integers: output rows of a plane; where the table of their sources lies, which are elements from
the plane's first one, or -1 for a row of the one value; elements from plane to plane; the first cell of a row
that is copied, and how many are; border cells before and after them, and where the table of their sources
lies; elements of a cell; elements of an output row; and the bits of the one value."""

MOST_ROWS = 1 << 16
"""The longest table of rows that is worth its memory."""

AHEAD = 1 << 10
"""Bytes from what is copied to what is brought near."""

_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
_DTYPES = {1: "uint8", 2: "bfloat16", 4: "float32", 8: "float64"}


@dataclass(frozen=True)
class PadSpec:
    """Writes one kernel.

    Args:
        size: bytes of a value.
        constant: whether borders hold one value.
        lanes: whether a cell has several elements.
    """

    size: int
    constant: bool
    lanes: bool

    def emit(self, name: str) -> str:
        """The kernel's LLVM text."""
        return _Writer(self, name).write()


class _Writer:
    def __init__(self, spec: PadSpec, name: str) -> None:
        self.spec, self.kind = spec, ir.IntType(8 * spec.size)
        self.e = Emitter(name, ("x", "y", "scratch"), _DTYPES[spec.size])
        self.sizes = {slot: self.e.size(i) for i, slot in enumerate(SLOTS)}
        whole = jit.vector_bytes() // spec.size
        self.widths = (*(whole >> i for i in range(3) if (whole >> i) * spec.size >= 16), 1)

    def write(self) -> str:
        e, s = self.e, self.sizes
        with e.odometer(e.lo, e.hi, [s["rows"]]) as (row, plane):
            out = e.mul(e.add(e.mul(plane, s["rows"]), row), s["out"])
            offset = e.item(e.table(s["table"]), row)
            first = e.add(e.mul(plane, s["plane"]), offset)
            if self.spec.constant:
                none = e.builder.icmp_signed("<", offset, e.const(0))
                e.either(none, lambda: self.fill(out, s["out"]), lambda: self.row(first, out))
            else:
                self.row(first, out)
        return e.finish()

    def row(self, first: Any, out: Any) -> None:
        """A border, the cells between, and the other border."""
        e, s = self.e, self.sizes
        middle = e.add(out, self.scaled(s["before"]))
        self.border(first, out, s["before"], e.const(0))
        self.copy(e.add(first, self.scaled(s["first"])), middle, self.scaled(s["cells"]), AHEAD)
        self.border(first, e.add(middle, self.scaled(s["cells"])), s["after"], s["before"])

    def scaled(self, cells: Any) -> Any:
        """So many cells, in elements."""
        return self.e.mul(cells, self.sizes["lanes"]) if self.spec.lanes else cells

    def border(self, first: Any, out: Any, cells: Any, done: Any) -> None:
        """So many cells from element `out` on; their sources lie behind those of the ones that are done."""
        e = self.e
        if self.spec.constant:
            self.fill(out, self.scaled(cells))
            return
        columns = e.table(self.sizes["columns"])
        with e.loop(e.const(0), cells) as i:
            cell = self.scaled(e.item(columns, e.add(done, i)))
            at, to = e.add(first, cell), e.add(out, self.scaled(i))
            if self.spec.lanes:
                self.copy(at, to, self.sizes["lanes"])
            else:
                self.move(at, to, 1)

    def copy(self, first: Any, out: Any, count: Any, ahead: int = 0) -> None:
        """So many elements as they are, while those so many bytes behind are brought near."""
        e = self.e

        def move(i: Any, width: int) -> None:
            at, to = e.add(first, i), e.add(out, i)
            if ahead and width > 1:
                e.prefetch(e.pointers["x"], at, ahead)
                e.prefetch(e.pointers["y"], to, ahead, True)
            self.move(at, to, width)

        e.sweep(count, self.widths, move)

    def move(self, first: Any, out: Any, width: int) -> None:
        """One vector."""
        self.store(self.e.raw_load(self.e.pointers["x"], first, self.kind, width), out)

    def store(self, value: Any, out: Any) -> None:
        """Elements into the result."""
        self.e.raw_store(value, self.e.pointers["y"], out, self.kind)

    def fill(self, out: Any, count: Any) -> None:
        """The one value, again and again."""
        e, value = self.e, self.sizes["value"]
        one = value if self.kind == I64 else e.builder.trunc(value, self.kind)

        e.sweep(count, self.widths, lambda i, n: self.store(e.spread(one, n).value, e.add(out, i)))


@lru_cache(maxsize=32)
def _kernel(spec: PadSpec) -> jit.Kernel:
    return jit.kernel("kernel", spec.emit("kernel"), 3)


@dataclass(frozen=True)
class _Plan:
    """A kernel with its sizes."""

    kernel: jit.Kernel
    units: int
    team: int
    """The most threads that are worth their start."""
    sizes: Any
    kept: tuple[Any, ...]
    """The tables that the sizes point to."""


def spread(x: Tensor, mode: str, widths: Sequence[Pair], value: float = 0.0) -> Tensor | None:
    """x with its borders, whose mode is "constant" or one of `geometry.borders`; negative widths crop.

    None if this kernel cannot read x, or has too many different rows to list them.
    """
    if not (x.is_cpu and x.layout is torch.strided and x.element_size() in _BITS and x.numel()):
        return None
    x, last = x.resolve_conj().resolve_neg(), is_last(x)
    seen, pairs = x, tuple(widths)
    if last:
        seen, pairs = x.movedim(1, -1), (pairs[0], *pairs[2:], pairs[1])
    one = torch.full((1,), value, dtype=x.dtype, device=x.device) if mode == "constant" else None
    bits = 0 if one is None else int(one.view(_BITS[x.element_size()]).item())
    plan = _plan(tuple(seen.shape), seen.stride(), x.element_size(), mode, pairs, bits)
    if plan is None and not seen.is_contiguous():
        seen = seen.contiguous()
        plan = _plan(tuple(seen.shape), seen.stride(), x.element_size(), mode, pairs, bits)
    if plan is None:
        return None
    size = [n + lo + hi for n, (lo, hi) in zip(x.shape, widths, strict=True)]
    y = torch.empty(size, dtype=x.dtype, device=x.device, memory_format=memory_format(x.dim() - 2, last))
    prefer_large(y)
    if plan.units:
        team = 1 if plan.team == 1 else min(plan.team, torch.get_num_threads())
        addresses = [plan.sizes.ctypes.data, seen.data_ptr(), y.data_ptr(), 0]
        threads.share(plan.kernel, addresses, 0, plan.units, team)
    return y


@lru_cache(maxsize=256)
def _plan(
    shape: tuple[int, ...], stride: tuple[int, ...], size: int, mode: str, widths: tuple[Pair, ...], bits: int
) -> _Plan | None:
    """The plan for axes in the order of memory; None if they do not lie as the kernel reads them."""
    stride = _settled(shape, stride)
    padded = [axis for axis, pair in enumerate(widths) if pair != (0, 0)] or [len(shape) - 1]
    inner, lanes = padded[-1], math.prod(shape[padded[-1] + 1 :])
    even = 1  # axes that lie evenly, one after another
    while even < padded[0] and stride[even - 1] == stride[even] * shape[even]:
        even += 1
    begin = min(even, padded[0])
    out = [n + lo + hi for n, (lo, hi) in zip(shape, widths, strict=True)]
    rows = math.prod(out[begin:inner])
    dense = all(stride[axis] == math.prod(shape[axis + 1 :]) for axis in range(inner, len(shape)))
    if not dense or rows > MOST_ROWS:
        return None
    starts = np.zeros(1, dtype=np.int64)
    for axis in range(begin, inner):  # a row that any axis does not find has no place
        found = np.array(_sources(mode, shape[axis], range(-widths[axis][0], shape[axis] + widths[axis][1])))
        places = starts[:, None] + found * stride[axis]
        starts = np.where((starts[:, None] < 0) | (found < 0), -1, places).reshape(-1)
    (before, after), n = widths[inner], shape[inner]
    first = max(-before, 0)
    cells = n + min(after, 0) - first
    before, after = max(before, 0), max(after, 0)
    columns = _sources(mode, n, (*range(-before, 0), *range(n, n + after)))
    tables = (starts.astype(np.int64), np.array(columns, dtype=np.int64))
    kept = {"rows": rows, "table": tables[0].ctypes.data, "plane": stride[begin - 1] if begin else 0}
    kept |= {"first": first, "cells": cells, "before": before, "after": after, "lanes": lanes}
    kept |= {"columns": tables[1].ctypes.data, "out": out[inner] * lanes, "value": bits}
    units = math.prod(shape[:begin]) * rows if kept["out"] else 0
    team = min(max(1, units * kept["out"] // GRAIN), max(units, 1))
    kernel = _kernel(PadSpec(size, mode == "constant", lanes > 1))
    return _Plan(kernel, units, team, np.array([kept[slot] for slot in SLOTS], dtype=np.int64), tables)


def _settled(shape: tuple[int, ...], stride: tuple[int, ...]) -> tuple[int, ...]:
    """Strides in which axes of one cell, whose strides mean nothing, lie as densely as they can."""
    found, dense = list(stride), 1
    for axis in reversed(range(len(shape))):
        if shape[axis] == 1:
            found[axis] = dense
        dense = found[axis] * shape[axis]
    return tuple(found)


def _sources(mode: str, n: int, positions: Iterable[int]) -> list[int]:
    """The cells that positions along an axis show; -1 for the one value."""
    if mode == "constant":
        return [position if 0 <= position < n else -1 for position in positions]
    return [position if 0 <= position < n else source(mode, position, n) for position in positions]
