"""Bins written out: any ranges of cells on each axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from operator import index

from cnnatomy.errors import ArgumentError
from cnnatomy.geometry import AxisTable
from cnnatomy.regions.region import Axis, Region


@dataclass(frozen=True)
class Bins(Region):
    """A grid of bins given one by one: bin o of an axis reads cells start_o .. stop_o - 1.

    Bins may overlap, and may leave cells out. They come in order: neither starts nor stops go back.

    Args:
        spans: for each axis (.., y, x), the (start, stop) pair of every bin.

    Raises:
        ArgumentError: a span is empty or no pair of whole numbers, they are out of order, or the input is
            smaller than they say or has another number of axes.

    Example:
        >>> import torch, cnnatomy
        >>> x = torch.tensor([[[1.0, 5.0, 2.0, 4.0, 3.0]]])
        >>> cnnatomy.pool(x, "mean", Bins([[(0, 2), (1, 5)]]), rank=1)
        tensor([[[3.0000, 3.5000]]])
    """

    spans: Sequence[Sequence[tuple[int, int]]]

    def __post_init__(self) -> None:
        try:
            spans = tuple(tuple((index(start), index(stop)) for start, stop in axis) for axis in self.spans)
        except (TypeError, ValueError):
            raise _wrong(self.spans) from None
        if not spans or not all(map(_ordered, spans)):
            raise _wrong(self.spans)
        object.__setattr__(self, "spans", spans)
        super().__post_init__()

    def outputs(self, size: tuple[int, ...]) -> tuple[int, ...]:
        """The number of bins on every axis."""
        if len(size) != len(self.spans):
            what = "the bins have the wrong number of axes"
            raise ArgumentError(what, expected=str(len(size)), got=str(len(self.spans)))
        return tuple(map(len, self.spans))

    def axes(self, size: tuple[int, ...]) -> tuple[Axis, ...]:
        """The bins of every axis."""
        return _axes(self, size)


def _ordered(axis: tuple[tuple[int, int], ...]) -> bool:
    whole = all(type(cell) is int for span in axis for cell in span)
    if not axis or not whole or not all(0 <= start < stop for start, stop in axis):
        return False
    return all(start <= later and stop <= end for (start, stop), (later, end) in pairwise(axis))


def _wrong(spans: object) -> ArgumentError:
    expected = "(start, stop) pairs for each axis, 0 <= start < stop, in order"
    hint = f"Adaptive({spans}), for even bins" if isinstance(spans, int) else None
    return ArgumentError("these are no bins", expected=expected, got=repr(spans), hint=hint)


@lru_cache(maxsize=1024)
def _axes(region: Bins, size: tuple[int, ...]) -> tuple[Axis, ...]:
    region.outputs(size)
    tables = []
    for n, spans in zip(size, region.spans, strict=True):
        start, count = zip(*((start, stop - start) for start, stop in spans), strict=True)
        tables.append(AxisTable(n, start, count))
    return tuple(map(Axis.of, tables))
