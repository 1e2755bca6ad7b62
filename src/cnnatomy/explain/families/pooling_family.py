"""Pooling: any reducer over any region, by the reducer's own definition."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from cnnatomy.explain.families import region_windows
from cnnatomy.explain.plane_layout import (
    ABSENT,
    FILL,
    Call,
    Laid,
    Law,
    Reads,
    Values,
    cropped,
    leading,
    plane,
)
from cnnatomy.ops.padded_pooling import bordered
from cnnatomy.ops.pooling import part_seed
from cnnatomy.reducers import Reducer
from cnnatomy.reducers.contract import Line, Windows
from cnnatomy.reducers.shared.noise import noise
from cnnatomy.regions import Region

At = tuple[int, int, tuple[int, ...] | None]
"""An image, a channel of the output, and a place on its plane; None for the first."""

SOLVED = 1e4
"""Eigenvalues that are close lose so many times the precision of a sum."""


@dataclass(frozen=True)
class Pooling:
    """One pooling as it is called.

    Args:
        call: of x (N, C, *spatial), its companions and what the reducer learns.
        region: where it reads.
        reducer: what it computes; settled, outside of training.
        seed: where draws come from.
        padding_mode: what is in the padding.
    """

    call: Call
    region: Region
    reducer: Reducer
    seed: int = 0
    padding_mode: Any = "clip"

    def laid(self, at: At) -> Laid:
        """The plane that an output is on."""
        x, reducer = self.call.inputs["x"], self.reducer
        cells, region, size = self._numbered()
        every = region_windows.Windows.of(region, cells)
        image, channel, place = at
        outputs = self._channels()
        own, made = (0, channel) if reducer.mixes else (channel % x.shape[1], channel // x.shape[1])
        of = leading((image, channel), (len(every.numbers), outputs))
        numbers = every.numbers[image] if every.numbers.dim() == 2 else every.numbers[image, 0]
        for axis, n in enumerate(size or ()):
            numbers = numbers.narrow(axis, 0, n)
        row = region_windows.mine(region, outputs, of, x)
        whole = tuple(numbers.shape)
        most = max(math.prod(axis.taps for axis in part.axes) for part in every.parts)
        spread = x.shape[1] if reducer.mixes else 1

        def take(y: Tensor) -> Tensor:
            return y[image, channel] if row is None else y[image][row]

        first = (0,) * len(whole) if place is None else place
        which = plane(of, whole, first, most * spread, take)
        chosen = numbers.reshape(-1)[which.numbers]
        taps = region_windows.Taps.of(every, chosen)
        worked = _Worked(self, every, taps, chosen, own, made)
        reads = self._reads(every, taps, own, spread)
        reads = cropped(reads, tuple(x.shape[2:]))
        law = Law(
            reducer.formula,
            "select" if reducer.selects else "sum" if reducer.linear else "compute",
            worked.outputs,
            worked.line,
            worked.winner if reducer.selects else None,
            exact=reducer.selects,
            looseness=SOLVED if reducer.mixes else 1.0,
            learned={name: self.call.inputs[name].detach() for name in reducer.learns},
            draw=worked.noise.reshape(-1) if worked.noise is not None else None,
        )
        return Laid("pool", self.call, which, reads, law, reducer.companions, notes=self._notes(taps))

    def _numbered(self) -> tuple[Tensor, Region, tuple[int, ...] | None]:
        """The cells of x counted from 1, with its padding if that shows any, and the region over them."""
        x = self.call.inputs["x"]
        count = len(x) * math.prod(x.shape[2:])
        cells = torch.arange(1.0, count + 1, dtype=torch.float64).view(len(x), 1, *x.shape[2:])
        if self.padding_mode == "clip":
            return cells, self.region, None
        wider, region = bordered([cells], self.region, self.padding_mode, False)
        return wider[0], region, self.region.outputs(tuple(x.shape[2:]))

    def _channels(self) -> int:
        """How many channels come out."""
        channels = self.call.inputs["x"].shape[1]
        if not (self.reducer.mixes or self.reducer.blended):
            return int(channels)
        ones, inside = torch.ones(1, channels, 1, 1), torch.ones(1, 1, dtype=torch.bool)
        one = Windows(ones, inside, torch.ones(1))
        if self.reducer.mixes:
            return int(self.reducer.define(one)[0].shape[1])
        ranks = {one.name: len(one.start) for one in self.reducer.parameters if one.per == "rank"}
        names = (*self.reducer.learns, "draw")
        learned = {name: torch.ones((ranks[name],) if name in ranks else ()) for name in names}

        def first(t: Tensor, what: Reducer) -> Tensor:
            return t[..., 0]

        return int(self.reducer.blend(ones, first, learned).shape[1])

    def _reads(
        self, every: region_windows.Windows, taps: region_windows.Taps, own: int, spread: int
    ) -> Reads:
        x = self.call.inputs["x"]
        plane_size = math.prod(x.shape[2:])
        image = int((taps.cells.max() - 1) // plane_size) if bool((taps.cells > 0).any()) else 0
        flat = torch.where(taps.cells > 0, (taps.cells - 1) % plane_size, FILL)
        cells = torch.where(taps.inside, flat, ABSENT)
        channels = range(x.shape[1]) if self.reducer.mixes else range(own, own + 1)
        if spread > 1:
            offsets = torch.arange(spread)[:, None] * plane_size
            cells = torch.where(cells[:, None] >= 0, cells[:, None] + offsets, cells[:, None]).flatten(1)
        number = torch.arange(taps.cells.shape[1]).repeat(spread).expand(cells.shape)
        copied = self._copied(every, taps) if self.padding_mode != "clip" else None

        def show(whole: Tensor) -> Tensor:
            return whole[image, channels.start : channels.stop]

        grids = [[region_windows.facts(axis, str(self.region)) for axis in part.axes] for part in every.parts]
        if len(grids) == 1 and self.padding_mode != "clip":
            grids = [
                [
                    region_windows.facts(axis, str(self.region))
                    for axis in self.region.axes(tuple(x.shape[2:]))
                ]
            ]
        return Reads(channels, show, cells, number, grids, taps.part, taps.place, copied)

    def _copied(self, every: region_windows.Windows, taps: region_windows.Taps) -> Tensor:
        """Which taps lie in the padding and show a cell."""
        size = tuple(self.call.inputs["x"].shape[2:])
        here = torch.ones(taps.cells.shape[0], 1, dtype=torch.bool)
        for i, axis in enumerate(self.region.axes(size)):
            tap = torch.arange(axis.taps) * axis.step
            at = torch.tensor([axis.origin(o) for o in range(axis.outputs)])[taps.place[:, i], None] + tap
            here = (here.unsqueeze(2) & ((at >= 0) & (at < axis.size)).unsqueeze(1)).flatten(1)
        return ~here & (taps.cells > 0)

    def _notes(self, taps: region_windows.Taps) -> Sequence[str]:
        notes = []
        if bool((taps.part < 0).any()):
            notes.append("an output whose bin holds no cell is 0")
        if self.reducer.draws:
            notes.append(f"drawn with seed {self.seed}")
        return notes


class _Worked:
    """The reducer at work on the taps of a block of outputs."""

    def __init__(
        self,
        pooling: Pooling,
        every: region_windows.Windows,
        taps: region_windows.Taps,
        numbers: Tensor,
        channel: int,
        which: int,
    ) -> None:
        self.pooling, self.every, self.taps, self.which = pooling, every, taps, which
        self.reducer, self.wide = pooling.reducer, pooling.call.wide
        self.noise = self._noise(numbers, channel) if self.reducer.draws else None
        self.learned = {
            name: value.detach().to(self.wide).reshape(-1)[channel if value.numel() > 1 else 0]
            for name, value in pooling.call.inputs.items()
            if name in self.reducer.learns
        }

    def _noise(self, numbers: Tensor, channel: int) -> Tensor:
        """The number that every output was drawn with (1, 1, O): one for each call of a blend."""
        seed = torch.tensor((self.pooling.seed + 2**63) % 2**64 - 2**63)
        channels = self.pooling.call.inputs["x"].shape[1]
        drawn = torch.zeros(len(numbers))
        for number, part in enumerate(self.every.parts):
            own = part_seed(seed, number) if self.pooling.region.composite else seed
            of = (self.taps.part == number).nonzero().squeeze(1)
            if self.reducer.blended:
                drawn[of] = noise(own, (1, 1)).view(())
                continue
            whole = noise(own, (part.shape[0], channels, *part.shape[1:]))[:, channel]
            drawn[of] = whole.reshape(-1)[numbers[of] - part.first]
        return drawn.view(1, 1, -1)

    def windows(self, values: Values, what: Reducer) -> Windows:
        """The taps as a definition reads them."""
        inside = self.taps.inside
        spread = values["x"].shape[1] // inside.shape[1]
        shaped = {
            name: one.view(len(inside), spread, -1).movedim(1, 0).unsqueeze(0) for name, one in values.items()
        }
        divisor = torch.ones(len(inside), dtype=self.wide)
        for number, part in enumerate(self.every.parts):
            of = (self.taps.part == number).nonzero().squeeze(1)
            divisor[of] = region_windows.divisor(what.divisors(part.axes), self.taps.place[of], self.wide)
        beside = tuple(shaped[name] for name in what.companions)
        return Windows(shaped["x"], inside, divisor, beside, self.noise if what.draws else None)

    def pooled(self, values: Values, learned: Mapping[str, Tensor]) -> tuple[Tensor, Tensor | None]:
        """The result (1, D, O) and the winners."""

        def other(t: Tensor, what: Reducer) -> Tensor:
            laid = replace(self.windows(values, what), values=t)
            if what.blended:
                return what.blend(t, other, {})
            return what.define(laid)[0]

        if self.reducer.blended and not self.reducer.mixes:
            known = dict(learned) if self.noise is None else {**learned, "draw": self.noise}
            x = self.windows(values, self.reducer).values
            return self.reducer.blend(x, other, known), None
        return self.reducer.define(self.windows(values, self.reducer))

    def outputs(self, values: Values) -> Tensor:
        """The outputs (O,); what has no window is 0."""
        learned = {name: values.get(name, value) for name, value in self.learned.items()}
        taps = {name: value for name, value in values.items() if name not in learned}
        y = self.pooled(taps, learned)[0]
        return torch.where(self.taps.part < 0, 0, y[0, self.which])

    def winner(self, values: Values) -> Tensor:
        """The chosen taps (O,)."""
        found = self.pooled(values, self.learned)[1]
        assert found is not None, "a reducer that selects"
        return torch.where(self.taps.part < 0, -1, found[0, 0])

    def line(self, values: Values) -> Line:
        """How the results are written, with what a mean divides by."""
        laid = self.windows(values, self.reducer)
        line = self.reducer.line(laid, self.learned)
        order = None if line.order is None else self._own(line.order)
        steps = {name: self._own(step) for name, step in line.steps.items()}
        if "{n}" in line.text:
            steps["n"] = laid.divisor.view(1, 1, -1)
        return replace(line, steps=steps, order=order)

    def _own(self, column: Tensor) -> Tensor:
        """Of what a line says of every channel, that of this one."""
        several = column.dim() > 1 and column.shape[1] > 1 and column.shape[0] == 1
        return column[:, self.which, None] if several else column
