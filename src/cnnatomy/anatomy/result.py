"""What is known of a network: its operations, its layers, and what they sum to."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from cnnatomy.anatomy.parts import Part
from cnnatomy.anatomy.present import Presented
from cnnatomy.anatomy.table import Shape

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cnnatomy.anatomy.advice import Advice
    from cnnatomy.anatomy.field import Fields
    from cnnatomy.anatomy.graph import Graph


@dataclass(frozen=True, slots=True)
class Cost:
    """What one run of one operator costs, by the formulas of `cnnatomy.anatomy.costs`."""

    macs: int | None = 0
    """Multiply-accumulates; None if the operator is not known, and then nothing is summed as a total."""
    flops: int | None = 0
    """Floating-point operations: two for each multiply-accumulate, and those of other arithmetic."""
    read: int = 0
    """Bytes of its inputs, weights among them; 0 for a view."""
    written: int = 0
    """Bytes of its outputs; 0 for a view."""
    formula: str = ""
    """How the count comes about, with the numbers: `64·56·56 outputs × 64·3·3 taps = 115,605,504`."""

    @property
    def intensity(self) -> float | None:
        """FLOPs per byte moved (Williams et al. 2009); None where nothing moves or is not known."""
        return _intensity(self.flops, self.read + self.written)


@dataclass(frozen=True, slots=True)
class Operation:
    """One run of one operator."""

    index: int
    """Its place among the calls of the graph."""
    name: str
    """Such as `convolution`, without its namespace where that is aten."""
    layer: int
    """The layer it ran in, as an index into the anatomy's layers."""
    inputs: tuple[Shape, ...]
    """Shapes of the tensors it was given, weights among them."""
    outputs: tuple[Shape, ...]
    """Shapes of the tensors it returned."""
    cost: Cost


@dataclass(frozen=True, slots=True)
class Layer:
    """One call of one module, with all that ran inside it; or parameters that no call used."""

    path: str
    """Where it stands in the model; `path#call` when it runs several times; `""` for the model itself."""
    type: str
    """The name of the module's class."""
    depth: int
    """0 for the model itself, 1 for its children."""
    parent: int | None
    """The layer it was called in, as an index into the anatomy's layers."""
    called: bool
    """False where a module has parameters and was not called."""
    input_shapes: tuple[Shape, ...]
    output_shapes: tuple[Shape, ...]
    trainable: int
    """Parameters of the module itself, not its children's, that require a gradient, each counted once."""
    frozen: int
    """Parameters of the module itself that do not."""
    shared: int
    """Parameters of the module itself that an earlier layer has counted."""
    absent: int
    """Weights of the module itself that a connection table leaves out: neither parameters nor multiplied."""
    macs: int | None
    """Of every operation inside, its children's among them; None if one of them is not known."""
    flops: int | None
    read: int
    written: int
    activations: int
    """Bytes of the tensors it returned."""
    saved: int | None
    """Bytes kept for the backward pass by the operations inside, counted once; None if not measured."""
    operations: tuple[int, ...]
    """The operations that ran in it and in none of its children."""
    children: tuple[int, ...]
    """The layers called in it."""
    outputs: tuple[int, ...]
    """The operations that made what it returned, -1 for a tensor that none of them made."""

    @property
    def parameters(self) -> int:
        """Parameters of the module itself, counted once in a model."""
        return self.trainable + self.frozen

    @property
    def leaf(self) -> bool:
        """Whether it calls no other module."""
        return not self.children

    @property
    def intensity(self) -> float | None:
        """FLOPs per byte moved by the operations inside; None where nothing moves or is not known."""
        return _intensity(self.flops, self.read + self.written)


@dataclass(frozen=True, slots=True)
class Total:
    """What a group of layers sums to, each with what it owns and runs itself, so that groups add up."""

    name: str
    parameters: int
    macs: int | None
    """None if one of its operations is not known."""
    flops: int | None
    activations: int
    """Bytes that its operations write."""
    share: float | None
    """Of the model's multiply-accumulates."""


