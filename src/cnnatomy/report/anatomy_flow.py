"""Who feeds whom: the boxes of a network's drawing and the edges between them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import product

from cnnatomy.anatomy.record.graph import Graph, Value
from cnnatomy.anatomy.result import Anatomy

_Seen = tuple[tuple[int, ...], tuple[int, ...], int]


@dataclass(frozen=True)
class Box:
    """A layer, an operator that ran in a layer beside its children, an input or an output."""

    kind: str
    """`"layer"`, `"operator"`, `"input"` or `"output"`."""
    index: int
    """Of the layer or the operation; of the input or output among its like."""
    parent: int | None
    """The box it stands in."""


@dataclass
class Flow:
    """The boxes, those of the layers first under their own indices, and edges between innermost ones."""

    boxes: list[Box]
    edges: list[tuple[int, int]]


@dataclass
class _Makers:
    """Which box made what each tensor holds: known by view, so that a skip is not said to pass a reshape."""

    by_storage: dict[int, int] = field(default_factory=dict)
    by_view: dict[int, dict[_Seen, int]] = field(default_factory=dict)

    def of(self, value: Value) -> int | None:
        views = self.by_view.get(value.storage, {})
        return views.get(_seen(value), self.by_storage.get(value.storage))

    def wrote(self, value: Value, box: int) -> None:
        """What the storage holds is now this box's work, through any view."""
        self.by_storage[value.storage] = box
        self.by_view[value.storage] = {}

    def viewed(self, value: Value, box: int) -> None:
        """This view of the storage is the box's work, others are not."""
        self.by_view.setdefault(value.storage, {})[_seen(value)] = box


def flow(anatomy: Anatomy) -> Flow:
    """The drawing's boxes and edges: views outside of leaf layers are passed through, weights left out."""
    graph = anatomy.graph
    assert graph is not None, "an anatomy read from a file has no graph"
    boxes = [Box("layer", index, layer.parent) for index, layer in enumerate(anatomy.layers)]
    makers, edges = _Makers(), dict[tuple[int, int], None]()
    for index, value in enumerate(graph.inputs.values()):
        boxes.append(Box("input", index, 0))
        makers.wrote(value, len(boxes) - 1)
    for at, operation in enumerate(anatomy.operations):
        call = graph.calls[operation.index]
        layer = anatomy.layers[operation.layer]
        if not layer.leaf and call.is_view:
            for result, given in product(call.outputs, call.inputs[:1]):
                if (maker := makers.of(given)) is not None:
                    makers.viewed(result, maker)
            continue
        box = operation.layer
        if not layer.leaf:
            boxes.append(Box("operator", at, operation.layer))
            box = len(boxes) - 1
        edges |= dict.fromkeys(_edges(makers, call.inputs, box))
        for value in [*call.outputs, *call.written()]:
            (makers.viewed if call.is_view else makers.wrote)(value, box)
    _leave(graph, boxes, makers, edges)
    return Flow(boxes, list(edges))


def _leave(graph: Graph, boxes: list[Box], makers: _Makers, edges: dict[tuple[int, int], None]) -> None:
    for index, value in enumerate(graph.outputs.values()):
        boxes.append(Box("output", index, 0))
        edges |= dict.fromkeys(_edges(makers, [value], len(boxes) - 1))


def _edges(makers: _Makers, values: Iterable[Value], box: int) -> list[tuple[int, int]]:
    found = (makers.of(value) for value in values)
    return [(maker, box) for maker in found if maker is not None and maker != box]


def _seen(value: Value) -> _Seen:
    return value.shape, value.strides, value.offset
