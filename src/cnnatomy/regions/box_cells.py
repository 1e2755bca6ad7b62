"""How boxes lie on a map: the cells that their bins read, and which boxes can be pooled together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

from cnnatomy.errors import ArgumentError
from cnnatomy.geometry.axis_table import clip, share
from cnnatomy.regions.bins import Bins

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Row: TypeAlias = tuple[float, ...]
"""(image, x1, y1, x2, y2), or with one or three coordinates instead of two."""


@dataclass(frozen=True)
class Fit:
    """A box on one axis: its bins as spans from its first cell on, and the empty ones on either side."""

    spans: tuple[tuple[int, int], ...]
    before: int
    after: int


@dataclass(frozen=True)
class Shape:
    """Boxes whose bins lie alike, seen from their first cells.

    Args:
        bins: the bins that read something, in a box cut out of its map.
        margins: what stands around those bins, last axis first: empty bins, and boxes that miss the map.
        places: the image and the first cell on every axis of each box, but for those that miss the map.
        numbers: which boxes these are.
    """

    bins: Bins
    margins: tuple[int, ...]
    places: tuple[tuple[int, ...], ...]
    numbers: tuple[int, ...]

    @staticmethod
    def of(fits: Sequence[Fit], places: Sequence[tuple[int, ...]], numbers: Sequence[int]) -> Shape:
        """The boxes that fit like this on every axis (.., y, x)."""
        empty = [bins for fit in reversed(fits) for bins in (fit.before, fit.after)]
        margins = (*empty, 0, 0, 0, len(numbers) - len(places))
        return Shape(Bins([fit.spans for fit in fits]), margins, tuple(places), tuple(numbers))

    def cells(self, size: tuple[int, ...], device: torch.device) -> Tensor:
        """The flat index in the batch of every cell of every box: (boxes, *sizes of a box)."""
        import torch

        boxes, rank = len(self.places), len(size)
        place = torch.tensor(self.places, dtype=torch.int64, device=device).view(boxes, 1 + rank)
        cells = place[:, 0].view(boxes, *(1,) * rank)
        for i, (n, spans) in enumerate(zip(size, self.bins.spans, strict=True)):
            across = place[:, 1 + i, None] + torch.arange(spans[-1][1], device=device)
            cells = cells * n + across.view(boxes, *(1,) * i, across.shape[1], *(1,) * (rank - 1 - i))
        return cells


def shapes(
    rows: Sequence[Row], scale: float, bins: tuple[int, ...], images: int, size: tuple[int, ...]
) -> list[Shape]:
    """Group boxes over maps of a size (.., y, x) by their shapes; at least one shape, if of no box.

    Raises:
        ArgumentError: a box lies in no image.
    """
    import torch

    place = _place.__wrapped__ if torch.compiler.is_compiling() else _place  # compilers warn of caches
    nothing = tuple(Fit(((0, 1),), -1, out) for out in bins)  # one bin, and that cut off
    found: dict[tuple[Fit, ...], tuple[list[tuple[int, ...]], list[int]]] = {}
    for number, (image, *corners) in enumerate(rows):
        if image >= images:
            expected = f"0 .. {images - 1}" if images else "no box, there are no images"
            raise ArgumentError(f"box {number} lies in no image", expected=expected, got=f"image {image}")
        first, last = (
            [_round(corner * scale) for corner in reversed(half)]
            for half in (corners[: len(size)], corners[len(size) :])
        )
        placed = [place(*axis) for axis in zip(first, last, bins, size, strict=True)]
        inside = [axis for axis in placed if axis]
        hits = len(inside) == len(placed)
        places, numbers = found.setdefault(tuple(fit for _, fit in inside) if hits else nothing, ([], []))
        numbers.append(number)
        if hits:
            places.append((int(image), *(cell for cell, _ in inside)))
    return [Shape.of(fits, *boxes) for fits, boxes in (found or {nothing: ([], [])}).items()]


@lru_cache(maxsize=4096)
def _place(start: int, end: int, bins: int, n: int) -> tuple[int, Fit] | None:
    """The first cell of a box on an axis and how its bins lie, or None if it misses the map."""
    cells = [share(o, bins, max(end - start + 1, 1)) for o in range(bins)]
    taps = [clip(start + bin.start, len(bin), 1, n) for bin in cells]
    full = [o for o, (_, count, _) in enumerate(taps) if count]
    if not full:
        return None
    first = taps[full[0]][0]
    spans = tuple((cell - first, cell - first + count) for cell, count, _ in taps if count)
    return first, Fit(spans, full[0], bins - 1 - full[-1])


def _round(number: float) -> int:
    """To the nearest whole number, halves away from zero."""
    whole = int(number)
    return whole + (abs(number - whole) >= 0.5) * (1 if number > 0 else -1)
