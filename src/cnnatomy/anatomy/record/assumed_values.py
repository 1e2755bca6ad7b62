"""What a model asks of values that a pass does not have: answered by sizes, or as the caller assumes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from cnnatomy.anatomy.record.graph import Call, Value
from cnnatomy.anatomy.record.known_values import Constants
from cnnatomy.anatomy.record.nested import mapped
from cnnatomy.errors import ArgumentError

_META = torch.device("meta")


class Question(NamedTuple):
    """Something that operators ask of values."""

    words: str
    """Why a pass stops there."""
    counts: bool = True
    """Whether the answer is how many of something there are."""


QUESTIONS = {
    "nonzero": Question("how many cells of a mask are true depends on values"),
    "nms": Question("which boxes are kept depends on values"),
    "unique": Question("how many different values there are depends on them"),
    "item": Question("the value of a tensor is asked for, and decides what comes next", counts=False),
}
"""What the caller can assume, by its name."""
Assumptions = Mapping[str, int | float | str]


def assumptions(given: Assumptions | str | None) -> dict[str, Any]:
    """What the caller assumes, as it was given or in words.

    Args:
        given: by the name of a question: `"nonzero"` (how many cells of a mask are true), `"nms"` (how many
            boxes are kept), `"unique"` (how many values differ): `"all"`, or at most so many; `"item"`: the
            number that a tensor holds. Or the same in a line, such as `"nonzero=all,nms=100"`.

    Raises:
        ArgumentError: there is no such question, or that is no answer to it.

    Example:
        >>> assumptions("nonzero=all,item=0.5")
        {'nonzero': 'all', 'item': 0.5}
    """
    if isinstance(given, str):
        pairs = [part.strip().partition("=") for part in given.split(",")]
        given = {name: _number(text) for name, _, text in pairs}
    if given is not None and not isinstance(given, Mapping):
        raise ArgumentError("assume", expected='answers by name, such as {"nonzero": "all"}', got=repr(given))
    for name, answer in (given or {}).items():
        if name not in QUESTIONS:
            raise ArgumentError("assume", expected=f"one of {', '.join(QUESTIONS)}", got=repr(name))
        if not QUESTIONS[name].counts:
            fits, wanted = isinstance(answer, int | float), "a number"
        else:
            whole = isinstance(answer, int) and not isinstance(answer, bool) and answer >= 0
            fits, wanted = whole or answer == "all", '"all" or a whole number >= 0'
        if not fits:
            raise ArgumentError(f"assume: {name}", expected=wanted, got=repr(answer))
    return dict(given or {})


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text.strip()


class Answers:
    """Answers the questions of one pass.

    Args:
        constants: the values that are known.
        assumed: see `assumptions`.
    """

    def __init__(self, constants: Constants, assumed: Mapping[str, Any]) -> None:
        self._constants, self._assumed = constants, assumed
        self._given: dict[str, list[int]] = defaultdict(list)  # by question, out of how many, each time

    def answer(self, call: Call, args: Any, kwargs: dict[str, Any]) -> Any:
        """What an operator returns that wants values, as weightless tensors; None where nothing tells it.

        Args:
            call: the operator and what it was given; not what it returned.
            args: the same as weightless tensors, by position.
            kwargs: and by name.
        """
        known = self._constants.result(call)
        if known is not None:
            return mapped(known, _weightless)
        rule = _RULES.get(call.name)
        return None if rule is None else rule(self, call, *args, **kwargs)

    def count(self, name: str, total: int) -> int | None:
        """How many out of so many, as assumed."""
        assumed = self._assumed.get(name)
        if assumed is None:
            return None
        self._given[name].append(total)
        return total if assumed == "all" else min(assumed, total)

    def true(self, mask: Value, cells: int | None = None) -> int | None:
        """How many cells of a mask are true, spread over so many cells: counted, or assumed."""
        known, cells = self._constants.value(mask), mask.numel if cells is None else cells
        if known is None:
            return self.count("nonzero", cells)
        return int(known.count_nonzero()) * (cells // max(mask.numel, 1))

    def number(self, dtype: torch.dtype) -> bool | int | float | None:
        """The number that a tensor holds, as assumed."""
        assumed = self._assumed.get("item")
        if assumed is None:
            return None
        self._given["item"].append(1)
        kind = float if dtype.is_floating_point else bool if dtype is torch.bool else int
        return kind(assumed)

    def notes(self) -> tuple[str, ...]:
        """What was assumed, for the reader."""
        return tuple(_note(name, self._assumed[name], totals) for name, totals in self._given.items())


def _note(name: str, assumed: Any, totals: list[int]) -> str:
    times = f", {len(totals):,} times" if len(totals) > 1 else ""
    if not QUESTIONS[name].counts:
        return f"assumed: {name} gives {assumed}{times}"
    least, most = min(totals), max(totals)
    span = f"{most:,}" if least == most else f"{least:,} to {most:,}"
    how = f"all {span}" if assumed == "all" else f"at most {assumed:,} of {span}"
    return f"assumed: {name} gives {how}{times}"


def _weightless(tensor: Tensor) -> Tensor:
    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=_META)


def _indices(*sizes: int) -> Tensor:
    return torch.empty(sizes, dtype=torch.int64, device=_META)


def _nonzero(answers: Answers, call: Call, x: Tensor) -> Tensor | None:
    count = answers.true(call.inputs[0])
    return None if count is None else _indices(x.dim(), count).t()  # as torch lays it out


def _masked(answers: Answers, call: Call, x: Tensor, mask: Tensor) -> Tensor | None:
    cells = torch.broadcast_shapes(x.shape, mask.shape).numel()  # type: ignore[no-untyped-call]
    count = answers.true(call.inputs[1], cells)
    return None if count is None else x.new_empty(count)


def _indexed(answers: Answers, call: Call, x: Tensor, indices: list[Tensor | None]) -> Tensor | None:
    """A mask stands for so many places on each of its axes."""
    places: list[Tensor | None] = []
    for value, index in zip(call.arguments[1], indices, strict=True):
        if index is None or index.dtype not in (torch.bool, torch.uint8):
            places.append(index)
            continue
        count = answers.true(value)
        if count is None:
            return None
        places += [_indices(count)] * index.dim()
    return call.operator(x, places)  # type: ignore[no-any-return]


def _unique(answers: Answers, call: Call, x: Tensor, *args: Any, **kwargs: Any) -> Any:
    dim = call.argument("dim") if call.takes("dim") else None
    total = x.numel() if dim is None else x.shape[dim]
    count = answers.count("unique", total)
    if count is None:
        return None
    shape = (count,) if dim is None else (*x.shape[:dim], count, *x.shape[dim:][1:])
    inverse = x.shape if dim is None else (total,)
    flags = call.argument("return_inverse"), call.argument("return_counts")
    return x.new_empty(shape), _indices(*(inverse if flags[0] else (0,))), _indices(count if flags[1] else 0)


def _kept(answers: Answers, call: Call, boxes: Tensor, *rest: Any) -> Tensor | None:
    count = answers.count("nms", boxes.shape[0])
    return None if count is None else _indices(count)


def _number_of(answers: Answers, call: Call, x: Tensor) -> bool | int | float | None:
    return answers.number(x.dtype)


_RULES: dict[str, Callable[..., Any]] = {
    "aten.nonzero": _nonzero,
    "aten.masked_select": _masked,
    "aten.index": _indexed,
    **dict.fromkeys(("aten._unique2", "aten.unique_consecutive", "aten.unique_dim"), _unique),
    "torchvision.nms": _kept,
    "aten._local_scalar_dense": _number_of,
}
