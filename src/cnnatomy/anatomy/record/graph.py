"""One forward pass as data: which operator ran on which tensors, in which module, and what it returned.

A graph holds no tensor and no weight. Costs, memory and receptive fields are functions of it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from cnnatomy.anatomy.shapes import Shape

CONVOLUTIONS = frozenset({"aten.convolution", "aten._convolution", "aten.convolution_overrideable"})
"""What every convolution is once it reaches the dispatcher, transposed ones among them."""


class Value(NamedTuple):
    """A tensor as an operator saw it: a view of a storage.

    Two values of one storage are two views of the same memory; what one of them writes, the other reads.
    """

    storage: int
    """The number of its storage, by first appearance."""
    shape: Shape
    strides: Shape
    """Distance in elements between neighbours on each axis."""
    offset: int
    """Its first element in the storage."""
    dtype: torch.dtype

    @property
    def numel(self) -> int:
        """Its elements.

        Example:
            >>> Value(0, (1, 3, 8, 8), (192, 64, 8, 1), 0, torch.float32).numel
            192
        """
        return prod(self.shape)

    @property
    def bytes(self) -> int:
        """Bytes of its elements."""
        return self.numel * self.dtype.itemsize


@dataclass(frozen=True, slots=True)
class Signature:
    """What an operator's schema says of it."""

    name: str
    """Namespace and name without the overload, such as `aten.convolution`."""
    places: dict[str, tuple[int, Any]]
    """Position and default of every argument; those that go by name alone have a position that none has."""
    outs: frozenset[str]
    """The arguments that are given to be written alone (`out=`)."""
    written: tuple[str, ...]
    """The arguments that it writes into: those marked with `!`."""
    views: bool
    """Whether it makes its argument another view of its memory and writes nothing, as `squeeze_` does."""
    pointwise: bool
    """Whether torch tags it so: every element of the result comes from those at its place."""
    own: bool
    """Whether it is one of this package's."""


@lru_cache(maxsize=4096)
def signature(operator: Any) -> Signature:
    """Read an operator's schema.

    Example:
        >>> signature(torch.ops.aten.add_.Tensor).written
        ('self',)
    """
    known = operator._schema.arguments
    return Signature(
        name=f"{operator.namespace}.{operator._opname}",
        places={
            one.name: (sys.maxsize if one.kwarg_only else place, one.default_value)
            for place, one in enumerate(known)
        },
        outs=frozenset(one.name for one in known if one.kwarg_only and one.is_write),
        written=tuple(one.name for one in known if one.is_write),
        views=torch.Tag.inplace_view in operator.tags,
        pointwise=torch.Tag.pointwise in operator.tags,
        own=operator.namespace == "cnnatomy",
    )


@dataclass(frozen=True, slots=True)
class Call:
    """One run of one ATen (or library) operator."""

    operator: Any
    """The overload, such as `torch.ops.aten.convolution.default`."""
    arguments: tuple[Any, ...]
    """What it was given by position, values in place of tensors."""
    keywords: dict[str, Any]
    """What it was given by name."""
    result: Any
    """What it returned, values in place of tensors."""
    inputs: tuple[Value, ...]
    """Every value among its arguments, in order."""
    outputs: tuple[Value, ...]
    """Every value it returned, in order."""
    visit: int
    """The innermost module call it ran in, as an index into the graph's visits; 0 is the model itself."""
    signature: Signature
    """What the operator's schema says."""
    closed: NDArray[np.bool_] | None = field(default=None, compare=False)
    """(queries, keys): the entries of a matrix that it leaves out, since a mask has made them zero."""

    @property
    def name(self) -> str:
        """Namespace and name without the overload, such as `aten.convolution`."""
        return self.signature.name

    @property
    def writes(self) -> bool:
        """Whether it writes elements of what it is given."""
        return bool(self.signature.written) and not self.signature.views

    @property
    def convolves(self) -> bool:
        """Whether it is a convolution, transposed or not."""
        return self.signature.name in CONVOLUTIONS

    @property
    def is_view(self) -> bool:
        """Whether it writes no element, and all that it returns is memory that it was given.

        Example:
            >>> from cnnatomy.anatomy.record.tracing import trace
            >>> [call.is_view for call in trace(torch.nn.Flatten(), [torch.zeros(1, 2, 3)]).calls]
            [True]
        """
        if not self.outputs or self.writes:
            return False
        given = {value.storage for value in self.inputs}
        return all(value.storage in given for value in self.outputs)

    @property
    def read(self) -> tuple[Value, ...]:
        """Every value among its arguments but those that are given to be written alone (`out=`)."""
        out = self.signature.outs
        if not out:
            return self.inputs
        found: list[Value] = []
        _gather(self.arguments, found)
        _gather(tuple(value for name, value in self.keywords.items() if name not in out), found)
        return tuple(found)

    def argument(self, name: str) -> Any:
        """The argument of that name in the operator's schema: given by position, by name, or its default.

        Raises:
            KeyError: the operator has none of that name.
        """
        position, default = self.signature.places[name]
        if position < len(self.arguments):
            return self.arguments[position]
        return self.keywords.get(name, default)

    def takes(self, name: str) -> bool:
        """Whether its operator has an argument of that name."""
        return name in self.signature.places

    def written(self) -> list[Value]:
        """The arguments it writes into: those its schema marks with `!`."""
        found: list[Value] = []
        for name in self.signature.written:
            _gather(self.argument(name), found)
        return found


