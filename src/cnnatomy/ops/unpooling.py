"""Unpooling: values back to the cells that they came from, or spread over the cells that they averaged."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from cnnatomy.backends.cpu import placing
from cnnatomy.backends.layout import is_last, memory_format
from cnnatomy.errors import ArgumentError
from cnnatomy.geometry import per_axis
from cnnatomy.ops import function, library
from cnnatomy.ops.pooling import pool
from cnnatomy.ops.routing import eager, plain, transformed
from cnnatomy.reducers import Mean
from cnnatomy.regions import Boxes, Region, Sliding
from cnnatomy.regions.composite import Composite

Sizes = int | Sequence[int]
_SUM = Mean(divisor=1.0)


def unpool(
    y: Tensor,
    indices: Tensor,
    size: Sizes | None = None,
    *,
    region: Region | None = None,
    rank: int | None = None,
) -> Tensor:
    """Put values where a pooling found them: x[n, c, indices[n, c, o]] = y[n, c, o], and 0 elsewhere.

    Where several outputs name one cell, the last of them in row-major order has it, on every device, and it
    alone gets the cell's gradient. (Overlapping windows of a max pooling that chose one cell hold one value.
    `torch.nn.functional.max_unpool2d` leaves the order open, and gives each of them the whole gradient.)
    The index -1, of a region without any tap, is left out.

    A flat index means another cell in a map of another width, so a size is never guessed: where strides let
    several sizes pool to that of y, the error names them.

    Args:
        y: (N, C, *out) with one to three spatial axes, or (C, *out) if `rank` says so.
        indices: int64, of y's shape: flat indices among the cells of `size`, as `pool` returns them. Those of
            `Boxes` give a map for each box.
        size: the spatial sizes of x, one for all axes or one per axis (.., y, x).
        region: what y was pooled over: a `Sliding` one can tell the size, any other checks it. Where
            its windows share no cell, indices are taken to name each cell once.
        rank: the number of spatial axes; all but the first two if left out.

    Returns:
        x (N, C, *size), in the dtype and memory format of y.

    Raises:
        ArgumentError: shapes, dtypes or sizes do not fit, the size is open, or an index is out of range.
            (Only where looking costs no wait: on the CPU, and not in compiled or exported graphs.)

    Source: Zeiler & Fergus, "Visualizing and understanding convolutional networks", ECCV 2014, section 2.1.

    Example:
        >>> import torch, cnnatomy
        >>> x = torch.tensor([[[1.0, 5.0, 2.0, 4.0, 3.0]]])
        >>> y, indices = cnnatomy.pool(x, cnnatomy.Sliding(2), "max", return_indices=True)
        >>> unpool(y, indices, size=5)
        tensor([[[0., 5., 0., 4., 0.]]])
    """
    spatial = _rank(y, rank)
    if not isinstance(indices, Tensor) or indices.dtype is not torch.int64:
        got = str(indices.dtype) if isinstance(indices, Tensor) else type(indices).__name__
        raise ArgumentError(
            "these are no indices", expected="an int64 tensor", got=got, hint="indices.long()"
        )
    if indices.shape != y.shape or indices.device != y.device:
        got, expected = (f"shape {tuple(t.shape)} on {t.device}" for t in (indices, y))
        raise ArgumentError("indices do not fit the values", expected=expected, got=got)
    cells = input_size(tuple(y.shape[-spatial:]), size, region)
    apart = isinstance(region, Sliding) and all(w.stride >= w.extent for w in region.windows(cells))
    return place(y, indices, cells, apart)


def unpool_mean(
    y: Tensor,
    region: Region,
    size: Sizes | None = None,
    *,
    normalize: bool = False,
    rank: int | None = None,
) -> Tensor:
    """Spread every value evenly over its region: x[i] = sum of y[o] / n[o] over the o whose region holds i.

    n[o] counts the cells of region o. It is the adjoint of mean pooling, <pool(x), y> = <x, unpool_mean(y)>.
    With `normalize` it is the mean of the values that cover a cell instead,
    x[i] = (sum of y[o]) / (number of o whose region holds i), which gives a constant back as it was.
    A cell that no region holds is 0 either way.

    Args:
        y: (N, C, *out) with one to three spatial axes, or (C, *out) if `rank` says so.
        region: any but those made of others (`Pyramid`, `Boxes`).
        size: the spatial sizes of x; a `Sliding` region can tell them if its strides leave no choice.
        normalize: take means instead of shares.
        rank: the number of spatial axes; all but the first two if left out.

    Returns:
        x (N, C, *size), in the dtype and memory format of y.

    Raises:
        ArgumentError: y is no floating-point tensor of such axes, or the region or size does not fit.

    Example:
        >>> import torch, cnnatomy
        >>> y = torch.tensor([[[2.0, 6.0]]])
        >>> unpool_mean(y, cnnatomy.Sliding(2, stride=1), 3)
        tensor([[[1., 4., 3.]]])
        >>> unpool_mean(y, cnnatomy.Sliding(2, stride=1), 3, normalize=True)
        tensor([[[2., 4., 6.]]])
    """
    spatial = _rank(y, rank)
    if not y.is_floating_point():
        raise ArgumentError("only floating-point values are spread", expected="a float", got=str(y.dtype))
    if not isinstance(region, Region):
        raise ArgumentError(
            "this is no region", expected=f"one of {', '.join(Region.kinds)}", got=repr(region)
        )
    cells = input_size(tuple(y.shape[-spatial:]), None if isinstance(region, Boxes) else size, region)
    batch = y if y.dim() == spatial + 2 else y.unsqueeze(0)
    batch = batch.to(torch.promote_types(y.dtype, torch.float32))
    if normalize:
        covers = _summed(batch.new_ones((1, 1, *batch.shape[2:])), region, cells)
        x = _summed(batch, region, cells) / covers.clamp(min=1)
    else:
        taps = pool(batch.new_ones((1, 1, *cells)), region, _SUM)
        x = _summed(batch / taps.clamp(min=1), region, cells)  # not by the mean itself: of nothing, it is 0/0
    x = x.to(y.dtype)
    return x if y.dim() == spatial + 2 else x.squeeze(0)


def _rank(y: Tensor, rank: int | None) -> int:
    """The number of spatial axes."""
    if not isinstance(y, Tensor):
        raise ArgumentError("unpooling wants a tensor", expected="a torch.Tensor", got=type(y).__name__)
    spatial = y.dim() - 2 if rank is None else rank
    if not 1 <= spatial <= 3 or y.dim() not in (spatial + 1, spatial + 2):
        raise ArgumentError(
            "unpooling wants (N, C, *spatial), or (C, *spatial) with rank=",
            expected="one to three spatial axes",
            got=f"shape {tuple(y.shape)}" + ("" if rank is None else f" and rank={rank!r}"),
            hint="one level at a time: the result of a pyramid has no axes left" if y.dim() == 2 else None,
        )
    return spatial


def input_size(out: tuple[int, ...], size: Sizes | None, region: Region | None) -> tuple[int, ...]:
    """The sizes of the cells that were pooled: as given and checked, or the only ones possible.

    Example:
        >>> input_size((4,), None, Sliding(3, stride=1)), input_size((4,), 9, Sliding(2))
        ((6,), (9,))
        >>> input_size((4,), None, Sliding(2))
        Traceback (most recent call last):
        cnnatomy.errors.ArgumentError: several sizes pool to (4,): expected size= of 8 or 9; try size=(8,)
    """
    if isinstance(region, Boxes) and size is not None:
        return per_axis(size, len(out), "size")  # a map for each box
    if isinstance(region, Composite):
        what = f"{type(region).__name__} is made of several regions, whose results have no one place in a map"
        hint = "size=, for a map for each box" if isinstance(region, Boxes) else "each level by itself"
        raise ArgumentError(what, hint=hint)
    if size is not None:
        cells = per_axis(size, len(out), "size")
        if region is not None and (got := tuple(region.output_size(cells))) != out:
            what = f"size {cells} does not pool to the sizes of the values over this region"
            raise ArgumentError(what, expected=str(out), got=str(got), hint=_hint(region, out))
        return cells
    if not isinstance(region, Sliding):
        what = "the size of the result is open: " + (
            "no region" if region is None else "this region does not tell"
        )
        raise ArgumentError(what, hint="size=, that of what was pooled")
    found = choices(region, out)
    if any(len(sizes) != 1 for sizes in found):
        named = " by ".join(" or ".join(map(str, sizes)) or "nothing" for sizes in found)
        what = f"{'several' if all(found) else 'no'} sizes pool to {out}"
        raise ArgumentError(what, expected=f"size= of {named}", hint=_hint(region, out))
    return tuple(sizes[0] for sizes in found)


def choices(region: Sliding, out: tuple[int, ...]) -> tuple[range, ...]:
    """On every axis, the input sizes that pool to the output's: what strides forget leaves several.

    Example:
        >>> choices(Sliding(3, stride=2, padding=1), (4, 5))
        (range(7, 9), range(9, 11))
    """
    return tuple(_choices(region, wanted, axis, len(out)) for axis, wanted in enumerate(out))


def _choices(region: Sliding, wanted: int, axis: int, rank: int) -> range:
    def outputs(n: int) -> int:
        try:
            return region.windows((n,) * rank)[axis].output_size(n)
        except ArgumentError:  # no window fits
            return 0

    window = region.windows((max(wanted, 1),) * rank)[axis]
    sizes = range(1, wanted * window.stride + window.extent + 1)  # outputs grow with sizes, to one more
    return sizes[bisect_left(sizes, wanted, key=outputs) : bisect_right(sizes, wanted, key=outputs)]


def _hint(region: Region, out: tuple[int, ...]) -> str | None:
    found = choices(region, out) if isinstance(region, Sliding) else ()
    return f"size={tuple(sizes[0] for sizes in found)}" if found and all(found) else None


def place(y: Tensor, indices: Tensor, size: tuple[int, ...], apart: bool = False) -> Tensor:
    """`unpool` with everything known: y and indices (.., *out) become (.., *size).

    With `apart`, the indices are known to come from regions that share no cell, and need not be compared.
    """
    if eager(y, indices) and y.is_cpu:
        if torch.is_grad_enabled() and y.requires_grad:
            x: Tensor = Placed.apply(y, indices, size, not apart)  # type: ignore[no-untyped-call]
            return x
        return _put(y, indices, size, False)[0]
    last = _is_last(y, len(size))
    values, where, axis = (*(_flat(t, len(size), last) for t in (y, indices)), _axis(y, len(size), last))
    shape = (*values.shape[:axis], math.prod(size), *values.shape[axis + 1 :])
    won = torch.where(_wins(where, shape, axis), values, torch.zeros_like(values))
    return _spatial(values.new_zeros(shape).scatter_add(axis, where.clamp(min=0), won), size, axis, last)


def _is_last(y: Tensor, rank: int) -> bool:
    """True if y has channels, and they are last in memory."""
    return y.dim() == rank + 2 and is_last(y)


def _axis(y: Tensor, rank: int, last: bool) -> int:
    """Where the cells are once they are flat."""
    return 1 if last else y.dim() - rank


def _flat(y: Tensor, rank: int, last: bool) -> Tensor:
    """The spatial axes as one, in the order of memory."""
    axis, y = _axis(y, rank, last), y.movedim(1, -1) if last else y
    shape = y.shape
    return y.reshape(*shape[:axis], math.prod(shape[axis : axis + rank]), *shape[axis + rank :])


def _spatial(x: Tensor, size: Sequence[int], axis: int, last: bool) -> Tensor:
    """The spatial axes again, and the channels before them."""
    x = x.view(*x.shape[:axis], *size, *x.shape[axis + 1 :])
    return x.movedim(-1, 1) if last else x


def _dense(y: Tensor, rank: int, last: bool) -> Tensor:
    """As kernels read it."""
    return y.resolve_conj().resolve_neg().contiguous(memory_format=memory_format(rank, last))


def _empty(y: Tensor, size: Sequence[int], dtype: torch.dtype, last: bool) -> Tensor:
    """Memory for maps of this size."""
    lead, form = y.shape[: -len(size)], memory_format(len(size), last)
    return torch.empty((*lead, *size), dtype=dtype, device=y.device, memory_format=form)


def _sizes(indices: Tensor, rank: int, cells: int, last: bool) -> placing.Sizes:
    shape = indices.shape
    outputs, lanes = math.prod(shape[-rank:]), shape[1] if last else 1
    return math.prod(shape[:1] if last else shape[:-rank]), outputs, cells, lanes


class Placed(Function):
    """Values at their cells, in one pass over both; the pass tells which of them got there."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, indices: Tensor, size: tuple[int, ...], ranked: bool) -> Tensor:
        """Put them there."""
        x, wins = _put(y, indices, size, ranked)
        ctx.save_for_backward(indices, wins)
        ctx.rank, ctx.last = len(size), _is_last(y, len(size))
        return x

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        """Take them back; in torch's own operators where that has a derivative, or is seen by somebody."""
        (indices, wins), rank, last = ctx.saved_tensors, ctx.rank, ctx.last
        if plain(grad) and not torch.is_grad_enabled():
            y = _empty(indices, indices.shape[-rank:], grad.dtype, last)
            sizes = _sizes(indices, rank, math.prod(grad.shape[-rank:]), last)
            placing.take(y, _dense(indices, rank, last), _dense(grad, rank, last), wins, sizes)
            return y, None, None, None
        flat, where = (_flat(t, rank, last) for t in (grad, indices))
        axis = _axis(indices, rank, last)
        kept = where >= 0 if wins is None else _flat(wins, rank, last)
        found = torch.where(kept, flat.gather(axis, where.clamp(min=0)), 0)
        return _spatial(found, indices.shape[-rank:], axis, last), None, None, None


def _put(y: Tensor, indices: Tensor, size: tuple[int, ...], ranked: bool) -> tuple[Tensor, Tensor | None]:
    """x, and if `ranked` which outputs are the last to name their cell."""
    rank, last, cells = len(size), _is_last(y, len(size)), math.prod(size)
    values, where = (_dense(t, rank, last) for t in (y, indices))
    x = _empty(y, size, y.dtype, last)
    wins = torch.empty_like(where, dtype=torch.bool) if ranked else None
    if not placing.put(values, where, x, wins, _sizes(y, rank, cells, last)):
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


def _summed(y: Tensor, region: Region, size: tuple[int, ...]) -> Tensor:
    """Every value of y (N, C, *out) added to all cells of its region: the backward pass of a sum."""
    last = is_last(y)
    if torch.compiler.is_compiling() or not (plain(y) or transformed()):
        found: list[Tensor] = library.gather(y, [], None, [], region.text, _SUM.text, list(size), last)
        return found[0]
    x: Tensor = function.Gather.apply(region, _SUM, size, last, 0, False, y)[0]  # type: ignore[no-untyped-call]
    return x
