"""Which of a test's combinations the quick suite runs: a seeded tenth, in which every value still occurs.

Most faults need one value or two to show (D. R. Kuhn, D. R. Wallace and A. M. Gallo, Software fault
interactions and implications for software testing, 2004). So of a test with several parameters those
combinations are kept that hold every value of each, and then those that add most pairs of values, up to a
tenth of them all. Of a test with one long list of values a seeded tenth is kept. Four combinations, if there
are as many, are always kept.

A test that compiles or starts processes is marked with `@pytest.mark.costly(n)`, a file of such tests with
`pytestmark`: n of its combinations are kept, those that hold most values between them. Hypothesis draws a
third of the examples.

The seed is the test's name with `--combinations-seed`. `pytest --all-combinations` runs everything.
"""

from __future__ import annotations

import random
from collections.abc import Hashable, Iterable, Sequence
from itertools import combinations

Row = tuple[int, ...]
Trait = tuple[int, ...]
"""A value with its column, or two of them."""

FEW = 4
"""So many combinations of a test, or fewer, are all kept; so many at least are kept of more."""
SHARE = 0.1


def kept(rows: Sequence[Row], seed: str, costly: int | None = None) -> set[int]:
    """The numbers of the rows that are kept.

    Args:
        rows: for each combination the numbers of its values, a column a parameter.
        seed: decides between rows that add as much.
        costly: how many at most, where each of them takes long.

    Example:
        >>> rows = [(a, b) for a in range(3) for b in range(5)]
        >>> chosen = [rows[number] for number in kept(rows, "a test")]
        >>> len(chosen), sorted({a for a, b in chosen}), sorted({b for a, b in chosen})
        (5, [0, 1, 2], [0, 1, 2, 3, 4])
        >>> len(kept(rows, "a test that compiles", costly=2))
        2
    """
    most = costly or max(FEW, round(SHARE * len(rows)))
    if len(rows) <= most:
        return set(range(len(rows)))
    order = random.Random(seed).sample(range(len(rows)), len(rows))
    columns = distinct(zip(*rows, strict=True))
    if len(columns) < 2:
        return set(order[:most])
    told = [tuple(column[number] for column in columns) for number in order]
    first = cover([_values(row) for row in told], costly or len(told))
    rest = cover([_pairs(row) for row in told], most, first)
    return {order[place] for place in rest}


def distinct(columns: Iterable[Row]) -> list[Row]:
    """The columns that vary, each once, though parameters that go together have a column each."""
    found = {numbered(column): column for column in columns}
    return [column for column in found.values() if len(set(column)) > 1]


def cover(traits: Sequence[set[Trait]], most: int, begun: Iterable[int] = ()) -> list[int]:
    """Up to so many sets, after those begun with, of which each adds as much as any to the union of all."""
    chosen = list(begun)
    missing = set[Trait]().union(*traits).difference(*(traits[place] for place in chosen))
    gains = [len(one) for one in traits]
    while missing and len(chosen) < most:
        best = max(range(len(traits)), key=gains.__getitem__)
        gain = len(traits[best] & missing)
        if gain < gains[best]:
            gains[best] = gain  # as counted when less was covered; others may now add more
            continue
        chosen.append(best)
        missing -= traits[best]
        gains[best] = 0
    return chosen


def numbered(values: Sequence[object]) -> Row:
    """Each value's number in the order of first occurrence; one without a hash is one of its kind.

    Example:
        >>> numbered(["max", "mean", "max", [1]])
        (0, 1, 0, 2)
    """
    found: dict[Hashable, int] = {}
    return tuple(found.setdefault(_key(value), len(found)) for value in values)


def _values(row: Row) -> set[Trait]:
    return set(enumerate(row))


def _pairs(row: Row) -> set[Trait]:
    return {(i, row[i], j, row[j]) for i, j in combinations(range(len(row)), 2)}


def _key(value: object) -> Hashable:
    try:
        return type(value), hash(value), value
    except TypeError:
        return "without a hash", id(value)
