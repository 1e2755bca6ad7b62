"""The patches of a data set that a unit of a layer likes most, cropped by its exact receptive field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cnnatomy import checks
from cnnatomy.anatomy.present.map_layout import borderless, layout, unit_at
from cnnatomy.errors import ArgumentError
from cnnatomy.explain.looks.layer_outputs import Network, batches, listening, module_of, returned

if TYPE_CHECKING:
    from cnnatomy.anatomy.field import Field

Box = tuple[range, range]
"""Rows and columns."""


@dataclass(frozen=True)
class Patch:
    """What one unit sees of one picture."""

    picture: int
    """The picture's place among those that were looked at."""
    at: tuple[int, ...]
    """The unit's place on the layer's map (y, x); none where the layer returns no map."""
    value: float
    """What the unit returned."""
    seen: Box
    """The rows and columns from the first to the last that the unit depends on."""
    field: Box
    """The same without the picture's border, so that it may begin below 0 or end beyond the picture."""

    def crop(self, picture: Tensor, margin: int = 0, fill: float = 0.0) -> Tensor:
        """The field of a picture (C, H, W), with `fill` beyond its border and `margin` more cells around.

        Example:
            >>> patch = Patch(0, (0, 0), 1.0, (range(0, 2), range(0, 2)), (range(-1, 2), range(-1, 2)))
            >>> patch.crop(torch.ones(1, 4, 4)).tolist()
            [[[0.0, 0.0, 0.0], [0.0, 1.0, 1.0], [0.0, 1.0, 1.0]]]
        """
        height, width = picture.shape[1:]
        (top, bottom), (left, right) = ((one.start - margin, one.stop + margin) for one in self.field)
        return F.pad(picture, (-left, right - width, -top, bottom - height), value=fill)


class Seeing:
    """What the units of one layer return and see.

    Args:
        net: any network.
        shape: (C, H, W) of its pictures.
        layer: the path of a layer.

    Raises:
        ArgumentError: there is no such layer, or it is not known what its units see.
    """

    def __init__(self, net: nn.Module, shape: Sequence[int], layer: str) -> None:
        from cnnatomy.anatomy import anatomy

        self.net, self.layer, self.shape = net, layer, tuple(shape)
        axes: tuple[Field, ...] = anatomy(net, self.shape)[layer].field.axes
        if len(axes) != 2:
            raise ArgumentError("patches are of pictures", expected="(C, H, W)", got=f"{len(axes)} axes")
        self.axes = axes

    @property
    def channels(self) -> int:
        """How many channels the layer returns."""
        return self.axes[0].shape[self._order[0]]

    @property
    def sizes(self) -> list[int]:
        """The sizes of its map; none where it returns no map."""
        return [n for dim, n in enumerate(self.axes[0].shape) if dim not in (0, self._order[0])]

    @cached_property
    def _order(self) -> tuple[int, int, int, int]:
        return layout(self.axes)

    def best(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The most of each channel in each picture (N, channels), and where, counted along the map."""
        values, places = [], []
        with listening(self.net, [self.layer]) as kept, torch.no_grad():
            for some in batches(x):
                returned(self.net, some)
                value, place = self._flat(kept[self.layer]).max(2)
                values.append(value)
                places.append(place)
        return torch.cat(values).cpu(), torch.cat(places).cpu()

    def _flat(self, output: Tensor) -> Tensor:
        """(N, channels, places); one place where the layer returns no map."""
        return output.movedim(self._order[0], 1).flatten(2) if output.dim() > 2 else output[..., None]

    def patch(self, picture: int, channel: int, value: float, place: int) -> Patch:
        """The patch of a unit, whose place is counted along the map."""
        at: list[int] = []
        for n in reversed(self.sizes):
            place, rest = divmod(place, n)
            at.insert(0, rest)
        unit = unit_at(self.axes, at, channel)
        seen = tuple(axis.interval(unit) for axis in self.axes)
        bounds = (borderless(axis, unit) for axis in self.axes)
        field = tuple(range(b[0], b[1] + 1) if b else one for b, one in zip(bounds, seen, strict=True))
        return Patch(picture, tuple(at), value, seen, field)  # type: ignore[arg-type]  # of two axes


def patches(net: Network, pictures: Tensor, layer: str, channel: int, *, count: int = 9) -> list[Patch]:
    """The patches that one channel of a layer likes most: of each picture the best one, the largest first.

    Args:
        net: any network from pictures to anything, or a run.
        pictures: (N, C, H, W) as the network reads them.
        layer: the path of a layer.
        channel: which of its channels.
        count: how many patches at most.

    Returns:
        The patches, each with its picture, its unit and the exact receptive field of that unit.

    Raises:
        ArgumentError: there is no such layer or channel, or it is not known what its units see.

    Example:
        >>> net = nn.Conv2d(1, 2, 3, stride=2, padding=1)
        >>> best = patches(nn.Sequential(net), torch.rand(5, 1, 8, 8), "0", 1, count=2)
        >>> len(best), best[0].value >= best[1].value, best[0].crop(torch.rand(1, 8, 8)).shape
        (2, True, torch.Size([1, 3, 3]))
    """
    return best_patches(Seeing(module_of(net), pictures.shape[1:], layer), pictures, [channel], count)[0]


def best_patches(seeing: Seeing, pictures: Tensor, channels: Sequence[int], count: int) -> list[list[Patch]]:
    """The same for several channels of a layer, in one pass over the pictures."""
    for channel in channels:
        checks.index("channel", channel, seeing.channels)
    checks.count("count", count)
    values, places = seeing.best(pictures)
    found = []
    for channel in channels:
        order = values[:, channel].argsort(descending=True, stable=True)[:count].tolist()
        found.append(
            [seeing.patch(i, channel, float(values[i, channel]), int(places[i, channel])) for i in order]
        )
    return found
