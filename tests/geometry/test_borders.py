"""Borders against np.pad on the numbers of cells, and the widths that a call can give."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnatomy.errors import ArgumentError
from cnnatomy.geometry.borders import CYCLIC, Run, cropped, pairs, period, rounds, runs, settled, source

MODES = ["edge", *CYCLIC]


def cells(run: Run) -> list[int]:
    return [run.start + k * run.step for k in range(run.cells)]


@pytest.mark.parametrize("mode", MODES)
@given(n=st.integers(1, 9), lo=st.integers(0, 30), hi=st.integers(0, 30))
def test_every_position_shows_the_cell_that_numpy_shows(mode: str, n: int, lo: int, hi: int) -> None:
    truth = np.pad(np.arange(n), (lo, hi), mode)  # type: ignore[call-overload]
    assert [source(mode, i, n) for i in range(-lo, n + hi)] == truth.tolist()


@pytest.mark.parametrize("mode", MODES)
@given(n=st.integers(1, 9), lo=st.integers(0, 12), hi=st.integers(0, 12))
def test_runs_and_whole_periods_are_the_same_borders(mode: str, n: int, lo: int, hi: int) -> None:
    kind = settled(mode, n, (lo, hi))
    truth = [source(mode, i, n) for i in range(-lo, n + hi)]
    found = runs(kind, n, (lo, hi))
    if found is not None:
        assert cells(found[0]) + list(range(n)) + cells(found[1]) == truth
    else:
        assert max(lo, hi) > n - (kind == "reflect")
    if kind in CYCLIC:
        times, skip = rounds(kind, n, (lo, hi))
        tiled = [source(kind, i, n) for i in range(period(kind, n))] * times
        assert tiled[skip : skip + lo + n + hi] == truth


@given(st.integers(0, 9), st.integers(-5, 5), st.integers(-5, 5))
def test_cropping_keeps_what_slices_keep(n: int, lo: int, hi: int) -> None:
    if max(-lo, 0) + max(-hi, 0) > n:
        with pytest.raises(ArgumentError, match="too few cells"):
            cropped(n, (lo, hi), 0)
        return
    first, count, added = cropped(n, (lo, hi), 0)
    kept = list(range(n))[max(-lo, 0) : n - max(-hi, 0)]
    assert list(range(first, first + count)) == kept
    assert added == (max(lo, 0), max(hi, 0))


@pytest.mark.parametrize(
    "value", [1, (1, 2), ((1, 2), (3, 4)), np.array([[1, 2], [3, 4]]), (np.array([1, 2]))]
)
def test_widths_expand_as_numpy_expands_them(value: Any) -> None:
    shape = np.pad(np.zeros((1, 1)), value).shape
    assert tuple(1 + sum(pair) for pair in pairs(value, 2, "widths")) == shape


@pytest.mark.parametrize(
    "value", [1.0, "1", None, True, -1, (1, 2, 3), ((1, 2),), ((1, 2, 3), 1), (1, "x"), [[]]]
)
def test_what_is_no_width_is_refused(value: Any) -> None:
    with pytest.raises(ArgumentError):
        pairs(value, 2, "widths")
