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


class _Axis:
    """Bands that are equal only to themselves: a look-up need not read their numbers."""

    __slots__ = ("bands",)

    def __init__(self, bands: Bands | None) -> None:
        self.bands = bands

    def __hash__(self) -> int:
        return id(self.bands)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Axis) and self.bands is other.bands


@dataclass(frozen=True)
class _Plan:
    """A kernel with its sizes."""

    kernel: build.Kernel
    out: tuple[int, int]
    group: int
    scratch: int
    sizes: Any
    kept: list[Any]  # the arrays that sizes point to


def apply(x: Tensor, bands: Sequence[Bands]) -> Tensor:
    """y (N, C, *out) from x (N, C, *size), mapped along every axis; uint8 is rounded after each of them."""
    last, size = is_last(x), list(x.shape[2:])
    lanes = x.shape[1] if last and x.shape[1] >= MANY else 1
    if lanes > 1:
        flat, planes = x.movedim(1, -1).contiguous(), x.shape[0]
    else:
        flat, planes = x.contiguous(), x.shape[0] * x.shape[1]
    maps = [None if _is_identity(_Axis(one)) else one for one in bands]
    for first, count in _order(maps, x.dtype):
        chosen = maps[first : first + count]
        down, along = (chosen[0], chosen[1]) if count == 2 else (chosen[0], None)
        before = planes * math.prod(size[:first])
        if first + count < len(size):
            flat = _run(flat, before, size[first], math.prod(size[first + 1 :]) * lanes, 1, down, None)
        elif count == 2:
            flat = _run(flat, before, size[first], size[first + 1], lanes, down, along)
        else:
            flat = _run(flat, before, 1, size[first], lanes, None, down)
        size[first : first + count] = [
            n if one is None else one.outputs for n, one in zip(size[first:], chosen, strict=False)
        ]
    y = flat.view(x.shape[0], *size, lanes).movedim(-1, 1) if lanes > 1 else flat.view(*x.shape[:2], *size)
    if not any(maps):
        return x.clone(memory_format=torch.preserve_format)
    return y if (lanes > 1) == last else empty(x, tuple(size), y.dtype, last).copy_(y)


def _order(maps: Sequence[Bands | None], dtype: torch.dtype) -> list[tuple[int, int]]:
    """First axis and number of axes of every pass: two at once, and depth first where it shrinks.

    Pictures of bytes go along the rows first, and are rounded in between, as Pillow does.
    """
    rank = len(maps)
    if dtype is torch.uint8:
        return [(i, 1) for i in reversed(range(rank)) if maps[i]]
    passes = []
    if any(maps[-2:]):
        passes.append((max(rank - 2, 0), min(rank, 2)))
    if rank == 3 and (depth := maps[0]):
        passes.insert(0 if depth.outputs < depth.size else len(passes), (0, 1))
    return passes


@lru_cache(maxsize=512)
def _is_identity(axis: _Axis) -> bool:
    bands = axis.bands
    assert bands is not None
    rows = zip(bands.start, bands.weights, strict=True)
    return bands.size == bands.outputs and all(
        start == o and row == (1.0,) for o, (start, row) in enumerate(rows)
    )


def _run(
    x: Tensor, planes: int, height: int, width: int, lanes: int, down: Bands | None, along: Bands | None
) -> Tensor:
    """Map x, seen as (planes, height, width, lanes), down its columns, along its rows, or both."""
    plan = _plan(_Axis(down), _Axis(along), DTYPES[x.dtype], height, width, lanes, planes)
    y = torch.empty(planes * math.prod(plan.out) * lanes, dtype=x.dtype)
    prefer_large(y)
    units = -(-planes * plan.out[0] // plan.group)
    if not y.numel():
        return y
    team = min(max(1, max(x.numel(), y.numel()) // GRAIN), units, torch.get_num_threads())
    addresses = [plan.sizes.ctypes.data, x.data_ptr(), y.data_ptr(), scratch(plan.scratch * team)]
    threads.share(plan.kernel, addresses, plan.scratch, units, team)
    return y


@lru_cache(maxsize=512)
def _plan(down: _Axis, along: _Axis, dtype: str, height: int, width: int, lanes: int, planes: int) -> _Plan:
    """How to run one pass."""
    widths, real = vector_widths(dtype), np.float64 if dtype == "float64" else np.float32
    kept: list[Any] = []
    out = (down.bands.outputs if down.bands else height, along.bands.outputs if along.bands else width)
    group = widths[0] if along.bands and lanes == 1 else 1
    sizes = {"lanes": lanes, "width": width, "out_width": out[1], "height": height, "out_height": out[0]}
    sizes |= {"rows": planes * out[0]}
    taps = [_tables(axis.bands, letter, real, sizes, kept) for axis, letter in ((down, "h"), (along, "w"))]
    item = real().itemsize
    sizes["row"] = aligned((width + widths[0]) * lanes * item)  # blocks read a little further
    sizes["side"] = sizes["row"] * group
    turned = aligned((width + widths[0]) * widths[0] * item) if group > 1 else 0
    sizes["blocks"] = -(-out[1] // widths[0])
    sizes["whole"] = _address(_whole(along.bands, widths[0], taps[1]), np.int64, kept)
    spec = Banded(dtype, taps[0], taps[1], lanes > 1, widths)
    numbers = np.array([sizes[slot] for slot in SLOTS], dtype=np.int64)
    scratch = sizes["side"] + turned if along.bands else 0
    return _Plan(_kernel(spec), out, group, scratch, numbers, kept)


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
