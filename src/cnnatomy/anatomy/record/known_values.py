"""Tensors made of sizes and constants alone: they have values even in a pass that computes nothing.

Masks, positions and anchors are such. Their values are found beside the pass, on memory of their own, so that
a model that asks for one can be answered.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from cnnatomy.anatomy.record.graph import Call, Value
from cnnatomy.anatomy.record.nested import mapped

LARGEST = 8 * 2**20
"""Bytes of the largest storage whose values are kept: a million numbers of int64."""
_BY_SHAPE = frozenset(
    f"aten.{name}"
    for name in (
        *("empty_like", "zeros_like", "ones_like", "full_like"),
        *("new_empty", "new_empty_strided", "new_zeros", "new_ones", "new_full"),
    )
)
"""They look at the shape of their argument, and at none of its values."""


class Constants:
    """The values of storages that are known, by the number of the storage.

    Args:
        sizes: the bytes of every storage of the pass, by its number.
    """

    def __init__(self, sizes: Mapping[int, int]) -> None:
        self._sizes = sizes
        self._known: dict[int, Tensor] = {}  # their bytes

    def meet(self, storage: int, tensor: Tensor, start: int = 0) -> None:
        """Take over the values of a tensor that the model holds or makes, from a byte of its memory on."""
        size = self._sizes[storage]
        if size <= LARGEST:
            found = _view(tensor.untyped_storage(), torch.uint8, start, (size,), (1,))
            with torch._C._DisableTorchDispatch(), torch.no_grad():
                self._known[storage] = found.clone()

    def forget(self, storage: int) -> None:
        """Its memory is given back, or holds something else now."""
        self._known.pop(storage, None)

    def value(self, value: Value) -> Tensor | None:
        """The tensor with its numbers, a view of what is kept; None if they are not known."""
        held = self._known.get(value.storage)
        if held is None:
            return None
        return _view(held.untyped_storage(), value.dtype, value.offset, value.shape, value.strides)

    def result(self, call: Call) -> Any:
        """What an operator that writes nothing returns, in numbers; None if it reads what is not known."""
        return self._run(call) if self._follows(call) else None

    def follow(self, call: Call) -> None:
        """Keep what a call makes of what is known; forget what it overwrites with anything else."""
        fresh = {value.storage for value in call.outputs} - self._known.keys()
        follows = self._follows(call) and all(self._sizes[storage] <= LARGEST for storage in fresh)
        if follows and (fresh or call.writes):
            made: list[Tensor] = []
            mapped(self._run(call), made.append)
            for value, tensor in zip(call.outputs, made, strict=True):
                if value.storage in fresh:
                    self._known[value.storage] = torch.zeros(self._sizes[value.storage], dtype=torch.uint8)
                    home = self.value(value)
                    assert home is not None
                    home.copy_(tensor)
        elif call.writes and not follows:
            for value in call.written():
                self.forget(value.storage)

    def _follows(self, call: Call) -> bool:
        """Whether it looks at sizes and known values alone."""
        known, operator = self._known, call.operator
        for value in call.inputs:
            if value.storage not in known and call.name not in _BY_SHAPE:
                return False
        return operator.namespace == "aten" and torch.Tag.nondeterministic_seeded not in operator.tags

    def _run(self, call: Call) -> Any:
        keywords = dict(call.keywords)
        if keywords.get("device") is not None:
            keywords["device"] = torch.device("cpu")
        with torch._C._DisableTorchDispatch(), torch.no_grad():  # what is done here is not the model's
            given = (mapped(part, self._numbers, Value) for part in (call.arguments, keywords))
            arguments, keywords = given
            return call.operator(*arguments, **keywords)

    def _numbers(self, value: Value) -> Tensor:
        known = self.value(value)
        if known is None:  # its shape is looked at alone
            return torch.empty_strided(value.shape, value.strides, dtype=value.dtype)
        return known


def _view(storage: Any, dtype: torch.dtype, offset: int = 0, *layout: Any) -> Tensor:
    """A tensor over given memory; all of its bytes if no layout is told."""
    shape, strides = layout or ((storage.nbytes(),), (1,))
    with torch._C._DisableTorchDispatch(), torch.no_grad():
        return torch.empty(0, dtype=dtype).set_(storage, offset, shape, strides)
