"""Sorting networks: orders found without a branch, as straight lines of compare-exchanges.

Source: Batcher, "Sorting networks and their applications", AFIPS 1968; Knuth, "The Art of Computer
Programming", volume 3, section 5.3.4.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, TypeVar

T = TypeVar("T")


class Exchange(NamedTuple):
    """The lesser of two wires goes to `low`, the greater to `high`, where somebody wants them."""

    low: int
    high: int
    least: bool = True
    most: bool = True


@dataclass(frozen=True)
class Network:
    """Compare-exchanges in order, and the wires that hold the results, from the least to the greatest."""

    exchanges: tuple[Exchange, ...]
    outputs: tuple[int, ...]

    @property
    def cost(self) -> int:
        """The number of instructions: one for each minimum and each maximum."""
        return sum(exchange.least + exchange.most for exchange in self.exchanges)

    def pruned(self, ranks: Sequence[int], summed: bool = False) -> Network:
        """Keep some of the outputs, and only the minima and maxima that they depend on.

        Args:
            ranks: positions among the outputs.
            summed: only the sum of these outputs matters, so that they need no order among themselves.

        Example:
            >>> sorting(3).cost, sorting(3).pruned([1]).cost
            (6, 4)
        """
        outputs = tuple(self.outputs[rank] for rank in ranks)
        wanted, loose = set(outputs), set(outputs if summed else ())
        kept: list[Exchange] = []
        for exchange in reversed(self.exchanges):
            wires = {exchange.low, exchange.high}
            if wires <= loose or not wires & wanted:
                continue
            least, most = (
                wire in wanted and wish for wire, wish in zip(exchange[:2], exchange[2:], strict=True)
            )
            kept.append(exchange._replace(least=least, most=most))
            wanted |= wires
            loose -= wires
        return Network(tuple(reversed(kept)), outputs)

    def run(
        self, values: Sequence[T], least: Callable[[T, T], T], most: Callable[[T, T], T]
    ) -> tuple[T, ...]:
        """The outputs for these inputs.

        Example:
            >>> sorting(4).run([3, 1, 4, 1], min, max)
            (1, 1, 3, 4)
        """
        wires = list(values)
        for exchange in self.exchanges:
            one, other = wires[exchange.low], wires[exchange.high]
            if exchange.least:
                wires[exchange.low] = least(one, other)
            if exchange.most:
                wires[exchange.high] = most(one, other)
        return tuple(wires[wire] for wire in self.outputs)


@lru_cache(maxsize=256)
def sorting(n: int) -> Network:
    """Sort n values: Batcher's merge sort.

    Example:
        >>> [len(sorting(n).exchanges) for n in range(1, 10)]
        [0, 1, 3, 5, 9, 12, 16, 19, 26]
    """
    return _sort(range(n), slice(None))


@lru_cache(maxsize=256)
def merging(m: int, n: int) -> Network:
    """Sort m values in order, followed by n values in order: Batcher's odd-even merge.

    Example:
        >>> merging(2, 2).pruned([2, 3]).cost
        4
    """
    return _merge(range(m), range(m, m + n))


@lru_cache(maxsize=256)
def selecting(n: int, ranks: tuple[int, ...], summed: bool = False) -> Network:
    """Find the values of some ranks among n, 0 being the least, in as few instructions as are known here.

    Ranks near an end need only the best few of every part that is merged. The median of nine follows
    Smith, "Implementing median filters in XC4000E FPGAs", Xcell 23, 1996.

    Args:
        n: how many values.
        ranks: in ascending order.
        summed: only the sum of the results matters.

    Example:
        >>> selecting(9, (4,)).cost, selecting(25, (12,)).cost, selecting(9, (8,)).cost
        (30, 202, 8)
    """
    low, high = ranks[0], ranks[-1]
    lower = _sort(range(n), slice(high + 1)).pruned(ranks, summed)
    upper = _sort(range(n), slice(low - n, None)).pruned([rank - low for rank in ranks], summed)
    known = [MEDIAN_OF_NINE.pruned([0])] if (n, ranks) == (9, (4,)) else []
    return min(lower, upper, *known, key=lambda network: network.cost)


# columns in order; the greatest of the least, least of the greatest and middle of the middle; their middle
MEDIAN_OF_NINE = Network(
    tuple(
        Exchange(*wires)
        for wires in (
            *((0, 3), (3, 6), (0, 3), (1, 4), (4, 7), (1, 4), (2, 5), (5, 8), (2, 5)),
            *((0, 1), (1, 2), (7, 8), (6, 7), (3, 4), (4, 5), (3, 4), (2, 4), (4, 6), (2, 4)),
        )
    ),
    (4,),
)


def _sort(wires: Sequence[int], kept: slice) -> Network:
    if len(wires) < 2:
        return Network((), tuple(wires))
    half = (len(wires) + 1) // 2
    one, other = _sort(wires[:half], kept), _sort(wires[half:], kept)
    both = _merge(one.outputs, other.outputs)
    return Network(one.exchanges + other.exchanges + both.exchanges, both.outputs[kept])


def _merge(one: Sequence[int], other: Sequence[int]) -> Network:
    if not one or not other:
        return Network((), (*one, *other))
    if len(one) == len(other) == 1:
        return Network((Exchange(one[0], other[0]),), (one[0], other[0]))
    even, odd = _merge(one[::2], other[::2]), _merge(one[1::2], other[1::2])
    (first, *evens), odds = even.outputs, odd.outputs
    pairs = [Exchange(*pair) for pair in zip(odds, evens, strict=False)]
    rest = (*odds[len(pairs) :], *evens[len(pairs) :])
    outputs = (first, *(wire for pair in pairs for wire in pair[:2]), *rest)
    return Network((*even.exchanges, *odd.exchanges, *pairs), outputs)