@dataclass(slots=True)
class Visit:
    """One call of one module."""

    path: str
    """Where the module stands in the model; `""` for the model itself."""
    nth: int
    """1 for the first call of this module, 2 for the second."""
    type: str
    """The name of the module's class."""
    parent: int | None
    """The visit that called it; None for the model itself."""
    inputs: list[Value]
    """Every tensor it was called with."""
    outputs: list[Value] = field(default_factory=list)
    """Every tensor it returned; empty if it did not return."""
    start: int = 0
    """The first operator call inside it, its children's among them."""
    stop: int = -1
    """One past the last; -1 if it did not return."""
    home: str = ""
    """The Python module of its class, by which torch's own are told from others of their names."""
    worded: bool = False
    """Whether its padding is a word, such as "same", and puts in zeros."""


@dataclass(frozen=True, slots=True)
class Weight:
    """A parameter or buffer."""

    name: str
    storage: int | None
    """Its storage's number; None if no operator touched it."""
    shape: Shape
    dtype: torch.dtype
    parameter: bool
    """True for a parameter, False for a buffer."""
    trainable: bool
    """Whether it requires a gradient."""

    @property
    def bytes(self) -> int:
        """Bytes of its elements."""
        return prod(self.shape) * self.dtype.itemsize


@dataclass(slots=True)
class Graph:
    """A recorded forward pass, whole or up to where it stopped."""

    model: str
    """The name of the model's class."""
    inputs: dict[str, Value]
    """What it was given, by name."""
    outputs: dict[str, Value]
    """What it returned, by place in what it returned; empty if it did not."""
    calls: list[Call]
    visits: list[Visit]
    weights: list[Weight]
    sizes: dict[int, int]
    """Bytes of each storage."""
    freed: dict[int, int]
    """After which call each storage was given back, those of the backward pass counted on from those of the
    forward pass; storages alive at the end are not in it."""
    saved: dict[int, int]
    """Where a training pass was recorded: per storage kept for the backward pass, the call that kept it."""
    training: bool
    """Whether autograd ran: what is saved, and what lives how long, is then that of training."""
    backward: list[Call] = field(default_factory=list)
    """Where a training pass was recorded, the calls of its backward pass; each in the visit of the forward
    call that it differentiates, or in 0."""
    reason: str | None = None
    """Why the pass stopped before its end."""
    stopped: int | None = None
    """The innermost visit that it stopped in."""
    notes: tuple[str, ...] = ()
    """What a reader must know."""

    @property
    def held(self) -> set[int]:
        """Storages of parameters and buffers."""
        return {weight.storage for weight in self.weights if weight.storage is not None}

    def inside(self, visit: int) -> Iterator[int]:
        """Indices of the calls that ran in a visit itself, not in its children."""
        return (index for index, call in enumerate(self.calls) if call.visit == visit)


def _gather(value: Any, found: list[Value]) -> None:
    if isinstance(value, Value):
        found.append(value)
    elif isinstance(value, tuple | list):
        for part in value:
            _gather(part, found)
    elif isinstance(value, dict):
        for part in value.values():
            _gather(part, found)
