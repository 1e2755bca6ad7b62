"""Operators of torch that its own exporter leaves out, in ONNX's terms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


def table() -> dict[Any, Callable[..., Any]]:
    """What is told to `torch.onnx.export`."""
    return {torch.ops.aten.sort.stable: stable_sort}


def stable_sort(x: Any, stable: bool | None = None, dim: int = -1, descending: bool = False) -> Any:
    """TopK of all: of equal values, ONNX puts the one with the lower index first."""
    from onnxscript import opset18

    op: Any = opset18

    count = op.Shape(x, start=dim, end=None if dim == -1 else dim + 1)
    narrow = x.dtype is not None and x.dtype.itemsize == 1  # runtimes order no bytes
    values, order = op.TopK(
        op.Cast(x, to=6) if narrow else x, count, axis=dim, largest=int(descending), sorted=1
    )
    return (op.CastLike(values, x) if narrow else values), order
