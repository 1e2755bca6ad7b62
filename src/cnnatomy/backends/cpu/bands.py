"""Run separable linear maps, such as resizing, on torch tensors: a kernel for two axes, one for depth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cnnatomy.backends.cpu import build, threads
from cnnatomy.backends.cpu.banded import SLOTS, UNROLLED, Banded
from cnnatomy.backends.cpu.launch import DTYPES as FLOATING
from cnnatomy.backends.cpu.launch import GRAIN, MANY, scratch
from cnnatomy.backends.cpu.pages import prefer_large
from cnnatomy.backends.cpu.plan import aligned, vector_widths
from cnnatomy.backends.layout import empty, is_last
from cnnatomy.geometry.bands import Bands

DTYPES = FLOATING | {torch.uint8: "uint8"}


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

    kernel: build.Kernel
    shape: tuple[int, ...]
    """What it writes: (planes, height, width, lanes)."""
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
    y = (x.movedim(1, -1) if how.lanes > 1 else x).contiguous()
    for plan in how.passes:
        y = _run(plan, y)
    if how.lanes > 1:
        return y.view(shape[0], *how.size, how.lanes).movedim(-1, 1)
    y = y.view(shape[0], shape[1], *how.size)
    return empty(x, how.size, y.dtype, True).copy_(y) if last else y


def _run(plan: _Plan, x: Tensor) -> Tensor:
    y = torch.empty(plan.shape, dtype=x.dtype)
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
    for first, count in _order(maps, dtype):
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
    return _Program(tuple(passes), tuple(size), lanes)


def _order(maps: Sequence[Bands | None], dtype: str) -> list[tuple[int, int]]:
    """First axis and number of axes of every pass: two at once, and depth first where it shrinks.

    Pictures of bytes go along the rows first, and are rounded in between, as Pillow does.
    """
    rank = len(maps)
    if dtype == "uint8":
        return [(i, 1) for i in reversed(range(rank)) if maps[i]]
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
    widths, real = vector_widths(dtype), np.float64 if dtype == "float64" else np.float32
    kept: list[Any] = []
    out = (down.outputs if down else height, along.outputs if along else width)
    group = widths[0] if along and lanes == 1 else 1
    sizes = {"lanes": lanes, "width": width, "out_width": out[1], "height": height, "out_height": out[0]}
    sizes |= {"rows": planes * out[0]}
    taps = [_tables(bands, letter, real, sizes, kept) for bands, letter in ((down, "h"), (along, "w"))]
    item = real().itemsize
    sizes["row"] = aligned((width + widths[0]) * lanes * item)  # blocks read a little further
    sizes["side"] = sizes["row"] * group
    turned = aligned((width + widths[0]) * widths[0] * item) if group > 1 else 0
    sizes["blocks"] = -(-out[1] // widths[0])
    sizes["whole"] = _address(_whole(along, widths[0], taps[1]), np.int64, kept)
    spec = Banded(dtype, taps[0], taps[1], lanes > 1, widths)
    where = _address([sizes[slot] for slot in SLOTS], np.int64, kept)
    shape, most = (planes, *out, lanes), planes * lanes * max(height * width, math.prod(out))
    units = -(-planes * out[0] // group) if math.prod(shape) else 0
    scratch = sizes["side"] + turned if along else 0
    return _Plan(_kernel(spec), shape, units, min(max(1, most // GRAIN), max(units, 1)), scratch, where, kept)


@lru_cache(maxsize=256)
def _kernel(spec: Banded) -> build.Kernel:
    return build.kernel("kernel", spec.emit("kernel"), 3)


def _address(numbers: Sequence[float], dtype: Any, kept: list[Any]) -> int:
    held = np.array(numbers, dtype=dtype)
    kept.append(held)
    return int(held.ctypes.data)


def _tables(bands: Bands | None, letter: str, real: Any, sizes: dict[str, int], kept: list[Any]) -> int:
    """Lay out an axis; its taps if they are to be written out, 0 if it stays as it is, else -1."""
    start, rows = (bands.start, bands.weights) if bands else ((), ())
    most = max(map(len, rows), default=0)
    padded = [weight for row in rows for weight in (*row, *(0.0,) * (most - len(row)))]
    sizes |= {
        f"{letter}_start": _address(start, np.int64, kept),
        f"{letter}_count": _address([len(row) for row in rows], np.int64, kept),
        f"{letter}_weight": _address(padded, real, kept),
        f"{letter}_most": most,
    }
    return 0 if bands is None else most if 0 < most <= UNROLLED else -1


def _whole(bands: Bands | None, width: int, taps: int) -> list[int]:
    """For every block of output columns, 1 if each of them has so many taps."""
    if bands is None:
        return []
    last = max(bands.outputs - width, 0)
    firsts = [min(i, last) for i in range(0, bands.outputs, width)]
    return [int(all(len(row) == taps for row in bands.weights[i : i + width])) for i in firsts]
