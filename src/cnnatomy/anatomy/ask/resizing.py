"""A recorded pass on another input size, by the arithmetic of its windows alone.

Only operators whose output size follows from their input size are followed: windows, what keeps a map's size,
and what ends in a fixed size. Where a pass holds anything else on the way (a reshape of a map, a crop, a
resize to a size that was computed), nothing is said of other sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from itertools import islice
from typing import NamedTuple

from cnnatomy.anatomy.ask.call_uses import depended_on
from cnnatomy.anatomy.record.call_windows import lost, slid, transposes
from cnnatomy.anatomy.record.graph import Call, Graph, Value
from cnnatomy.errors import ArgumentError
from cnnatomy.geometry import Window

FAR = 64
"""Cells below and above the recorded size that are tried."""
_KEEP = ("batch_norm", "dropout", "clone", "contiguous", "detach", "alias", "lrn", "_to_copy", "group_norm")

_PARTS = (
    *("slice", "select", "narrow", "split", "split_with_sizes", "chunk", "unbind", "unfold", "as_strided"),
    *("index", "index_select", "gather", "masked_select", "take", "diagonal", "index_put_"),
)
"""Operators that may leave a part of what they are given behind."""


class _Unknown(Exception):
    """An operator whose output size does not follow from its input size."""


class _Step(NamedTuple):
    """One call: the sizes of what it was given, and what it made of them; 0 where the axis ends."""

    call: Call
    given: list[tuple[Value, int]]
    window: Window | None
    made: int

    @property
    def whole(self) -> bool:
        """Whether its outputs together read every cell of what it was given."""
        if self.window is None:
            return True
        return not transposes(self.call) and not self.window.unread(self.given[0][1])


_Known = tuple[Call, Sequence[Value], tuple[Window, ...]]


class Run:
    """The pass on one size of one axis, counted from the last."""

    def __init__(
        self, outputs: Sequence[Value], calls: Sequence[_Known], source: Value, size: int, axis: int
    ) -> None:
        self.source, self.axis = source, axis
        self.lost = 0
        self.steps: list[_Step] = []
        self.known: dict[Value, int] = {source: size}
        self.outputs = outputs
        for call, inputs, own in calls:
            given = [(value, self.known[value]) for value in inputs if value in self.known]
            if given:
                self.steps.append(self._step(call, given, own[axis] if own else None))
                made = self.steps[-1].made
                self.known |= {value: made for value in call.outputs if made and len(value.shape) > 2}

    @cached_property
    def unread(self) -> int:
        """Cells of the input that no output depends on: needs are carried from the outputs back."""
        if self.steps and all(step.whole for step in self.steps):
            return 0  # whatever an output depends on is read in full, back to the input
        needs = {value: bytearray(b"\1" * self.known[value]) for value in self.outputs if value in self.known}
        for call, given, window, made in reversed(self.steps):
            wanted = bytearray(made)
            for value in call.outputs:
                _join(wanted, needs.get(value, b""))
            for value, n in given:
                _read(call, window, wanted, needs.setdefault(value, bytearray(n)), made)
        return needs.get(self.source, bytearray(self.known[self.source])).count(0)

    def _step(self, call: Call, given: list[tuple[Value, int]], window: Window | None) -> _Step:
        value, n = given[0]
        out = call.outputs[0].shape if call.outputs else ()
        if window is not None:
            return _Step(call, given, window, self._slide(call, window, n))
        if "adaptive" in call.name or call.name == "aten.mean":
            ends = len(out) < 3 or set(out[2:]) == {1}
            if not ends and len(out) != len(value.shape):
                raise _Unknown
            return _Step(call, given, None, 0 if ends else _fixed(out[self.axis], value.shape[self.axis], n))
        if out[2:] != value.shape[2:] or not _keeps(call):
            if not call.outputs or call.outputs[0].numel != value.numel:
                raise _Unknown  # not a view of all of it
            return _Step(call, given, None, _fixed(0, value.shape[self.axis], n))
        if any(size != n for other, size in given if other.shape[2:] == value.shape[2:]):
            raise _Unknown
        return _Step(call, given, None, n)

    def _slide(self, call: Call, window: Window, n: int) -> int:
        if transposes(call):
            return window.transposed_size(n, call.argument("output_padding")[self.axis])
        self.lost += len(lost(window, n))
        return window.output_size(n)


class Resized:
    """The pass on one size of every axis."""

    def __init__(self, size: int, runs: list[Run]) -> None:
        self.size, self.runs = size, runs

    @property
    def lost(self) -> int:
        """Cells that windows lose at the end of what they are given, on the axis with the most."""
        return max(run.lost for run in self.runs)

    @property
    def unread(self) -> int:
        """Cells of the input that no output depends on, on the axis with the most."""
        return max(run.unread for run in self.runs)


class Resizing:
    """A recorded pass with one input, a square or cubic map, whose axes all change alike.

    Args:
        graph: a recorded pass.

    Example:
        >>> import torch
        >>> from cnnatomy.anatomy.record.tracing import trace
        >>> graph = trace(torch.nn.MaxPool2d(3), [torch.zeros(1, 1, 7, 7)])
        >>> Resizing(graph).nearest(lambda one: not one.unread)
        (6, 9)
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        maps = [value for value in graph.inputs.values() if len(value.shape) > 2]
        whole = graph.reason is None and len(maps) == len(graph.inputs) == 1
        whole = whole and not any(call.operator._opname in _PARTS for call in graph.calls)
        self.source = maps[0] if whole and len(set(maps[0].shape[2:])) == 1 else None
        used = [graph.calls[index] for index in sorted(depended_on(graph))] if self.source else []
        self.calls = [(call, call.inputs, slid(call)) for call in used]

    def at(self, size: int) -> Resized | None:
        """The pass on that size; None if it does not run, or is not known."""
        if self.source is None:
            return None
        outputs, rank = list(self.graph.outputs.values()), len(self.source.shape) - 2
        alike = all(len(set(windows)) < 2 for _, _, windows in self.calls)
        try:
            runs = [
                Run(outputs, self.calls, self.source, size, axis) for axis in range(-1 if alike else -rank, 0)
            ]
        except (_Unknown, ArgumentError):
            return None
        return Resized(size, runs * (rank if alike else 1))

    def nearest(self, good: Callable[[Resized], bool]) -> tuple[int, ...]:
        """The nearest sizes below and above the recorded one that are good; none of less than half of it."""
        if self.source is None or self.at(self.source.shape[2]) is None:
            return ()
        n = self.source.shape[2]
        sides = range(n - 1, max(n // 2, n - FAR, 1) - 1, -1), range(n + 1, n + FAR + 1)
        return tuple(size for side in sides for size in islice(self._good(side, good), 1))

    def _good(self, sizes: range, good: Callable[[Resized], bool]) -> Iterator[int]:
        return (size for size in sizes if (one := self.at(size)) is not None and good(one))


def _fixed(out: int, recorded: int, n: int) -> int:
    """A size that stands in the pass as a number is right for the recorded size only."""
    if recorded != n:
        raise _Unknown
    return out


def _keeps(call: Call) -> bool:
    """Whether the outputs of a call have the axes of its inputs, cell by cell."""
    if call.name == "aten.cat":
        return bool(call.argument("dim") == 1)
    return call.signature.pointwise or any(name in call.name for name in _KEEP)


def _join(cells: bytearray, more: bytes | bytearray) -> None:
    for i, one in enumerate(more):
        cells[i] |= one


def _read(call: Call, window: Window | None, wanted: bytearray, cells: bytearray, made: int) -> None:
    """Mark the cells of an input that the wanted outputs of a call depend on."""
    if not made:
        cells[:] = b"\1" * len(cells)
    elif window is None:
        _join(cells, wanted if len(cells) == made else b"\1" * len(cells))
    elif transposes(call):
        for i, one in enumerate(wanted):
            for o in window.readers(i, made) if one else ():
                if o < len(cells):
                    cells[o] = 1
    else:
        table = window.table(len(cells))
        for start, count, one in zip(table.start, table.count, wanted, strict=True):
            if one:
                cells[start : start + count * table.step : table.step] = b"\1" * count
