"""Run a network's shell on many input sizes and see which windows divide what they are given."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import nn

from cnnatomy.anatomy.ask.resizing import Resizing
from cnnatomy.anatomy.ask.sizing.input_sizes import InputSize, InputSizes, Loss
from cnnatomy.anatomy.field import Fields
from cnnatomy.anatomy.record.assumed_values import Assumptions, assumptions
from cnnatomy.anatomy.record.call_windows import lost, slid, spatial, transposes
from cnnatomy.anatomy.record.graph import Graph
from cnnatomy.anatomy.record.model_source import Source, load
from cnnatomy.anatomy.record.shell import shell_of
from cnnatomy.anatomy.record.tracing import trace
from cnnatomy.checks import whole_number
from cnnatomy.errors import ArgumentError

MOST = 4096
"""Sizes looked at in one go."""
_AROUND = 32


def sizes(
    model: Source,
    input_size: Sequence[int] | None = None,
    candidates: Iterable[int] | None = None,
    *,
    dtype: torch.dtype | None = None,
    assume: Assumptions | str | None = None,
) -> InputSizes:
    """Find the input sizes that a network divides cleanly: no window loses a cell, and every cell is used.

    Every size is really tried: the network's weightless copy runs on it, so that any Python between the
    layers counts. On every axis at once, the size takes the place of all but the first of `input_size`.
    A window loses cells where the division in floor((n + lo + hi - f*) / s) + 1 leaves a remainder that
    reaches into the input. The gaps that a stride above the kernel leaves everywhere are not counted here.

    Args:
        model: a module that takes one tensor, which is left as it is; what builds one; or its name.
        input_size: (C, *spatial) of one input; where the network only runs on some sizes, one of them. Left
            out: what the network was made for.
        candidates: sizes to try; left out, 32 below to 32 above the given one.
        dtype: of the input; left out, that of the model's parameters.
        assume: what to take for numbers that depend on the picture, as in `anatomy`.

    Raises:
        ArgumentError: the input has no spatial axis, a size is not an int >= 1, there are too many, or what
            is assumed is no answer.

    Source:
        Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", 2016, relationship 6.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(1, 6, 5), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.MaxPool2d(2))
        >>> found = sizes(net, (1, 32, 32), range(28, 37))
        >>> found.clean, found[30].told
        ((28, 32, 36), '3 loses 1 of 9; 2 of 30 input cells reach no output')
    """
    module = load(model, input_size=input_size)
    size = getattr(module, "input_shape", None) if input_size is None else tuple(input_size)
    if size is None:
        what = "this network was made for no one input"
        raise ArgumentError(what, expected="input_size", hint="input_size=(3, 224, 224)")
    if len(size) < 2:
        raise ArgumentError("the input has no spatial axis", expected="(C, *spatial)", got=repr(size))
    n = size[1]
    wanted = sorted(
        {
            whole_number("size", size, 1)
            for size in (candidates or range(max(1, n - _AROUND), n + _AROUND + 1))
        }
    )
    if len(wanted) > MOST:
        raise ArgumentError("too many sizes", expected=f"at most {MOST}", got=str(len(wanted)))
    shell = shell_of(module).module
    kind = dtype or next((p.dtype for p in module.parameters() if p.dtype.is_floating_point), None)
    assumed = assumptions(assume)
    tried = tuple(_tried(shell, size, one, kind, assumed) for one in wanted)
    return InputSizes(model if isinstance(model, str) else type(module).__name__, tried)


def _tried(
    shell: nn.Module,
    input_size: tuple[int, ...],
    size: int,
    dtype: torch.dtype | None,
    assumed: Assumptions,
) -> InputSize:
    shape = (1, input_size[0], *(size for _ in input_size[1:]))
    try:
        graph = trace(shell, (torch.empty(shape, dtype=dtype, device="meta"),), assume=assumed)
    except ArgumentError as error:
        return InputSize(size, reason=str(error).partition(", from a model input")[0])
    if graph.reason is not None:
        return InputSize(size, reason=graph.reason.splitlines()[0])
    outputs = tuple(value.shape for value in graph.outputs.values())
    losses = tuple(losses_of(graph))
    unread = _unread(graph, exact=not losses)
    return InputSize(size, losses, unread or (), outputs, determined=unread is not None)


def losses_of(graph: Graph) -> list[Loss]:
    """Every axis of every window operator that does not reach the end of what it is given."""
    found = []
    for call in graph.calls:
        windows = slid(call)
        if windows and not transposes(call):
            value = call.inputs[0]
            for axis, (window, n) in enumerate(
                zip(windows, spatial(value, windows), strict=True), len(value.shape) - len(windows)
            ):
                if cells := len(lost(window, n)):
                    found.append(Loss(graph.visits[call.visit].path, axis, n, cells))
    return found


def _unread(graph: Graph, *, exact: bool) -> tuple[tuple[int, int], ...] | None:
    """Cells of the inputs that reach no output, by axis; where arithmetic does not tell, only if exact.

    None if that was not determined.
    """
    resizing = Resizing(graph)
    if resizing.source is not None and (same := resizing.at(resizing.source.shape[2])) is not None:
        rank = len(resizing.source.shape)
        counts = [(axis, run.unread) for axis, run in zip(range(2, rank), same.runs, strict=True)]
    elif not exact:
        return ()
    else:
        fields, inputs = Fields(graph), graph.inputs.items()
        axes = [(name, axis) for name, value in inputs for axis in range(2, len(value.shape))]
        counts = []
        for name, axis in axes:
            if (ranges := fields.unread(name, axis)) is None:
                return None
            counts.append((axis, sum(map(len, ranges))))
    return tuple((axis, cells) for axis, cells in counts if cells)
