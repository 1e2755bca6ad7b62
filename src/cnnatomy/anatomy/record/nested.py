"""Tensors in the lists, tuples, dicts and records that operators and models take and return."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import is_dataclass
from typing import Any

import torch
from torch import Tensor

_PLAIN = frozenset((int, float, bool, type(None)))
_wrapped: Callable[[Tensor], bool] = torch._C._functorch.is_functorch_wrapped_tensor


def mapped(value: Any, leaf: Callable[[Any], Any], kind: type = Tensor) -> Any:
    """An operator's argument or result with its tensors replaced: they lie in lists and tuples, if at all.

    Args:
        value: what it takes or returns.
        leaf: what stands for a tensor.
        kind: what is a tensor: torch's own, or what is remembered of one.

    Example:
        >>> mapped([torch.ones(2, 3), None, 4], lambda x: x.shape)
        [torch.Size([2, 3]), None, 4]
    """
    if isinstance(value, kind):
        return leaf(value)
    own = type(value)
    if own is list:
        return [part if type(part) in _PLAIN else mapped(part, leaf, kind) for part in value]
    if own is dict:
        return {name: mapped(part, leaf, kind) for name, part in value.items()}
    if isinstance(value, tuple) and own is not torch.Size:
        return tuple([part if type(part) in _PLAIN else mapped(part, leaf, kind) for part in value])
    return value


def places(tree: Any, at: str = "") -> Iterator[tuple[str, Tensor]]:
    """Every tensor of nested lists, tuples, dicts and records, by its place: `0`, `out`, `0.features`.

    Example:
        >>> [place for place, _ in places({"out": torch.ones(2), "more": [torch.ones(2)]})]
        ['out', 'more.0']
    """
    if isinstance(tree, Tensor):
        while _wrapped(tree):
            tree = torch._C._functorch.get_unwrapped(tree)
        yield at, tree
        return
    parts: Iterable[tuple[Any, Any]] = ()
    if isinstance(tree, Mapping):
        parts = tree.items()
    elif isinstance(tree, tuple) and hasattr(tree, "_fields"):
        parts = zip(tree._fields, tree, strict=True)
    elif isinstance(tree, list | tuple):
        parts = enumerate(tree)
    elif is_dataclass(tree):
        parts = vars(tree).items()
    for name, part in parts:
        yield from places(part, f"{at}.{name}" if at else str(name))
