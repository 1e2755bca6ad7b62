"""Charts keep to their frame, labels do not touch, and every colour can be read."""

from __future__ import annotations

import itertools
import math
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cnnatomy.report import Curve, heat
from cnnatomy.report.chart import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, apart, chart, ticks

numbers = st.floats(-1e6, 1e6).filter(lambda value: value == 0 or abs(value) > 1e-6)


@given(numbers, numbers)
def test_ticks_are_even_and_enclose(one: float, other: float) -> None:
    low, high = sorted((one, other))
    marks = ticks(low, high)
    gaps = [after - before for before, after in itertools.pairwise(marks)]
    assert 1 <= len(gaps) <= 7
    assert max(gaps) == pytest.approx(min(gaps), rel=1e-6)
    slack = 1e-6 * max(gaps)
    assert marks[0] <= low + slack
    assert marks[-1] >= high - slack


@given(st.lists(st.floats(0, 100), min_size=1, max_size=40), st.booleans())
@example([100.0, 100.0], True)
@example([0.0], True)
def test_every_point_lies_in_the_frame(values: list[float], percent: bool) -> None:
    values = [value / 100 for value in values] if percent else values
    drawn = chart("Loss", [Curve("train", values)], percent=percent)
    points = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', drawn)
    assert len(points) == len(values)
    for x, y in points:
        assert LEFT <= float(x) <= WIDTH - RIGHT
        assert TOP <= float(y) <= HEIGHT - BOTTOM


@given(st.lists(st.floats(0, 200), max_size=4))
def test_labels_keep_their_distance(wanted: list[float]) -> None:
    places = sorted(apart(wanted, gap=16, bottom=222))
    assert all(below - above >= 16 - 1e-9 for above, below in itertools.pairwise(places))
    assert all(place <= 222 for place in places)


def test_nothing_to_draw_draws_nothing() -> None:
    assert chart("Loss", [Curve("train", [math.nan])]) == ""
    assert chart("Loss", []) == ""


@pytest.mark.parametrize("mode", list(heat.PAPER))
@pytest.mark.parametrize("kind", list(heat.RAMPS))
def test_every_cell_of_the_matrix_can_be_read(kind: str, mode: str) -> None:
    cells = [heat.cell(kind, mode, at) for at in range(heat.STEPS + 1)]
    assert min(heat.contrast(*cell) for cell in cells) >= 4.5
    away = [heat.contrast(background, heat.PAPER[mode]) for background, _ in cells]
    assert away == sorted(away)
    assert away[1] > 1.1


@pytest.mark.parametrize("mode", list(heat.PAPER))
def test_a_single_mistake_among_many_is_seen(mode: str) -> None:
    assert heat.step(1, 100_000) == 1
    assert heat.step(0, 0) == 0
    assert ".wrong.h1{background:" in heat.css(mode)
