"""What a kernel must be told for one shape: its sizes, tables and divisors, laid out once and kept."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from cnnatomy.backends.cpu import backward, build, forward, pairs, rows, scan, scatter, tiles, whole
from cnnatomy.geometry import AxisTable
from cnnatomy.reducers.contract import Fold, Reducer, Scan
from cnnatomy.regions import Axis, Region

_LONGEST = 8
"""Windows across with more taps than this, or longer strides, are not unrolled but walk the table."""

_FEW = 9
"""Windows of at most so many taps are read tap by tap where vectors run over channels."""

_CACHED = 1 << 20
"""Bytes that a processor's own cache holds."""

_LISTED = 3
"""The most readers of an input column that are written out, where no more is done than add them."""

_UNUSED = AxisTable.whole(1)


@dataclass(frozen=True)
class Key:
    """Everything that a pooling's kernels depend on but the number of planes."""

    region: Region
    reducer: Reducer
    dtype: str
    size: tuple[int, ...]
    lanes: int
    taps: str  # how tap numbers are stored
    track: bool  # whether what backward needs is saved

    def __hash__(self) -> int:  # texts keep their hash: a key is looked up at every call
        return hash((self.region.text, self.reducer.text, self.dtype, self.size, self.lanes, self.track))


@dataclass(frozen=True)
class Plan:
    """A kernel with its sizes for one key."""

    kernel: build.Kernel
    path: str
    out: tuple[int, ...]
    units: int
    scratch: int
    elements: int  # of one plane's input
    sizes: Any
    kept: list[Any]  # the arrays that sizes point to


Spec = forward.Forward | scan.Scanned | backward.Backward | scatter.Scatter | tiles.Tiles | whole.WholeMap


@lru_cache(maxsize=1024)
def _kernel(spec: Spec, pointers: int) -> build.Kernel:
    return build.kernel("kernel", spec.emit("kernel"), pointers)


def _three(axes: Sequence[Axis]) -> tuple[Axis, Axis, Axis]:
    """The axes as (depth, height, width), those that are missing with one cell."""
    one = Axis.of(AxisTable.whole(1))
    d, h, w = (one,) * (3 - len(axes)) + tuple(axes)
    return d, h, w


def whole_map(axes: Sequence[Axis]) -> bool:
    """Whether there is one region, the whole map."""
    return all(one.outputs == one.step == 1 and one.taps == one.size and one.origin(0) == 0 for one in axes)


def vector_widths(dtype: str) -> tuple[int, ...]:
    """How many values a vector may hold, widest first, down to one."""
    widest = build.vector_bytes() // (8 if dtype == "float64" else 4)
    halves = [widest >> i for i in range(widest.bit_length()) if widest >> i >= 4]
    return (*halves, 1)


def _strided(width: Axis, lanes: int, rows: Sequence[Axis]) -> forward.Strided | None:
    """The window across, where vectors can run over columns; fused only if every row reads something."""
    window = width.window
    if lanes != 1 or window is None or max(window.kernel, window.stride) > _LONGEST:
        return None
    whole = width.outputs * window.stride <= width.size and window.padding == (0, 0)
    whole = whole and all(min(axis.table.count) > 0 for axis in rows)
    fused = window.kernel == window.stride and window.dilation == 1 and whole
    return forward.Strided(window.kernel, window.stride, window.dilation, fused)


class _Layout:
    """Collects the numbers of a plan and keeps the arrays they point to."""

    def __init__(self, key: Key) -> None:
        self.key, self.kept = key, list[Any]()
        self.axes = key.region.axes(key.size)
        self.d, self.h, self.w = _three(self.axes)
        self.across = _strided(self.w, key.lanes, (self.d, self.h))
        self.widths = vector_widths(key.dtype)
        self.item = 8 if key.dtype == "float64" else 4
        self.sizes: dict[str, int] = {
            "lanes": key.lanes,
            "width": self.w.size,
            "out_width": self.w.outputs,
            "depth": self.d.size,
            "height": self.h.size,
            "out_depth": self.d.outputs,
            "out_height": self.h.outputs,
            "kernel_height": self.h.taps,
            "kernel_width": self.w.taps,
        }
        real = np.float64 if key.dtype == "float64" else np.float32
        ones = ((1.0,),) * (3 - len(self.axes))
        divisors = key.reducer.divisors(self.axes) if key.reducer.counts else ((1.0,),) * len(self.axes)
        uniform = key.reducer.counts and all(len(set(factors)) == 1 for factors in divisors)
        self.alike = math.prod(factors[0] for factors in divisors) if uniform else 0.0
        for letter, factors in zip("dhw", (*ones, *divisors), strict=True):
            self.sizes[f"{letter}_divisor"] = self.array(factors, real)

    def array(self, numbers: Sequence[float], dtype: Any = np.int64) -> int:
        """The address of numbers in memory that the plan keeps."""
        held = np.array(numbers, dtype=dtype)
        self.kept.append(held)
        return int(held.ctypes.data)

    def plan(
        self,
        spec: Spec,
        slots: Sequence[str],
        path: str,
        units: int,
        scratch: int,
        pointers: int,
    ) -> Plan:
        """A plan of everything collected; the kernel takes so many tensors, and scratch."""
        sizes = np.array([self.sizes[slot] for slot in slots], dtype=np.int64)
        out = tuple(axis.outputs for axis in self.axes)
        elements = math.prod(self.key.size) * self.key.lanes
        return Plan(_kernel(spec, pointers + 1), path, out, units, scratch, elements, sizes, self.kept)


