"""Pooling as an operator: `pool`, and the ways a call can take.

- Plain tensors go to the backend directly, through an `autograd.Function` only if a derivative is wanted.
- Under a compiler, an exporter, a tensor subclass or a dispatch mode, `torch.ops.cnnatomy.pool` stands in the
  graph instead (`library.py`).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function_unary

from cnnatomy import backends
from cnnatomy.errors import ArgumentError
from cnnatomy.ops import library
from cnnatomy.ops.function import Pool, plain
from cnnatomy.reducers import Reducer
from cnnatomy.reducers import reducer as by_name
from cnnatomy.regions import Region


def pool(
    x: Tensor,
    region: Region,
    reducer: Reducer | str = "max",
    *,
    return_indices: bool = False,
    rank: int | None = None,
) -> Any:
    """Reduce every region of every channel to one value: y[n, c, o] = reducer(x[n, c, i] for i in region(o)).

    Padding adds no value to a region: its taps are dropped. A NaN wins in every reducer.

    Args:
        x: (N, C, *spatial) with one to three spatial axes, or (C, *spatial) if `rank` says so.
        region: where each output reads.
        reducer: what it computes, or its name in the registry.
        return_indices: also give the flat index, among the input's spatial cells, of every winner (int64; -1
            for a region without any tap). Only for reducers that select.
        rank: the number of spatial axes; all but the first two if left out.

    Returns:
        y (N, C, *region.output_size(spatial)), in the dtype and memory format of x; with `return_indices` the
        pair (y, indices).

    Raises:
        ArgumentError: x has no such axes, the region does not fit, or the reducer selects nothing.

    Example:
        >>> import torch, cnnatomy
        >>> x = torch.arange(16.0).view(1, 1, 4, 4)
        >>> cnnatomy.pool(x, cnnatomy.Sliding(2), cnnatomy.Max())
        tensor([[[[ 5.,  7.],
                  [13., 15.]]]])
        >>> cnnatomy.pool(x, cnnatomy.Whole(), "mean").item()
        7.5
    """
    if has_torch_function_unary(x):
        return handle_torch_function(pool, (x,), x, region, reducer, return_indices=return_indices, rank=rank)
    _check_kinds(x, region)
    what = by_name(reducer)
    spatial = x.dim() - 2 if rank is None else rank
    _check(x, spatial, rank is not None, what, return_indices)
    single = x.dim() == spatial + 1
    batch = x.unsqueeze(0) if single else x
    y, saved = _run(batch, region, what, return_indices)
    if single:
        y = y.squeeze(0)
    if not return_indices or saved is None:
        return y
    indices = library.indices(saved, region.text, list(batch.shape[2:]))
    return y, indices.squeeze(0) if single else indices


def _check_kinds(x: object, region: object) -> None:
    if not isinstance(x, Tensor):
        raise ArgumentError("pooling wants a tensor", expected="a torch.Tensor", got=type(x).__name__)
    if not isinstance(region, Region):
        hint = "Sliding(2)" if isinstance(region, int) else "pool(x, region, reducer)"
        expected = f"one of {', '.join(Region.kinds)}"
        raise ArgumentError("this is no region", expected=expected, got=repr(region), hint=hint)


def _check(x: Tensor, spatial: int, given: bool, reducer: Reducer, return_indices: bool) -> None:
    allowed = (spatial + 1, spatial + 2) if given else (spatial + 2,)
    if x.dim() not in allowed or not 1 <= spatial <= 3:
        raise ArgumentError(
            "pooling wants (N, C, *spatial)" + (" or (C, *spatial)" if given else ""),
            expected=f"{' or '.join(map(str, allowed))} axes" if given else "one to three spatial axes",
            got=f"shape {tuple(x.shape)}",
        )
    if return_indices and not reducer.selects:
        raise ArgumentError(f"{reducer.name} pooling selects no input", hint="return_indices=False")


def _run(x: Tensor, region: Region, reducer: Reducer, indices: bool) -> tuple[Tensor, Tensor | None]:
    if torch.compiler.is_compiling() or not (plain(x) or _transformed()):
        y, saved = library.pool(x, region.text, reducer.text)
        return y, saved if reducer.selects else None
    if _transformed() or (x.requires_grad and torch.is_grad_enabled()):
        y, saved = Pool.apply(x, region, reducer)  # type: ignore[no-untyped-call]
        return y, saved
    return backends.forward(x, region, reducer, indices)


def _transformed() -> bool:
    """True inside `torch.func` transforms and forward-mode differentiation."""
    return (
        torch._C._functorch.maybe_current_level() is not None or torch.autograd.forward_ad._current_level >= 0
    )
