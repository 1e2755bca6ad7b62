"""The bytes that a pass holds at once, by the lifetimes of the storages it makes.

A result counts from the call that makes it to the last moment that anything holds it. That is exact on meta
tensors: Python and autograd let go of them when they would let go of real ones. What operators take and give
back inside themselves (workspace) is not seen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from cnnatomy.anatomy.figures import Memory
from cnnatomy.anatomy.record.graph import Call, Graph


def memory(graph: Graph, training: Graph | None = None) -> Memory:
    """Bytes that weights, an inference pass and a training pass hold.

    Args:
        graph: an inference pass.
        training: the same recorded with `training=True`; without it nothing is known of training.

    Example:
        >>> import torch
        >>> from cnnatomy.anatomy.record.tracing import trace
        >>> net, x = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh()), torch.empty(1, 4)
        >>> memory(trace(net, [x]), trace(net, [x], training=True))
        Memory(weights=160, inference=80, saved=48, training=272)
    """
    return Memory(
        weights=_weights(graph),
        inference=peak(graph),
        saved=None if training is None else sum(saved_by_call(training).values()),
        training=None if training is None else peak(training),
    )


def peak(graph: Graph) -> int:
    """The most that is alive at once beside weights.

    Inputs are alive all along, results from the call that makes them, together with its arguments.
    """
    calls = [*graph.calls, *graph.backward]
    inputs = {value.storage for value in graph.inputs.values()} - graph.held
    always, alive = sum(graph.sizes[storage] for storage in inputs), 0
    most, leaving = 0, Counter[int]()
    born = _born(calls, inputs | graph.held)
    arriving = Counter[int]()
    for storage, call in born.items():
        arriving[call] += graph.sizes[storage]
        leaving[graph.freed.get(storage, len(calls))] += graph.sizes[storage]
    for call in range(len(calls)):
        alive += arriving[call]
        most = max(most, alive)
        alive -= leaving[call]
    return always + most


def _born(calls: Sequence[Call], known: set[int]) -> dict[int, int]:
    """The call that made each storage; those that were there before any call read them are not in it."""
    born: dict[int, int] = {}
    before = set(known)
    for index, call in enumerate(calls):
        before.update(value.storage for value in call.inputs if value.storage not in born)
        for value in call.outputs:
            if value.storage not in before:
                born.setdefault(value.storage, index)
    return born


def saved_by_call(graph: Graph) -> dict[int, int]:
    """Bytes that autograd keeps for the backward pass, by the call that it keeps them for.

    Storages count once, for the first call that keeps them; those of parameters and buffers do not count.

    Args:
        graph: recorded with `training=True`.

    Example:
        >>> import torch
        >>> from cnnatomy.anatomy.record.tracing import trace
        >>> net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh())
        >>> graph = trace(net, [torch.empty(1, 4)], training=True)
        >>> {graph.calls[call].name: size for call, size in saved_by_call(graph).items()}
        {'aten.addmm': 16, 'aten.tanh': 32}
    """
    found: Counter[int] = Counter()
    for storage, call in graph.saved.items():
        if storage not in graph.held:
            found[min(call, len(graph.calls) - 1)] += graph.sizes[storage]
    return dict(found)


def _weights(graph: Graph) -> int:
    """Bytes of parameters and buffers; tied ones once."""
    sizes = {
        weight.storage: graph.sizes[weight.storage] for weight in graph.weights if weight.storage is not None
    }
    idle = sum(weight.bytes for weight in graph.weights if weight.storage is None)
    return sum(sizes.values()) + idle
