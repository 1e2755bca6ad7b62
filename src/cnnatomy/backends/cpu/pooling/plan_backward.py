"""How the backward pass of a pooling runs: which kernel, and the tables that it reads."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from functools import lru_cache

from cnnatomy.backends.cpu.pooling import (
    gather_backward,
    global_backward,
    nonoverlapping_backward,
    scatter_backward,
)
from cnnatomy.backends.cpu.pooling.backward_common import pointers as tensors
from cnnatomy.backends.cpu.pooling.window import LONGEST, UNUSED, Key, Layout, Plan, whole_map
from cnnatomy.backends.cpu.runtime.sizes import aligned
from cnnatomy.regions import Axis

_CACHED = 1 << 20
"""Bytes that a processor's own cache holds."""

_LISTED = 3
"""The most readers of an input column that are written out, where no more is done than add them."""


@lru_cache(maxsize=512)
def backward_plan(key: Key) -> Plan:
    """How to run the backward pass."""
    layout = Layout(key)
    if whole_map(layout.axes):
        return _whole_plan(key, layout)
    if key.lanes > 1 and all(kernel := (_tiled(layout.d), _tiled(layout.h), _tiled(layout.w))):
        return _tiles_plan(key, layout, kernel)
    width, across, sizes = layout.w, layout.across, layout.sizes
    alone = _alone(key, layout)
    segments = across is None and key.lanes == 1 and width.step == 1 and not alone
    blocks = None
    if across and width.window and not alone:
        padding, size = width.window.padding[0], width.size
        blocks = gather_backward.Blocks.of(across, padding, size, width.outputs, layout.widths)
    inner = _inner(layout, blocks)
    if key.reducer.selects and key.lanes == 1 and _scatters(key, layout, blocks, inner):
        return _scatter_plan(key, layout)
    sizes |= {"border": inner.start, "resume": inner.stop}
    borders = [] if alone else [*range(inner.start), *range(inner.stop, width.size)]
    for letter, axis, cells in (
        ("d", layout.d, range(layout.d.size)),
        ("h", layout.h, range(layout.h.size)),
        ("w", width, borders),
    ):
        first, out, tap = _readers(axis, cells)
        columns = {"first": first, "out": out, "tap": tap}
        sizes |= {f"{letter}_{what}": layout.array(numbers) for what, numbers in columns.items()}
    most, beside = (max(len(axis.readers(i)) for i in range(axis.size)) for axis in (layout.h, width))
    listed = beside if key.reducer.gradient == "sum" and key.lanes > 1 and beside <= _LISTED else 0
    runs = width.table if segments or alone else UNUSED
    for what, numbers in (("start", runs.start), ("count", runs.count), ("skip", runs.skip)):
        sizes[f"w_{what}"] = layout.array(numbers)
    spec = gather_backward.Backward(
        *(key.reducer, key.dtype, key.taps, blocks, len(layout.axes), most, layout.widths),
        *(listed, segments, alone, alone and sum(runs.count) < width.size),
    )
    units = layout.d.size * layout.h.size
    scratch = aligned(width.outputs * key.lanes * layout.item) if key.reducer.gradient == "sum" else 0
    sizes |= {"sums": scratch, "scratch_row": aligned(width.size * layout.item)}
    scratch += sizes["scratch_row"] * (1 + len(key.reducer.companions)) if segments else 0
    path = "alone" if alone else "strided" if across else "segments" if segments else "tabled"
    pointers = len(tensors(key.reducer))
    return layout.plan(spec, gather_backward.SLOTS, path, units, scratch, pointers)


def _alone(key: Key, layout: Layout) -> bool:
    """Whether outputs tell cells that no other output reads, in runs of a vector at least."""
    if key.lanes > 1 or key.reducer.gradient != "pairs" or layout.w.step > 1:
        return False
    axes = (layout.d, layout.h, layout.w)
    return layout.w.taps >= max(4, layout.widths[0]) and all(
        len(axis.readers(i)) < 2 for axis in axes for i in range(axis.size)
    )


def _inner(layout: Layout, blocks: gather_backward.Blocks | None) -> range:
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


def _tiled(axis: Axis) -> int:
    """How long windows are that lie side by side from the first cell on, each on cells of its own; else 0."""
    window = axis.window
    if window is None:
        return int(axis.size == axis.outputs == axis.taps == 1 and axis.origin(0) == 0)  # a missing axis
    kernel = window.kernel if window.kernel == window.stride <= LONGEST and window.dilation == 1 else 0
    return kernel if window.padding[0] == 0 and axis.outputs * window.stride <= axis.size else 0


