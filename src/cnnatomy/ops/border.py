"""Borders that repeat cells of the input, written at the cost of about one pass, and their transpose.

The output is allocated once. On the CPU torch's own kernels write it where they have the mode; elsewhere the
interior is copied and every strip is then filled from what is already there, a slab of planes at a time, so
that the strips find it in the cache. The transpose adds the strips to a copy of the interior: slices alone,
hence the same sum in the same order on every device.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional as F

from cnnatomy.backends.layout import is_last, memory_format
from cnnatomy.geometry.borders import Pair, Run, settled
from cnnatomy.geometry.borders import runs as border_runs

Side = tuple[int, int, int, tuple[Run, Run]]
"""One padded axis: its number (negative), its size, the border before, and what fills the two borders."""

_SLAB = 1 << 22  # bytes of output that are filled before the next are begun
_TORCH = {"edge": "replicate", "reflect": "reflect"}


def sides(x: Tensor, mode: str, widths: Sequence[Pair]) -> tuple[Side, ...] | None:
    """The padded axes, first to last; None if a border is wider than one run fills."""
    found: list[Side] = []
    for axis, (n, pair) in enumerate(zip(x.shape, widths, strict=True), -x.dim()):
        if pair != (0, 0):
            filled = border_runs(settled(mode, n, pair), n, pair)
            if filled is None:
                return None
            found.append((axis, n, pair[0], filled))
    return tuple(found)


def spread(x: Tensor, mode: str, widths: Sequence[Pair]) -> Tensor:
    """x with its borders."""
    where = sides(x, mode, widths) or ()
    modes = {settled(mode, n, widths[axis]) for axis, n, *_ in where}
    native = _native(x, where)
    if native and len(modes) == 1 and modes <= set(_TORCH):
        lead = x if x.dim() in (native + 1, native + 2) else x.flatten(0, x.dim() - native - 1)
        y = F.pad(lead, _flat(widths[-native:]), _TORCH[modes.pop()])
        return y if lead is x else y.view(*x.shape[:-native], *y.shape[1:])
    size = [n + sum(pair) for n, pair in zip(x.shape, widths, strict=True)]
    layout = memory_format(x.dim() - 2, is_last(x))
    y = torch.empty(size, dtype=x.dtype, device=x.device, memory_format=layout)
    for part, room in _slabs(x, y, native):
        _fill(part, room, where, native, widths)
    return y


def _native(x: Tensor, where: Sequence[Side]) -> int:
    """The number of spatial axes if torch's padding kernels of the CPU take x, 0 if not."""
    axes = -where[0][0] if where else 0
    takes = x.device.type == "cpu" and x.is_floating_point() and x.numel() > 0
    takes = takes and 1 <= axes <= 3 and x.dim() > axes
    return axes if takes and (x.dim() == axes + 2 or x.is_contiguous()) else 0


def _flat(widths: Sequence[Pair]) -> list[int]:
    """Widths in the order that torch takes them: the last axis first."""
    return [width for pair in reversed(widths) for width in pair]


def _slabs(x: Tensor, y: Tensor, native: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Input and output in parts that stay in the cache, or as they are."""
    if not (native and x.is_contiguous() and y.is_contiguous()):
        yield x, y
        return
    planes, room = x.flatten(0, -native - 1), y.flatten(0, -native - 1)
    step = max(1, _SLAB * len(room) // (y.numel() * y.element_size()))
    for start in range(0, len(planes), step):
        yield planes[start : start + step], room[start : start + step]


def _fill(x: Tensor, y: Tensor, where: Sequence[Side], native: int, widths: Sequence[Pair]) -> None:
    if native and x.dim() == native + 1:  # the kernel of another mode: fastest to write the interior
        kernel = getattr(torch.ops.aten, f"replication_pad{native}d").out
        kernel(x, _flat(widths[-native:]), out=y)
    else:
        _inner(y, where).copy_(x)
    for done, (axis, n, before, filled) in reversed(list(enumerate(where))):
        rows = _inner(y, where[:done])  # complete along the axes after this one
        for run, start in zip(filled, (0, before + n), strict=True):
            _copy(rows, axis, Run(run.start + before, run.cells, run.step), start)


def _inner(y: Tensor, where: Sequence[Side]) -> Tensor:
    for axis, n, before, _ in where:
        y = y.narrow(axis, before, n)
    return y


def _copy(y: Tensor, axis: int, run: Run, start: int) -> None:
    """Fill a strip of y from a run of its cells."""
    start_, count, step = run
    if count == 0:
        return
    if step >= 0:
        strip = y.narrow(axis, start, count)
        strip.copy_(y.narrow(axis, start_, count if step else 1).expand_as(strip))
    elif count <= 4:
        for k in range(count):
            y.select(axis, start + k).copy_(y.select(axis, start_ - k))
    else:
        y.narrow(axis, start, count).copy_(y.narrow(axis, start_ - count + 1, count).flip(axis))


def fold(grad: Tensor, where: Sequence[Side]) -> Tensor:
    """The transpose of `spread`: each cell adds up the positions that show it."""
    if not where:
        return grad.clone()
    (axis, n, before, filled), *rest = where
    found = fold(grad.narrow(axis, before, n), rest)
    for (start, count, step), place in zip(filled, (0, before + n), strict=True):
        if not count:
            continue
        strip = grad.narrow(axis, place, count)
        if step == 0:
            strip, count = strip.sum(axis, keepdim=True), 1
        strip = fold(strip, rest) if rest else strip
        low = start - count + 1 if step < 0 else start
        found.narrow(axis, low, count).add_(strip.flip(axis) if step < 0 else strip)
    return found


class Spread(Function):
    """`spread`, differentiable any number of times: it is linear, and its transpose is `Fold`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, mode: str, widths: Sequence[Pair]) -> Tensor:
        """Write the borders."""
        ctx.mode, ctx.widths, ctx.where = mode, widths, sides(x, mode, widths)
        return spread(x, mode, widths)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        """Fold the borders back."""
        if torch.is_grad_enabled():
            return Fold.apply(grad, ctx.mode, ctx.widths, ctx.where), None, None  # type: ignore[no-untyped-call]
        return fold(grad, ctx.where), None, None


class Fold(Function):
    """`fold`, whose transpose is `Spread`."""

    @staticmethod
    def forward(ctx: Any, grad: Tensor, mode: str, widths: Sequence[Pair], where: Sequence[Side]) -> Tensor:
        """Fold the borders back."""
        ctx.mode, ctx.widths = mode, widths
        return fold(grad, where)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        """Write the borders."""
        return Spread.apply(grad, ctx.mode, ctx.widths), None, None, None  # type: ignore[no-untyped-call]
