"""Run separable linear maps, such as resizing, on torch tensors: a kernel for two axes, one for depth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cnnatomy.backends.cpu.resampling import phases
from cnnatomy.backends.cpu.resampling.general_resampling import General
from cnnatomy.backends.cpu.resampling.phases import Phases
from cnnatomy.backends.cpu.resampling.polyphase_resampling import Polyphase
from cnnatomy.backends.cpu.resampling.resampling_common import SLOTS, UNROLLED
from cnnatomy.backends.cpu.runtime import jit, threads
from cnnatomy.backends.cpu.runtime.huge_pages import STREAM, prefer_large
from cnnatomy.backends.cpu.runtime.scratch import scratch
from cnnatomy.backends.cpu.runtime.sizes import DTYPES as FLOATING
from cnnatomy.backends.cpu.runtime.sizes import GRAIN, MANY, aligned, vector_widths
from cnnatomy.backends.layout import empty, is_last
from cnnatomy.geometry import pillow
from cnnatomy.geometry.bands import Bands

DTYPES = FLOATING | {torch.uint8: "uint8"}
SHORT, MANY_ROWS = 8, 4096
"""The most vectors of a row that is written out in a kernel for its own width; how many rows are worth it."""


class _Same:
    """Bands that are equal only to themselves: a look-up need not read their numbers."""

    __slots__ = ("bands",)

    def __init__(self, bands: Any) -> None:
        self.bands = bands

    def __hash__(self) -> int:
        return id(self.bands)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.bands is other.bands


@dataclass(frozen=True)
class _Plan:
    """A kernel with its sizes."""

    kernel: jit.Kernel
    shape: tuple[int, ...]
    """What it writes: (planes, height, width, lanes), or the tensor's own if it is the last."""
    units: int
    """Parts that threads can share."""
    team: int
    """The most threads that are worth their start."""
    scratch: int
    sizes: int
    """Where the kernel finds its numbers."""
    kept: list[Any]
    """The arrays that they lie in, or point to."""


@dataclass(frozen=True)
class _Program:
    """The passes that map a tensor of one shape, and how it goes in and comes out."""

    passes: tuple[_Plan, ...]
    size: tuple[int, ...]
    lanes: int


def apply(x: Tensor, bands: tuple[Bands, ...]) -> Tensor:
    """y (N, C, *out) from x (N, C, *size), mapped along every axis; uint8 is rounded after each of them."""
    last, shape = is_last(x), x.shape
    how = _program(_Same(bands), tuple(shape), last, DTYPES[x.dtype])
    if not how.passes:
        return x.clone(memory_format=torch.preserve_format)
    y = (x.movedim(1, -1) if how.lanes > 1 else x).resolve_neg().contiguous()
    for plan in how.passes:
        y = _run(plan, y)
    if how.lanes > 1:
        return y.movedim(-1, 1)
    return empty(x, how.size, y.dtype, True).copy_(y) if last else y


def _run(plan: _Plan, x: Tensor) -> Tensor:
    y = torch.empty(plan.shape, dtype=x.dtype, device=x.device)
    prefer_large(y)
    if plan.units:
        team = 1 if plan.team == 1 else min(plan.team, torch.get_num_threads())
        addresses = [plan.sizes, x.data_ptr(), y.data_ptr(), scratch(plan.scratch * team)]
        threads.share(plan.kernel, addresses, plan.scratch, plan.units, team)
    return y


@lru_cache(maxsize=512)
def _program(same: _Same, shape: tuple[int, ...], last: bool, dtype: str) -> _Program:
    lanes = shape[1] if last and shape[1] >= MANY else 1
    planes, size = shape[0] * (1 if lanes > 1 else shape[1]), list(shape[2:])
    maps = [None if _is_identity(one) else one for one in same.bands]
    passes = []
    for first, count in _order(maps, same.bands, dtype):
        down, along = (maps[first], maps[first + 1]) if count == 2 else (maps[first], None)
        before = planes * math.prod(size[:first])
        if first + count < len(size):  # an axis with others after it
            height, width, inner = size[first], math.prod(size[first + 1 :]) * lanes, 1
        elif count == 2:
            height, width, inner = size[first], size[first + 1], lanes
        else:
            height, width, inner = 1, size[first], lanes
            down, along = None, down
        passes.append(_plan(down, along, dtype, height, width, inner, before))
        size[first : first + count] = [
            n if one is None else one.outputs
            for n, one in zip(size[first:], maps[first:][:count], strict=False)
        ]
    if passes:
        out = (shape[0], *size, lanes) if lanes > 1 else (*shape[:2], *size)
        passes[-1] = replace(passes[-1], shape=out)
    return _Program(tuple(passes), tuple(size), lanes)


def _order(maps: Sequence[Bands | None], bands: Sequence[Bands], dtype: str) -> list[tuple[int, int]]:
    """First axis and number of axes of every pass: two at once, and depth first where it shrinks."""
    rank = len(maps)
    if dtype == "uint8":
        return [(axis, 1) for axis in pillow.order(bands) if maps[axis]]
    passes = []
    if any(maps[-2:]):
        passes.append((max(rank - 2, 0), min(rank, 2)))
    if rank == 3 and (depth := maps[0]):
        passes.insert(0 if depth.outputs < depth.size else len(passes), (0, 1))
    return passes


def _is_identity(bands: Bands) -> bool:
    rows = zip(bands.start, bands.weights, strict=True)
    return bands.size == bands.outputs and all(
        start == o and row == (1.0,) for o, (start, row) in enumerate(rows)
    )


