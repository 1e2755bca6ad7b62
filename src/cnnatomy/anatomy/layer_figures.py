"""Fold a recorded pass into layers: what every call of every module owns, costs and returns."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate

from torch import nn

from cnnatomy.anatomy.figures import Cost, Layer
from cnnatomy.anatomy.record.graph import Call, Graph, Value, Visit


def fold(
    model: nn.Module,
    graph: Graph,
    costs: Sequence[Cost],
    connections: Mapping[int, int],
    saved: Mapping[tuple[str, int], int] | None,
) -> tuple[Layer, ...]:
    """The layers in the order in which they were called, then the owners of parameters that never were.

    Args:
        model: the module that was recorded.
        graph: its forward pass.
        costs: of every call.
        connections: of every weight that has a connection table, by storage.
        saved: bytes kept for the backward pass in each call of a module itself, by path and number.
    """
    folding = _Folding(model, graph, costs, connections)
    layers = [folding.layer(index) for index in range(len(graph.visits))]
    if saved is not None:
        layers = _with_saved(layers, graph.visits, saved)
    if not layers:
        layers.append(folding.uncalled("", []))
    return (*layers, *folding.rest(layers))


class _Folding:
    def __init__(
        self, model: nn.Module, graph: Graph, costs: Sequence[Cost], connections: Mapping[int, int]
    ) -> None:
        self.modules = dict(model.named_modules(remove_duplicate=False))
        self.graph, self.connections = graph, connections
        self.times = Counter(visit.path for visit in graph.visits)
        self.own: defaultdict[int, list[int]] = defaultdict(list)
        for index, call in enumerate(graph.calls):
            self.own[call.visit].append(index)
        self.children: defaultdict[int | None, list[int]] = defaultdict(list)
        for index, visit in enumerate(graph.visits):
            self.children[visit.parent].append(index)
        self.macs = _Sums([cost.macs for cost in costs])
        self.flops = _Sums([cost.flops for cost in costs])
        self.read = _Sums([cost.read for cost in costs])
        self.written = _Sums([cost.written for cost in costs])
        self.makers = _makers(graph)
        self.counted: set[int] = set()
        self.depths = _depths(graph.visits)

    def layer(self, index: int) -> Layer:
        """The layer of a visit. Ask in order: a parameter is counted where it comes first."""
        visit = self.graph.visits[index]
        parent, inside = visit.parent, (visit.start, self._stop(visit))
        absent = self._absent(index) if visit.nth == 1 else 0
        trainable, frozen, shared = self._parameters(visit.path)
        return Layer(
            path=f"{visit.path}#{visit.nth}" if self.times[visit.path] > 1 else visit.path,
            type=visit.type,
            depth=self.depths[index],
            parent=parent,
            called=True,
            input_shapes=tuple([value.shape for value in visit.inputs]),
            output_shapes=tuple([value.shape for value in visit.outputs]),
            trainable=trainable,
            frozen=frozen,
            shared=shared,
            absent=absent,
            macs=self.macs.between(*inside),
            flops=self.flops.between(*inside),
            read=self.read.between(*inside) or 0,
            written=self.written.between(*inside) or 0,
            activations=sum([value.bytes for value in visit.outputs]),
            saved=None,
            operations=tuple(self.own[index]),
            children=tuple(self.children[index]),
            outputs=self.makers[index],
        )

    def rest(self, layers: Sequence[Layer]) -> Iterator[Layer]:
        """Modules with parameters of their own that were not called."""
        known = {id(self.modules[path]) for path in (*self.times, "") if path in self.modules}
        for path, module in self.modules.items():
            if id(module) not in known and any(one is not None for one in module._parameters.values()):
                known.add(id(module))
                yield self.uncalled(path, layers)

    def uncalled(self, path: str, layers: Sequence[Layer]) -> Layer:
        """The layer of a module that was not called; what is around it may have been."""
        module = self.modules[path]
        around = [path.rsplit(".", cut)[0] for cut in range(1, path.count(".") + 1)] + [""]
        homes = (i for name in around for i, layer in enumerate(layers) if layer.path.split("#")[0] == name)
        trainable, frozen, shared = self._parameters(path)
        return Layer(
            path=path,
            type=type(module).__name__,
            depth=path.count(".") + bool(path),
            parent=next(homes, None),
            called=False,
            input_shapes=(),
            output_shapes=(),
            trainable=trainable,
            frozen=frozen,
            shared=shared,
            absent=0,
            macs=0,
            flops=0,
            read=0,
            written=0,
            activations=0,
            saved=None,
            operations=(),
            children=(),
            outputs=(),
        )

    def _parameters(self, path: str) -> tuple[int, int, int]:
        counts = [0, 0, 0]
        module = self.modules.get(path)
        for parameter in dict.fromkeys(module._parameters.values() if module is not None else ()):
            if parameter is None:
                continue
            kind = 2 if id(parameter) in self.counted else 0 if parameter.requires_grad else 1
            counts[kind] += math.prod(parameter.shape)
            self.counted.add(id(parameter))
        return counts[0], counts[1], counts[2]

    def _absent(self, index: int) -> int:
        found = 0
        if not self.connections:
            return found
        for call in (self.graph.calls[i] for i in self.own[index] if self.graph.calls[i].convolves):
            weight = call.argument("weight")
            if weight.storage in self.connections:
                taps = math.prod(weight.shape[2:])
                found += weight.numel - self.connections[weight.storage] * taps
        return found

    def _stop(self, visit: Visit) -> int:
        return visit.stop if visit.stop >= 0 else len(self.graph.calls)


def _depths(visits: Sequence[Visit]) -> list[int]:
    """Calls around every call: those that called it come before it."""
    found: list[int] = []
    for visit in visits:
        found.append(0 if visit.parent is None else found[visit.parent] + 1)
    return found


class _Sums:
    """Sums of runs of numbers, None where one of them is not known."""

    def __init__(self, numbers: Sequence[int | None]) -> None:
        self.sums = [0, *accumulate(number or 0 for number in numbers)]
        self.unknown = [0, *accumulate(number is None for number in numbers)]

    def between(self, start: int, stop: int) -> int | None:
        """Of those from start to before stop."""
        if self.unknown[stop] > self.unknown[start]:
            return None
        return self.sums[stop] - self.sums[start]


def _makers(graph: Graph) -> list[tuple[int, ...]]:
    """For every visit, the calls that made what it returned: the last to return it before its end."""
    found: list[tuple[int, ...]] = [()] * len(graph.visits)
    ends: defaultdict[int, list[int]] = defaultdict(list)
    for index, visit in enumerate(graph.visits):
        if visit.stop >= 0:
            ends[visit.stop].append(index)
    last: dict[Value | int, int] = {}
    for position in range(len(graph.calls) + 1):
        for index in ends.get(position, ()):
            returned = graph.visits[index].outputs
            found[index] = tuple(last.get(value, last.get(value.storage, -1)) for value in returned)
        if position < len(graph.calls):
            _made(graph.calls[position], position, last)
    return found


def _made(call: Call, position: int, last: dict[Value | int, int]) -> None:
    written = call.written() if call.writes else ()
    for value in (*call.outputs, *written):
        last[value] = last[value.storage] = position


def _with_saved(
    layers: Sequence[Layer], visits: Sequence[Visit], saved: Mapping[tuple[str, int], int]
) -> list[Layer]:
    totals = [saved.get((visit.path, visit.nth), 0) for visit in visits]
    for index in reversed(range(len(visits))):  # children come after their parents
        parent = visits[index].parent
        if parent is not None:
            totals[parent] += totals[index]
    return [replace(layer, saved=total) for layer, total in zip(layers, totals, strict=True)]
