"""What is said to fit does fit, and nothing nearer does."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnatomy.errors import ArgumentError
from cnnatomy.geometry import Mend, Window

windows = st.builds(
    Window,
    st.integers(1, 5),
    st.integers(1, 6),
    st.tuples(st.integers(0, 3), st.integers(0, 3)),
    st.integers(1, 3),
    st.booleans(),
)
sizes = st.integers(1, 30)


def tiles(w: Window, n: int) -> bool:
    """Every cell lies under a tap, and the last window's end is the padded end: windows laid one by one."""
    lo, hi = w.padding
    ends, read, at = -lo, set(), -lo
    while at + w.extent <= n + hi:
        read |= {at + j * w.dilation for j in range(w.kernel)}
        ends, at = at + w.extent, at + w.stride
    return ends == n + hi and bool(read) and set(range(n)) <= read


@given(windows, sizes)
def test_tiles_is_what_laying_windows_shows(w: Window, n: int) -> None:
    assert w.tiles(n) == tiles(w, n)


@given(windows, sizes)
def test_every_suggestion_fits_and_is_the_nearest(w: Window, n: int) -> None:
    fixes = w.mend(n)
    for m in fixes.sizes:
        assert m != n
        assert tiles(w, m)
        assert not any(tiles(w, between) for between in range(min(m, n) + 1, max(m, n)))
    assert sum(m > n for m in fixes.sizes) <= 1
    assert sum(m < n for m in fixes.sizes) <= 1
    for s in fixes.strides:
        assert s != w.stride
        assert tiles(replace(w, stride=s), n)
    for pair in fixes.paddings:
        assert max(pair) < w.extent
        assert tiles(replace(w, padding=pair), n)
    least = sum(fixes.paddings[0]) if fixes.paddings else 2 * w.extent - 1
    for total in range(least):
        split = (total // 2, total - total // 2)
        assert max(split) >= w.extent or not tiles(replace(w, padding=split), n)


def test_contiguous_windows_always_have_a_larger_size_that_fits() -> None:
    for n, k, s, p in product(range(1, 20), range(1, 6), range(1, 6), range(3)):
        if s <= k:
            w = Window(k, s, (p, p))
            larger = [m for m in w.mend(n).sizes if m > n]
            assert larger
            assert larger[0] <= max(n + s, k)


def test_the_example_everyone_meets() -> None:
    w = Window(3, stride=3)
    assert w.mend(7) == Mend(sizes=(6, 9), paddings=((1, 1), (0, 2)), strides=(2,))
    assert w.explain(7) == (
        "floor((7 + 0 + 0 - 3)/3) + 1 = 2; cell 6 is never read; "
        "an input of 6 or 9, padding (1, 1) or (0, 2), or stride 2 would fit."
    )


@pytest.mark.parametrize(
    ("window", "n", "words"),
    [
        (Window(3, 2), 7, "floor((7 + 0 + 0 - 3)/2) + 1 = 3; every cell is read and nothing is left over."),
        (Window(3, 3), 5, "cells 3..4 are never read"),
        (Window(2, 3), 7, "cells 2 and 5..6 are never read"),
        (Window(1, 2), 19, "9 of 19 cells are never read, the first of them cell 1"),
        (Window(3, 2, (1, 1)), 6, "every cell is read; 1 cell of padding is left over; an input of 5 or 7"),
        (Window(3, 3, (0, 2)), 9, "every cell is read; 2 cells of padding are left over"),
        (
            Window(3, 3, ceil_mode=True),
            7,
            "ceil((7 + 0 + 0 - 3)/3) + 1 = 3; every cell is read; the last window",
        ),
        (Window(3, 3, ceil_mode=True), 7, "the last window overhangs the end by 2 cells"),
        (Window(2, 3, (0, 1), ceil_mode=True), 5, "+ 1 = 3, and 2 without the window that would start after"),
        (Window(3, dilation=2), 9, "f* = 3 + (3 - 1)(2 - 1) = 5; floor((9 + 0 + 0 - 5)/1) + 1 = 5; every"),
        (Window(2, 2, dilation=2), 3, "cell 1 is never read; no size, padding or stride nearby fits."),
    ],
)
def test_explanations_say_what_happens(window: Window, n: int, words: str) -> None:
    assert words in window.explain(n)


@given(windows, sizes)
def test_explanations_hold(w: Window, n: int) -> None:
    """Read the sentence back: its arithmetic is true, and what it says of the fit is so."""
    if w.slack(n) < 0:
        with pytest.raises(ArgumentError, match="no window of extent"):
            w.explain(n)
        return
    text = w.explain(n)
    division = re.search(r"(floor|ceil)\(\((\d+) \+ (\d+) \+ (\d+) - (\d+)\)/(\d+)\) \+ 1 = (\d+)", text)
    assert division is not None
    rounding, *numbers = division.groups()
    a, lo, hi, span, s, result = map(int, numbers)
    assert (a, lo, hi, span, s) == (n, *w.padding, w.extent, w.stride)
    quotient = (a + lo + hi - span) // s if rounding == "floor" else -(-(a + lo + hi - span) // s)
    assert result == quotient + 1
    dropped = re.search(r"and (\d+) without", text)
    assert w.output_size(n) == (int(dropped.group(1)) if dropped else result)
    assert ("nothing is left over" in text) == tiles(w, n)
    assert ("never read" in text) == bool(w.unread(n))
    assert text.endswith(".")
