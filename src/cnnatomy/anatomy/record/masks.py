"""Masks of attention: entries of a matrix that constants of the network close, so that they are never read.

A mask puts minus infinity, or a number that stands for it, in place of scores; the softmax makes weights of
them that are zero; the product with the values leaves out what zeros weigh.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cnnatomy.anatomy.record.graph import Call, Value
from cnnatomy.anatomy.record.known_values import Constants

Closed = NDArray[np.bool_]
"""(queries, keys): the entries that are closed, in every picture and head."""
_LOW = -1e4
"""What models write for minus infinity lies at or below it: its exponential is zero in every dtype."""
_SOFTMAX = frozenset({"_softmax", "_safe_softmax", "softmax"})
_PRODUCTS = frozenset({"mm", "bmm", "matmul"})
_KEPT = frozenset({"clone", "_to_copy", "_unsafe_view", "native_dropout"})


class _Matrix(NamedTuple):
    """What is known of a matrix, alike in every picture and head."""

    closed: Closed
    zero: bool
    """Whether these entries are zero; they are minus infinity else."""


class Masks:
    """Which entries are closed, followed from call to call.

    Args:
        constants: the values that are known.
        sizes: the bytes of every storage of the pass, by its number.
    """

    def __init__(self, constants: Constants, sizes: dict[int, int]) -> None:
        self._constants, self._sizes = constants, sizes
        self._known: dict[int, _Matrix] = {}  # by storage

    def forget(self, storage: int) -> None:
        """Its memory is given back."""
        self._known.pop(storage, None)

    def follow(self, call: Call) -> Closed | None:
        """Keep what is closed in what a call returns; the entries that it leaves out as it reads."""
        name = call.operator._opname.removesuffix("_")
        read = self._left_out(call, name)
        made = self._made(call, name) if call.outputs and len(call.outputs[0].shape) > 1 else None
        for value in call.written() if call.writes and self._known else ():
            self.forget(value.storage)
        if made is not None and made.closed.any():
            out = call.outputs[0]
            if out.bytes == self._sizes[out.storage]:
                self._known[out.storage] = made
        return read

    def _left_out(self, call: Call, name: str) -> Closed | None:
        found = None
        if name in _SOFTMAX and self._along_rows(call):
            found = self._scores(call.inputs[0], call.inputs[0].shape)
        elif name in _PRODUCTS:
            left = self._matrix(call.inputs[0])
            found = left.closed if left is not None and left.zero else None
        elif "scaled_dot_product" in name and call.takes("attn_mask"):
            mask, (query, key) = call.argument("attn_mask"), call.inputs[:2]
            if mask is not None:
                shape = (query.shape[-2], key.shape[-2])
                found = (
                    self._true(mask, shape, False) if mask.dtype is torch.bool else self._scores(mask, shape)
                )
        return found if found is not None and found.any() else None

    def _made(self, call: Call, name: str) -> _Matrix | None:
        shape = call.outputs[0].shape
        if name in ("add", "baddbmm", "addmm"):
            added = call.inputs if name == "add" else call.inputs[:1]
            return _low(_either(self._scores(value, shape) for value in added))
        if name == "masked_fill" and self._number(call.argument("value"), above=False):
            filled = self._true(call.argument("mask"), shape)
            return _low(_either([filled, self._scores(call.inputs[0], shape)]))
        if name == "where" and len(call.inputs) == 3:
            return _low(self._chosen(call, shape))
        if name in _SOFTMAX and self._along_rows(call):
            closed = self._scores(
                call.inputs[0], shape
            )  # a row with nothing open has no weights that are zero
            return None if closed is None else _Matrix(closed & ~closed.all(-1, keepdims=True), True)
        if name in ("mul", "div"):
            held = self._matrix(call.inputs[0])
            scaled = held is not None and (held.zero or self._number(call.argument("other"), above=True))
            return held if scaled and call.inputs[0].shape == shape else None
        return self._matrix(call.inputs[0]) if name in _KEPT else None

    def _chosen(self, call: Call, shape: tuple[int, ...]) -> Closed | None:
        """Of two tensors between which a constant chooses."""
        parts = []
        for side, chosen in (("self", True), ("other", False)):
            low = self._scores(call.argument(side), shape)
            true = self._true(call.argument("condition"), shape, chosen)
            parts.append(None if low is None or true is None else low & true)
        return _either(parts)

    def _scores(self, value: Value, shape: tuple[int, ...]) -> Closed | None:
        """Where a matrix is minus infinity."""
        known = self._constants.value(value)
        if known is not None:
            return _everywhere(known <= _LOW, shape) if known.dtype.is_floating_point else None
        held = self._matrix(value)
        return None if held is None or held.zero else np.broadcast_to(held.closed, shape[-2:])

    def _true(self, value: Value, shape: tuple[int, ...], what: bool = True) -> Closed | None:
        """Where a constant of truth values is true, or false."""
        known = self._constants.value(value)
        return None if known is None else _everywhere(known.bool() == what, shape)

    def _number(self, number: Any, above: bool) -> bool:
        """Whether a number stands for minus infinity, or is above zero."""
        if isinstance(number, Value):
            known = self._constants.value(number) if number.numel == 1 else None
            number = None if known is None else known.item()
        return isinstance(number, int | float) and (number > 0 if above else number <= _LOW)

    def _matrix(self, value: Value) -> _Matrix | None:
        """What is known of the last two axes, if a value shows them whole in every picture and head."""
        held = self._known.get(value.storage)
        if held is None or value.shape[-2:] != held.closed.shape:
            return None
        entries, columns = held.closed.size, held.closed.shape[1]
        lead = zip(value.shape[:-2], value.strides[:-2], strict=True)
        whole = value.offset % entries == 0 and all(n == 1 or step % entries == 0 for n, step in lead)
        return held if whole and value.strides[-2:] == (columns, 1) else None

    @staticmethod
    def _along_rows(call: Call) -> bool:
        return bool(call.argument("dim") in (-1, len(call.inputs[0].shape) - 1))


def _low(closed: Closed | None) -> _Matrix | None:
    return None if closed is None else _Matrix(closed, False)


def _either(parts: Any) -> Closed | None:
    found = [part for part in parts if part is not None]
    return np.logical_or.reduce(found) if found else None


def _everywhere(true: Tensor, shape: tuple[int, ...]) -> Closed | None:
    """Where it is so in every picture and head, of the last two axes of a shape."""
    if len(shape) < 2:
        return None
    rows = true.expand(*true.shape[:-2], *shape[-2:])
    return rows.reshape(-1, *shape[-2:]).all(0).numpy()