@lru_cache(maxsize=512)
def forward_plan(key: Key) -> Plan:
    """How to run the forward pass."""
    layout, reducer = _Layout(key), key.reducer
    kept = len(reducer.saves) if key.track else 0
    pointers = 2 + len(reducer.companions) + kept + reducer.draws
    assert isinstance(reducer, Fold | Scan), f"{reducer} has no kernel"
    if isinstance(reducer, Scan):
        return _scan_plan(key, layout, reducer, pointers)
    width, across = layout.w, layout.across
    direct = _direct(layout, reducer)
    row = _forward_tables(layout, across)
    run = key.lanes == 1 and width.step == 1 and width.taps >= layout.widths[0]
    columns = width.taps if width.taps <= _LONGEST else 0
    spec = forward.Forward(
        *(reducer, key.dtype, key.taps, key.track, across, len(layout.axes)),
        *(layout.h.taps, columns, layout.widths, run, direct),
        layout.alike if across or direct else 0.0,
        _even(layout.d, layout.h) if direct or (across and across.fused) else 0,
    )
    path = "fused" if across and across.fused else "strided" if across else "direct" if direct else "tabled"
    kept_rows = {"strided": forward.BLOCK, "tabled": 1}.get(path, 0)  # rows of states
    most = max(len(fold.fields(key.track)) for fold in (reducer, reducer.quick or reducer))
    scratch = row * most * kept_rows
    return layout.plan(spec, rows.SLOTS, path, layout.d.outputs * layout.h.outputs, scratch, pointers)


def _even(depth: Axis, height: Axis) -> int:
    """The stride of windows down, if they cut every plane of one slice into rows of whole windows; else 0."""
    stride = height.window.stride if height.window else height.size
    cut = [o * stride for o in range(height.outputs)] == list(height.table.start)
    whole = min(height.table.count) == height.taps and height.outputs * stride == height.size
    flat = depth.size == depth.outputs == depth.taps == 1 and depth.origin(0) == 0
    return stride if cut and whole and flat else 0


def _direct(layout: _Layout, reducer: Fold) -> bool:
    """True if an output's columns are better folded where they are merged than shared between outputs.

    That is so where no column is read twice, and where reading it again is cheaper than keeping its state.
    """
    window = layout.w.window
    if layout.across or window is None:
        return False
    few = layout.d.taps * layout.h.taps * layout.w.taps <= _FEW and reducer.quick is None
    return few or window.extent <= min(window.stride, _LONGEST)


def _scan_plan(key: Key, layout: _Layout, reducer: Scan, pointers: int) -> Plan:
    kernel = (layout.d.taps, layout.h.taps, layout.w.taps)
    few = math.prod(kernel) <= scan.FEW
    across = layout.across if few else None
    _forward_tables(layout, across)
    way: scan.Way = "columns" if across else "lanes" if few else "looped"
    spec = scan.Scanned(
        *(reducer, key.dtype, key.taps, key.track, way, across),
        *(kernel if few else (1, 1, 1), layout.sizes["pad"], layout.widths),
    )
    return layout.plan(spec, rows.SLOTS, way, layout.d.outputs * layout.h.outputs, 0, pointers)


def _forward_tables(layout: _Layout, across: forward.Strided | None) -> int:
    """Lay out the tables of a forward kernel; the bytes of one scratch row."""
    width, sizes, lanes = layout.w, layout.sizes, layout.key.lanes
    for letter, axis in (("d", layout.d), ("h", layout.h), ("w", None if across else width)):
        table = axis.table if axis else _UNUSED  # vectors over columns need no table
        columns = {"start": table.start, "count": table.count, "skip": table.skip}
        sizes |= {f"{letter}_{what}": layout.array(numbers) for what, numbers in columns.items()}
        sizes[f"{letter}_step"] = table.step
    row, pad = width.size * lanes, 0
    if across and width.window:
        pad = width.window.padding[0]
        last = (width.outputs - 1) * across.stride + width.window.extent
        row = max(pad + row, last) + across.stride * layout.widths[0]  # vectors read a little further
    sizes |= {"pad": pad, "scratch_row": aligned(row * layout.item)}
    return sizes["scratch_row"]


