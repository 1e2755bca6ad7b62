"""Padding: every output shows a cell, or what a mode makes of several."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from cnnatomy.errors import ArgumentError
from cnnatomy.explain.families import linear_family
from cnnatomy.explain.families.pooling_family import At
from cnnatomy.explain.families.staged import after
from cnnatomy.explain.plane_layout import ABSENT, Call, Laid, Law, Reads, Values, cropped, leading, plane
from cnnatomy.geometry.borders import CYCLIC, Pair
from cnnatomy.ops.padding import pad
from cnnatomy.reducers.contract import Line

REPEATS = ("edge", *CYCLIC)
"""Modes whose borders show cells of the input."""


def middle(taps: Tensor) -> Tensor:
    """The middle of rows in order, or the mean of the middle two; NaN if there is one."""
    n = taps.shape[1]
    ordered = taps.sort(dim=1).values[:, (n - 1) // 2 : n // 2 + 1].mean(1)
    return torch.where(taps.isnan().any(1), math.nan, ordered)


_CHOOSES: Mapping[str, tuple[str, Callable[[Tensor], Tensor]]] = {
    "maximum": ("max(<{x};, >)", lambda taps: taps.amax(1)),
    "minimum": ("min(<{x};, >)", lambda taps: taps.amin(1)),
    "median": ("(<{x}; + >)/{m}", middle),
}
"""Modes whose borders are a statistic that is not linear: how it is written, and what it is."""


@dataclass(frozen=True)
class Padding:
    """A padding as it is called.

    Args:
        call: of x (N, C, *spatial).
        widths: the cells before and after on every spatial axis; negative ones crop.
        mode: NumPy's name of it.
        options: its options, for the spatial axes.
    """

    call: Call
    widths: tuple[Pair, ...]
    mode: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.mode, str) or self.mode == "empty":
            what = "a border that is undefined" if self.mode == "empty" else "a padding function of your own"
            raise ArgumentError(f"there is no explanation of {what}", expected="a mode of np.pad by its name")

    def padded(self, x: Tensor, widths: tuple[Pair, ...] | None = None) -> Tensor:
        """The padding itself, of any (N, C, *spatial)."""
        axes = tuple(range(2, x.dim()))
        return pad(x, self.widths if widths is None else widths, self.mode, axes=axes, **self.options)

    def laid(self, at: At) -> Laid:
        """The plane that an output is on."""
        if self.mode == "constant" or (self.mode in REPEATS and self.options.get("reflect_type") != "odd"):
            return self._shown(at)
        crops = any(min(pair) < 0 for pair in self.widths)
        axes = [axis for axis, pair in enumerate(self.widths) if max(pair) > 0]
        if len(axes) > 1 or (axes and crops):
            return self._staged(at, axes[-1])
        return self._mixed(at, axes[0]) if axes else self._shown(at)

    def _place(self, at: At, taps: int) -> Any:
        x = self.call.inputs["x"]
        image, channel, place = at
        of = leading((image, channel), (len(x), x.shape[1]))
        whole = tuple(n + sum(pair) for n, pair in zip(x.shape[2:], self.widths, strict=True))
        first = (0,) * len(whole) if place is None else place
        return plane(of, whole, first, taps, lambda y: y[image, channel])

    def _reads(self, which: Any, cells: Tensor, copied: Tensor | None) -> Reads:
        x = self.call.inputs["x"]
        image, channel = which.of["image"], which.of["channel"]
        size = tuple(x.shape[2:])
        facts = linear_family.moved(
            [
                (n, n + sum(pair), f"{n} + {pair[0]} + {pair[1]} = {n + sum(pair)}".replace("+ -", "- "))
                for n, pair in zip(size, self.widths, strict=True)
            ],
            self.mode,
        )
        facts = [dict(one) | {"padding": list(pair)} for one, pair in zip(facts, self.widths, strict=True)]
        number = torch.arange(cells.shape[1]).expand(cells.shape)
        zeros = torch.zeros(len(cells), dtype=torch.int64)
        places = linear_family.places(which.whole, which.numbers)
        show: Callable[[Tensor], Tensor] = lambda whole: whole[image, channel : channel + 1]  # noqa: E731
        return cropped(Reads((channel,), show, cells, number, [facts], zeros, places, copied), size)

    def _shown(self, at: At) -> Laid:
        """Borders that show cells, or a value."""
        x = self.call.inputs["x"]
        size = tuple(x.shape[2:])
        which = self._place(at, 1)
        cells = torch.arange(1.0, math.prod(size) + 1, dtype=torch.float64).view(1, 1, *size)
        own = pad(cells, self.widths, axes=tuple(range(2, x.dim()))).reshape(-1)[which.numbers]
        if self.mode == "constant":
            shown, bias = own, self.padded(torch.zeros_like(x[:1, :1])).reshape(-1)[which.numbers]
        else:
            shown, bias = self.padded(cells).reshape(-1)[which.numbers], None
        flat = torch.where(shown > 0, shown.long() - 1, ABSENT)[:, None]
        copied = ((own == 0) & (shown > 0))[:, None]
        wide = None if bias is None else bias.to(self.call.wide)
        law = linear_family.summing(
            "x[source(t - lo)]",
            flat,
            torch.ones(flat.shape, dtype=self.call.wide),
            wide,
            "copy",
            "<{x}; + >",
            exact=True,
        )
        return Laid("pad", self.call, which, self._reads(which, flat, copied), law)

    def _staged(self, at: At, last: int) -> Laid:
        """The last axis alone, over what the axes before it made."""
        lo, hi = self.widths[last]
        own = (max(lo, 0), max(hi, 0))
        before = tuple(
            (min(lo, 0), min(hi, 0)) if axis == last else pair for axis, pair in enumerate(self.widths)
        )
        widths = tuple(own if axis == last else (0, 0) for axis in range(len(self.widths)))
        x = self.call.inputs["x"]
        first = Padding(
            replace(self.call, run=lambda inputs: self.padded(inputs["x"], before)),
            before,
            self.mode,
            self.options,
        )
        with torch.no_grad():
            between = self.padded(x, before)
        call = replace(self.call, inputs={"x": between}, run=lambda inputs: self.padded(inputs["x"], widths))
        laid = Padding(call, widths, self.mode, self.options).laid(at)
        return after(laid, first, f"x is what padding the axes before axis {last} made: its record is a part")

    def _mixed(self, at: At, axis: int) -> Laid:
        """One axis whose borders are made of several cells."""
        x = self.call.inputs["x"]
        size, pair = tuple(x.shape[2:]), self.widths[axis]
        n = size[axis]
        span = self.options.get("stat_length")
        low, high = _spans(span, len(size), axis, n)
        most = max(low, high, 1) if self.mode in _CHOOSES else n
        which = self._place(at, most)
        places = linear_family.places(which.whole, which.numbers)
        along, border = places[:, axis] - pair[0], self.mode in _CHOOSES
        cells = torch.full((len(places), most), ABSENT)
        line = torch.arange(most)
        if border:
            inner = (along >= 0) & (along < n)
            first = torch.where(inner, along, torch.where(along < 0, 0, n - high))
            count = torch.where(inner, 1, torch.where(along < 0, low, high))
            on = torch.where(line < count[:, None], first[:, None] + line, ABSENT)
            law = self._chosen(on)
        else:
            factors, bias = self._weights(axis, n, which.whole[axis])
            row = factors[places[:, axis]]
            on = torch.where(row != 0, line.expand(row.shape), ABSENT)
            known = bias[places[:, axis]].to(self.call.wide) if bool(bias.any()) else None
            law = linear_family.summing("sum_i w[t, i] x[i] + c[t]", on, row.to(self.call.wide), known)
        flat = torch.zeros_like(on)
        for i, m in enumerate(size):
            flat = flat * m + (on if i == axis else places[:, i, None] - self.widths[i][0])
        cells = torch.where(on >= 0, flat, ABSENT)
        return Laid("pad", self.call, which, self._reads(which, cells, None), law)

    def _weights(self, axis: int, n: int, out: int) -> tuple[Tensor, Tensor]:
        """What every output of an axis takes of each cell (out, n), and what is added, found on units."""
        widths = (self.widths[axis],)
        options = {name: _of_axis(value, len(self.widths), axis) for name, value in self.options.items()}
        zero = pad(torch.zeros(1, n, dtype=torch.float64), widths, self.mode, axes=(1,), **options)[0]
        unit = pad(torch.eye(n, dtype=torch.float64), widths, self.mode, axes=(1,), **options)
        return (unit - zero).T, zero

    def _chosen(self, on: Tensor) -> Law:
        """The largest, the smallest or the middle of the cells next to the border."""
        text, reduce = _CHOOSES[self.mode]
        there = on >= 0
        counts = there.sum(1)

        def compute(values: Values) -> Tensor:
            found = torch.zeros(len(on), dtype=values["x"].dtype)
            for count in sorted(set(counts.tolist())):
                rows = (counts == count).nonzero().squeeze(1)
                found = found.index_copy(0, rows, reduce(values["x"][rows, :count]))
            return found

        def line(values: Values) -> Line:
            if self.mode != "median":
                return Line(text)
            count = there.sum(1, keepdim=True)
            order = torch.argsort(values["x"].masked_fill(~there, math.inf), dim=1, stable=True)
            place = torch.arange(on.shape[1])
            kept = (place >= (count - 1) // 2) & (place <= count // 2)
            spoilt = (there & values["x"].isnan()).any(1, keepdim=True)
            named = torch.where(kept | (spoilt & (place < count)), order, -1)
            return Line(text, {}, {"m": (named >= 0).sum(1)}, named)

        return Law(f"{self.mode} of the cells next to the border", "compute", compute, line)


def _spans(span: Any, rank: int, axis: int, n: int) -> tuple[int, int]:
    """The cells that count before and after."""
    from cnnatomy.geometry.borders import pairs

    if span is None:
        return n, n
    low, high = pairs(span, rank, "stat_length", least=1)[axis]
    return min(low, n), min(high, n)


def _of_axis(value: Any, rank: int, axis: int) -> Any:
    """An option of all axes as that of one."""
    several = isinstance(value, tuple | list) and any(isinstance(one, tuple | list) for one in value)
    return (value[axis],) if several and len(value) == rank else value
