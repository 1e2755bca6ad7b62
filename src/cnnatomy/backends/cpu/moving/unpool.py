"""Kernels that put values at cells named by index, the last of several staying, and take them back.

Tensors are seen as (planes, outputs, channels) and (planes, cells, channels), with one channel unless those
are last. One unit of work is one plane, so threads never write to the same place:

    put     cells = 0;  cells[where[o]] = values[o]     for every output o, in order: the last one stays
    take    values[o] = cells[where[o]]                 0 where another output has the cell, or o has none

Where several outputs may name one cell, `put` keeps the number of the last one beside each cell in scratch
memory, and then writes down which outputs those are (`wins`). Values are moved, not computed with: only their
size matters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from llvmlite import ir
from torch import Tensor

from cnnatomy.backends.cpu.codegen.emitter import Emitter
from cnnatomy.backends.cpu.codegen.vector_types import I32, splat, vector
from cnnatomy.backends.cpu.runtime import jit, threads
from cnnatomy.backends.cpu.runtime.huge_pages import prefer_large
from cnnatomy.backends.cpu.runtime.scratch import scratch
from cnnatomy.backends.cpu.runtime.sizes import GRAIN, aligned, vector_widths

I8 = ir.IntType(8)
SLOTS = ("outputs", "cells", "lanes")
"""The plan's integers."""
Sizes = tuple[int, int, int, int]
"""Planes, the outputs and cells of each, and lanes."""

AT_ONCE = 8
"""Values that are taken one after another without a look at how many are left."""


@dataclass(frozen=True)
class UnpoolSpec:
    """Writes one kernel.

    Args:
        size: bytes of a value.
        take: take values from cells, instead of putting them there.
        lanes: whether there are several.
        ranked: of the outputs that name one cell tell the last, which alone puts or takes a value, from the
            others: marked while putting, known while taking.
    """

    size: int
    take: bool
    lanes: bool
    ranked: bool

    def emit(self, name: str) -> str:
        """The kernel's LLVM text."""
        return _Writer(self, name).write()


class _Writer:
    def __init__(self, spec: UnpoolSpec, name: str) -> None:
        self.spec, self.kind = spec, ir.IntType(8 * spec.size)
        self.e = Emitter(name, ("values", "where", "cells", "wins", "wrong", "scratch"), "float32")
        self.sizes = {slot: self.e.size(i) for i, slot in enumerate(SLOTS)}

    def write(self) -> str:
        e, spec = self.e, self.spec
        row, room = (self.scaled(self.sizes[slot]) for slot in ("outputs", "cells"))
        with e.loop(e.lo, e.hi) as plane:
            first, here = e.mul(plane, row), e.at(e.pointers["cells"], e.mul(plane, room), self.kind)
            if spec.take:
                self.taken(first, here)
            else:
                self.clear(here, room)
                self.each(first, lambda o, at, cell: self.put(o, at, here, cell), self.unnamed)
            if spec.ranked and not spec.take:
                self.each(first, self.won, self.lost)
        return e.finish()

    def scaled(self, number: Any) -> Any:
        """So many outputs or cells, in values."""
        return self.e.mul(number, self.sizes["lanes"]) if self.spec.lanes else number

    def clear(self, pointer: Any, length: Any) -> None:
        """Zeros at all cells."""
        widths = vector_widths("float32")
        self.e.sweep(
            length,
            widths,
            lambda i, width: self.e.raw_store(splat(vector(self.kind, width), 0), pointer, i, self.kind),
        )

    def each(
        self, first: Any, named: Callable[[Any, Any, Any], None], unnamed: Callable[[Any, Any], None]
    ) -> None:
        """For every output of a plane, in row-major order: `named(o, at, cell)` or `unnamed(at, index)`."""
        e, s = self.e, self.sizes

        def one(o: Any, lane: Any) -> None:
            at = e.add(first, self.scaled(o), lane)
            index = e.item(e.pointers["where"], at)
            e.either(
                e.builder.icmp_unsigned("<", index, s["cells"]),
                lambda: named(e.builder.trunc(o, I32), at, e.add(self.scaled(index), lane)),
                lambda: unnamed(at, index),
            )

        with e.loop(e.const(0), s["outputs"]) as o:
            if self.spec.lanes:
                with e.loop(e.const(0), s["lanes"]) as lane:
                    one(o, lane)
            else:
                one(o, e.const(0))

    def put(self, o: Any, at: Any, here: Any, cell: Any) -> None:
        """A value to its cell, over what is there already; and its number."""
        e = self.e
        e.raw_store(e.raw_load(e.pointers["values"], at, self.kind, 1), here, cell, self.kind)
        if self.spec.ranked:
            e.raw_store(o, e.pointers["scratch"], cell, I32)

    def unnamed(self, at: Any, index: Any) -> None:
        """No cell: -1, or a wrong index."""
        e = self.e
        wrong = e.builder.icmp_signed("!=", index, e.const(-1))
        e.when(wrong, lambda: e.raw_store(ir.Constant(I8, 1), e.pointers["wrong"], e.const(0), I8))

    def won(self, o: Any, at: Any, cell: Any) -> None:
        """Whether a cell's last number is this output's."""
        e = self.e
        last = e.raw_load(e.pointers["scratch"], cell, I32, 1)
        e.raw_store(e.builder.zext(e.equal(last, o), I8), e.pointers["wins"], at, I8)

    def lost(self, at: Any, index: Any) -> None:
        """An output without a cell has won none."""
        self.e.raw_store(ir.Constant(I8, 0), self.e.pointers["wins"], at, I8)

    def taken(self, first: Any, here: Any) -> None:
        """The cells' values to their outputs, several at a time."""
        e, s = self.e, self.sizes
        if not self.spec.lanes:
            e.pieces(s["outputs"], (AT_ONCE, 1), lambda o, n: self.take(e.add(first, o), here, n))
            return
        with e.loop(e.const(0), s["outputs"]) as o:
            at = e.add(first, self.scaled(o))
            e.pieces(s["lanes"], (AT_ONCE, 1), lambda lane, n: self.take(e.add(at, lane), here, n, lane))

    def take(self, at: Any, here: Any, count: int, lane: Any = None) -> None:
        """A few of them: masked, for a branch on who has won would often be guessed wrong."""
        e, b, none = self.e, self.e.builder, ir.Constant(self.kind, 0)
        for k in range(count):
            place = e.add(at, e.const(k))
            index = e.item(e.pointers["where"], place)
            inside = b.icmp_unsigned("<", index, self.sizes["cells"])
            cell = self.scaled(b.select(inside, index, e.const(0)))
            if lane is not None:
                cell = e.add(cell, lane, e.const(k))
            value = b.select(inside, e.raw_load(here, cell, self.kind, 1), none)
            if self.spec.ranked:
                wins = e.raw_load(e.pointers["wins"], place, I8, 1)
                wide = wins if self.kind == I8 else b.zext(wins, self.kind)
                value = b.and_(value, b.neg(wide))
            e.raw_store(value, e.pointers["values"], place, self.kind)


