"""Memory formats: the two layouts that kernels read, and the one answer to which of them a tensor has."""

from __future__ import annotations

import torch
from torch import Tensor
from torch._prims_common import suggest_memory_format

from cnnatomy.backends.result_memory import demand
from cnnatomy.reducers.contract import Reducer
from cnnatomy.regions import Region

_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}


def is_last(x: Tensor) -> bool:
    """True if x (N, C, *spatial) is laid out with its channels last, or is a part of such a tensor."""
    return x.dim() in _LAST and not x.is_contiguous() and suggest_memory_format(x) is _LAST[x.dim()]


def memory_format(rank: int, last: bool) -> torch.memory_format:
    """torch's name for a layout of (N, C, *spatial) with so many spatial axes."""
    return _LAST[rank + 2] if last else torch.contiguous_format


def empty(model: Tensor, size: tuple[int, ...], dtype: torch.dtype, last: bool) -> Tensor:
    """A tensor (N, C, *size) without values, with N, C and the device of `model`."""
    shape = (*model.shape[:2], *size)
    demand(model, shape, dtype)
    if not last:
        return torch.empty(shape, dtype=dtype, device=model.device)
    return torch.empty(shape, dtype=dtype, device=model.device, memory_format=_LAST[model.dim()])


def tap_dtype(region: Region, rank: int) -> torch.dtype:
    """The dtype of saved tap numbers: one byte where it holds every tap and one more for none."""
    taps = region.most_taps(rank)
    return torch.uint8 if taps is not None and taps < 256 else torch.int32


def saved_dtypes(region: Region, reducer: Reducer, rank: int, dtype: torch.dtype) -> tuple[torch.dtype, ...]:
    """The dtypes of what forward saves for backward: taps, and values as wide as they are computed."""
    value = torch.promote_types(dtype, torch.float32)
    kinds = {"tap": tap_dtype(region, rank), "value": value}
    return tuple(kinds[field] for field in reducer.saves)
