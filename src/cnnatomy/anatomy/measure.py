"""Measure: one forward pass of a weightless copy on meta tensors, recorded, counted, folded into layers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import nn

from cnnatomy.anatomy.costs import connected, cost
from cnnatomy.anatomy.figures import Cost, Memory, Operation
from cnnatomy.anatomy.layer_figures import fold
from cnnatomy.anatomy.memory import memory, saved_by_call
from cnnatomy.anatomy.record.assumed_values import Assumptions
from cnnatomy.anatomy.record.example_inputs import given, is_shape
from cnnatomy.anatomy.record.graph import Call, Graph
from cnnatomy.anatomy.record.model_source import Source, load
from cnnatomy.anatomy.record.tracing import trace
from cnnatomy.anatomy.result import Anatomy
from cnnatomy.anatomy.totals import total
from cnnatomy.errors import ArgumentError


def anatomy(
    model: Source,
    input_size: Any = None,
    *,
    dtype: torch.dtype | None = None,
    training: bool = False,
    assume: Assumptions | str | None = None,
) -> Anatomy:
    """Everything about a network on one input size, before it runs: nothing is computed, no weight is read.

    Args:
        model: a module, which is left as it is; a callable that builds one; or its name, see `source.load`.
        input_size: the shape of one input without the batch, such as (3, 224, 224); a list of shapes or a
            dict of them by name for several inputs; or tensors, with their batch. Without one, a batch of
            one is run; always in evaluation mode. Left out: what the network was made for.
        dtype: of the inputs; the model's own if left out.
        training: record a training pass as well, which takes a few times as long: what is kept for backward
            by every layer, the peak memory, the MACs there and back.
        assume: what to take for numbers that depend on the picture, such as `{"nonzero": "all", "nms": 100}`:
            how many cells of a mask are true (`nonzero`), boxes are kept (`nms`), values differ (`unique`),
            `"all"` or at most so many; and the number that a tensor holds (`item`). The notes say what was
            assumed. Numbers that follow from sizes and constants are computed.

    Returns:
        The anatomy. If the forward pass needs the values of a tensor, all that was measured up to there,
        `complete` False and the `reason`; the parameters are counted in full all the same.

    Raises:
        ArgumentError: there is no such model, the input size is not one, a layer cannot take what it is
            given, the model has lazy layers that have not seen an input, or what is assumed is no answer.

    Example:
        >>> from torch import nn
        >>> net = nn.Sequential(nn.Conv2d(1, 6, 5), nn.Flatten(), nn.Linear(6 * 28 * 28, 10))
        >>> found = anatomy(net, (1, 32, 32))
        >>> [(layer.path, layer.output_shapes[0], layer.parameters, layer.macs) for layer in found.layers[1:]]
        [('0', (1, 6, 28, 28), 156, 117600), ('1', (1, 4704), 0, 0), ('2', (1, 10), 47050, 47040)]
        >>> found.parameters, found.macs, found.operations[0].cost.formula
        (47206, 164640, '6·28·28 outputs × 1·5·5 taps = 117,600')
        >>> anatomy("vgg16").parameters
        138357544
    """
    module = load(model, input_size=input_size if is_shape(input_size) else None)
    size = (getattr(module, "input_shape", None) or None) if input_size is None else input_size
    if size is None:
        what = "this network was made for no one input"
        raise ArgumentError(what, expected="input_size", hint="input_size=(3, 224, 224)")
    args, kwargs = given(module, size, dtype)
    try:
        return _measured(model, module, partial(trace, module, args, kwargs, assume=assume), training)
    except ArgumentError as error:
        if is_shape(size) and len(size) > 3:
            hint = f"input_size={tuple(size[1:])}, without the batch"
            raise ArgumentError(str(error).partition("; try ")[0], hint=hint) from error
        raise


def _measured(model: Source, module: nn.Module, record: Callable[..., Graph], training: bool) -> Anatomy:
    graph = record()
    connections = connected(graph)
    costs = [cost(call, connections) for call in graph.calls]
    notes = [*graph.notes, *_notes(graph.calls, costs)]
    taught = record(training=True) if training and graph.reason is None else None
    if taught is not None:
        notes += taught.notes
        if taught.reason is not None:
            notes.append(f"training was not measured: {taught.reason}")
            taught = None
    numbered = zip(range(len(costs)), graph.calls, costs, strict=True)
    return Anatomy(
        model=model if isinstance(model, str) else graph.model,
        inputs={place: value.shape for place, value in graph.inputs.items()},
        outputs={place: value.shape for place, value in graph.outputs.items()},
        operations=tuple(_operation(*each) for each in numbered),
        layers=fold(module, graph, costs, connections, None if taught is None else _saved(taught)),
        memory=_memory(graph, taught) if graph.reason is None else None,
        reason=graph.reason,
        notes=tuple(dict.fromkeys(notes)),
        graph=graph,
        backward_macs=None if taught is None else _both(taught),
    )


def _memory(graph: Graph, taught: Graph | None) -> Memory:
    known = memory(graph, taught)
    return known if taught is not None else replace(known, saved=None, training=None)


def _operation(index: int, call: Call, found: Cost) -> Operation:
    inputs, outputs = (tuple([value.shape for value in values]) for values in (call.inputs, call.outputs))
    return Operation(index, call.name.removeprefix("aten."), call.visit, inputs, outputs, found)


def _saved(graph: Graph) -> Mapping[tuple[str, int], int]:
    """Bytes kept for the backward pass by the calls of each module itself."""
    found: Counter[tuple[str, int]] = Counter()
    for index, size in saved_by_call(graph).items():
        visit = graph.visits[graph.calls[index].visit]
        found[visit.path, visit.nth] += size
    return found


def _both(graph: Graph) -> int | None:
    """Multiply-accumulates of a training pass, there and back."""
    connections = connected(graph)
    return total([cost(call, connections).macs for call in (*graph.calls, *graph.backward)])


def _notes(calls: Sequence[Call], costs: Sequence[Cost]) -> list[str]:
    """The operators that no rule counts."""
    unknown = Counter(call.name for call, found in zip(calls, costs, strict=True) if found.macs is None)
    if not unknown:
        return []
    least = sum(found.macs or 0 for found in costs)
    names = ", ".join(f"{name} ({count} calls)" for name, count in unknown.items())
    return [f"operators whose MACs are not known: {names}; those of the others are {least:,}"]
