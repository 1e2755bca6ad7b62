"""Boxes of interest: a grid of bins over each of many parts of the map."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import index
from typing import TYPE_CHECKING, ClassVar, cast

from cnnatomy.errors import ArgumentError
from cnnatomy.geometry import per_axis
from cnnatomy.regions.box_cells import Row, shapes
from cnnatomy.regions.composite_regions import Composite, PoolOver

if TYPE_CHECKING:
    from torch import Tensor

_SHOWN = 4


@dataclass(frozen=True, repr=False)
class Boxes(Composite):
    """A grid of bins over every box (region-of-interest pooling): y[k, c, o] pools bin o of box k.

    The rule is torchvision's. A box's corners are scaled to cells and rounded, halves away from zero; it
    holds the cells from corner to corner, both counted, and at least one. Bin b of B over e cells reads cells
    floor(b e / B) .. ceil((b + 1) e / B) - 1 of the box, as in `Adaptive`. What lies outside the map is
    dropped, and a bin that is left with nothing gives 0, whatever the reducer, and has the index -1.

    Here corners are scaled in float64 and bins divided in whole numbers. torchvision computes both in the
    boxes' dtype: in float32 its bins may reach a cell further, and a corner may round the other way where
    the scale is no power of two.

    The result is (K, C, *size), box by box; winners keep their flat indices in the map of the box's image.
    Boxes of the same shape are pooled together. In a compiled or exported graph boxes are constants, and the
    size of the map is fixed.

    Source: Girshick, "Fast R-CNN", ICCV 2015; torchvision.ops.roi_pool.

    Args:
        boxes: a tensor (K, 5), or rows: (image, x1, y1, x2, y2). In one dimension (image, x1, x2), in three
            (image, x1, y1, z1, x2, y2, z2).
        output_size: bins of every box, an int for all axes or one per axis (.., y, x).
        spatial_scale: cells per unit of the coordinates, such as 1/16 of pictures 16 times the map's size.

    Raises:
        ArgumentError: a row has another length, an image is no whole number or not in the batch, a coordinate
            or the scale is not finite, or the input has another number of axes.

    Example:
        >>> import torch, cnnatomy
        >>> x = torch.arange(36.0).view(1, 1, 6, 6)
        >>> cnnatomy.pool(x, "max", Boxes([(0, 1, 1, 4, 2), (0, 5, 5, 9, 9)], (1, 2)))
        tensor([[[[14., 16.]]],
        <BLANKLINE>
        <BLANKLINE>
                [[[35.,  0.]]]])
    """

    keeps_batch: ClassVar[bool] = False

    boxes: Sequence[Sequence[float]] | Tensor
    output_size: int | Sequence[int]
    spatial_scale: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "boxes", _rows(self.boxes))
        size = tuple(self.output_size) if isinstance(self.output_size, Sequence) else self.output_size
        object.__setattr__(self, "output_size", size)
        per_axis(size, len(size) if isinstance(size, tuple) else 1, "output_size")
        if (
            isinstance(self.spatial_scale, bool)
            or not isinstance(self.spatial_scale, int | float)
            or not 0 < self.spatial_scale < math.inf
        ):
            expected = "a positive finite number"
            raise ArgumentError(
                "nothing can be scaled by this", expected=expected, got=repr(self.spatial_scale)
            )
        super().__post_init__()

    def __repr__(self) -> str:
        if len(self.boxes) <= _SHOWN:
            return self.text
        settings = f"output_size={self.output_size}, spatial_scale={self.spatial_scale}"
        return f"Boxes(boxes=<{len(self.boxes)} boxes>, {settings})"

    @property
    def rows(self) -> tuple[Row, ...]:
        """The boxes as rows of numbers."""
        return cast("tuple[Row, ...]", self.boxes)

    def entries(self) -> Iterable[object]:
        """A box's first corner, and the bins."""
        return (*(row[1::2] for row in self.rows[:1]), self.output_size)

    def outputs(self, size: tuple[int, ...]) -> tuple[int, ...]:
        """The bins of every box."""
        for row in self.rows[:1]:
            if len(row) != 1 + 2 * len(size):
                expected = f"{1 + 2 * len(size)} numbers a box"
                raise ArgumentError(
                    "the boxes have the wrong number of axes", expected=expected, got=str(len(row))
                )
        return per_axis(self.output_size, len(size), "output_size")

    def compose(self, x: Tensor, pool: PoolOver) -> tuple[Tensor, Tensor | None]:
        """Boxes of one shape are cut out and pooled together."""
        import torch
        from torch.nn import functional as F

        size = tuple(map(index, x.shape[2:]))  # no symbols: in a graph, boxes fix the size of the map
        alike = shapes(self.rows, self.spatial_scale, self.outputs(size), x.shape[0], size)
        cells = [shape.cells(size, x.device) for shape in alike]
        rows = x.movedim(1, -1).flatten(0, -2).index_select(0, torch.cat([c.flatten() for c in cells]))
        parts = torch.split(rows, [c.numel() for c in cells])
        pooled: list[Tensor] = []
        winners: list[Tensor] = []
        for shape, where, part in zip(alike, cells, parts, strict=True):
            cut = part.view(*where.shape, x.shape[1]).movedim(-1, 1)
            y, indices = pool(cut, shape.bins)
            pooled.append(F.pad(y, shape.margins))
            if indices is not None:
                winners.append(F.pad(_lookup(indices, where % math.prod(size)), shape.margins, value=-1))
        numbers = [number for shape in alike for number in shape.numbers]
        order = torch.tensor(numbers, dtype=torch.int64, device=x.device).argsort()
        y = _laid_out(torch.cat(pooled).index_select(0, order), x)
        return y, torch.cat(winners).index_select(0, order) if winners else None


def _rows(boxes: Sequence[Sequence[float]] | Tensor) -> tuple[Row, ...]:
    try:
        rows: Sequence[Sequence[float]] = boxes if isinstance(boxes, Sequence) else boxes.tolist()
        made = tuple(tuple(map(float, row)) for row in rows)
    except (AttributeError, TypeError, ValueError):
        made = ((),)
    for row in made:
        if len(row) not in (3, 5, 7) or len(row) != len(made[0]):
            expected = "rows of (image, x1, y1, x2, y2), or with one or three coordinates instead of two"
            raise ArgumentError("these are no boxes", expected=expected, got=repr(row if row else boxes))
        if not all(map(math.isfinite, row)) or row[0] < 0 or not row[0].is_integer():
            expected = "the number of an image, and finite coordinates"
            raise ArgumentError("this is no box", expected=expected, got=repr(row))
    return tuple((int(image), *corners) for image, *corners in made)


def _lookup(winners: Tensor, cells: Tensor) -> Tensor:
    """The cells that flat indices in a box stand for."""
    import torch

    found = cells.flatten(1).gather(1, winners.clamp(min=0).flatten(1)).view(winners.shape)
    return torch.where(winners < 0, -1, found)


def _laid_out(y: Tensor, x: Tensor) -> Tensor:
    """y in the memory format of x, said in axes: inside of vmap no format has a name."""
    if x.dim() > 3 and not x.is_contiguous() and x.movedim(1, -1).is_contiguous():
        return y.movedim(1, -1).contiguous().movedim(-1, 1)
    return y.contiguous()
