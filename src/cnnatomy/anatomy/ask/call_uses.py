"""Which calls of a recorded pass the outputs of the model depend on."""

from __future__ import annotations

from cnnatomy.anatomy.record.graph import Graph


def depended_on(graph: Graph) -> set[int]:
    """The calls that an output depends on: those that made or wrote memory that is read later, and its views.

    Example:
        >>> import torch
        >>> from cnnatomy.anatomy.record.tracing import trace
        >>> len(depended_on(trace(torch.nn.ReLU(), [torch.zeros(1, 1, 7, 7)])))
        1
    """
    wanted = set(graph.outputs.values())
    memory, found = {value.storage for value in wanted}, set()
    for index in range(len(graph.calls) - 1, -1, -1):
        call = graph.calls[index]
        if call.is_view:
            used = not wanted.isdisjoint(call.outputs)
        else:
            used = any(value.storage in memory for value in (*call.outputs, *call.written()))
        if used:
            found.add(index)
            wanted.update(call.inputs)
            memory.update(value.storage for value in call.inputs)
    return found