@lru_cache(maxsize=512)
def backward_plan(key: Key) -> Plan:
    """How to run the backward pass."""
    layout = _Layout(key)
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
        blocks = backward.Blocks.of(across, padding, size, width.outputs, layout.widths)
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
    runs = width.table if segments or alone else _UNUSED
    for what, numbers in (("start", runs.start), ("count", runs.count), ("skip", runs.skip)):
        sizes[f"w_{what}"] = layout.array(numbers)
    spec = backward.Backward(
        *(key.reducer, key.dtype, key.taps, blocks, len(layout.axes), most, layout.widths),
        *(listed, segments, alone, alone and sum(runs.count) < width.size),
    )
    units = layout.d.size * layout.h.size
    scratch = aligned(width.outputs * key.lanes * layout.item) if key.reducer.gradient == "sum" else 0
    sizes |= {"sums": scratch, "scratch_row": aligned(width.size * layout.item)}
    scratch += sizes["scratch_row"] * (1 + len(key.reducer.companions)) if segments else 0
    path = "alone" if alone else "strided" if across else "segments" if segments else "tabled"
    pointers = len(pairs.pointers(key.reducer))
    return layout.plan(spec, backward.SLOTS, path, units, scratch, pointers)


def _alone(key: Key, layout: _Layout) -> bool:
    """Whether outputs tell cells that no other output reads, in runs of a vector at least."""
    if key.lanes > 1 or key.reducer.gradient != "pairs" or layout.w.step > 1:
        return False
    axes = (layout.d, layout.h, layout.w)
    return layout.w.taps >= max(4, layout.widths[0]) and all(
        len(axis.readers(i)) < 2 for axis in axes for i in range(axis.size)
    )


def _inner(layout: _Layout, blocks: backward.Blocks | None) -> range:
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
    kernel = window.kernel if window.kernel == window.stride <= _LONGEST and window.dilation == 1 else 0
    return kernel if window.padding[0] == 0 and axis.outputs * window.stride <= axis.size else 0


def _tiles_plan(key: Key, layout: _Layout, kernel: tuple[int, int, int]) -> Plan:
    """How to run the backward pass where every cell has one reader at most, and channels are last."""
    spec = tiles.Tiles(key.reducer, key.dtype, key.taps, kernel, layout.widths)
    units, pointers = layout.d.outputs * layout.h.outputs, len(pairs.pointers(key.reducer))
    return layout.plan(spec, tiles.SLOTS, "tiles", units, 0, pointers)


def _whole_plan(key: Key, layout: _Layout) -> Plan:
    """How to run the backward pass where every cell has the same one reader."""
    last, area = key.lanes > 1, layout.d.size * layout.h.size
    large = math.prod(key.size) * key.lanes * layout.item > _CACHED
    rows = area if last and (large or not key.reducer.sparse) else 1  # of few winners, each unit looks at all
    layout.sizes |= {"rows": rows, "cells": layout.w.size * area // rows}
    spec = whole.WholeMap(key.reducer, key.dtype, key.taps, last, layout.widths)
    scratch, pointers = aligned(spec.told * key.lanes * layout.item), len(pairs.pointers(key.reducer))
    return layout.plan(spec, whole.SLOTS, "whole", layout.sizes["rows"], scratch, pointers)


def _scatters(key: Key, layout: _Layout, blocks: backward.Blocks | None, inner: range) -> bool:
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


def _scatter_plan(key: Key, layout: _Layout) -> Plan:
    """How to run the backward pass where outputs are few: one plane at a time."""
    for letter, axis in zip("dhw", (layout.d, layout.h, layout.w), strict=True):
        layout.sizes[f"{letter}_origin"] = layout.array([axis.origin(o) for o in range(axis.outputs)])
        layout.sizes[f"{letter}_step"] = axis.step
    kernel = (layout.d.taps, layout.h.taps, layout.w.taps)
    apart = layout.sizes["apart"] = _apart(layout.h)
    spec = scatter.Scatter(key.dtype, key.taps, kernel, layout.widths, apart > 0)
    steps = [[axis.step * t for t in range(axis.taps)] for axis in (layout.d, layout.h, layout.w)]
    height, width = layout.h.size, layout.w.size
    taps = itertools.product(*steps) if spec.few else ()
    offsets = [(z * height + y) * width + x for z, y, x in taps]
    layout.sizes["offset"] = layout.array(offsets + [0] * (spec.limit - len(offsets)) if spec.few else [])
    scratch = aligned(math.prod(key.size) * layout.item) if spec.wide else 0
    return layout.plan(spec, scatter.SLOTS, "scatter", 1, scratch, len(pairs.pointers(key.reducer)))


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


def aligned(size: int) -> int:
    """So many bytes, and what is left of the last cache line."""
    return -(-size // 64) * 64
