"""One layer of an anatomy as an object of its own: its figures, and what its units see."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Any

from cnnatomy.errors import ArgumentError

if TYPE_CHECKING:
    from cnnatomy.anatomy.field import Field
    from cnnatomy.anatomy.figures import Layer
    from cnnatomy.anatomy.result import Anatomy


@dataclass(frozen=True)
class Part:
    """A layer of a network: every figure of its `Layer`, and its receptive field.

    Example:
        >>> import cnnatomy as ca
        >>> c3 = ca.anatomy("lenet5")["c3"]
        >>> c3.type, c3.output_shapes, c3.parameters
        ('ConnectedConv2d', ((1, 16, 10, 10),), 1516)
        >>> c3.field.size, c3.field.stride, c3.field.at(0, 9)
        ((14, 14), (2, 2), (range(0, 14), range(18, 32)))
    """

    layer: Layer
    index: int
    """Its place among the anatomy's layers."""
    whole: Anatomy

    def __getattr__(self, name: str) -> Any:
        if name == "layer" or name.startswith("__"):  # a copy is asked for them before it has a layer
            raise AttributeError(name)
        return getattr(self.layer, name)

    @cached_property
    def field(self) -> UnitField:
        """What the units of its first output see of the first input.

        Raises:
            ArgumentError: it computed nothing, or the anatomy was read from a file.
        """
        from cnnatomy.anatomy.present.rows import fields_of

        if self.whole.graph is None:
            raise ArgumentError(
                "an anatomy read from a file has no fields", hint="anatomy(model, input_size)"
            )
        found = fields_of(self.whole, self.index)
        first = [one for one in found if one.input == found[0].input] if found else []
        if not first:
            raise ArgumentError(f"layer {self.layer.path!r} has no receptive field")
        return UnitField(tuple(first))

    def __repr__(self) -> str:
        layer = self.layer
        made = ", ".join("×".join(map(str, shape[1:])) for shape in layer.output_shapes)
        macs = "MACs not known" if layer.macs is None else f"{layer.macs:,} MACs"
        return (
            f"{layer.path or self.whole.model} {layer.type}: {made}; {layer.parameters:,} parameters, {macs}"
        )


@dataclass(frozen=True)
class UnitField:
    """What the units of one tensor see of one input, axis by axis (.., y, x)."""

    axes: tuple[Field, ...]

    @property
    def size(self) -> tuple[int | None, ...]:
        """Cells that a unit sees away from the borders; None where units see unlike numbers of cells."""
        return tuple(axis.law.size for axis in self.axes)

    @property
    def stride(self) -> tuple[int | Fraction | None, ...]:
        """Cells from what one unit sees to what the next sees; None where the steps differ."""
        return tuple(_plain(axis.law.jump) for axis in self.axes)

    def at(self, *unit: int) -> tuple[range, ...]:
        """The cells from the first to the last that a unit sees, clipped to the input.

        Args:
            unit: its place on the map, (.., y, x); or an index into the whole tensor, batch and channel too.

        Raises:
            ArgumentError: there is no such unit.
        """
        rank = len(self.axes[0].shape)
        index = unit if len(unit) == rank else (0,) * (rank - len(unit)) + unit
        return tuple(axis.interval(index) for axis in self.axes)

    def __repr__(self) -> str:
        size, stride = (
            "×".join("?" if n is None else str(n) for n in part) for part in (self.size, self.stride)
        )
        return f"a unit sees {size} cells, the next {stride} further"


def _plain(jump: Fraction | None) -> int | Fraction | None:
    return int(jump) if jump is not None and jump.denominator == 1 else jump