Grouping = Literal["type", "stage", "module"]


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes that a pass over one input holds at once, by the lifetimes of its storages."""

    weights: int
    """Parameters and buffers."""
    inference: int
    """The most that is alive at once beside them, without a backward pass; inputs count."""
    saved: int | None
    """Kept for the backward pass: storages counted once, parameters not; None if not measured."""
    training: int | None
    """The most that is alive at once beside weights, forward and backward, gradients among them."""


@dataclass(frozen=True)
class Anatomy(Presented):
    """All that is known of a network on one input size; printed, it is a table."""

    model: str
    """The name of the model's class, or what it was asked for by."""
    inputs: dict[str, Shape]
    """The shape of each input for a batch of one."""
    outputs: dict[str, Shape]
    """The shape of each output."""
    operations: tuple[Operation, ...]
    layers: tuple[Layer, ...]
    """In the order in which they were called, the model itself first; those never called last."""
    memory: Memory | None
    """None where the pass stopped early."""
    reason: str | None = None
    """Why the pass stopped early; None when all was measured."""
    notes: tuple[str, ...] = ()
    """What a reader must know."""
    graph: Graph | None = field(default=None, repr=False, compare=False)
    """The recorded pass."""
    backward_macs: int | None = None
    """Multiply-accumulates of a forward and a backward pass; None if not measured or not known."""

    @property
    def complete(self) -> bool:
        """Whether the whole pass was measured."""
        return self.reason is None

    @property
    def trainable(self) -> int:
        """Parameters that require a gradient, each counted once."""
        return sum(layer.trainable for layer in self.layers)

    @property
    def frozen(self) -> int:
        """Parameters that do not, each counted once."""
        return sum(layer.frozen for layer in self.layers)

    @property
    def parameters(self) -> int:
        """Parameters, each counted once."""
        return self.trainable + self.frozen

    @property
    def macs(self) -> int | None:
        """Multiply-accumulates of the pass; None if it stopped early or an operation is not known."""
        return self.layers[0].macs if self.complete and self.layers else None

    @property
    def flops(self) -> int | None:
        """Floating-point operations of the pass; None likewise."""
        return self.layers[0].flops if self.complete and self.layers else None

    @property
    def absent(self) -> int:
        """Weights that connection tables leave out."""
        return sum(layer.absent for layer in self.layers)

    def by(self, grouping: Grouping) -> tuple[Total, ...]:
        """Totals of groups of layers, in the order in which they first run; they sum to the model's.

        Args:
            grouping: `"type"`, the modules' classes; `"stage"`, the children of the model, which `""` stands
                beside with what the model runs itself; `"module"`, each module, its calls together.

        Raises:
            ArgumentError: there is no such grouping.
        """
        from cnnatomy.anatomy.totals import totals

        return totals(self, grouping)

    def padding(self, operation: int) -> float | None:
        """The share of a window's taps that fall into padding; None if the operator has no window."""
        return self.fields.padding(operation)

    @cached_property
    def fields(self) -> Fields:
        """The receptive fields of every operation's outputs; found when first asked for."""
        from cnnatomy.anatomy.field import Fields

        assert self.graph is not None, "an anatomy read from a file has no fields"
        return Fields(self.graph)

    @cached_property
    def advice(self) -> list[Advice]:
        """What an expert would remark; `cnnatomy.anatomy.advise` asks for more."""
        from cnnatomy.anatomy.advice import advise

        return advise(self)

    def __getitem__(self, path: str) -> Part:
        """The layer of that path, with its receptive field; the first call if it runs several times.

        Raises:
            ArgumentError: there is none; the nearest names are told.
        """
        from cnnatomy.anatomy.search import find

        index = find(path, [layer.path for layer in self.layers])
        return Part(self.layers[index], index, self)

    def __iter__(self) -> Iterator[Part]:
        """The layers in the order in which they were called, without the model itself."""
        return (Part(layer, index, self) for index, layer in enumerate(self.layers) if layer.path)

    def layer(self, path: str) -> Layer:
        """The layer of that path; the first call if it runs several times.

        Raises:
            ArgumentError: there is none; the nearest names are told.
        """
        from cnnatomy.anatomy.search import find

        return self.layers[find(path, [layer.path for layer in self.layers])]


def _intensity(flops: int | None, moved: int) -> float | None:
    return flops / moved if flops is not None and moved else None
