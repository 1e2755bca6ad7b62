"""Values put at cells that indices name, the last of several staying; and the derivative."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from cnnatomy.backends.cpu.moving import unpool as kernels
from cnnatomy.backends.layout import is_last, memory_format
from cnnatomy.backends.result_memory import demand
from cnnatomy.errors import ArgumentError
from cnnatomy.ops.routing import eager, plain


def place(y: Tensor, indices: Tensor, size: tuple[int, ...], apart: bool = False) -> Tensor:
    """x[.., indices[.., o]] = y[.., o], and 0 elsewhere: y and indices (.., *out) become (.., *size).

    With `apart`, the indices are known to come from regions that share no cell, and need not be compared.
    """
    if eager(y, indices) and y.is_cpu:
        if torch.is_grad_enabled() and y.requires_grad:
            x: Tensor = Placed.apply(y, indices, size, not apart)  # type: ignore[no-untyped-call]
            return x
        return _put(y, indices, size, False)[0]
    maps = _Maps.of(y, len(size))
    values, where, axis = maps.flat(y), maps.flat(indices), maps.axis
    shape = (*values.shape[:axis], math.prod(size), *values.shape[axis + 1 :])
    demand(y, shape)
    won = torch.where(_wins(where, shape, axis), values, torch.zeros_like(values))
    return maps.spatial(values.new_zeros(shape).scatter_add(axis, where.clamp(min=0), won), size)


@dataclass(frozen=True)
class _Maps:
    """How maps lie: so many axes, of which so many are spatial, and whether channels are last in memory."""

    dim: int
    rank: int
    last: bool

    @classmethod
    def of(cls, y: Tensor, rank: int) -> _Maps:
        """How y lies."""
        return cls(y.dim(), rank, y.dim() == rank + 2 and is_last(y))

    @property
    def axis(self) -> int:
        """Where the cells are once they are flat."""
        return 1 if self.last else self.dim - self.rank

    def flat(self, y: Tensor) -> Tensor:
        """The spatial axes as one, in the order of memory."""
        y, stop = y.movedim(1, -1) if self.last else y, self.axis + self.rank
        return y.reshape(*y.shape[: self.axis], math.prod(y.shape[self.axis : stop]), *y.shape[stop:])

    def spatial(self, x: Tensor, size: Sequence[int]) -> Tensor:
        """The spatial axes again, and the channels before them."""
        x = x.view(*x.shape[: self.axis], *size, *x.shape[self.axis + 1 :])
        return x.movedim(-1, 1) if self.last else x

    def dense(self, y: Tensor) -> Tensor:
        """As kernels read it."""
        return y.resolve_conj().resolve_neg().contiguous(memory_format=memory_format(self.rank, self.last))

    def empty(self, y: Tensor, size: Sequence[int], dtype: torch.dtype) -> Tensor:
        """Memory for y's maps in another size."""
        form, shape = memory_format(self.rank, self.last), (*y.shape[: -self.rank], *size)
        demand(y, shape, dtype)
        return torch.empty(shape, dtype=dtype, device=y.device, memory_format=form)

    def sizes(self, y: Tensor, cells: int) -> kernels.Sizes:
        """What kernels are told."""
        shape = y.shape
        outputs, lanes = math.prod(shape[-self.rank :]), shape[1] if self.last else 1
        return math.prod(shape[:1] if self.last else shape[: -self.rank]), outputs, cells, lanes


class Placed(Function):
    """Values at their cells, in one pass over both; the pass tells which of them got there."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, indices: Tensor, size: tuple[int, ...], ranked: bool) -> Tensor:
        """Put them there."""
        x, wins = _put(y, indices, size, ranked)
        ctx.save_for_backward(indices, wins)
        ctx.maps = _Maps.of(y, len(size))
        return x

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        """Take them back; in torch's own operators where that has a derivative, or is seen by somebody."""
        (indices, wins), maps = ctx.saved_tensors, ctx.maps
        size = indices.shape[-maps.rank :]
        if plain(grad) and not torch.is_grad_enabled():
            y = maps.empty(indices, size, grad.dtype)
            sizes = maps.sizes(indices, math.prod(grad.shape[-maps.rank :]))
            kernels.take(y, maps.dense(indices), maps.dense(grad), wins, sizes)
            return y, None, None, None
        flat, where = maps.flat(grad), maps.flat(indices)
        kept = where >= 0 if wins is None else maps.flat(wins)
        found = torch.where(kept, flat.gather(maps.axis, where.clamp(min=0)), 0)
        return maps.spatial(found, size), None, None, None


def _put(y: Tensor, indices: Tensor, size: tuple[int, ...], ranked: bool) -> tuple[Tensor, Tensor | None]:
    """x, and if `ranked` which outputs are the last to name their cell."""
    maps, cells = _Maps.of(y, len(size)), math.prod(size)
    values, where = maps.dense(y), maps.dense(indices)
    x = maps.empty(y, size, y.dtype)
    wins = torch.empty_like(where, dtype=torch.bool) if ranked else None
    if not kernels.put(values, where, x, wins, maps.sizes(y, cells)):
        _check(where, cells)
    return x, wins


def _check(where: Tensor, cells: int) -> None:
    """See that all indices are in range."""
    least, most = (int(bound) for bound in torch.aminmax(where))
    if least < -1 or most >= cells:
        wrong = most if most >= cells else least
        expected = f"-1 .. {cells - 1}, for size= has {cells} cells"
        raise ArgumentError("an index is out of range", expected=expected, got=str(wrong))


def _wins(where: Tensor, shape: tuple[int, ...], axis: int) -> Tensor:
    """Which outputs are the last to name their cell, found in an order-free way."""
    ranks = [1] * where.dim()
    ranks[axis] = where.shape[axis]
    order = torch.arange(where.shape[axis], device=where.device).view(ranks)  # in row-major order
    order = torch.where(where < 0, -1, order)
    at = where.clamp(min=0)
    latest = where.new_full(shape, -1).scatter_reduce(axis, at, order, "amax")
    return (where >= 0) & (latest.gather(axis, at) == order)
