"""What the caller gives as inputs, as weightless tensors to call the model with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from cnnatomy.anatomy.shapes import Shape
from cnnatomy.errors import ArgumentError

_SHAPES = "positive sizes without the batch, such as (1, 32, 32)"
Inputs = tuple[tuple[Any, ...], dict[str, Any]]


def given(model: nn.Module, inputs: Any, dtype: torch.dtype | None = None) -> Inputs:
    """The arguments of the model's forward, by position and by name, in meta tensors.

    Args:
        model: whose dtype inputs have unless they say so.
        inputs: the shape of one input without its batch, such as (3, 224, 224); a list of such shapes, one
            for each argument; a dict of shapes by name, given by keyword; and a tensor, with its batch, in
            place of any shape. Lists and dicts inside a list are given as they stand: `[{"x": (3, 8, 8)}]`.
        dtype: of the inputs given as shapes, such as torch.int64 for a model that begins with an embedding;
            left out: that of the model's first floating-point parameter or buffer.

    Raises:
        ArgumentError: a shape is not of positive integers, or there is no input.

    Example:
        >>> (image,), named = given(nn.Conv2d(3, 8, 3), (3, 224, 224))
        >>> image.shape, image.dtype, image.device.type, named
        (torch.Size([1, 3, 224, 224]), torch.float32, 'meta', {})
        >>> _, named = given(nn.ReLU(), {"left": (3, 8, 8), "right": torch.zeros(4, 8)})
        >>> {name: tuple(tensor.shape) for name, tensor in named.items()}
        {'left': (1, 3, 8, 8), 'right': (4, 8)}
    """
    if dtype is not None and not isinstance(dtype, torch.dtype):
        raise ArgumentError("dtype is not one of torch's", expected="such as torch.int64", got=repr(dtype))
    kind = dtype or _dtype(model)
    if isinstance(inputs, Mapping) and inputs and all(isinstance(name, str) for name in inputs):
        return (), {name: _argument(value, kind, f"input {name!r}") for name, value in inputs.items()}
    if isinstance(inputs, Tensor) or is_shape(inputs):
        return (_argument(inputs, kind, "the input"),), {}
    several = (
        isinstance(inputs, list | tuple) and inputs and not any(isinstance(n, int | float) for n in inputs)
    )
    if not several:
        raise ArgumentError("the input shape is not a shape", expected=_SHAPES, got=repr(inputs))
    return tuple(_argument(value, kind, f"input {place}") for place, value in enumerate(inputs)), {}


def _argument(value: Any, dtype: torch.dtype, what: str) -> Any:
    if isinstance(value, Tensor):
        return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device="meta")
    if is_shape(value):
        return _contiguous((1, *value), dtype)
    if isinstance(value, Mapping):
        return {name: _argument(part, dtype, f"{what}, {name!r}") for name, part in value.items()}
    if isinstance(value, list | tuple) and value and not any(isinstance(n, int | float) for n in value):
        return type(value)(_argument(part, dtype, f"{what}, {place}") for place, part in enumerate(value))
    raise ArgumentError(
        f"{what} is neither a shape nor a tensor", expected=_SHAPES + "; or a tensor", got=repr(value)[:80]
    )


def _contiguous(shape: Shape, dtype: torch.dtype) -> Tensor:
    try:
        return torch.empty(shape, dtype=dtype, device="meta")
    except RuntimeError as error:  # more bytes than can be counted
        raise ArgumentError("the input is too large", got="×".join(map(str, shape[1:]))) from error


def is_shape(value: Any) -> bool:
    """Whether this is a shape: positive whole numbers, one at least."""
    whole = isinstance(value, tuple | list) and len(value) > 0
    return whole and all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in value)


def _dtype(model: nn.Module) -> torch.dtype:
    """Of the first floating-point parameter, else buffer, else torch's default."""
    tensors = (tensor for part in (model.parameters(), model.buffers()) for tensor in part)
    return next((t.dtype for t in tensors if t.is_floating_point()), torch.get_default_dtype())
