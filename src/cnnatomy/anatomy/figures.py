"""The figures of a network as records: what an operation costs, what a layer owns, what groups sum to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cnnatomy.anatomy.shapes import Shape


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


def _intensity(flops: int | None, moved: int) -> float | None:
    return flops / moved if flops is not None and moved else None
