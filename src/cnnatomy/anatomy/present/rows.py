"""Rows: which layers or operators a table shows, and what each of its rows stands for.

Every operation and every parameter belongs to exactly one row, so that the rows sum to the totals: a row
that is folded stands for all that its layer calls, one whose children have their own rows for the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, TypedDict

from cnnatomy.anatomy.present.number_text import NONE, UNKNOWN, part
from cnnatomy.anatomy.readings import Reading
from cnnatomy.anatomy.shapes import Shape
from cnnatomy.errors import ArgumentError

if TYPE_CHECKING:
    from cnnatomy.anatomy.field import Field
    from cnnatomy.anatomy.figures import Layer, Operation
    from cnnatomy.anatomy.result import Anatomy


class Choice(TypedDict, total=False):
    """What can be chosen of a table, by name; see `View`."""

    columns: Sequence[str] | None
    depth: int | None
    sort: str | None
    operations: bool
    reading: Reading


@dataclass(frozen=True)
class View:
    """What of an anatomy is shown, and how."""

    columns: Sequence[str] | None = None
    """The columns by name, in order; None for those that fit."""
    depth: int | None = None
    """The deepest level of modules that has rows of its own; None for all."""
    sort: str | None = None
    """A column to sort by, the largest first; None for the order in which the layers ran."""
    operations: bool = False
    """A row for every operator in place of every layer."""
    reading: Reading = "exact"
    """Which receptive field: `"local"` sets reductions over a whole map aside."""

    def __post_init__(self) -> None:
        if self.depth is not None and self.depth < 0:
            raise ArgumentError("depth", expected="a whole number >= 0", got=str(self.depth))
        if self.reading not in ("exact", "local"):
            raise ArgumentError("reading", expected="'exact' or 'local'", got=repr(self.reading))


@dataclass(frozen=True)
class Row:
    """One line of a table: a layer with what it covers, or one operation."""

    anatomy: Anatomy
    at: int
    """The layer's index."""
    indent: int
    layers: tuple[int, ...]
    """The layers whose own parameters and operations count here."""
    operation: Operation | None
    reading: Reading

    @property
    def layer(self) -> Layer:
        """The layer itself, or the one that the operation ran in."""
        return self.anatomy.layers[self.at]

    @cached_property
    def operations(self) -> list[Operation]:
        """The operations that count here."""
        if self.operation is not None:
            return [self.operation]
        return [self.anatomy.operations[i] for at in self.layers for i in self.anatomy.layers[at].operations]

    @property
    def name(self) -> str:
        """The layer's own part of its path."""
        above = self.anatomy.layers[self.layer.parent].path if self.layer.parent is not None else ""
        stem = above.partition("#")[0]
        return self.layer.path.removeprefix(f"{stem}.") if stem else self.layer.path

    @property
    def type(self) -> str:
        """The class of the layer, or the operator."""
        return self.operation.name if self.operation else self.layer.type

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """What it returns."""
        return self.operation.outputs if self.operation else self.layer.output_shapes

    def parameters(self, kind: str = "parameters") -> int | None:
        """Parameters that count here, or the `"shared"`, `"frozen"`, .. ones; None for an operator."""
        if self.operation is not None:
            return None
        return sum(int(getattr(self.anatomy.layers[at], kind)) for at in self.layers)

    def cost(self, kind: str) -> int | None:
        """What the operations here cost together; None if one of them is not known."""
        each = [getattr(operation.cost, kind) for operation in self.operations]
        return None if None in each else sum(each)

    @property
    def memory(self) -> int | None:
        """Bytes of what it returns."""
        if self.operation is None:
            return self.layer.activations
        return self.operation.cost.written

    @property
    def saved(self) -> int | None:
        """Bytes kept for the backward pass by the operations that count here."""
        if self.operation is not None or self.layer.saved is None:
            return None
        covered = {child for child in self.layer.children if child in self.layers}
        apart = [
            self.anatomy.layers[child].saved or 0 for child in self.layer.children if child not in covered
        ]
        return self.layer.saved - sum(apart)

    @property
    def intensity(self) -> float | None:
        """Floating-point operations for each byte read or written; None if either is not known or zero."""
        flops, moved = self.cost("flops"), (self.cost("read") or 0) + (self.cost("written") or 0)
        return flops / moved if flops is not None and moved else None

    @property
    def share(self) -> float | None:
        """Its share of all multiply-accumulates."""
        own, all_of_them = self.cost("macs"), self.anatomy.macs
        return own / all_of_them if own is not None and all_of_them else None

    @cached_property
    def padding(self) -> float | None:
        """The largest share of taps that fall into padding among its windows; None if it has none."""
        if self.anatomy.graph is None:
            return None
        found = (self.anatomy.fields.padding(operation.index) for operation in self.operations)
        return max((one for one in found if one is not None), default=None)

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        """The receptive field of its first output, one for each axis of each input."""
        if self.operation is None:
            return fields_of(self.anatomy, self.at, reading=self.reading)
        made = self.made
        return self.anatomy.fields.of(*made, reading=self.reading) if made else ()

    @property
    def made(self) -> tuple[int, int] | None:
        """The operation that made its first output, and which of that operation's outputs it is."""
        if self.operation is not None:
            return (self.operation.index, 0) if self.operation.outputs and self.anatomy.graph else None
        return made_by(self.anatomy, self.at)


