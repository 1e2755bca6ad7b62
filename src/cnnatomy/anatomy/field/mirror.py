"""Passes that treat rows and columns alike: then the one axis's tables are the other's, turned.

Square pictures under square windows are the rule, and half of the work is saved. A pass counts as such only
if every one of its calls is known to: of what depends on the input, tensors of four axes or more have rows
and columns as their last two, equally many, those of fewer axes have none, so that both see the same, and
every operator keeps it so.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from cnnatomy.anatomy.field.rules import reductions, resampling, views, windows
from cnnatomy.anatomy.field.rules.registry import Rule, pointwise, rule_of
from cnnatomy.anatomy.field.table import Shape, Table
from cnnatomy.anatomy.graph import Call, Graph, Value

_LEAST = 4  # axes of a tensor that has rows and columns


def symmetric(graph: Graph) -> bool:
    """Whether rows and columns of every input go through a pass alike.

    Example:
        >>> import torch
        >>> from cnnatomy.anatomy.tracing import trace
        >>> x = torch.zeros(1, 3, 8, 8)
        >>> [symmetric(trace(torch.nn.Conv2d(3, 2, kernel), [x])) for kernel in (3, (1, 3))]
        [True, False]
    """
    pictures = all(len(value.shape) == _LEAST and _square(value.shape) for value in graph.inputs.values())
    if not pictures:
        return False
    reached = _reached(graph)
    return all(_alike(call, reached) for call in graph.calls)


def turned(table: Table) -> Table:
    """The table of the other axis."""
    rank = len(table.shape)
    if rank < _LEAST or not table.terms:
        return table
    return table.permute((*range(rank - 2), rank - 1, rank - 2))


def _reached(graph: Graph) -> set[int]:
    """Storages that hold what depends on an input, at some time of the pass."""
    found = {value.storage for value in graph.inputs.values()}
    for call in graph.calls:
        if any(value.storage in found for value in call.inputs):
            found.update(value.storage for value in call.outputs)
            if call.writes:
                found.update(value.storage for value in call.written())
    return found


def _alike(call: Call, reached: Collection[int]) -> bool:
    given = [value for value in call.inputs if value.storage in reached]
    if not given:
        return True
    shapes = [value.shape for value in (*given, *call.outputs) if value.numel]
    if all(len(shape) < _LEAST for shape in shapes):
        return True
    holds = _HOLDS.get(rule_of(call) or _never)
    return holds is not None and all(map(_square, shapes)) and holds(call, given)


def _stay(call: Call) -> bool:
    """Whether what it returns still has rows and columns."""
    return all(len(value.shape) >= _LEAST for value in call.outputs)


def _ends(shape: Shape) -> Shape:
    """How many rows and columns a tensor has; one each where it has none."""
    return shape[-2:] if len(shape) >= _LEAST else (1, 1)


def _square(shape: Shape) -> bool:
    rows, columns = _ends(shape)
    return rows == columns


def _never(*_: Any) -> list[Table]:
    return []


def _together(_: Call, given: list[Value]) -> bool:
    """Rows meet rows: every operand has them, or is one number."""
    return all(len(value.shape) >= _LEAST or value.numel == 1 for value in given)


def _windows(call: Call, given: list[Value]) -> bool:
    """Square windows, and a kernel that does not depend on the input."""
    names = ("kernel_size", "stride", "padding", "dilation")  # of square maps, more cannot differ
    weight = call.argument("weight").shape[2:] if call.takes("weight") else ()
    return len(given) == 1 and _even(weight) and all(_even(_of(call, name)) for name in names)


def _scaled(call: Call, _: list[Value]) -> bool:
    return _of(call, "scales_h") == _of(call, "scales_w") and _even(_of(call, "scale_factors"))


def _reduced(call: Call, given: list[Value]) -> bool:
    """Rows and columns both, of which at most one cell each is left, or neither."""
    rank = len(given[0].shape)
    both = {dim % rank for dim in reductions.axes(call, rank)} & {rank - 2, rank - 1}
    gone = len(both) == 2 and all(_ends(value.shape) == (1, 1) for value in call.outputs)
    return len(given) == 1 and (gone or (not both and _stay(call)))


def _before(call: Call, given: list[Value]) -> bool:
    """Along axes before both."""
    rank = len(given[0].shape)
    return all(dim < rank - 2 for dim in reductions.axes(call, rank)) and _stay(call)


def _kept(call: Call, given: list[Value]) -> bool:
    """Rows and columns stay the last two axes; with one cell of each, they may come and go."""
    return _ends(given[0].shape) == _ends(call.outputs[0].shape)


def _transposed(call: Call, given: list[Value]) -> bool:
    """Axes before both exchanged."""
    rank, exchanged = len(given[0].shape), call.arguments[1:3]
    return bool(exchanged) and all(dim % rank < rank - 2 for dim in exchanged)


def _bordered(call: Call, _: list[Value]) -> bool:
    widths = call.argument("pad" if call.takes("pad") else "padding")
    return len(widths) == 4 and bool(widths[:2] == widths[2:])


def _first(_: Call, given: list[Value]) -> bool:
    """Nothing but the first argument depends on the input."""
    return len(given) == 1


def _of(call: Call, name: str) -> Any:
    return call.argument(name) if call.takes(name) else None


def _even(values: Any) -> bool:
    return values is None or isinstance(values, int) or len(set(values)) <= 1


_HOLDS: dict[Rule, Callable[[Call, list[Value]], bool]] = {
    pointwise: _together,
    views.activated: _together,
    views.copy: _together,
    windows.convolution: _windows,
    windows.pool: _windows,
    windows.adaptive_pool: _windows,
    resampling.interpolate: _scaled,
    reductions.reduction: _reduced,
    reductions.along: _before,
    reductions.batch_norm: _first,
    reductions.group_norm: _first,
    views.concatenate: _before,
    views.split: _before,
    views.part: _before,
    views.gated: _before,
    views.view: _kept,
    views.transpose: _transposed,
    views.pad: _bordered,
    views.mirror: _bordered,
    views.channel_shuffle: _first,
}
"""When an operator of a rule does the same to rows and columns, given that all tensors are square."""
