"""Trimmed mean pooling."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from cnnatomy.reducers.contract import Field, Lane, Line, Output, Scan, State, Tap, Taps, Windows
from cnnatomy.reducers.shared import order_statistics, parameter_checks
from cnnatomy.reducers.shared.order_statistics import TIE, Rank
from cnnatomy.reducers.shared.rank_tracking import nothing, ordered, ranked
from cnnatomy.reducers.shared.sorting_network import selecting

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Trimmed(Scan):
    """The mean of a region without its extremes: y = 1/(n - 2g) sum_{r=g}^{n-g-1} x_(r), g = floor(share n).

    x_(0) <= x_(1) <= .. are the region's values in order, equal ones in row-major order: every value that is
    kept has the gradient 1/(n - 2g), the others none. Share 0 is the mean. A region with a NaN is NaN and
    passes no gradient; a region without any tap is NaN.

    Args:
        share: the part to drop at each end, at least 0 and below 1/2.

    Raises:
        ArgumentError: the share lies outside this range.

    Source: Bednar & Watt, "Alpha-trimmed means and their relationship to median filters", IEEE Transactions
    on Acoustics, Speech, and Signal Processing 32, 1984; the count g as in `scipy.stats.trim_mean`.

    Example:
        >>> import torch, cnnatomy
        >>> x = torch.tensor([[[1.0, 90.0, 2.0, 4.0]]])
        >>> cnnatomy.pool(x, cnnatomy.Trimmed(0.25), "global", rank=1)
        tensor([[[3.]]])
    """

    share: float = 0.25

    name = "trimmed"
    summary = "the mean without the extremes"
    formula = "1/(n - 2g) sum_{r=g}^{n-g-1} x_(r), g = floor(share n)"
    source = "Bednar & Watt 1984"
    gradient: ClassVar[Literal["pairs"]] = "pairs"
    saves: ClassVar[tuple[Field, ...]] = ("value", "tap", "value", "tap")
    reads: ClassVar[tuple[Literal["x", "y"], ...]] = ("x",)
    counts: ClassVar[bool] = True

    def __post_init__(self) -> None:
        parameter_checks.real(self, "share", "at least 0 and below 0.5", lambda share: 0 <= share < 0.5)
        super().__post_init__()

    @property
    def lowest(self) -> Rank:
        """The least value that is kept: g."""
        return Rank(self.share, TIE)

    @property
    def highest(self) -> Rank:
        """The greatest value that is kept: n - 1 - g."""
        return Rank(self.share, TIE, descending=True)

    def define(self, windows: Windows) -> tuple[Tensor, Tensor | None]:
        """Sort, and average the middle."""
        import torch

        inside, taps = windows.inside, windows.inside.shape[-1]
        cut = torch.tensor([self.lowest.of(n) for n in range(taps + 1)])
        count = inside.sum(-1, keepdim=True)
        g = cut[count.cpu()].to(count.device)
        place = torch.arange(taps, device=count.device)
        kept = (place >= g) & (place < count - g)
        mean = torch.where(kept, ordered(windows), 0).sum(-1) / (count - 2 * g).clamp(min=1).squeeze(-1)
        spoilt = (inside & windows.values.isnan()).any(-1) | (count == 0).squeeze(-1)
        return torch.where(spoilt, nothing(windows.values.dtype), mean), None

    def line(self, windows: Windows, learned: Mapping[str, Tensor]) -> Line:
        """The mean of those that are kept, in order."""
        import torch

        count, taps = windows.inside.sum(-1, keepdim=True), windows.inside.shape[-1]
        cut = torch.tensor([self.lowest.of(n) for n in range(taps + 1)])[count]
        spoilt = (windows.inside & windows.values.isnan()).any(-1, keepdim=True)
        g, place = torch.where(spoilt, 0, cut), torch.arange(taps)
        order = torch.where((place >= g) & (place < count - g), ranked(windows), -1)
        return Line("(<{x}; + >)/{m}", {}, {"m": (count - 2 * g).squeeze(-1)}, order)

    def scan(self, taps: Taps) -> State:
        """The mean, and the least and the greatest value that are kept, with their taps."""
        if taps.few is not None and taps.all_inside and not taps.tracks:
            return (self._middle([tap.value for tap in taps.few]),)
        low, high = order_statistics.find(taps, [self.lowest, self.highest])
        y = self._between(taps, low, high)
        if not taps.tracks:
            return (y,)
        places = (self.lowest.among(taps.count), self.highest.among(taps.count))
        at, to = (_tap(taps, value, place) for value, place in zip((low, high), places, strict=True))
        return y, low, at, high, to

    def _middle(self, values: Sequence[Lane]) -> Lane:
        n = len(values)
        places = tuple(range(self.lowest.of(n), self.highest.of(n) + 1))
        first, *rest = selecting(n, places, summed=True).run(
            values, order_statistics.smaller, order_statistics.larger
        )
        total = sum(rest, first)
        return order_statistics.any_nan(values).select(first.like(math.nan), total / float(len(places)))

    def _between(self, taps: Taps, low: Lane, high: Lane) -> Lane:
        """The mean of the values between two, and of as many of the two as are kept."""
        one, none = taps.count.like(1.0), taps.count.like(0.0)

        def step(state: State, tap: Tap) -> State:
            total, after, before = state
            above, below = tap.value > low, tap.value < high
            inner = (above & below).select(tap.value, 0.0)
            return total + inner, after + above.select(one, 0.0), before + below.select(one, 0.0)

        total, after, before = taps.fold((none, none, none), step, ("value", "value", "value"))
        last = self.highest.among(taps.count)
        lows, highs = last + 1.0 - after, last + 1.0 - before
        mean = (total + low * lows + high * highs) / self._kept(taps.count)
        return low.same(high).select(low, mean)

    def _kept(self, count: Lane) -> Lane:
        return count - self.lowest.among(count) * 2.0

    def output_terms(self, grad: Lane, output: Output) -> State:
        """(grad / number kept, least kept and its tap, greatest kept and its tap)"""
        return (grad / self._kept(output.count), *output.saved)

    def grad_terms(self, own: State, given: State, tap: Lane) -> State:
        """The share of each value that stands from the least to the greatest that are kept."""
        (x,), (grad, low, at, high, to) = own, given
        from_low = (x > low) | (x.same(low) & ~(tap < at))
        to_high = (x < high) | (x.same(high) & ~(tap > to))
        return ((from_low & to_high).select(grad, 0.0),)


def _tap(taps: Taps, value: Lane, rank: Lane) -> Lane:
    """The tap of a rank that has this value; equal values stand in row-major order."""
    one = taps.count.like(1.0)

    def below(state: State, tap: Tap) -> State:
        return (state[0] + (tap.value < value).select(one, 0.0),)

    def seek(state: State, tap: Tap) -> State:
        left, found = state
        equal = tap.value.same(value)
        return left - equal.select(one, 0.0), (equal & left.same(0.0)).select(tap.number, found)

    (before,) = taps.fold((taps.count.like(0.0),), below, ("value",))
    return taps.fold((rank - before, order_statistics.no_tap(taps)), seek, ("value", "tap"))[1]
