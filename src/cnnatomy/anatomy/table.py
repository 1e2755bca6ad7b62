"""Total: the rows of an anatomy, what they sum to, and whether they are all there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType

Shape = tuple[int, ...]


def sizes(shape: Shape) -> str:
    """A shape as people write it.

    Example:
        >>> sizes((1, 6, 28, 28))
        '1×6×28×28'
    """
    return "×".join(map(str, shape)) or "scalar"


@dataclass(frozen=True)
class Row:
    """One run of one layer, with the parameters the layer itself owns (its children have their own).

    Example:
        >>> Row("conv", "Conv2d", ((1, 6, 28, 28),), trainable=156).parameters
        156
    """

    path: str
    """Where it stands in the model; `path#call` when it runs several times; `""` for the model itself."""
    type: str
    """The name of the layer's class."""
    output_shapes: tuple[Shape, ...]
    """The shape of each tensor it returns, for a batch of one; empty when it was not called."""
    trainable: int = 0
    """Parameters that require a gradient."""
    frozen: int = 0
    """Parameters that do not."""
    shared: int = 0
    """Parameters used here that an earlier row has counted."""

    @property
    def parameters(self) -> int:
        """The parameters counted in this row, trainable and frozen."""
        return self.trainable + self.frozen


@dataclass(frozen=True)
class Table:
    """The layers of a model in the order they ran, and their totals; printed, it is a table.

    Example:
        >>> table = Table("Net", (1, 32, 32), (Row("conv", "Conv2d", ((1, 6, 28, 28),), trainable=156),))
        >>> table.parameters, table.complete
        (156, True)
    """

    model: str
    """The name of the model's class."""
    input_shape: Shape
    """The shape of one input, without the batch."""
    rows: Sequence[Row]
    output_shapes: tuple[Shape, ...] = ()
    """What the model returns, for a batch of one."""
    reason: str | None = None
    """Why the shapes are partial; None when every layer was measured."""
    notes: tuple[str, ...] = ()
    """What a reader of the table must know."""

    @property
    def complete(self) -> bool:
        """Whether the whole forward pass was measured."""
        return self.reason is None

    @property
    def trainable(self) -> int:
        """Sum of the trainable parameters of all rows."""
        return sum(row.trainable for row in self.rows)

    @property
    def frozen(self) -> int:
        """Sum of the frozen parameters of all rows."""
        return sum(row.frozen for row in self.rows)

    @property
    def parameters(self) -> int:
        """Sum of the parameters of all rows: the model's unique parameters."""
        return self.trainable + self.frozen

    def to_markdown(self) -> str:
        """The table in Markdown."""
        from cnnatomy.anatomy import present

        return present.markdown(self)

    def to_csv(self) -> str:
        """The rows as comma-separated values, numbers bare, one header line, no total line."""
        from cnnatomy.anatomy import present

        return present.csv_text(self)

    def to_json(self) -> str:
        """The table, its totals and whether it is complete, as a JSON object."""
        from cnnatomy.anatomy import present

        return present.json_text(self)

    def __rich__(self) -> RenderableType:
        from cnnatomy.anatomy import present

        return present.terminal(self)

    def __str__(self) -> str:
        return self.to_markdown()

    def _repr_html_(self) -> str:
        from cnnatomy.anatomy import present

        return present.html_text(self)
