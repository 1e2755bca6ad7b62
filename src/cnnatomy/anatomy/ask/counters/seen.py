"""An anatomy as the rules of other counters see it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import cached_property

from cnnatomy.anatomy.costs import cost
from cnnatomy.anatomy.figures import Layer
from cnnatomy.anatomy.record.graph import Call, Graph, Value
from cnnatomy.anatomy.result import Anatomy
from cnnatomy.anatomy.shapes import Shape

Part = tuple[int, str]
"""Multiply-accumulates that a tool counts more than the anatomy, and why."""
RECURRENT = ("RNN", "LSTM", "GRU")


class Seen:
    """The calls of a network, the layers they ran in, and what they own."""

    def __init__(self, anatomy: Anatomy, graph: Graph, macs: int) -> None:
        self.layers, self.calls, self.visits, self.macs = anatomy.layers, graph.calls, graph.visits, macs
        self.costs = [operation.cost for operation in anatomy.operations]
        self.held = graph.held
        self.shapes: dict[str, dict[str, Shape]] = {}
        self.trained: set[str] = set()
        for weight in graph.weights:
            if weight.parameter:
                path, _, name = weight.name.rpartition(".")
                self.shapes.setdefault(path, {})[name] = weight.shape
                self.trained |= {path} if weight.trainable else set()
        paths = [path_of(layer) for layer in anatomy.layers]
        owners = {path.rpartition(".")[0] for path in paths if path}
        self.leaves = [x for x in anatomy.layers if x.called and x.leaf and path_of(x) not in owners]

    def owned(self, layer: Layer) -> dict[str, int]:
        """Elements of the parameters of a layer itself, by name."""
        return {name: math.prod(shape) for name, shape in self.shapes.get(path_of(layer), {}).items()}

    def torchs(self, *names: str) -> list[int]:
        """Places of the layers that are torch's own modules of these names, not what is derived from them."""
        return [
            index
            for index, visit in enumerate(self.visits)
            if visit.type in names and visit.home.startswith("torch.nn.")
        ]

    def traced(self, *names: str) -> list[Layer]:
        """Layers of this package's modules of these names, which `torch.jit.trace` sees as torch's own."""
        return [
            self.layers[index]
            for index, visit in enumerate(self.visits)
            if visit.type in names and visit.home.startswith("cnnatomy.nn.")
        ]

    def named(self, *names: str) -> list[int]:
        """Places of the calls of these ATen operators."""
        wanted = {f"aten.{name}" for name in names}
        return [index for index, call in enumerate(self.calls) if call.name in wanted]

    def within(self, layers: Iterable[int]) -> set[int]:
        """Places of the calls that ran inside these layers, their children's among them."""
        return {call for layer in layers for call in range(self.visits[layer].start, self.visits[layer].stop)}

    def missing(self, *reasons: tuple[Iterable[int], str]) -> list[Part]:
        """What a tool does not count, each call for the first reason that names it."""
        taken: set[int] = set()
        found = []
        for calls, why in reasons:
            new = set(calls) - taken
            taken |= new
            found.append((-sum(self.costs[call].macs or 0 for call in new), why))
        return found

    def but(self, *names: str) -> set[int]:
        """Places of the calls of all other ATen operators than these."""
        return set(range(len(self.calls))) - set(self.named(*names))

    def biases(self, calls: Iterable[int]) -> int:
        """Outputs that convolutions and matrix products among these calls add a bias to."""
        found = 0
        for call in (self.calls[index] for index in calls):
            if call.name == "aten.addmm" or (call.convolves and isinstance(call.argument("bias"), Value)):
                found += call.outputs[0].numel
        return found

    def connections(self, calls: Iterable[int]) -> int:
        """What convolutions among these calls multiply for connections that their tables leave out."""
        convolutions = [i for i in calls if self.calls[i].convolves]
        return sum((cost(self.calls[i]).macs or 0) - (self.costs[i].macs or 0) for i in convolutions)

    @cached_property
    def attentions(self) -> list[tuple[int, int, int]]:
        """Each attention that torch took apart: its first product, its softmax, its second product."""
        products = self.named("bmm", "baddbmm", "matmul")
        found = []
        for softmax in self.named("_safe_softmax"):
            before = max((i for i in products if i < softmax), default=None)
            after = min((i for i in products if i > softmax), default=None)
            if before is not None and after is not None:
                found.append((before, softmax, after))
        return found

    def attended(self) -> set[int]:
        """Calls of every `scaled_dot_product_attention`, whole or taken apart."""
        whole = {i for i, call in enumerate(self.calls) if "scaled_dot_product" in call.name}
        return whole | {i for before, _, after in self.attentions for i in (before, after)}

    def fused(self) -> set[int]:
        """Those of them that are one operator on the CPU: four axes, equal widths, rows without gaps."""
        found = {i for i, call in enumerate(self.calls) if "scaled_dot_product" in call.name}
        for before, softmax, after in self.attentions:
            query, key = (self._given(before, place, "aten.mul") for place in (0, 1))
            value = self._given(after, 1, "aten.expand")
            four = len(self.calls[softmax].inputs[0].shape) == 4
            if four and query.shape[-1] == value.shape[-1] and _in_rows(query, key.strides[-2], value):
                found |= {before, after}
        return found

    def _given(self, product: int, operand: int, name: str) -> Value:
        """What an operand of a product was before the last call of that name that it went through."""
        value = self.calls[product].inputs[operand]
        for call in reversed(self.calls[:product]):
            if value in call.outputs:
                value = call.inputs[0]
                if call.name == name:
                    break
        return value

    def quick(self, *, gradients: bool) -> set[int]:
        """Layers of attention that torch runs as one operator on real tensors in evaluation mode.

        `gradients`: whether they are recorded, as they are outside of `no_grad`.
        """
        found = {i for i in self.torchs("MultiheadAttention") if self._is_quick(i, gradients)}
        for layer in self.torchs("TransformerEncoderLayer"):
            attention = next(
                i for i in self.layers[layer].children if self.visits[i].type == "MultiheadAttention"
            )
            calls = {self.calls[i].name for i in self.layers[layer].operations}
            if calls & {"aten.relu", "aten.gelu"} and self._is_quick(attention, gradients, masks=False):
                found.add(layer)
        return found

    def _is_quick(self, layer: int, gradients: bool, masks: bool = True) -> bool:
        """Self-attention of an even number of heads, batch first; nothing appended, no mask of numbers."""
        visit, own = self.visits[layer], self.owned(self.layers[layer])
        query, *others = visit.inputs
        softmax = next(
            (self.calls[i] for i in sorted(self.within([layer])) if _is_softmax(self.calls[i])), None
        )
        operations = self.layers[layer].operations
        if softmax is None or len(query.shape) != 3 or len(others) < 2 or {*others[:2]} != {query}:
            return False
        scores = softmax.inputs[0].shape
        heads = scores[1] if len(scores) == 4 else scores[0] // query.shape[0]
        plain = {"in_proj_weight", "in_proj_bias"} <= set(own) and scores[-1] == query.shape[1]
        first = self.calls[operations[0]].name == "aten.transpose"
        numbers = masks and any(mask.dtype.is_floating_point for mask in others[2:])
        learns = gradients and visit.path in self.trained
        return plain and first and heads % 2 == 0 and not numbers and not learns


def path_of(layer: Layer) -> str:
    """Where a layer's module stands in the model."""
    return layer.path.split("#")[0]


def _is_softmax(call: Call) -> bool:
    return call.name in ("aten._softmax", "aten._safe_softmax")


def _in_rows(query: Value, key_step: int, value: Value) -> bool:
    return query.strides[-1] == key_step == value.strides[-1] == 1
