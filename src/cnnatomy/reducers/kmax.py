"""The mean of the k largest values, or each of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, ClassVar, Literal

from cnnatomy.errors import ArgumentError
from cnnatomy.reducers.contract import NO_TAP, Field, Fold, Lane, Line, Mask, Output, Pooling, State, Windows
from cnnatomy.reducers.kth import Kth
from cnnatomy.reducers.shared.order_statistics import larger, smaller
from cnnatomy.reducers.shared.rank_tracking import nothing, of_rank, ordered, ranked
from cnnatomy.reducers.shared.sorting_network import merging

if TYPE_CHECKING:
    from torch import Tensor

_VALUE: Field = "value"
_TAP: Field = "tap"
_LIMIT = 16  # a state of more numbers than this would not stay in registers
_FEW = 4  # so many taps are kept, each; of more only the last one and its value, for x tells the others
_Entry = tuple[Lane, Lane]


@dataclass(frozen=True)
class KMax(Fold):
    """The mean of the k largest values of a region: y = 1/m sum_{j=1}^m x_(j), m = min(k, n).

    x_(1) >= x_(2) >= .. are the region's n values in descending order, equal ones in row-major order: each of
    the first m has the gradient 1/m, the others none. A region with a NaN is NaN and passes no gradient; a
    region without any tap is NaN.

    With `each` the k values are not averaged: the j-th largest of channel c becomes channel
    (j - 1) C + c of k C, as from `Kth(j)`. They stand in descending order; the k-max pooling of Kalchbrenner
    et al. keeps the order of their positions instead.

    For the gradient, up to four taps are kept of every region; of more, the last value and its tap.

    Args:
        k: how many values, 1 to 16 if they are averaged.
        each: give every one of them, as a channel of its own.

    Raises:
        ArgumentError: k is out of range.

    Source: Kalchbrenner, Grefenstette & Blunsom, "A convolutional neural network for modelling sentences",
    ACL 2014 (k-max); Durand, Thome & Cord, "WELDON: weakly supervised learning of deep convolutional neural
    networks", CVPR 2016 (the mean of the k largest).

    Example:
        >>> import torch, cnnatomy
        >>> x = torch.tensor([[[1.0, 4.0, 2.0, 3.0]]])
        >>> cnnatomy.pool(x, cnnatomy.KMax(2), "global", rank=1)
        tensor([[[3.5000]]])
        >>> cnnatomy.pool(x, cnnatomy.KMax(2, each=True), "global", rank=1)
        tensor([[[4.],
                 [3.]]])
    """

    k: int = 2
    each: bool = False

    name = "kmax"
    summary = "the mean of the k largest values"
    formula = "1/m sum_{j=1}^m x_(j), m = min(k, n)"
    source = "Kalchbrenner et al. 2014; Durand et al. 2016"
    gradient: ClassVar[Literal["pairs"]] = "pairs"
    counts: ClassVar[bool] = True

    def __post_init__(self) -> None:
        whole = isinstance(self.k, int) and not isinstance(self.k, bool)
        if not whole or self.k < 1:
            raise ArgumentError("there are no such values", expected="an int k >= 1", got=repr(self.k))
        if self.k > _LIMIT and not self.each:
            hint = f"KMax({self.k}, each=True), and the mean of its channels"
            what = "so many values are not averaged at once"
            raise ArgumentError(what, expected=f"k up to {_LIMIT}", got=repr(self.k), hint=hint)
        object.__setattr__(self, "identity", (-math.inf,) * self.k + (NO_TAP,) * self.k)
        few = self.k <= _FEW
        object.__setattr__(self, "saves", (_TAP,) * self.k if few else (_VALUE, _TAP))
        object.__setattr__(self, "reads", () if few else ("x",))
        super().__post_init__()

    @property
    def blended(self) -> bool:
        """True where every value is given."""
        return self.each

    @property
    def sparse(self) -> bool:
        """True where every tap is kept."""
        return not self.each and self.k <= _FEW

    def blend(self, x: Tensor, pool: Pooling, inputs: Mapping[str, Tensor]) -> Tensor:
        """The largest of every channel, then the second of every channel, and so on."""
        import torch

        return torch.cat([pool(x, Kth(place)) for place in range(1, self.k + 1)], dim=1)

    def define(self, windows: Windows) -> tuple[Tensor, Tensor | None]:
        """Sort, and average the first ones."""
        import torch

        inside = windows.inside
        kept = inside.sum(-1, keepdim=True).clamp(max=self.k)
        first = torch.arange(inside.shape[-1], device=inside.device) < kept
        total = torch.where(first, ordered(windows, descending=True), 0).sum(-1)
        spoilt = (inside & windows.values.isnan()).any(-1) | (kept == 0).squeeze(-1)
        mean = total / kept.clamp(min=1).squeeze(-1)
        return torch.where(spoilt, nothing(windows.values.dtype), mean), None

    def line(self, windows: Windows, learned: Mapping[str, Tensor]) -> Line:
        """The mean of those that are kept; or the value of each place, as a channel of its own."""
        import torch

        count = windows.inside.sum(-1, keepdim=True)
        if self.each:
            places = torch.arange(self.k).view(1, -1, *(1,) * count.dim())
            return of_rank(windows, (count - 1 - places).clamp(min=0).squeeze(-1))
        spoilt = (windows.inside & windows.values.isnan()).any(-1, keepdim=True)
        kept = torch.where(spoilt, count, count.clamp(max=self.k))
        order = ranked(windows, descending=True)
        named = torch.where(torch.arange(order.shape[-1]) < kept, order, -1)
        return Line("(<{x}; + >)/{m}", {}, {"m": kept.squeeze(-1)}, named)

    # A state is the k best values in ascending order, then their taps; a NaN is held as the first value.

    def lift(self, values: State, tap: Lane | None) -> State:
        """One value, above none."""
        (value,) = values
        none = value.like(-math.inf)
        first = () if self.k == 1 else (value.isnan().select(value, none),)
        held = (*first, *(none,) * (self.k - 2), value)
        return held if tap is None else (*held, *(tap.like(NO_TAP),) * (self.k - 1), tap)

    def step(self, state: State, values: State, tap: Lane | None) -> State:
        """Put a later value into its place: below those that are as large."""
        (value,), best, taps = values, state[: self.k], state[self.k :]
        pushed = (*(value.smaller(above) for above in best[1:]), value)
        found = [new.larger(old) for new, old in zip(pushed, best, strict=True)]
        found[0] = value.isnan().select(value, found[0])
        if tap is None:
            return tuple(found)
        beats = [(value > old) | (at > tap) for old, at in zip(best, taps, strict=True)]  # a tap beats none
        moved = (*(beat.select(old, tap) for beat, old in zip(beats[1:], taps[1:], strict=True)), tap)
        return (*found, *(beat.select(new, old) for beat, new, old in zip(beats, moved, taps, strict=True)))

    def merge(self, state: State, other: State) -> State:
        """The best of both, each in order: Batcher's merge, as far as it is needed."""
        k = self.k
        network = merging(k, k).pruned(range(k, 2 * k))
        nan = state[0].isnan() | other[0].isnan()
        if len(state) == k:
            found = network.run(state + other, smaller, larger)
            return (nan.select(state[0].like(math.nan), found[0]), *found[1:])
        entries = [*zip(state[:k], state[k:], strict=True), *zip(other[:k], other[k:], strict=True)]
        values, taps = zip(*network.run(entries, _later, _sooner), strict=True)
        return (nan.select(state[0].like(math.nan), values[0]), *values[1:], *taps)

    def finish(self, state: State, count: Lane) -> Lane:
        """The sum of those that are there, over their number."""
        last, *others = state[: self.k]
        total = (last.isnan() | (count > self.k - 0.5)).select(last, 0.0)
        for missing, value in enumerate(others, 1):
            total += (count > self.k - missing - 0.5).select(value, 0.0)
        return total / count.smaller(self.k)

    def keep(self, state: State, y: Lane, count: Lane) -> State:
        """The taps, none of them beside a NaN; or the last value that counts, and its tap."""
        values, taps = state[: self.k], state[self.k :]
        if self.k <= _FEW:
            nan = values[0].isnan()
            return tuple(nan.select(tap.like(NO_TAP), tap) for tap in taps)
        last, tap = values[0], taps[0]
        for missing in range(1, self.k):
            absent = (count < self.k - missing + 0.5) & ~values[0].isnan()
            last, tap = absent.select(values[missing], last), absent.select(taps[missing], tap)
        return last, tap

    def fields(self, track: bool) -> tuple[Field, ...]:
        """k values, and k taps."""
        return (_VALUE,) * self.k + (_TAP,) * (self.k if track else 0)

    def output_terms(self, grad: Lane, output: Output) -> State:
        """grad / m, and what is kept"""
        return (grad / output.count.smaller(self.k), *output.saved)

    def grad_terms(self, own: State, given: State, tap: Lane) -> State:
        """The share of each tap that is kept, or of each value that comes no later than the last."""
        share, *kept = given
        if self.k <= _FEW:
            found = reduce(or_, (one.same(tap) for one in kept))
        else:
            (x,), (last, at) = own, kept
            found = (x > last) | (x.same(last) & ~(tap > at))
        return (found.select(share, 0.0),)


def _comes_first(one: _Entry, other: _Entry) -> Mask:
    return (one[0] > other[0]) | (one[0].same(other[0]) & (one[1] < other[1]))


def _sooner(one: _Entry, other: _Entry) -> _Entry:
    first = _comes_first(one, other)
    return first.select(one[0], other[0]), first.select(one[1], other[1])


def _later(one: _Entry, other: _Entry) -> _Entry:
    first = _comes_first(one, other)
    return first.select(other[0], one[0]), first.select(other[1], one[1])
