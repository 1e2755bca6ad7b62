"""What a kernel must be told for one shape: its sizes, tables and divisors, laid out once and kept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from cnnatomy.backends.cpu import backward, build, forward
from cnnatomy.geometry import AxisTable
from cnnatomy.reducers.contract import Reducer
from cnnatomy.regions import Axis, Region

_LONGEST = 16
"""Windows across with more taps than this, or longer strides, are not unrolled but walk the table."""


@dataclass(frozen=True)
class Key:
    """Everything that a pooling's kernels depend on but the number of planes."""

    region: Region
    reducer: Reducer
    dtype: str
    size: tuple[int, ...]
    lanes: int
    taps: str | None  # how winners' tap numbers are stored, if they are


@dataclass
class Plan:
    """A kernel with its sizes for one key."""

    kernel: build.Kernel
    path: str
    out: tuple[int, ...]
    units: int
    scratch: int
    elements: int
    sizes: Any = None
    kept: list[Any] = field(default_factory=list)


def output_size(axes: Sequence[Axis]) -> tuple[int, ...]:
    """The spatial sizes of the output."""
    return tuple(axis.table.outputs for axis in axes)


@lru_cache(maxsize=1024)
def _kernel(spec: forward.Forward | backward.Backward) -> build.Kernel:
    return build.kernel("kernel", spec.emit("kernel"), pointers=4)


def _three(axes: Sequence[Axis]) -> tuple[Axis, Axis, Axis]:
    """The axes as (depth, height, width), those that are missing with one cell."""
    one = Axis(AxisTable.whole(1), (1,))
    d, h, w = (one,) * (3 - len(axes)) + tuple(axes)
    return d, h, w


def _widths(dtype: str) -> tuple[int, ...]:
    widest = build.vector_bytes() // (8 if dtype == "float64" else 4)
    halves = [widest >> i for i in range(widest.bit_length()) if widest >> i >= 4]
    return (*halves, 1)


def _strided(width: Axis, lanes: int) -> forward.Strided | None:
    """The window across, where vectors can run over columns."""
    window = width.window
    if lanes != 1 or window is None or max(window.kernel, window.stride) > _LONGEST:
        return None
    whole = width.table.outputs * window.stride <= width.table.size and window.padding == (0, 0)
    fused = window.kernel == window.stride and window.dilation == 1 and whole
    return forward.Strided(window.kernel, window.stride, window.dilation, fused)


class _Layout:
    """Collects the numbers of a plan and keeps the arrays they point to."""

    def __init__(self, key: Key, axes: tuple[Axis, ...]) -> None:
        self.key, self.kept = key, list[Any]()
        self.d, self.h, self.w = _three(axes)
        factors = key.reducer.divisors(axes)
        ones = ((1.0,),) * (3 - len(axes))
        real = np.float64 if key.dtype == "float64" else np.float32
        padding = [1.0] * (16 * 8)  # vectors may read past the last divisor
        divisors = [self.array([*row, *padding], real) for row in (*ones, *factors)]
        self.sizes: dict[str, int] = {
            "lanes": key.lanes,
            "width": self.w.table.size,
            "out_width": self.w.table.outputs,
            "depth": self.d.table.size,
            "height": self.h.table.size,
            "out_depth": self.d.table.outputs,
            "out_height": self.h.table.outputs,
            "kernel_height": self.h.taps,
            "kernel_width": self.w.taps,
            "d_divisor": divisors[0],
            "h_divisor": divisors[1],
            "w_divisor": divisors[2],
        }

    def array(self, numbers: Sequence[float], dtype: Any = np.int64) -> int:
        held = np.array(numbers, dtype=dtype)
        self.kept.append(held)
        return int(held.ctypes.data)

    def pack(self, slots: Sequence[str]) -> Any:
        return np.array([self.sizes[slot] for slot in slots], dtype=np.int64)

    @property
    def item(self) -> int:
        return 8 if self.key.dtype == "float64" else 4


