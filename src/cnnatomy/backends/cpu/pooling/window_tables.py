"""One pooling over one shape as kernels see it: its axes, and the numbers and tables that plans lay out."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np

from cnnatomy.backends.cpu.pooling.kernel_choice import Way
from cnnatomy.backends.cpu.runtime import jit
from cnnatomy.backends.cpu.runtime.sizes import vector_widths
from cnnatomy.geometry import AxisTable
from cnnatomy.reducers.contract import Reducer
from cnnatomy.regions import Axis, Region

LONGEST = 8
"""Windows across with more taps than this, or longer strides, are not unrolled but walk the table."""

UNUSED = AxisTable.whole(1)
"""The table of an axis that a kernel does not look up."""


@dataclass(frozen=True)
class Strided:
    """A regular window along the columns, known when the kernel is written."""

    kernel: int
    stride: int
    dilation: int
    fused: bool  # the window is the stride and nothing is padded: no column is read twice


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

    kernel: jit.Kernel
    way: Way
    out: tuple[int, ...]
    units: int
    scratch: int
    elements: int  # of one plane's input
    sizes: Any
    kept: list[Any]  # the arrays that sizes point to


class Spec(Hashable, Protocol):
    """What a kernel is specialised for: equal ones have one kernel."""

    def emit(self, name: str) -> str:
        """The kernel's LLVM text."""


@lru_cache(maxsize=1024)
def _kernel(spec: Spec, pointers: int) -> jit.Kernel:
    return jit.kernel("kernel", spec.emit("kernel"), pointers)


def three(axes: Sequence[Axis]) -> tuple[Axis, Axis, Axis]:
    """The axes as (depth, height, width), those that are missing with one cell."""
    one = Axis.of(AxisTable.whole(1))
    d, h, w = (one,) * (3 - len(axes)) + tuple(axes)
    return d, h, w


def whole_map(axes: Sequence[Axis]) -> bool:
    """Whether there is one region, the whole map."""
    return all(one.outputs == one.step == 1 and one.taps == one.size and one.origin(0) == 0 for one in axes)


def strided(width: Axis, lanes: int, rows: Sequence[Axis]) -> Strided | None:
    """The window across, where vectors can run over columns; fused only if every row reads something."""
    window = width.window
    if lanes != 1 or window is None or max(window.kernel, window.stride) > LONGEST:
        return None
    whole = width.outputs * window.stride <= width.size and window.padding == (0, 0)
    whole = whole and all(min(axis.table.count) > 0 for axis in rows)
    fused = window.kernel == window.stride and window.dilation == 1 and whole
    return Strided(window.kernel, window.stride, window.dilation, fused)


class Layout:
    """Collects the numbers of a plan and keeps the arrays they point to."""

    def __init__(self, key: Key) -> None:
        self.key, self.kept = key, list[Any]()
        self.axes = key.region.axes(key.size)
        self.d, self.h, self.w = three(self.axes)
        self.across = strided(self.w, key.lanes, (self.d, self.h))
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
        self.constant_divisor = math.prod(factors[0] for factors in divisors) if uniform else 0.0
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
        way: Way,
        units: int,
        scratch: int,
        pointers: int,
    ) -> Plan:
        """A plan of everything collected; the kernel takes so many tensors, and scratch."""
        sizes = np.array([self.sizes[slot] for slot in slots], dtype=np.int64)
        out = tuple(axis.outputs for axis in self.axes)
        elements = math.prod(self.key.size) * self.key.lanes
        return Plan(_kernel(spec, pointers + 1), way, out, units, scratch, elements, sizes, self.kept)
