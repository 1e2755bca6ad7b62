from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnatomy.report.rate_page import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, drawing, marks, write_rates
from cnnatomy.train.finder import RateCurve, smooth


def curve_of(losses: list[float], low: float = 1e-6, high: float = 10.0) -> RateCurve:
    count = len(losses)
    rates = tuple(low * (high / low) ** (step / (count - 1)) for step in range(count))
    return RateCurve(rates, tuple(losses), smooth(losses))


USUAL = [2.3 - 1.4 / (1 + math.exp(-(step - 50) / 6)) + max(0, step - 80) ** 2 / 90 for step in range(100)]
LOSSES = st.lists(st.floats(0, 1e3), min_size=10, max_size=60)


@given(LOSSES)
def test_everything_drawn_lies_in_the_frame(losses: list[float]) -> None:
    drawn = drawing(curve_of(losses))
    (path,) = re.findall(r'<path d="M([^"]+)"', drawn)
    line = [tuple(map(float, point.split())) for point in path.split("L")]
    points = [(float(x), float(y)) for x, y in re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', drawn)]
    assert len(line) == len(losses)
    for x, y in line + points:
        assert LEFT <= x <= WIDTH - RIGHT
        assert TOP <= y <= HEIGHT - BOTTOM


def test_decades_stand_where_they_are_and_marks_where_the_rates_are() -> None:
    curve = curve_of(USUAL)
    drawn = drawing(curve)
    decades = dict(
        re.findall(r'<text class="axis" x="([\d.]+)" y="337" text-anchor="middle">([^<]+)<', drawn)
    )
    places = {float(label): float(x) for x, label in decades.items()}
    assert sorted(places) == pytest.approx([10.0**power for power in range(-6, 2)])
    width = WIDTH - LEFT - RIGHT
    for rate, x in places.items():
        assert x == pytest.approx(LEFT + width * (math.log10(rate) + 6) / 7, abs=0.1)
    found = re.findall(r'<line class="mark[^"]*" x1="([\d.]+)"', drawn)
    expected = [LEFT + width * (math.log10(mark.rate) + 6) / 7 for mark in marks(curve)]
    assert [float(x) for x in found] == pytest.approx(sorted(expected), abs=0.1)


def test_the_page_is_whole_refers_to_nothing_and_says_the_suggestion(tmp_path: Path) -> None:
    curve = curve_of(USUAL)
    path = write_rates(curve, tmp_path / "new" / "rates.html")
    assert list(path.parent.iterdir()) == [path]
    text = path.read_text("utf-8")
    assert not re.search(r"https?:|url\(|@import|<script|//[a-z]", text)
    assert "prefers-color-scheme: dark" in text
    (said,) = re.findall(r'<p class="figure">([^<]+)<', text)
    assert float(said) == pytest.approx(curve.suggestion, rel=0.05)
    assert re.findall(r'<th scope="row">(\w+)', text) == [mark.name for mark in marks(curve)]
