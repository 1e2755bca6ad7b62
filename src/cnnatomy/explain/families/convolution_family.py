"""Convolution: each output the sum of its taps in all channels it reads, times weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cnnatomy.explain.families import linear_family, region_windows
from cnnatomy.explain.families.pooling_family import At
from cnnatomy.explain.plane_layout import ABSENT, FILL, Call, Laid, Reads, cropped, leading, plane
from cnnatomy.geometry import Window
from cnnatomy.ops.padding import pad
from cnnatomy.regions import Axis

FORMULA = "bias[o] + sum_i sum_j weight[o, i, j] x[i, s t - lo + d j]"
TRANSPOSED = "bias[o] + sum_i sum of weight[i, o, j] x[i, u] over s u - lo + d j = t"


@dataclass(frozen=True)
class Wiring:
    """Which input channels an output channel reads, and where its weights are.

    Args:
        outputs: how many output channels there are.
        channels: those that the output channel at hand reads.
        rows: for each of them the row of the weight, seen as (rows, *kernel).
    """

    outputs: int
    channels: tuple[int, ...]
    rows: tuple[int, ...]

    @staticmethod
    def grouped(inputs: int, outputs: int, groups: int, channel: int, transposed: bool = False) -> Wiring:
        """Of torch's weight (outputs, inputs / groups, *kernel), or (inputs, outputs / groups, *kernel)."""
        wide, made = inputs // groups, outputs // groups
        group, own = divmod(channel, made)
        channels = tuple(range(group * wide, (group + 1) * wide))
        if transposed:
            return Wiring(outputs, channels, tuple(i * made + own for i in channels))
        return Wiring(outputs, channels, tuple(channel * wide + k for k in range(wide)))

    @staticmethod
    def connected(
        places: Tensor, inputs: int, outputs: int, channel: int, transposed: bool = False
    ) -> Wiring:
        """Of a weight with a row for each connection, at its place among all pairs of channels."""
        pairs = [divmod(place, outputs if transposed else inputs) for place in places.tolist()]
        turned = [(b, a) if transposed else (a, b) for a, b in pairs]
        own = [(i, row) for row, (o, i) in enumerate(turned) if o == channel]
        return Wiring(outputs, tuple(i for i, _ in own), tuple(row for _, row in own))