def made_by(anatomy: Anatomy, at: int, output: int = 0) -> tuple[int, int] | None:
    """The operation that made one output of a layer, and which of that operation's outputs it is."""
    made = anatomy.layers[at].outputs
    if anatomy.graph is None or len(made) <= output or made[output] < 0:
        return None
    values = anatomy.graph.calls[made[output]].outputs
    value = anatomy.graph.visits[at].outputs[output]  # a layer that was called has its visit's index
    return made[output], values.index(value) if value in values else 0


def fields_of(anatomy: Anatomy, at: int, output: int = 0, reading: Reading = "exact") -> tuple[Field, ...]:
    """The fields of one output of a layer, as the layer returned it; none if it computed nothing."""
    return anatomy.fields.returned(at, output, reading) if made_by(anatomy, at, output) else ()


def rows(anatomy: Anatomy, view: View) -> list[Row]:
    """The rows of a view in the order in which they ran."""
    if view.operations:
        return [Row(anatomy, one.layer, 0, (), one, view.reading) for one in anatomy.operations]
    return [
        Row(anatomy, at, indent, covered, None, view.reading)
        for at, indent, covered in _covers(anatomy, view.depth)
    ]


def _covers(anatomy: Anatomy, depth: int | None) -> Iterator[tuple[int, int, tuple[int, ...]]]:
    """Each layer that has a row, its indent, and the layers it stands for."""
    layers = anatomy.layers
    for at, layer in enumerate(layers):
        if depth is not None and layer.depth > depth and layer.called:
            continue
        folded = layer.called and depth is not None and layer.depth == depth
        own = bool(layer.parameters or layer.shared or any(_counts(anatomy, i) for i in layer.operations))
        if layer.depth == 0 and layer.children and not folded and not own:
            continue  # the title names the model, and it has nothing of its own
        yield at, max(0, layer.depth - 1), tuple(_below(anatomy, at)) if folded else (at,)


def _counts(anatomy: Anatomy, operation: int) -> bool:
    cost = anatomy.operations[operation].cost
    return cost.macs is None or cost.macs > 0


def _below(anatomy: Anatomy, at: int) -> Iterator[int]:
    yield at
    for child in anatomy.layers[at].children:
        yield from _below(anatomy, child)


def per_axis(fields: tuple[Field, ...], what: Literal["size", "jump", "start", "centre"]) -> str:
    """One number of the borderless field: axes joined by ×, equal ones said once; inputs by a comma."""
    inputs: dict[str, list[str]] = {}
    for one in fields:
        inputs.setdefault(one.input, []).append(_number(one, what))
    each = (texts[0] if len(set(texts)) == 1 else "×".join(texts) for texts in inputs.values())
    return ", ".join(each) or NONE


def _number(field: Field, what: Literal["size", "jump", "start", "centre"]) -> str:
    law = field.law
    if law.kind == "none":
        return NONE
    if law.kind == "periodic":
        if what == "size":
            return ("≤" if field.unsure else "") + "/".join(map(str, sorted(set(law.sizes))))
        number = getattr(law, what)
        if what == "jump" and number == 0:
            return NONE  # every unit sees the same
        return part(number) if what != "start" else str(number)
    if law.kind == "global":
        return "all" if what == "size" else NONE
    return UNKNOWN if law.kind == "unknown" else ("drift" if what in ("size", "jump") else NONE)
