"""How the backward pass of a pooling runs: which kernel, and the tables that it reads."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from functools import lru_cache

from cnnatomy.backends.cpu.pooling import (
    gather_common,
    global_backward,
    nonoverlapping_backward,
    scatter_backward,
)
from cnnatomy.backends.cpu.pooling.backward_common import pointers
from cnnatomy.backends.cpu.pooling.gather_backward import Gather
from cnnatomy.backends.cpu.pooling.gather_blocks import Blocks, BlocksSpec
from cnnatomy.backends.cpu.pooling.kernel_choice import Choice, Way, choose
from cnnatomy.backends.cpu.pooling.window_tables import LONGEST, UNUSED, Key, Layout, Plan, whole_map
from cnnatomy.backends.cpu.runtime.sizes import aligned
from cnnatomy.regions import Axis

_CACHED = 1 << 20
"""Bytes that a processor's own cache holds."""


@lru_cache(maxsize=512)
def backward_plan(key: Key) -> Plan:
    """How to run the backward pass."""
    return choose(BACKWARD, Layout(key))


# when each way is taken


def _global(layout: Layout) -> bool:
    """one window that is the whole map"""
    return whole_map(layout.axes)


def _nonoverlapping(layout: Layout) -> bool:
    """windows side by side from the first cell on, channels last"""
    return layout.key.lanes > 1 and all(map(_side_by_side, (layout.d, layout.h, layout.w)))


def _runs(layout: Layout) -> bool:
    """windows that share no cell and are a vector wide, gradients in pairs, channels first"""
    if layout.key.lanes > 1 or layout.key.reducer.gradient != "pairs" or layout.w.step > 1:
        return False
    axes = (layout.d, layout.h, layout.w)
    return layout.w.taps >= max(4, layout.widths[0]) and all(
        len(axis.readers(i)) < 2 for axis in axes for i in range(axis.size)
    )


def _scatters(layout: Layout) -> bool:
    """winners, channels first, where a step for each output costs less than one for each tap"""
    return layout.key.reducer.selects and layout.key.lanes == 1 and scatter_is_cheaper(layout)


def scatter_is_cheaper(layout: Layout) -> bool:
    """Whether outputs look for their winners, instead of all that windows hold for outputs that chose them.

    Gathering takes a vector's step for each tap, and time for each row and for each column that is not one of
    those in blocks; scattering takes a step for each output, and clears the cells. The numbers are tenths of
    a nanosecond, measured with vectors of 32 bytes on windows of 2 to 64 taps, maps of 7 to 1000 columns, one
    to three axes; in three axes gathering never won. A step of longer or shorter vectors is taken to cost the
    same.
    """
    key, blocks = layout.key, _blocks_of(layout)
    if blocks is None:
        return True
    if key.dtype not in ("float32", "float64") and 4 * math.prod(key.size) > _CACHED:
        return False  # sums would not stay in the cache
    if len(layout.axes) == 3:
        return True
    outputs, rows, columns = layout.h.outputs * layout.w.outputs, layout.h.size, layout.w.size
    taps = layout.h.taps * layout.w.taps * 8 / (blocks.edge or layout.widths[0])
    outside = columns - len(_inner(layout, blocks))
    gather = 0.9 * taps + 50 * (len(layout.axes) + outside) * rows / outputs
    return gather > 14 + rows * columns / outputs


def _blocks(layout: Layout) -> bool:
    """any other regular window of up to 8 columns and stride up to 8, channels first"""
    return layout.across is not None


def _segments(layout: Layout) -> bool:
    """any other window without dilation, channels first"""
    return layout.key.lanes == 1 and layout.w.step == 1


def _any(layout: Layout) -> bool:
    """any other window"""
    return True


# plans


