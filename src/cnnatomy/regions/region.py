"""What a region is: for each axis, which inputs each output reads."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, ClassVar

from cnnatomy import spec
from cnnatomy.geometry import AxisTable, Window


@dataclass(frozen=True)
class Axis:
    """One axis of a region over an input of known size: a regular window, or any table of taps.

    Args:
        size: cells of the input.
        window: the regular window, if it is one.
        given: the table, if it is not. A window's table is made when asked for: long inputs have long ones.
    """

    size: int
    window: Window | None = None
    given: AxisTable | None = None

    @staticmethod
    def of(table: AxisTable) -> Axis:
        """An axis of any table."""
        return Axis(table.size, None, table)

    @cached_property
    def table(self) -> AxisTable:
        """The taps of every output."""
        return self.window.table(self.size) if self.window else self._table

    @property
    def _table(self) -> AxisTable:
        assert self.given is not None, "an axis has a window or a table"
        return self.given

    @cached_property
    def divisors(self) -> tuple[int, ...]:
        """For every output, the taps in the input and its padding: what `count_include_pad` counts."""
        return self.window.padded_counts(self.size) if self.window else self._table.count

    @property
    def outputs(self) -> int:
        """How many outputs there are."""
        return self.window.output_size(self.size) if self.window else self._table.outputs

    @property
    def taps(self) -> int:
        """The largest number of taps of any output, those in the padding included."""
        return self.window.kernel if self.window else max(self._table.count)

    @property
    def step(self) -> int:
        """The distance between neighbouring taps."""
        return self.window.dilation if self.window else self._table.step

    def origin(self, o: int) -> int:
        """The cell of output o's tap 0, which may lie in the padding."""
        if self.window:
            return o * self.window.stride - self.window.padding[0]
        return self._table.origin(o)

    def readers(self, i: int) -> range:
        """The outputs that read cell i."""
        return self.window.readers(i, self.size) if self.window else self._table.cover().readers(i)


class Region(metaclass=spec.Family):
    """Where a pooling reads: frozen, hashable, and printed as the call that makes it.

    The printed form is also how a region travels through a compiled or exported graph:

    >>> from cnnatomy.regions import Sliding
    >>> region = Sliding(3, stride=2, padding="same")
    >>> Region.parse(repr(region)) == region
    True
    """

    kinds: ClassVar[dict[str, type[Region]]] = {}
    keeps_batch: ClassVar[bool] = True  # whether results are those of images, one for each
    composite: ClassVar[bool] = False  # whether it is made of other regions
    if TYPE_CHECKING:
        text: str
        """The printed form, made once so that compilers see a constant."""
        rank: int | None
        """The number of spatial axes that its entries say; None if any number will do."""

    def __init_subclass__(cls, abstract: bool = False) -> None:
        if not abstract:
            Region.kinds[cls.__name__] = cls

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", spec.text(self))
        each = (len(entry) for entry in self.entries() if isinstance(entry, tuple))
        object.__setattr__(self, "rank", next(each, None))

    def entries(self) -> Iterable[object]:
        """Every setting that may be a tuple with one entry for each spatial axis."""
        return (getattr(self, field.name) for field in fields(self))  # type: ignore[arg-type]

    @abstractmethod
    def outputs(self, size: tuple[int, ...]) -> tuple[int, ...]:
        """The output's spatial sizes for the input's; symbolic sizes give symbolic sizes.

        Raises:
            ArgumentError: the region does not fit the input.
        """

    @abstractmethod
    def axes(self, size: tuple[int, ...]) -> tuple[Axis, ...]:
        """The tables of every axis (.., y, x) for the input's spatial sizes."""

    def most_taps(self, rank: int) -> int | None:
        """The number of taps of a whole window, if it does not depend on the input's size."""
        return None

    @staticmethod
    def parse(text: str) -> Region:
        """Read a region back from its printed form.

        Raises:
            ArgumentError: the text is no region.
        """
        return _parse(text)


@lru_cache(maxsize=1024)
def _parse(text: str) -> Region:
    return spec.parse(text, Region.kinds, "region")