@lru_cache(maxsize=64)
def _kernel(spec: UnpoolSpec) -> jit.Kernel:
    return jit.kernel("kernel", spec.emit("kernel"), 6)


@lru_cache(maxsize=512)
def _plan(size: int, take: bool, outputs: int, cells: int, lanes: int, ranked: bool) -> tuple[Any, Any]:
    """A kernel and its sizes."""
    kernel = _kernel(UnpoolSpec(size, take, lanes > 1, ranked))
    return kernel, np.array([outputs, cells, lanes], dtype=np.int64)


def put(values: Tensor, where: Tensor, x: Tensor, wins: Tensor | None, sizes: Sizes) -> bool:
    """Write x: values at the cells that `where` names, and 0 elsewhere; False if an index is out of range.

    Index -1 names none. `wins` is told which outputs are the last to name their cell. Tensors are dense, and
    lie in the same order.
    """
    prefer_large(x)
    wrong = torch.zeros(1, dtype=torch.uint8, device=x.device)
    _run(False, values, where, x, wins, wrong, sizes)
    return not wrong.item()


def take(values: Tensor, where: Tensor, x: Tensor, wins: Tensor | None, sizes: Sizes) -> None:
    """Write what `put` put from the outputs that won their cell; 0 for those that did not, or have none."""
    if x.numel():
        _run(True, values, where, x, wins, values, sizes)
    else:
        values.zero_()


def _run(
    take: bool, values: Tensor, where: Tensor, x: Tensor, wins: Tensor | None, wrong: Tensor, sizes: Sizes
) -> None:
    (planes, outputs, cells, lanes), ranked = sizes, wins is not None
    if not planes * lanes:
        return
    kernel, plan = _plan(x.element_size(), take, outputs, cells, lanes, ranked)
    own = aligned(4 * cells * lanes) if ranked and not take else 0
    team = min(max(1, planes * lanes * max(outputs, cells) // GRAIN), planes)
    team = min(team, torch.get_num_threads()) if team > 1 else 1
    tensors = (values, where, x, where if wins is None else wins, wrong)
    addresses = [plan.ctypes.data, *(tensor.data_ptr() for tensor in tensors), scratch(own * team)]
    threads.share(kernel, addresses, own, planes, team)
