"""What is known of a network: its operations, its layers, and what they sum to."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Unpack

from cnnatomy.anatomy.figures import Grouping, Layer, Memory, Operation, Total
from cnnatomy.anatomy.layer_search import find
from cnnatomy.anatomy.parts import Part
from cnnatomy.anatomy.present import Choice, View
from cnnatomy.anatomy.shapes import Shape

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

    from cnnatomy.anatomy.ask.advice import Advice
    from cnnatomy.anatomy.field import Fields
    from cnnatomy.anatomy.record.graph import Graph


@dataclass(frozen=True)
class Anatomy:
    """All that is known of a network on one input size; printed, it is a table.

    The forms of the table take what is chosen of it by name: `columns`, names in order of `path`, `type`,
    `output`, `parameters`, `macs`, `flops`, `memory`, `saved`, `field`, `jump`, `start`, `padding`,
    `intensity` and `share`; `depth`, the deepest level of modules that has rows of its own, what lies below
    being summed there; `sort`, a column to sort by, the largest first; `operations=True`, a row for every
    operator in place of every layer; `reading="local"`, receptive fields with reductions over a whole map
    set aside. They raise an `ArgumentError` where there is no such column, depth or reading.
    """

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
        from cnnatomy.anatomy.ask.advice import advise

        return advise(self)

    def __getitem__(self, path: str) -> Part:
        """The layer of that path, with its receptive field; the first call if it runs several times.

        Raises:
            ArgumentError: there is none; the nearest names are told.
        """
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
        return self.layers[find(path, [layer.path for layer in self.layers])]

    def show(self, **choice: Unpack[Choice]) -> RenderableType:
        """The table for rich to print, in the width that there is."""
        from cnnatomy.anatomy.present.terminal import Terminal

        return Terminal(self, View(**choice))

    def to_markdown(self, **choice: Unpack[Choice]) -> str:
        """The table in Markdown."""
        from cnnatomy.anatomy.present import texts

        return texts.markdown(self, View(**choice))

    def to_csv(self, **choice: Unpack[Choice]) -> str:
        """The rows as comma-separated values, numbers bare, every column if none is chosen, no total line."""
        from cnnatomy.anatomy.present import texts

        return texts.comma_separated(self, View(**choice))

    def to_html(self, **choice: Unpack[Choice]) -> str:
        """The table as one HTML element that carries its own style."""
        from cnnatomy.anatomy.present import texts

        return texts.element(self, View(**choice))

    def to_json(self) -> str:
        """Everything but the recorded pass as one JSON object, in the format of `docs/anatomy.md`."""
        from cnnatomy.anatomy.present import json_records

        return json_records.to_json(self)

    @staticmethod
    def from_json(text: str) -> Anatomy:
        """The anatomy that `to_json` wrote, equal to it.

        Raises:
            ArgumentError: the text is something else.
        """
        from cnnatomy.anatomy.present import json_records

        return json_records.from_json(text)

    def __rich__(self) -> RenderableType:
        return self.show()

    def __str__(self) -> str:
        return self.to_markdown()

    def _repr_html_(self) -> str:
        remarks = [] if self.graph is None else self.advice
        listed = "".join(f"<li>{escape(str(remark))}</li>" for remark in remarks)
        advice = f"<details open><summary>advice</summary><ul>{listed}</ul></details>" if listed else ""
        return self.to_html() + advice
