"""Unpooling: values back to the cells that they came from, or spread over the cells that they averaged."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

import torch
from torch import Tensor

from cnnatomy.backends import FLOATING
from cnnatomy.backends.layout import is_last
from cnnatomy.backends.pooled import Pooled
from cnnatomy.backends.result_memory import demand
from cnnatomy.errors import ArgumentError
from cnnatomy.geometry import per_axis
from cnnatomy.ops import function, library
from cnnatomy.ops.indexed_values import place
from cnnatomy.ops.pooling import pool
from cnnatomy.ops.routing import demand_dense, overridable, plain, spatial_axes, transformed
from cnnatomy.reducers import Mean
from cnnatomy.regions import Boxes, Region, Sliding
from cnnatomy.regions.composite_regions import Composite

Sizes = int | Sequence[int]
_SUM = Mean(divisor=1.0)


@overridable
def unpool(
    y: Tensor,
    indices: Tensor,
    output_size: Sizes | None = None,
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
        indices: int64, of y's shape: flat indices among the cells of `output_size`, as `pool` returns them.
            Those of `Boxes` give a map for each box.
        output_size: the spatial sizes of x, one for all axes or one per axis (.., y, x).
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
        >>> y, indices = cnnatomy.pool(x, "max", 2, return_indices=True, rank=1)
        >>> unpool(y, indices, output_size=5, rank=1)
        tensor([[[0., 5., 0., 4., 0.]]])
    """
    demand_dense("unpooling", y)
    spatial = spatial_axes("unpooling", y, rank, _entries(output_size, region))
    if not isinstance(indices, Tensor) or indices.dtype is not torch.int64:
        got = str(indices.dtype) if isinstance(indices, Tensor) else type(indices).__name__
        raise ArgumentError(
            "these are no indices", expected="an int64 tensor", got=got, hint="indices.long()"
        )
    demand_dense("unpooling by indices", indices)
    if indices.shape != y.shape or indices.device != y.device:
        got, expected = (f"shape {tuple(t.shape)} on {t.device}" for t in (indices, y))
        raise ArgumentError("indices do not fit the values", expected=expected, got=got)
    cells = input_size(tuple(y.shape[-spatial:]), output_size, region)
    apart = isinstance(region, Sliding) and all(w.stride >= w.extent for w in region.windows(cells))
    return place(y, indices, cells, apart)


@overridable
def unpool_mean(
    y: Tensor,
    region: Region,
    output_size: Sizes | None = None,
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
        output_size: the spatial sizes of x; a `Sliding` region can tell them if its strides leave no choice.
        normalize: take means instead of shares.
        rank: the number of spatial axes; all but the first two if left out.

    Returns:
        x (N, C, *size), in the dtype and memory format of y.

    Raises:
        ArgumentError: y is no floating-point tensor of such axes, or the region or size does not fit.

    Example:
        >>> import torch, cnnatomy
        >>> y = torch.tensor([[[2.0, 6.0]]])
        >>> unpool_mean(y, cnnatomy.Sliding(2, stride=1), 3, rank=1)
        tensor([[[1., 4., 3.]]])
        >>> unpool_mean(y, cnnatomy.Sliding(2, stride=1), 3, normalize=True, rank=1)
        tensor([[[2., 4., 6.]]])
    """
    demand_dense("unpooling of means", y, FLOATING)
    spatial = spatial_axes("unpooling", y, rank, _entries(output_size, region))
    if not isinstance(region, Region):
        raise ArgumentError(
            "this is no region", expected=f"one of {', '.join(Region.kinds)}", got=repr(region)
        )
    cells = input_size(tuple(y.shape[-spatial:]), None if isinstance(region, Boxes) else output_size, region)
    batch = y if y.dim() == spatial + 2 else y.unsqueeze(0)
    batch = batch.to(torch.promote_types(y.dtype, torch.float32))
    demand(batch, (*batch.shape[:2], *cells))
    if normalize:
        covers = _summed(batch.new_ones((1, 1, *batch.shape[2:])), region, cells)
        x = _summed(batch, region, cells) / covers.clamp(min=1)
    else:
        taps = pool(batch.new_ones((1, 1, *cells)), _SUM, region, rank=spatial)
        x = _summed(batch / taps.clamp(min=1), region, cells)  # not by the mean itself: of nothing, it is 0/0
    x = x.to(y.dtype)
    return x if y.dim() == spatial + 2 else x.squeeze(0)


def _entries(size: Sizes | None, region: object) -> int | None:
    """The number of spatial axes that the arguments say."""
    return len(size) if isinstance(size, Sequence) else getattr(region, "rank", None)


def input_size(out: tuple[int, ...], size: Sizes | None, region: Region | None) -> tuple[int, ...]:
    """The sizes of the cells that were pooled: as given and checked, or the only ones possible.

    Example:
        >>> input_size((4,), None, Sliding(3, stride=1)), input_size((4,), 9, Sliding(2))
        ((6,), (9,))
        >>> input_size((4,), None, Sliding(2))
        Traceback (most recent call last):
        cnnatomy.errors.ArgumentError: several sizes pool to (4,): ...; try output_size=(8,)
    """
    if isinstance(region, Boxes) and size is not None:
        return per_axis(size, len(out), "output_size")  # a map for each box
    if isinstance(region, Composite):
        what = f"{type(region).__name__} is made of several regions, whose results have no one place in a map"
        hint = "size=, for a map for each box" if isinstance(region, Boxes) else "each level by itself"
        raise ArgumentError(what, hint=hint)
    if size is not None:
        cells = per_axis(size, len(out), "output_size")
        if region is not None and (got := tuple(region.outputs(cells))) != out:
            what = f"size {cells} does not pool to the sizes of the values over this region"
            raise ArgumentError(what, expected=str(out), got=str(got), hint=_hint(region, out))
        return cells
    if not isinstance(region, Sliding):
        what = "the size of the result is open: " + (
            "no region" if region is None else "this region does not tell"
        )
        raise ArgumentError(what, hint="output_size=, that of what was pooled")
    found = choices(region, out)
    if any(len(sizes) != 1 for sizes in found):
        named = " by ".join(map(_named, found))
        what = f"{'several' if all(found) else 'no'} sizes pool to {out}"
        raise ArgumentError(what, expected=f"output_size= of {named}", hint=_hint(region, out))
    return tuple(sizes[0] for sizes in found)


def _named(sizes: range) -> str:
    few = len(sizes) < 5
    return " or ".join(map(str, sizes)) or "nothing" if few else f"{sizes[0]} .. {sizes[-1]}"


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
    return f"output_size={tuple(sizes[0] for sizes in found)}" if found and all(found) else None


def _summed(y: Tensor, region: Region, size: tuple[int, ...]) -> Tensor:
    """Every value of y (N, C, *out) added to all cells of its region: the backward pass of a sum."""
    last = is_last(y)
    if torch.compiler.is_compiling() or not (plain(y) or transformed()):
        found: list[Tensor] = library.gather(y, [], None, [], region.text, _SUM.text, list(size), last)
        return found[0]
    x: Tensor = function.Gather.apply(Pooled(region, _SUM, size, last), y)[0]  # type: ignore[no-untyped-call]
    return x
