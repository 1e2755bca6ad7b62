"""The chart of sizes, and what the page says of copies."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnatomy.report.scatter import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, scatter

SIDE = st.integers(1, 20_000)


@given(st.dictionaries(st.tuples(SIDE, SIDE), st.integers(1, 10**6), min_size=1, max_size=30))
def test_every_size_has_a_dot_in_the_frame(sizes: dict[tuple[int, int], int]) -> None:
    drawn = scatter(sizes)
    dots = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)" r="([\d.]+)"><title>(\d+)x(\d+): ', drawn)
    assert {(int(h), int(w)) for *_, h, w in dots} == set(sizes)
    for x, y, *_ in dots:
        assert LEFT <= float(x) <= WIDTH - RIGHT
        assert TOP <= float(y) <= HEIGHT - BOTTOM


def test_squares_lie_on_the_line_and_an_octave_is_one_step() -> None:
    drawn = scatter({(32, 32): 5, (64, 64): 5, (128, 32): 1})
    place = {
        title: (float(x), float(y))
        for x, y, title in re.findall(r'cx="([\d.]+)" cy="([\d.]+)" r="[\d.]+"><title>(\w+)', drawn)
    }
    across, up = WIDTH - RIGHT - LEFT, HEIGHT - BOTTOM - TOP
    assert place == {
        "32x32": (float(LEFT), float(HEIGHT - BOTTOM)),
        "64x64": (LEFT + across / 2, HEIGHT - BOTTOM - up / 2),
        "128x32": (float(LEFT), float(TOP)),
    }


@pytest.mark.parametrize("side", [1, 17, 1024])
def test_one_size_is_drawn_too(side: int) -> None:
    assert f"{side}x{side}: 3</title>" in scatter({(side, side): 3})