def _plan(
    down: Bands | None, along: Bands | None, dtype: str, height: int, width: int, lanes: int, planes: int
) -> _Plan:
    """How to map (planes, height, width, lanes) down its columns, along its rows, or both."""
    real = np.float64 if dtype in ("float64", "uint8") else np.float32
    if dtype == "uint8":
        down, along = (one and pillow.rounded(one) for one in (down, along))
    out = (down.outputs if down else height, along.outputs if along else width)
    sizes = {"lanes": lanes, "width": width, "out_width": out[1], "height": height, "out_height": out[0]}
    sizes |= {"rows": planes * out[0]}
    layout = _Layout(sizes, real, [], vector_widths(dtype))
    found = phases.find(along) if along and lanes == 1 else None
    spec: General | Polyphase
    if along and found:
        spec, group, scratch = _phased(layout, dtype, down, along, found, planes)
    else:
        spec, group, scratch = _general(layout, dtype, down, along)
    where = layout.address([sizes.get(slot, 0) for slot in SLOTS], np.int64)
    shape, most = (planes, *out, lanes), planes * lanes * max(height * width, math.prod(out))
    units = -(-planes * out[0] // group) if math.prod(shape) else 0
    team = min(max(1, most // GRAIN), max(units, 1))
    return _Plan(_kernel(spec), shape, units, team, scratch, where, layout.kept)


def _phased(
    layout: _Layout, dtype: str, down: Bands | None, along: Bands, found: Phases, planes: int
) -> tuple[Polyphase, int, int]:
    """A kernel for outputs in phases: what it is specialised for, rows in a unit, bytes of scratch."""
    s, widths = layout.sizes, layout.widths
    taps, gaps = layout.axis(down, "h"), down is not None and not all(down.weights)
    parts, step, shifts = len(found.taps), found.step, found.shifts
    s["periods"] = along.outputs // parts
    fused = shifts == range(1) and s["periods"] * step <= along.size
    s["margin"] = -min(shifts.start, 0) * step
    s["cells"] = s["margin"] + max(along.size, (s["periods"] + shifts.stop - 1) * step) + widths[0]
    s["w_weight"] = layout.address(phases.weights(along, found), layout.real)
    whole = min(s["periods"], s["width"]) >= widths[0] and not s["out_width"] % widths[0]
    read, written = (
        planes * s[f"{of}height"] * s[f"{of}width"] * layout.real().itemsize for of in ("", "out_")
    )
    stream = dtype in ("float32", "float64") and written >= STREAM and whole
    if stream:
        widths = widths[:1]  # aligned ones
    ahead = max(s["height"] // s["out_height"], 1) if read >= STREAM else 0
    short = max(s["width"], s["out_width"]) <= SHORT * widths[0] and planes * s["out_height"] >= MANY_ROWS
    known = tuple((slot, s[slot]) for slot in ("width", "out_width", "periods")) if short else ()
    spec = Polyphase(dtype, taps, _ones(down), gaps, found, fused, stream, ahead, known, widths)
    return spec, 1, 0 if fused else aligned(s["cells"] * layout.real().itemsize)


def _general(
    layout: _Layout, dtype: str, down: Bands | None, along: Bands | None
) -> tuple[General, int, int]:
    """The same of a kernel for any outputs."""
    s, widths, item = layout.sizes, layout.widths, layout.real().itemsize
    lanes = s["lanes"]
    turns = along is not None and lanes == 1
    group = widths[0] if turns else 1
    taps = [layout.axis(bands, letter) for bands, letter in ((down, "h"), (along, "w"))]
    s["row"] = aligned((s["width"] + widths[0]) * lanes * item)  # blocks read a little further
    s["side"] = s["row"] * group
    turned = aligned((s["width"] + widths[0]) * widths[0] * item) if turns else 0
    s["blocks"] = -(-s["out_width"] // widths[0])
    s["whole"] = layout.address(_whole(along, widths[0], taps[1]), np.int64)
    spec = General(dtype, taps[0], _ones(down), taps[1], lanes > 1, widths)
    return spec, group, s["side"] + turned if along else 0


def _ones(bands: Bands | None) -> bool:
    return bands is not None and all(set(row) <= {1.0} for row in bands.weights)


@dataclass
class _Layout:
    """Collects the numbers of a plan, and keeps the arrays that they point to."""

    sizes: dict[str, int]
    real: Any
    kept: list[Any]
    widths: tuple[int, ...]

    def address(self, numbers: Sequence[float], dtype: Any) -> int:
        """Where numbers lie from now on."""
        held = np.array(numbers, dtype=dtype)
        self.kept.append(held)
        return int(held.ctypes.data)

    def axis(self, bands: Bands | None, letter: str) -> int:
        """Lay out an axis; its taps if they are to be written out, 0 if it stays as it is, else -1."""
        start, rows = (bands.start, bands.weights) if bands else ((), ())
        most = max(map(len, rows), default=0)
        padded = [weight for row in rows for weight in (*row, *(0.0,) * (most - len(row)))]
        self.sizes |= {
            f"{letter}_start": self.address(start, np.int64),
            f"{letter}_count": self.address([len(row) for row in rows], np.int64),
            f"{letter}_weight": self.address(padded, self.real),
            f"{letter}_most": most,
        }
        return 0 if bands is None else most if 0 < most <= UNROLLED else -1


@lru_cache(maxsize=256)
def _kernel(spec: General | Polyphase) -> jit.Kernel:
    return jit.kernel("kernel", spec.emit("kernel"), 3)


def _whole(bands: Bands | None, width: int, taps: int) -> list[int]:
    """For every block of output columns, 1 if each of them has so many taps."""
    if bands is None:
        return []
    last = max(bands.outputs - width, 0)
    firsts = [min(i, last) for i in range(0, bands.outputs, width)]
    return [int(all(len(row) == taps for row in bands.weights[i : i + width])) for i in firsts]
