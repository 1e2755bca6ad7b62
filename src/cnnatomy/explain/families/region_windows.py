"""The windows of any region, found by pooling the numbers of the cells themselves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from cnnatomy.geometry import AxisTable
from cnnatomy.regions import Axis, Composite, Region


@dataclass(frozen=True)
class Part:
    """One simple region, and the map that it was laid over.

    Args:
        cells: (N, 1, *spatial), the number in x of the cell that stands at each place, counted from 1; 0 is
            a place that shows no cell.
        axes: the region's own.
        first: the number of its first window, counted from 1.
    """

    cells: Tensor
    axes: tuple[Axis, ...]
    first: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Of its outputs: images, then the axes."""
        return len(self.cells), *(axis.outputs for axis in self.axes)


@dataclass(frozen=True)
class Windows:
    """Every window of a region; `numbers` says which each output of a single channel is, 0 for none."""

    numbers: Tensor
    parts: Sequence[Part]

    @staticmethod
    def of(region: Region, cells: Tensor) -> Windows:
        """The windows of a region over a map of numbered cells (N, 1, *spatial)."""
        parts: list[Part] = []

        def pool(joined: Tensor, one: Region) -> tuple[Tensor, None]:
            axes = one.axes(tuple(joined.shape[2:]))
            part = Part(joined, axes, 1 + sum(math.prod(earlier.shape) for earlier in parts))
            parts.append(part)
            made = torch.arange(part.first, part.first + math.prod(part.shape), dtype=torch.float64)
            return made.view(len(joined), 1, *part.shape[1:]), None

        composed = region.compose(cells, pool) if isinstance(region, Composite) else pool(cells, region)
        return Windows(composed[0].long(), parts)

    def part_of(self, numbers: Tensor) -> Tensor:
        """Which part each window is of; -1 for no window."""
        firsts = torch.tensor([part.first for part in self.parts])
        return torch.where(numbers > 0, torch.searchsorted(firsts, numbers, right=True) - 1, -1)


@dataclass(frozen=True)
class Taps:
    """The taps of some windows: their cells, counted from 1 as in `Part`, and where they lie.

    Args:
        cells: (O, T); 0 shows no cell.
        inside: (O, T), whether there is such a tap.
        part: (O,), and `place` (O, axes), and `image` (O,) within the part.
    """

    cells: Tensor
    inside: Tensor
    part: Tensor
    place: Tensor
    image: Tensor

    @staticmethod
    def of(windows: Windows, numbers: Tensor) -> Taps:
        """Of the windows with these numbers (O,)."""
        part = windows.part_of(numbers)
        rank = len(windows.parts[0].axes)
        most = max(math.prod(axis.taps for axis in one.axes) for one in windows.parts)
        cells = torch.zeros(len(numbers), most, dtype=torch.int64)
        inside = torch.zeros(len(numbers), most, dtype=torch.bool)
        place = torch.zeros(len(numbers), rank, dtype=torch.int64)
        image = torch.zeros(len(numbers), dtype=torch.int64)
        for number, one in enumerate(windows.parts):
            mine = (part == number).nonzero().squeeze(1)
            if not len(mine):
                continue
            image[mine], *places = torch.unravel_index(numbers[mine] - one.first, one.shape)
            place[mine] = torch.stack(places, 1)
            at, here = joined(one.axes, place[mine])
            taken = one.cells.reshape(len(one.cells), -1)[image[mine, None], at].long()
            cells[mine, : at.shape[1]] = torch.where(here, taken, 0)
            inside[mine, : at.shape[1]] = here
        return Taps(cells, inside, part, place, image)


def joined(axes: Sequence[Axis], place: Tensor) -> tuple[Tensor, Tensor]:
    """The flat cells (O, T) of the outputs at these places (O, axes), and which taps lie inside."""
    cells = torch.zeros(len(place), 1, dtype=torch.int64)
    inside = torch.ones(len(place), 1, dtype=torch.bool)
    for i, axis in enumerate(axes):
        at, here = along(axis.table, axis.taps)
        at, here = at[place[:, i]], here[place[:, i]]
        cells = (cells.unsqueeze(2) * axis.size + at.unsqueeze(1)).flatten(1)
        inside = (inside.unsqueeze(2) & here.unsqueeze(1)).flatten(1)
    return torch.where(inside, cells, 0), inside


def along(table: AxisTable, taps: int) -> tuple[Tensor, Tensor]:
    """The cell of every tap of an axis (outputs, taps), and whether there is one."""
    start, skip, number = (torch.tensor(column)[:, None] for column in (table.start, table.skip, table.count))
    tap = torch.arange(taps) - skip
    inside = (tap >= 0) & (tap < number)
    return torch.where(inside, start + tap * table.step, 0), inside


def facts(axis: Axis, rule: str) -> dict[str, Any]:
    """What a record says of an axis."""
    n, table = axis.size, axis.table
    padding = axis.window.padding if axis.window else (0, 0)
    least, most = min(table.count, default=0), max(table.count, default=0)
    cells = f"{least}" if least == most else f"{least} to {most}"
    return {
        "size": n,
        "outputs": axis.outputs,
        "rule": rule,
        "sentence": axis.window.explain(n) if axis.window else f"{axis.outputs} windows of {cells} cells",
        "origin": [axis.origin(o) for o in range(axis.outputs)],
        "step": axis.step,
        "taps": axis.taps,
        "padding": list(padding),
        "unread": [[cells[0], cells[-1]] for cells in table.unread()],
    }


def divisor(factors: Sequence[Sequence[float]], place: Tensor, dtype: torch.dtype) -> Tensor:
    """The product of every axis's factor at the outputs' places, (O,)."""
    each = [torch.tensor(row, dtype=dtype)[place[:, i]] for i, row in enumerate(factors)]
    return reduce(torch.mul, each)


def mine(region: Region, channels: int, of: Mapping[str, int], x: Tensor) -> Tensor | None:
    """Which outputs of an image are those of a channel, where a region lays all of them in one row."""
    if not isinstance(region, Composite):
        return None

    def pool(joined: Tensor, one: Region) -> tuple[Tensor, None]:
        out = one.outputs(tuple(joined.shape[2:]))
        owners = torch.arange(1.0, channels + 1, dtype=torch.float64).view(1, -1, *(1,) * len(out))
        return owners.expand(len(joined), -1, *out), None

    owners = region.compose(torch.zeros(len(x), 1, *x.shape[2:], dtype=torch.float64), pool)[0]
    return (owners[of["image"]] == of["channel"] + 1) if owners.dim() == 2 else None