def _tiles_plan(key: Key, layout: Layout, kernel: tuple[int, int, int]) -> Plan:
    """How to run the backward pass where every cell has one reader at most, and channels are last."""
    spec = nonoverlapping_backward.Tiles(key.reducer, key.dtype, key.taps, kernel, layout.widths)
    units, pointers = layout.d.outputs * layout.h.outputs, len(tensors(key.reducer))
    return layout.plan(spec, nonoverlapping_backward.SLOTS, "tiles", units, 0, pointers)


def _whole_plan(key: Key, layout: Layout) -> Plan:
    """How to run the backward pass where every cell has the same one reader."""
    last, area = key.lanes > 1, layout.d.size * layout.h.size
    large = math.prod(key.size) * key.lanes * layout.item > _CACHED
    rows = area if last and (large or not key.reducer.sparse) else 1  # of few winners, each unit looks at all
    layout.sizes |= {"rows": rows, "cells": layout.w.size * area // rows}
    spec = global_backward.WholeMap(key.reducer, key.dtype, key.taps, last, layout.widths)
    scratch, pointers = (
        aligned(spec.told * key.lanes * layout.item),
        len(tensors(key.reducer)),
    )
    return layout.plan(spec, global_backward.SLOTS, "whole", layout.sizes["rows"], scratch, pointers)


def _scatters(key: Key, layout: Layout, blocks: gather_backward.Blocks | None, inner: range) -> bool:
    """Whether outputs look for their winners, instead of all that windows hold for outputs that chose them.

    Gathering takes a vector's step for each tap, and time for each row and for each column that is not one of
    those in blocks; scattering takes a step for each output, and clears the cells. The numbers are tenths of
    a nanosecond, measured with vectors of 32 bytes on windows of 2 to 64 taps, maps of 7 to 1000 columns, one
    to three axes; in three axes gathering never won. A step of longer or shorter vectors is taken to cost the
    same.
    """
    if blocks is None:
        return True
    if key.dtype not in ("float32", "float64") and 4 * math.prod(key.size) > _CACHED:
        return False  # sums would not stay near
    if len(layout.axes) == 3:
        return True
    outputs, rows, columns = layout.h.outputs * layout.w.outputs, layout.h.size, layout.w.size
    taps = layout.h.taps * layout.w.taps * 8 / (blocks.edge or layout.widths[0])
    gather = 0.9 * taps + 50 * (len(layout.axes) + columns - len(inner)) * rows / outputs
    return gather > 14 + rows * columns / outputs


def _scatter_plan(key: Key, layout: Layout) -> Plan:
    """How to run the backward pass where outputs are few: one plane at a time."""
    for letter, axis in zip("dhw", (layout.d, layout.h, layout.w), strict=True):
        layout.sizes[f"{letter}_origin"] = layout.array([axis.origin(o) for o in range(axis.outputs)])
        layout.sizes[f"{letter}_step"] = axis.step
    kernel = (layout.d.taps, layout.h.taps, layout.w.taps)
    apart = layout.sizes["apart"] = _apart(layout.h)
    spec = scatter_backward.Scatter(key.dtype, key.taps, kernel, layout.widths, apart > 0)
    steps = [[axis.step * t for t in range(axis.taps)] for axis in (layout.d, layout.h, layout.w)]
    height, width = layout.h.size, layout.w.size
    taps = itertools.product(*steps) if spec.few else ()
    offsets = [(z * height + y) * width + x for z, y, x in taps]
    layout.sizes["offset"] = layout.array(offsets + [0] * (spec.limit - len(offsets)) if spec.few else [])
    scratch = aligned(math.prod(key.size) * layout.item) if spec.wide else 0
    return layout.plan(spec, scatter_backward.SLOTS, "scatter", 1, scratch, len(tensors(key.reducer)))


def _apart(axis: Axis) -> int:
    """Half of the outputs, if no two so far apart share a cell; else 0."""
    table, half = axis.table, axis.outputs // 2
    stop = [
        start + max(0, (n - 1) * table.step + 1) for start, n in zip(table.start, table.count, strict=True)
    ]
    return half if all(map(int.__le__, stop, table.start[half:])) else 0


def _readers(axis: Axis, cells: Iterable[int]) -> tuple[list[int], list[int], list[int]]:
    """For some inputs, where each one's readers begin in a list of (output, tap), and that list."""
    first, out, tap = [0], list[int](), list[int]()
    for i in cells:
        for o in axis.readers(i):
            out.append(o)
            tap.append((i - axis.origin(o)) // axis.step)
        first.append(len(out))
    return first, [*out, 0], [*tap, 0]
