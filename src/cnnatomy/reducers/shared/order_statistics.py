"""Order statistics of a window under trace: by a sorting network if its taps are few, else by bisection."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from cnnatomy.reducers.contract import NO_TAP, Field, Lane, Mask, State, Tap, Taps
from cnnatomy.reducers.shared.sorting_network import selecting

_VALUE: Field = "value"
TIE = 2.0**-10
"""How far below an integer a rank may fall and still count as it, so that rounding decides nothing."""


@dataclass(frozen=True)
class Rank:
    """floor(slope n + offset), but never beyond the last, among n values in ascending or descending order."""

    slope: float
    offset: float
    descending: bool = False

    def of(self, n: int) -> int:
        """The rank among n values in ascending order."""
        rank = max(min(math.floor(self.slope * n + self.offset), n - 1), 0)
        return max(n - 1 - rank, 0) if self.descending else rank

    def among(self, count: Lane) -> Lane:
        """The rank among so many values in ascending order."""
        last = count - 1.0
        rank = (count * self.slope + self.offset).floor().smaller(last).larger(0.0)
        return last - rank if self.descending else rank


def find(taps: Taps, ranks: Sequence[Rank]) -> State:
    """The values of some ranks; NaN where the window has a NaN, or no tap."""
    if taps.few is None:
        (spoilt,) = taps.fold((taps.count.like(0.0),), _spoil, ("value",))
        found, nan = _searched(taps, ranks), spoilt.isnan() | (taps.count < 0.5)
    elif taps.all_inside:
        values = [tap.value for tap in taps.few]
        wanted = [rank.of(len(values)) for rank in ranks]
        places = sorted(set(wanted))
        network = selecting(len(values), tuple(places))
        ordered = dict(zip(places, network.run(values, smaller, larger), strict=True))
        found, nan = tuple(ordered[place] for place in wanted), any_nan(values)
    else:
        found = tuple(_chosen(taps, taps.few, rank) for rank in ranks)
        nan = any_nan(_filled(taps.few, math.inf)) | (taps.count < 0.5)
    return tuple(nan.select(value.like(math.nan), value) for value in found)


def smaller(one: Lane, other: Lane) -> Lane:
    """The smaller of two."""
    return one.smaller(other)


def larger(one: Lane, other: Lane) -> Lane:
    """The larger of two."""
    return one.larger(other)


def any_nan(values: Sequence[Lane]) -> Mask:
    """True where any of the values is NaN, asked in pairs: a processor tests two at once."""
    masks = [value.isnan() for value in values]
    while len(masks) > 1:
        pairs = zip(masks[::2], masks[1::2], strict=False)
        masks = [one | other for one, other in pairs] + masks[len(masks) // 2 * 2 :]
    return masks[0]


def first(taps: Taps, value: Lane) -> Lane:
    """The first tap of this value; the last NaN where this is NaN."""

    def step(state: State, tap: Tap) -> State:
        (best,) = state
        wins = (tap.value.same(value) & (tap.number < best)) | tap.value.isnan()
        return (wins.select(tap.number, best),)

    return taps.fold((no_tap(taps),), step, ("tap",))[0]


def no_tap(taps: Taps) -> Lane:
    """The tap of a window that has none."""
    return taps.count.ordered().like(NO_TAP)


def _spoil(state: State, tap: Tap) -> State:
    return (tap.value.isnan().select(tap.value, state[0]),)


def _filled(few: Sequence[Tap], fill: float) -> list[Lane]:
    return [tap.value if tap.inside is None else _outside(tap, tap.inside, fill) for tap in few]


def _outside(tap: Tap, inside: Mask, fill: float) -> Lane:
    return inside.select(tap.value, fill)


def _chosen(taps: Taps, few: Sequence[Tap], rank: Rank) -> Lane:
    """Sort what is there and, at the end that leaves fewer places to choose from, what is not."""
    n = len(few)
    above = [rank.of(there) for there in range(1, n + 1)]
    below = [place + n - there for there, place in enumerate(above, 1)]
    fill, places = min((math.inf, above), (-math.inf, below), key=lambda way: len(set(way[1])))
    wanted = tuple(sorted(set(places)))
    ordered = selecting(n, wanted).run(_filled(few, fill), smaller, larger)
    values = dict(zip(wanted, ordered, strict=True))
    found = values[places[0]]
    for there, (before, place) in enumerate(pairwise(places), 2):
        if place != before:
            found = (taps.count > there - 0.5).select(values[place], found)
    return found


def _searched(taps: Taps, ranks: Sequence[Rank]) -> State:
    """Bisect the numbers: the largest one that no more than `rank` values lie below, a bit in each pass."""
    goals = [rank.among(taps.count) for rank in ranks]
    none, one = taps.count.like(0.0), taps.count.like(1.0)

    def below(pivots: State) -> State:
        def step(state: State, tap: Tap) -> State:
            pairs = zip(state, pivots, strict=True)
            return tuple(total + (tap.value < pivot).select(one, 0.0) for total, pivot in pairs)

        return taps.fold((none,) * len(pivots), step, (_VALUE,) * len(pivots))

    def descend(state: State) -> State:
        *keys, bit = state
        further = [key + bit for key in keys]
        totals = below(tuple(_number(key) for key in further))
        moves = zip(totals, goals, keys, further, strict=True)
        return (*((total > goal).select(key, ahead) for total, goal, key, ahead in moves), bit.halved())

    zero, lowest = none.ordered(), none.like(-math.inf).ordered()
    negative = zip(below((none,) * len(goals)), goals, strict=True)
    keys = tuple((total > goal).select(lowest, zero) for total, goal in negative)
    found = taps.repeat(none.bits - 1, (*keys, zero.like(2 ** (none.bits - 2))), descend)
    return tuple(_number(key) for key in found[:-1])


def _number(key: Lane) -> Lane:
    """The number of a key; keys beyond infinity's are infinite too."""
    return key.unordered().smaller(math.inf)