def _global_plan(layout: Layout, way: Way) -> Plan:
    key, area = layout.key, layout.d.size * layout.h.size
    last, large = key.lanes > 1, math.prod(key.size) * key.lanes * layout.item > _CACHED
    rows = area if last and (large or not key.reducer.sparse) else 1  # of few winners, each unit looks at all
    layout.sizes |= {"rows": rows, "cells": layout.w.size * area // rows}
    spec = global_backward.Global(key.reducer, key.dtype, key.taps, last, layout.widths)
    scratch = aligned(spec.kept * key.lanes * layout.item)
    return layout.plan(spec, global_backward.SLOTS, way, rows, scratch, _tensors(key))


def _nonoverlapping_plan(layout: Layout, way: Way) -> Plan:
    key, axes = layout.key, (layout.d, layout.h, layout.w)
    d, h, w = map(_side_by_side, axes)
    spec = nonoverlapping_backward.Nonoverlapping(key.reducer, key.dtype, key.taps, (d, h, w), layout.widths)
    units = layout.d.outputs * layout.h.outputs
    return layout.plan(spec, nonoverlapping_backward.SLOTS, way, units, 0, _tensors(key))


def _scatter_plan(layout: Layout, way: Way) -> Plan:
    key, axes = layout.key, (layout.d, layout.h, layout.w)
    for letter, axis in zip("dhw", axes, strict=True):
        layout.sizes[f"{letter}_origin"] = layout.array([axis.origin(o) for o in range(axis.outputs)])
        layout.sizes[f"{letter}_step"] = axis.step
    kernel = (layout.d.taps, layout.h.taps, layout.w.taps)
    spec = scatter_backward.Scatter(key.dtype, key.taps, kernel, layout.widths)
    steps = [[axis.step * t for t in range(axis.taps)] for axis in axes]
    height, width = layout.h.size, layout.w.size
    taps = itertools.product(*steps) if spec.tabled else ()
    offsets = [(z * height + y) * width + x for z, y, x in taps]
    layout.sizes["offset"] = layout.array(offsets + [0] * (spec.limit - len(offsets)) if spec.tabled else [])
    scratch = aligned(math.prod(key.size) * layout.item) if spec.wide else 0
    return layout.plan(spec, scatter_backward.SLOTS, way, 1, scratch, _tensors(key))


def _gather_plan(layout: Layout, way: Way) -> Plan:
    """The plan of a kernel in which input rows gather from the outputs that read them."""
    key, width, sizes = layout.key, layout.w, layout.sizes
    blocks = _blocks_of(layout) if way is Way.BLOCKS else None
    _readers_tables(layout, way, _inner(layout, blocks))
    most = max(len(layout.h.readers(i)) for i in range(layout.h.size))
    runs = width.table if way in (Way.SEGMENTS, Way.RUNS) else UNUSED
    for what, numbers in (("start", runs.start), ("count", runs.count), ("skip", runs.skip)):
        sizes[f"w_{what}"] = layout.array(numbers)
    settings = key.reducer, key.dtype, key.taps, len(layout.axes), most, layout.widths
    gaps = way is Way.RUNS and sum(runs.count) < width.size
    spec = Gather(*settings, way, gaps) if blocks is None else BlocksSpec(*settings, blocks)
    scratch = aligned(width.outputs * key.lanes * layout.item) if key.reducer.gradient == "sum" else 0
    sizes |= {"sums": scratch, "scratch_row": aligned(width.size * layout.item)}
    scratch += sizes["scratch_row"] * (1 + len(key.reducer.companions)) if way is Way.SEGMENTS else 0
    units = layout.d.size * layout.h.size
    return layout.plan(spec, gather_common.SLOTS, way, units, scratch, _tensors(key))


def _tensors(key: Key) -> int:
    """How many tensors a kernel is given."""
    return len(pointers(key.reducer))


def _blocks_of(layout: Layout) -> Blocks | None:
    """The columns in blocks of a regular window's stride."""
    width = layout.w
    if layout.across is None or width.window is None:
        return None
    padding = width.window.padding[0]
    return Blocks.of(layout.across, padding, width.size, width.outputs, layout.widths)


def _inner(layout: Layout, blocks: Blocks | None) -> range:
    """The columns that are in blocks; laid out is which blocks have all outputs, or lie between the ends."""
    size, lo, hi, last = layout.w.size, 0, 0, 0
    inner = range(size, size)
    if blocks:
        (before, after), count = blocks.reach, size // blocks.stride
        last = count - after - blocks.edge
        if blocks.edge:
            lo, hi, inner = blocks.edge, count - blocks.edge, range(count * blocks.stride)
        elif before < count - after:
            lo, hi = before, count - after
            inner = range(lo * blocks.stride, hi * blocks.stride)
    layout.sizes |= {"inner_lo": lo, "inner_hi": hi, "inner_last": last}
    return inner


def _readers_tables(layout: Layout, way: Way, inner: range) -> None:
    """Lay out the readers of every slab and row, and of the columns that are in no block."""
    width, sizes = layout.w, layout.sizes
    sizes |= {"border": inner.start, "resume": inner.stop}
    borders = [] if way is Way.RUNS else [*range(inner.start), *range(inner.stop, width.size)]
    for letter, axis, cells in (
        ("d", layout.d, range(layout.d.size)),
        ("h", layout.h, range(layout.h.size)),
        ("w", width, borders),
    ):
        first, out, tap = _readers(axis, cells)
        columns = {"first": first, "out": out, "tap": tap}
        sizes |= {f"{letter}_{what}": layout.array(numbers) for what, numbers in columns.items()}


def _side_by_side(axis: Axis) -> int:
    """How long windows are that lie side by side from the first cell on, each on cells of its own; else 0."""
    window = axis.window
    if window is None:
        return int(axis.size == axis.outputs == axis.taps == 1 and axis.origin(0) == 0)  # a missing axis
    kernel = window.kernel if window.kernel == window.stride <= LONGEST and window.dilation == 1 else 0
    return kernel if window.padding[0] == 0 and axis.outputs * window.stride <= axis.size else 0


def _readers(axis: Axis, cells: Iterable[int]) -> tuple[list[int], list[int], list[int]]:
    """For some inputs, where each one's readers begin in a list of (output, tap), and that list."""
    first, out, tap = [0], list[int](), list[int]()
    for i in cells:
        for o in axis.readers(i):
            out.append(o)
            tap.append((i - axis.origin(o)) // axis.step)
        first.append(len(out))
    return first, [*out, 0], [*tap, 0]


BACKWARD = (
    Choice(
        Way.GLOBAL,
        _global,
        "works out once what the output gives, and writes that to all cells",
        _global_plan,
    ),
    Choice(
        *(Way.NONOVERLAPPING, _nonoverlapping),
        "writes the gradients of each output's own cells; vectors run over channels",
        _nonoverlapping_plan,
    ),
    Choice(Way.RUNS, _runs, "writes each output's own run of cells; vectors run along it", _gather_plan),
    Choice(
        *(Way.SCATTER, _scatters),
        "clears a plane, then adds each output's gradient to its winner's cell",
        _scatter_plan,
    ),
    Choice(
        *(Way.BLOCKS, _blocks),
        "gathers each input row from the outputs that read it; vectors run over blocks of one stride",
        _gather_plan,
    ),
    Choice(
        *(Way.SEGMENTS, _segments),
        "adds each output to the run of columns that it reads, in a row of sums",
        _gather_plan,
    ),
    Choice(
        *(Way.READERS, _any),
        "gathers each input column from the outputs that a table names; vectors run over channels",
        _gather_plan,
    ),
)
"""The ways of the backward pass, in the order in which they are tried."""
