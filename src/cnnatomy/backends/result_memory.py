"""Memory for results: none is asked for that the machine does not have."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from cnnatomy.errors import ArgumentError
from cnnatomy.files.machine import free_memory

SMALL = 2**28
"""Values that are given without a question."""


def demand(model: Tensor, shape: Sequence[int], dtype: torch.dtype | None = None) -> None:
    """See that a tensor of this shape can be, where `model` lies and, if no dtype is given, in its dtype.

    Tensors without data can have any shape.

    Raises:
        ArgumentError: it is larger than the memory that is free; nothing was allocated.

    Example:
        >>> demand(torch.zeros(1), (2**30, 2**30))
        Traceback (most recent call last):
        cnnatomy.errors.ArgumentError: the result does not fit into memory: expected at most ... got ...
    """
    cells = math.prod(shape)
    if type(cells) is not int or cells <= SMALL or type(model) not in (Tensor, torch.nn.Parameter):
        return
    wanted, has = cells * (dtype or model.dtype).itemsize, free(model.device)
    if has is not None and wanted > has:
        expected, got = f"at most {has:,} bytes", f"{wanted:,} for shape {tuple(shape)}"
        raise ArgumentError("the result does not fit into memory", expected=expected, got=got)


def free(device: torch.device) -> int | None:
    """How many bytes a device can still give; all it has where that is not known, or None."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if device.type != "cpu":
        return None
    return free_memory()
