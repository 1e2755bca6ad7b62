"""The nearest input that a network takes, where the one that it was given does not fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import takewhile

ONE_BY_ONE, MOST = 900, 1500
"""Layers looked at while sizes are tried one by one, and in the whole search: what an error may cost."""
NEAR, FAR = 32, 1024
"""How much smaller, and how large, sizes are tried; four times the input, if that is larger."""

Size = tuple[int, ...]
Refusal = Callable[[Size], tuple[str, int]]


class Trials:
    """Lengths of a square, tried on a network.

    Args:
        refusal: why a size does not fit ("" where it does), and how many layers were looked at to see it.
        axes: how many there are.
    """

    def __init__(self, refusal: Refusal, axes: int) -> None:
        self.refusal, self.axes, self.visits, self.exact = refusal, axes, 0, True

    def __call__(self, n: int) -> bool:
        """Whether the network takes a square of this length; none, once the search has cost enough."""
        if self.visits > MOST:
            return False
        said, visits = self.refusal((n,) * self.axes)
        self.visits += visits + 1
        return not said

    def along(self, n: int) -> int:
        """The smallest larger length that fits, else the largest smaller one, else 0."""
        most = max(FAR, 4 * n)
        larger = takewhile(lambda _: self.visits < ONE_BY_ONE, range(n + 1, most))
        low = n
        for low in larger:
            if self(low):
                return low
        for power in range(low.bit_length(), most.bit_length()):
            if self(high := 1 << power):
                self.exact = False
                return self.between(low, high)
            low = high
        return next(filter(self, range(n - 1, max(0, n - NEAR - 1), -1)), 0)

    def between(self, low: int, high: int) -> int:
        """A length that fits, and the one below it not, between one that does not and one that does."""
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self(middle) else (middle, high)
        return high


def nearest(refusal: Refusal, size: Sequence[int], refused: tuple[str, int]) -> tuple[str, Size] | None:
    """The smallest larger size that fits, else the largest smaller one, after what it is; None for none.

    Axes are searched one after the other, on inputs as long as wide; what is found is tried as a whole.
    Where trying one by one costs too much, sizes far away are tried, and between them those that fit are
    taken to be the larger ones: what is found fits, and need not be the smallest.

    Args:
        refusal: as `Trials` takes it.
        size: what does not fit, such as (height, width).
        refused: what `refusal` says of it. If it says the same of a far larger size, none is searched: the
            same reason after as many layers, for one that is repeated can be to blame again.

    Example:
        >>> def even_from_6(size):
        ...     return "" if all(n >= 6 and n % 2 == 0 for n in size) else f"not {size}", 1
        >>> nearest(even_from_6, (3, 9), ("not (3, 9)", 1))
        ('the smallest larger', (6, 10))
    """
    far = refusal(tuple(2 * n + 64 for n in size))
    if not size or far == refused or far[1] > MOST:
        return None
    trials, square = Trials(refusal, len(size)), len(set(size)) == 1
    alike = {n: n if not square and trials(n) else trials.along(n) for n in set(size)}
    found = tuple(alike[n] for n in size)
    if not all(found) or refusal(found)[0]:
        return None
    larger = [m >= n for m, n in zip(found, size, strict=True)]
    if not trials.exact or (any(larger) and not all(larger)):
        return "an", found
    return "the smallest larger" if all(larger) else "the largest smaller", found
