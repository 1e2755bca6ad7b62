"""What a region is: for each axis, which inputs each output reads."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

from cnnatomy import spec
from cnnatomy.geometry import AxisTable, Window


@dataclass(frozen=True)
class Axis:
    """One axis of a region over an input of known size.

    Args:
        table: the taps of every output.
        divisors: for every output, the taps in the input and its padding (what `count_include_pad` counts).
        window: the regular window the table comes from, if there is one.
    """

    table: AxisTable
    divisors: tuple[int, ...]
    window: Window | None = None

    @property
    def taps(self) -> int:
        """The largest number of taps of any output, those in the padding included."""
        if self.window is not None:
            return self.window.kernel
        return max(self.table.count)


class Region(ABC):
    """Where a pooling reads: frozen, hashable, and printed as the call that makes it.

    The printed form is also how a region travels through a compiled or exported graph:

    >>> from cnnatomy.regions import Sliding
    >>> region = Sliding(3, stride=2, padding="same")
    >>> Region.parse(repr(region)) == region
    True
    """

    kinds: ClassVar[dict[str, type[Region]]] = {}
    if TYPE_CHECKING:
        text: str
        """The printed form, made once so that compilers see a constant."""

    def __init_subclass__(cls) -> None:
        Region.kinds[cls.__name__] = cls

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", spec.text(self))

    @abstractmethod
    def output_size(self, size: tuple[int, ...]) -> tuple[int, ...]:
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
