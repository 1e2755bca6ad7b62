"""What the quick suite keeps of a test's combinations holds what it should."""

from __future__ import annotations

from itertools import combinations as two_of

from combinations import FEW, SHARE, kept, numbered
from hypothesis import given
from hypothesis import strategies as st

rows = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.tuples(*[st.integers(0, 5)] * width), min_size=1, max_size=60, unique=True)
)


@given(rows, st.text(max_size=3))
def test_every_value_occurs_and_few_rows_are_kept(table: list[tuple[int, ...]], seed: str) -> None:
    chosen = kept(table, seed)
    assert chosen == kept(table, seed)
    assert chosen <= set(range(len(table)))
    columns = [len(set(column)) for column in zip(*table, strict=True)]
    assert min(len(table), FEW) <= len(chosen) <= max(FEW, round(SHARE * len(table)), sum(columns))
    if sum(count > 1 for count in columns) > 1:
        for place in range(len(columns)):
            assert {table[row][place] for row in chosen} == {row[place] for row in table}


def test_pairs_of_values_are_kept_where_there_is_room() -> None:
    table = [(a, b, c, d) for a in range(3) for b in range(3) for c in range(3) for d in range(6)]
    chosen = [table[number] for number in kept(table, "x", costly=20)]
    for i, j in two_of(range(4), 2):
        assert len({(row[i], row[j]) for row in chosen}) == len({(row[i], row[j]) for row in table})


def test_a_parameter_under_two_names_is_one() -> None:
    table = [(number, number) for number in range(40)]
    assert len(kept(table, "x")) == FEW


@given(rows, st.integers(1, 5))
def test_of_a_costly_test_so_many_are_kept_and_no_more(table: list[tuple[int, ...]], costly: int) -> None:
    chosen = kept(table, "x", costly)
    assert 1 <= len(chosen) <= costly
    assert len(chosen) == len(table) or len(table) > costly
    values = {(place, table[row][place]) for row in chosen for place in range(len(table[0]))}
    everything = {(place, value) for row in table for place, value in enumerate(row)}
    assert len(chosen) == min(costly, len(table)) or values == everything


def test_another_seed_keeps_others() -> None:
    table = [(number,) for number in range(100)]
    assert len({frozenset(kept(table, f"{seed} x")) for seed in range(10)}) == 10


def test_values_are_told_apart_by_kind_and_value() -> None:
    assert numbered([1, True, 1.0, 1, "1", (1,)]) == (0, 1, 2, 0, 3, 4)