@lru_cache(maxsize=512)
def forward_plan(key: Key) -> Plan:
    """How to run the forward pass."""
    axes = key.region.axes(key.size)
    layout = _Layout(key, axes)
    width, sizes = layout.w, layout.sizes
    across = _strided(width, key.lanes)
    for letter, axis in (("d", layout.d), ("h", layout.h), ("w", width)):
        table = axis.table
        sizes |= {
            f"{letter}_start": layout.array(table.start),
            f"{letter}_count": layout.array(table.count),
            f"{letter}_skip": layout.array(table.skip),
            f"{letter}_step": table.step,
        }
    columns, pad = width.table.size * key.lanes, 0
    if across and width.window:
        window = width.window
        pad = window.padding[0]
        last = (width.table.outputs - 1) * window.stride + window.extent
        columns = max(pad + columns, last) + window.stride * _widths(key.dtype)[0]
    sizes |= {"pad": pad, "scratch_row": _aligned(columns * layout.item)}
    widths = _widths(key.dtype)
    spec = forward.Forward(key.reducer, key.dtype, key.taps, across, len(axes), layout.h.taps, widths)
    fields = len(key.reducer.fields(key.taps is not None))
    path = ("fused" if across.fused else "strided") if across else "tabled"
    units = layout.d.table.outputs * layout.h.table.outputs
    elements = math.prod(key.size) * key.lanes
    scratch = sizes["scratch_row"] * fields
    return Plan(
        _kernel(spec),
        path,
        output_size(axes),
        units,
        scratch,
        elements,
        layout.pack(forward.SLOTS),
        layout.kept,
    )


@lru_cache(maxsize=512)
def backward_plan(key: Key) -> Plan:
    """How to run the backward pass."""
    axes = key.region.axes(key.size)
    layout = _Layout(key, axes)
    width, sizes = layout.w, layout.sizes
    across = _strided(width, key.lanes)
    most = 0
    for letter, axis in (("d", layout.d), ("h", layout.h), ("w", width)):
        first, out, tap, readers = _readers(axis.table)
        most = max(most, readers) if letter == "h" else most
        arrays = {"first": first, "out": out, "tap": tap}
        sizes |= {f"{letter}_{what}": layout.array(numbers) for what, numbers in arrays.items()}
    pad = 0
    sizes |= {"inner_lo": 0, "inner_hi": 0}
    if across and width.window:
        window, n, outputs = width.window, width.table.size, width.table.outputs
        pad = window.padding[0]
        reach = (window.extent - 1) // window.stride  # how many blocks back a window may have begun
        sizes["inner_lo"] = max(reach, -(-pad // window.stride))
        sizes["inner_hi"] = min(outputs, (n + pad) // window.stride)
    spec = backward.Backward(
        key.reducer, key.dtype, key.taps, across, pad, len(axes), most, _widths(key.dtype)
    )
    scratch = _aligned(width.table.outputs * key.lanes * layout.item + 1024)
    elements = math.prod(key.size) * key.lanes
    path = "strided" if across else "tabled"
    units = layout.d.table.size * layout.h.table.size
    return Plan(
        _kernel(spec),
        path,
        output_size(axes),
        units,
        scratch,
        elements,
        layout.pack(backward.SLOTS),
        layout.kept,
    )


def _readers(table: AxisTable) -> tuple[list[int], list[int], list[int], int]:
    """Where each input's readers begin in a list of (output, tap), the list, and the most of any input."""
    cover = table.cover()
    first, out, tap = [0], list[int](), list[int]()
    for i in range(table.size):
        for o in cover.readers(i):
            out.append(o)
            tap.append((i - table.origin(o)) // table.step)
        first.append(len(out))
    return first, [*out, 0], [*tap, 0], max(cover.count)


def _aligned(size: int) -> int:
    return -(-size // 64) * 64