@dataclass(frozen=True)
class Convolving:
    """A convolution as it is called.

    Args:
        call: of x (N, C, *spatial), weight and, if there is one, bias.
        wired: the wiring of an output channel.
        outputs: output channels.
        windows: the window of every axis.
        mode: what is in the padding: `"constant"`, zeros, or a mode that repeats cells.
        block: cells of the output that come of one place, if channels become cells (sub-pixel).
        fixed: whether the weights are no parameters, so that they have no gradient.
    """

    call: Call
    wired: Any
    outputs: int
    windows: tuple[Window, ...]
    mode: str = "constant"
    block: tuple[int, ...] = ()
    fixed: bool = False

    def laid(self, at: At) -> Laid:
        """The plane that an output is on."""
        x = self.call.inputs["x"]
        size, blocks = tuple(x.shape[2:]), self.block or (1,) * len(self.windows)
        many = math.prod(blocks)
        image, channel, place = at
        of = leading((image, channel), (len(x), self.outputs // many))
        wirings: list[Wiring] = [self.wired(channel * many + k) for k in range(many)]
        axes = [Axis(n, window) for n, window in zip(size, self.windows, strict=True)]
        whole = tuple(axis.outputs * s for axis, s in zip(axes, blocks, strict=True))
        kernel = math.prod(axis.taps for axis in axes)
        channels = tuple(sorted({i for wiring in wirings for i in wiring.channels}))
        first = (0,) * len(whole) if place is None else place
        most = max(len(wiring.channels) for wiring in wirings) * kernel
        which = plane(of, whole, first, most, lambda y: y[image, channel])
        spread = linear_family.places(whole, which.numbers)
        steps = torch.tensor(blocks)
        phase = torch.zeros(len(spread), dtype=torch.int64)
        for i, s in enumerate(blocks):
            phase = phase * s + spread[:, i] % s
        places = spread // steps
        at_cell, inside, copied = self._cells(axes, places, size)
        cells, rows = self._through(wirings, channels, phase, at_cell, inside, math.prod(size))
        number = torch.arange(kernel).repeat(most // kernel).expand(cells.shape)

        def show(whole_x: Tensor) -> Tensor:
            return whole_x[image, list(channels)]

        facts = [region_windows.facts(axis, str(self.windows[i])) for i, axis in enumerate(axes)]
        reads = Reads(
            channels,
            show,
            cells,
            number,
            [facts],
            torch.zeros(len(cells), dtype=torch.int64),
            places,
            None if copied is None else copied.repeat(1, most // kernel),
        )
        kept = sorted({row for wiring in wirings for row in wiring.rows})
        law = self._law(reads.cells, rows, kept, channel * many + phase)
        return Laid("convolve", self.call, which, cropped(reads, size), law)

    def _cells(
        self, axes: list[Axis], places: Tensor, size: tuple[int, ...]
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """The cell of every tap of one channel (O, K), whether it shows one, and whether that is a copy."""
        if self.mode == "constant":
            return *region_windows.joined(axes, places), None
        widths = [window.padding for window in self.windows]
        cells = torch.arange(math.prod(size), dtype=torch.float64).view(1, 1, *size)
        wider = pad(cells, widths, self.mode).long().reshape(-1)
        own = pad(torch.ones(1, 1, *size), widths, "constant").bool().reshape(-1)
        sizes = [n + sum(pair) for n, pair in zip(size, widths, strict=True)]
        free = [
            Axis(n, Window(w.kernel, w.stride, (0, 0), w.dilation))
            for n, w in zip(sizes, self.windows, strict=True)
        ]
        at, inside = region_windows.joined(free, places)
        return wider[at], inside, ~own[at]

    def _through(
        self,
        wirings: list[Wiring],
        channels: tuple[int, ...],
        phase: Tensor,
        at: Tensor,
        inside: Tensor,
        count: int,
    ) -> tuple[Tensor, Tensor]:
        """Cells and rows of weights (O, T) of all channels: the taps channel by channel."""
        most = max(len(wiring.channels) for wiring in wirings)
        offset = torch.full((len(wirings), most), ABSENT)
        row = torch.zeros(len(wirings), most, dtype=torch.int64)
        for k, wiring in enumerate(wirings):
            offset[k, : len(wiring.channels)] = torch.tensor([channels.index(i) for i in wiring.channels])
            row[k, : len(wiring.rows)] = torch.tensor(wiring.rows)
        lift = offset[phase][:, :, None]
        there = torch.where(inside, at, FILL)[:, None]
        cells = torch.where(lift < 0, ABSENT, torch.where(there < 0, FILL, there + lift * count))
        return cells.flatten(1), row[phase][:, :, None].expand(cells.shape).flatten(1)

    def _law(self, cells: Tensor, rows: Tensor, kept: list[int], owner: Tensor) -> Any:
        rank = len(self.windows)
        weight, wide = self.call.inputs["weight"], self.call.wide
        kernel = math.prod(weight.shape[-rank:])

        def part(whole: Tensor) -> Tensor:
            return whole.reshape(-1, *weight.shape[-rank:])[kept]

        lookup = torch.zeros(max(kept) + 1, dtype=torch.int64)
        lookup[kept] = torch.arange(len(kept))
        which = lookup[rows] * kernel + torch.arange(kernel).repeat(rows.shape[1] // kernel)
        factors = part(weight.detach()).reshape(-1).to(wide)[which]
        bias = self.call.inputs["bias"].detach().to(wide)[owner] if "bias" in self.call.inputs else None
        more: dict[str, Any] = {} if self.fixed else {"weight": "weight", "part": part, "which": which}
        return linear_family.summing(FORMULA, cells, factors, bias, **more)


@dataclass(frozen=True)
class Transposing:
    """The transpose of a convolution as it is called.

    Args:
        call, wired, outputs: as in `Convolving`.
        windows: those of the convolution that this one transposes.
        size: the output's spatial sizes.
    """

    call: Call
    wired: Any
    outputs: int
    windows: tuple[Window, ...]
    size: tuple[int, ...]

    def laid(self, at: At) -> Laid:
        """The plane that an output is on."""
        x = self.call.inputs["x"]
        image, channel, place = at
        of = leading((image, channel), (len(x), self.outputs))
        wiring: Wiring = self.wired(channel)
        inner = tuple(x.shape[2:])
        window, tap = self._readers(inner)
        most = window.shape[1] * len(wiring.channels)
        which = plane(
            of, self.size, (0,) * len(inner) if place is None else place, most, lambda y: y[image, channel]
        )
        window, tap = window[which.numbers], tap[which.numbers]
        lift = torch.arange(len(wiring.channels))[:, None] * math.prod(inner)
        cells = torch.where(window[:, None] < 0, ABSENT, window[:, None] + lift).flatten(1)
        number = tap.clamp(min=0).repeat(1, len(wiring.channels))
        kernel = math.prod(w.kernel for w in self.windows)
        index = torch.arange(len(wiring.channels))[:, None] * kernel + tap.clamp(min=0)[:, None]
        index = index.flatten(1)
        weight, wide = self.call.inputs["weight"], self.call.wide

        def part(whole: Tensor) -> Tensor:
            return whole.reshape(-1, *weight.shape[-len(inner) :])[list(wiring.rows)]

        def show(whole_x: Tensor) -> Tensor:
            return whole_x[image, list(wiring.channels)]

        factors = part(weight.detach()).reshape(-1).to(wide)[index]
        bias = (
            self.call.inputs["bias"].detach().to(wide)[channel].expand(len(cells))
            if "bias" in self.call.inputs
            else None
        )
        law = linear_family.summing(TRANSPOSED, cells, factors, bias, weight="weight", part=part, which=index)
        sentences = [
            f"({n} - 1)·{w.stride} - {w.padding[0]} - {w.padding[1]} + {w.extent} = {w.transposed_size(n)}"
            + (f", and {m - w.transposed_size(n)} more" if m > w.transposed_size(n) else "")
            for n, m, w in zip(inner, self.size, self.windows, strict=True)
        ]
        facts = linear_family.moved(list(zip(inner, self.size, sentences, strict=True)), str(self.windows))
        zeros = torch.zeros(len(cells), dtype=torch.int64)
        reads = Reads(
            wiring.channels,
            show,
            cells,
            number,
            [facts],
            zeros,
            linear_family.places(self.size, which.numbers),
        )
        return Laid("transpose", self.call, which, cropped(reads, inner), law)

    def _readers(self, inner: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """For every output the cells of one channel that reach it, and by which tap."""
        axes = [Axis(m, window) for m, window in zip(self.size, self.windows, strict=True)]
        every = linear_family.places(inner, torch.arange(math.prod(inner)))
        cells, inside = region_windows.joined(axes, every)
        return linear_family.inverse(cells, inside, math.prod(self.size))
