"""What a kernel must be told for one shape: its sizes, tables and divisors, laid out once and kept."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from cnnatomy.backends.cpu import backward, build, forward
from cnnatomy.geometry import AxisTable
from cnnatomy.reducers.contract import Reducer
from cnnatomy.regions import Axis, Region

_LONGEST = 8
"""Windows across with more taps than this, or longer strides, are not unrolled but walk the table."""

_UNUSED = AxisTable.whole(1)


@dataclass(frozen=True)
class Key:
    """Everything that a pooling's kernels depend on but the number of planes."""

    region: Region
    reducer: Reducer
    dtype: str
    size: tuple[int, ...]
    lanes: int
    taps: str | None  # how winners' tap numbers are stored, if they are

    def __hash__(self) -> int:  # texts keep their hash: a key is looked up at every call
        return hash((self.region.text, self.reducer.text, self.dtype, self.size, self.lanes, self.taps))


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


@lru_cache(maxsize=1024)
def _kernel(spec: forward.Forward | backward.Backward) -> build.Kernel:
    return build.kernel("kernel", spec.emit("kernel"), pointers=4)


def _three(axes: Sequence[Axis]) -> tuple[Axis, Axis, Axis]:
    """The axes as (depth, height, width), those that are missing with one cell."""
    one = Axis.of(AxisTable.whole(1))
    d, h, w = (one,) * (3 - len(axes)) + tuple(axes)
    return d, h, w


def _widths(dtype: str) -> tuple[int, ...]:
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
        self.widths = _widths(key.dtype)
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
        for letter, factors in zip("dhw", (*ones, *divisors), strict=True):
            self.sizes[f"{letter}_divisor"] = self.array(factors, real)

    def array(self, numbers: Sequence[float], dtype: Any = np.int64) -> int:
        """The address of numbers in memory that the plan keeps."""
        held = np.array(numbers, dtype=dtype)
        self.kept.append(held)
        return int(held.ctypes.data)

    def plan(
        self,
        spec: forward.Forward | backward.Backward,
        slots: Sequence[str],
        path: str,
        units: int,
        scratch: int,
    ) -> Plan:
        """A plan of everything collected."""
        sizes = np.array([self.sizes[slot] for slot in slots], dtype=np.int64)
        out = tuple(axis.outputs for axis in self.axes)
        elements = math.prod(self.key.size) * self.key.lanes
        return Plan(_kernel(spec), path, out, units, scratch, elements, sizes, self.kept)


@lru_cache(maxsize=512)
def forward_plan(key: Key) -> Plan:
    """How to run the forward pass."""
    layout = _Layout(key)
    width, across, sizes = layout.w, layout.across, layout.sizes
    for letter, axis in (("d", layout.d), ("h", layout.h), ("w", None if across else width)):
        table = axis.table if axis else _UNUSED  # vectors over columns need no table
        columns = {"start": table.start, "count": table.count, "skip": table.skip}
        sizes |= {f"{letter}_{what}": layout.array(numbers) for what, numbers in columns.items()}
        sizes[f"{letter}_step"] = table.step
    row, pad = width.size * key.lanes, 0
    if across and width.window:
        pad = width.window.padding[0]
        last = (width.outputs - 1) * across.stride + width.window.extent
        row = max(pad + row, last) + across.stride * layout.widths[0]  # vectors read a little further
    sizes |= {"pad": pad, "scratch_row": _aligned(row * layout.item)}
    rank, height = len(layout.axes), layout.h.taps
    window = width.window
    direct = across is None and window is not None and window.extent <= min(window.stride, _LONGEST)
    spec = forward.Forward(key.reducer, key.dtype, key.taps, across, rank, height, layout.widths, direct)
    path = "fused" if across and across.fused else "strided" if across else "direct" if direct else "tabled"
    units = layout.d.outputs * layout.h.outputs
    kept = path in ("strided", "tabled")  # the others keep no row of states
    scratch = 0 if not kept else sizes["scratch_row"] * len(key.reducer.fields(key.taps is not None))
    return layout.plan(spec, forward.SLOTS, path, units, scratch)


@lru_cache(maxsize=512)
def backward_plan(key: Key) -> Plan:
    """How to run the backward pass."""
    layout = _Layout(key)
    width, across, sizes = layout.w, layout.across, layout.sizes
    pad = lo = hi = 0  # blocks of input columns whose outputs all exist
    if across and width.window:
        pad = width.window.padding[0]
        reach = (width.window.extent - 1) // across.stride  # how many blocks back a window may have begun
        lo = max(reach, -(-pad // across.stride))
        hi = max(lo, min(width.outputs, (width.size + pad) // across.stride))
        lo, hi = (lo, hi) if lo < hi else (0, 0)
    stride = across.stride if across else 1
    inner = range(lo * stride - pad, hi * stride - pad) if lo < hi else range(width.size, width.size)
    sizes |= {"inner_lo": lo, "inner_hi": hi, "border": inner.start, "resume": inner.stop}
    borders = [*range(inner.start), *range(inner.stop, width.size)]
    for letter, axis, cells in (
        ("d", layout.d, range(layout.d.size)),
        ("h", layout.h, range(layout.h.size)),
        ("w", width, borders),
    ):
        first, out, tap = _readers(axis, cells)
        columns = {"first": first, "out": out, "tap": tap}
        sizes |= {f"{letter}_{what}": layout.array(numbers) for what, numbers in columns.items()}
    most = max(len(layout.h.readers(i)) for i in range(layout.h.size))
    spec = backward.Backward(
        key.reducer, key.dtype, key.taps, across, pad, len(layout.axes), most, layout.widths
    )
    units = layout.d.size * layout.h.size
    scratch = _aligned(width.outputs * key.lanes * layout.item)
    return layout.plan(spec, backward.SLOTS, "strided" if across else "tabled", units, scratch)


def _readers(axis: Axis, cells: Iterable[int]) -> tuple[list[int], list[int], list[int]]:
    """For some inputs, where each one's readers begin in a list of (output, tap), and that list."""
    first, out, tap = [0], list[int](), list[int]()
    for i in cells:
        for o in axis.readers(i):
            out.append(o)
            tap.append((i - axis.origin(o)) // axis.step)
        first.append(len(out))
    return first, [*out, 0], [*tap, 0]


def _aligned(size: int) -> int:
    return -(-size // 64) * 64
