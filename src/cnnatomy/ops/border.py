"""Borders that repeat cells of the input, or hold one value, written in one pass, and their transpose.

The output is allocated once. On the CPU one kernel writes it where it can; elsewhere the interior is copied
and every strip is then filled from what is already there. The transpose adds the strips to a copy of the
interior: slices alone, hence the same sum in the same order on every device.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional as F

from cnnatomy.backends.cpu.moving import pad as kernels
from cnnatomy.backends.cpu.runtime.huge_pages import LARGE
from cnnatomy.backends.layout import is_last, memory_format
from cnnatomy.geometry.borders import Pair, Run, settled
from cnnatomy.geometry.borders import runs as border_runs
from cnnatomy.ops.routing import plain

Side = tuple[int, int, int, tuple[Run, Run]]
"""One padded axis: its number (negative), its size, the border before, and what fills the two borders."""

_NONE = Run(0, 0, 0)


@lru_cache(maxsize=256)
def sides(shape: torch.Size, mode: str, widths: tuple[Pair, ...]) -> tuple[Side, ...] | None:
    """The padded axes, first to last; None if a border is wider than one run fills."""
    found: list[Side] = []
    for axis, (n, pair) in enumerate(zip(shape, widths, strict=True), -len(shape)):
        if pair != (0, 0):
            filled = (_NONE, _NONE) if mode == "constant" else border_runs(settled(mode, n, pair), n, pair)
            if filled is None:
                return None
            found.append((axis, n, pair[0], filled))
    return tuple(found)


def spread(x: Tensor, mode: str, widths: tuple[Pair, ...], value: float = 0.0) -> Tensor:
    """x with its borders."""
    found = kernels.spread(x, mode, widths, value) if plain(x) else None
    if found is not None:
        return found
    if mode == "constant":
        return F.pad(x, [width for pair in reversed(widths) for width in pair], value=value)
    size = [n + sum(pair) for n, pair in zip(x.shape, widths, strict=True)]
    layout = memory_format(x.dim() - 2, is_last(x))
    y = torch.empty(size, dtype=x.dtype, device=x.device, memory_format=layout)
    where = sides(x.shape, mode, widths) or ()
    _inner(y, where).copy_(x)
    for done, (axis, n, before, filled) in reversed(list(enumerate(where))):
        rows = _inner(y, where[:done])  # complete along the axes after this one
        for run, start in zip(filled, (0, before + n), strict=True):
            _copy(rows, axis, Run(run.start + before, run.cells, run.step), start)
    return y


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
        return _copied(grad)
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


def _copied(x: Tensor) -> Tensor:
    """A copy of a part of a larger tensor."""
    swift = plain(x) and x.nbytes >= LARGE and (x.stride(-1) == 1 or is_last(x))
    found = kernels.spread(x, "edge", ((0, 0),) * x.dim()) if swift else None
    return x.clone() if found is None else found


class Spread(Function):
    """`spread`, differentiable any number of times: it is linear, and its transpose is `Fold`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, mode: str, widths: tuple[Pair, ...], value: float = 0.0) -> Tensor:
        """Write the borders."""
        ctx.mode, ctx.widths, ctx.where = mode, widths, sides(x.shape, mode, widths)
        return spread(x, mode, widths, value)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        """Fold the borders back."""
        if torch.is_grad_enabled():
            found = Fold.apply(grad, ctx.mode, ctx.widths, ctx.where)  # type: ignore[no-untyped-call]
        else:
            found = fold(grad, ctx.where)
        return found, None, None, None


class Fold(Function):
    """`fold`, whose transpose is `Spread`."""

    @staticmethod
    def forward(ctx: Any, grad: Tensor, mode: str, widths: tuple[Pair, ...], where: Sequence[Side]) -> Tensor:
        """Fold the borders back."""
        ctx.mode, ctx.widths = mode, widths
        return fold(grad, where)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        """Write the borders."""
        return Spread.apply(grad, ctx.mode, ctx.widths), None, None, None  # type: ignore[no-untyped-call]
