"""Intervals as dots and bars, and points in a plane, as SVG elements that follow the page's colours."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from markupsafe import Markup

from cnnatomy.report.chart import apart, ticks

WIDTH, ROW, BOTTOM = 720, 44, 40
LABEL = 190
"""Room for the rows' names."""
LONGEST = 26
"""Letters of a name that fit there."""


class Row(NamedTuple):
    """A named mean with its interval, one more that is wider, and single values."""

    name: str
    mean: float
    narrow: tuple[float, float] | None = None
    wide: tuple[float, float] | None = None
    values: Sequence[float] = ()


class Point(NamedTuple):
    """A named point."""

    name: str
    x: float
    y: float


def intervals(title: str, axis: str, rows: Sequence[Row], *, zero: bool = False) -> Markup:
    """A row a name: the mean as a dot, its intervals as bars, single values as small dots.

    Args:
        title: what it shows, for those who hear it.
        axis: what is measured, and in which unit.
        rows: from above.
        zero: draw the line of no difference.
    """
    if not rows:
        return Markup("")
    every = [value for row in rows for value in _numbers(row)] + ([0.0] if zero else [])
    marks = ticks(min(every), max(every))
    height = ROW * len(rows) + BOTTOM
    x = _scale(marks[0], marks[-1], LABEL, WIDTH - 24)
    parts = [_tick(x(mark), height, f"{mark:g}", zero and mark == 0) for mark in marks]
    parts += [_row(row, x, ROW * index + ROW / 2) for index, row in enumerate(rows)]
    parts.append(_caption(axis, (LABEL + WIDTH - 24) / 2, height))
    said = "; ".join(f"{row.name} {row.mean:.4g}" for row in rows)
    return Markup('<svg class="chart dots" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH, height, f"{title}: {said}", Markup("").join(parts)
    )


def plane(title: str, across: str, up: str, points: Sequence[Point], *, less: bool = False) -> Markup:
    """Points by two measures, the one across on a logarithmic axis; those that no other beats are joined.

    `less`: less of the measure upwards is better.
    """
    positive = [point for point in points if point.x > 0]
    if not positive:
        return Markup("")
    width, height, left, right, top = 520, 300, 58, 130, 14
    low, high = math.log10(min(p.x for p in positive)), math.log10(max(p.x for p in positive))
    low, high = (low - 0.3, high + 0.3) if high - low < 0.1 else (low - 0.05, high + 0.05)
    marks = ticks(min(p.y for p in positive), max(p.y for p in positive))
    x = _scale(low, high, left, width - right)
    y = _scale(marks[0], marks[-1], height - BOTTOM, top)
    places = apart([y(p.y) for p in positive], bottom=height - BOTTOM)
    line = '<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/>'
    text = '<text class="axis" x="{}" y="{}" text-anchor="{}" dy=".32em">{}</text>'
    parts = [
        Markup(line + text).format(left, width - right, y(m), y(m), left - 8, y(m), "end", f"{m:g}")
        for m in marks
    ]
    parts += [
        Markup(text).format(x(at), height - BOTTOM + 14, "middle", short(10**at))
        for at in (low + (high - low) * share for share in (0.1, 0.5, 0.9))
    ]
    best = sorted(_front(positive, less), key=lambda p: p.x)
    path = "L".join(f"{x(math.log10(p.x))} {y(p.y)}" for p in best)
    parts.append(Markup('<g class="c0"><path d="M{}"/></g>').format(path))
    for point, place in zip(positive, places, strict=True):
        dot = '<g class="c0"><circle cx="{}" cy="{}" r="5"><title>{}</title></circle></g>'
        at = x(math.log10(point.x))
        parts.append(Markup(dot).format(at, y(point.y), f"{point.name}: {short(point.x)}, {point.y:.2f}"))
        name = '<text class="axis" x="{}" y="{}" dy=".32em">{}</text>'
        parts.append(Markup(name).format(at + 9, place, _short(point.name, 16)))
    parts.append(_caption(across, (left + width - right) / 2, height))
    return Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        width, height, f"{title}: {up} by {across}", Markup("").join(parts)
    )


def short(number: float) -> str:
    """A number in a few letters.

    Example:
        >>> short(482_730), short(3.2e9), short(12)
        ('483k', '3.2G', '12')
    """
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g}{letter}"
    return f"{number:.3g}"


def _front(points: Sequence[Point], less: bool) -> list[Point]:
    """Those beside which no other is better at the same cost or less."""
    return [p for p in points if not any(_beats(q, p, less) for q in points)]


def _beats(one: Point, other: Point, less: bool) -> bool:
    better = one.y <= other.y if less else one.y >= other.y
    return one.x <= other.x and better and (one.x, one.y) != (other.x, other.y)


def _numbers(row: Row) -> list[float]:
    return [row.mean, *(row.narrow or ()), *(row.wide or ()), *row.values]


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    return lambda value: round(start + (value - low) / (high - low) * (end - start), 1)


def _tick(x: float, height: float, label: str, zero: bool) -> Markup:
    kind = "grid zero" if zero else "grid"
    return Markup(
        '<line class="{}" x1="{}" x2="{}" y1="4" y2="{}"/>'
        '<text class="axis" x="{}" y="{}" text-anchor="middle">{}</text>'
    ).format(kind, x, x, height - BOTTOM, x, height - BOTTOM + 16, label)


def _caption(text: str, x: float, height: float) -> Markup:
    return Markup('<text class="axis" x="{}" y="{}" text-anchor="middle">{}</text>').format(
        x, height - 4, text
    )


def _row(row: Row, x: Callable[[float], float], y: float) -> Markup:
    bar = '<line class="{}" x1="{}" x2="{}" y1="{}" y2="{}"/>'
    parts = [
        Markup(
            '<text x="{}" y="{}" text-anchor="end" dy=".32em" class="row">{}<title>{}</title></text>'
        ).format(LABEL - 14, y, _short(row.name, LONGEST), row.name)
    ]
    if row.wide:
        parts.append(Markup(bar).format("wide", x(row.wide[0]), x(row.wide[1]), y, y))
    if row.narrow:
        parts.append(Markup(bar).format("narrow", x(row.narrow[0]), x(row.narrow[1]), y, y))
    dot = '<circle class="{}" cx="{}" cy="{}" r="{}"><title>{}</title></circle>'
    parts += [Markup(dot).format("one", x(value), y, 3, f"{value:.2f}") for value in row.values]
    parts.append(Markup(dot).format("mean", x(row.mean), y, 6, f"{row.name}: {row.mean:.2f}"))
    return Markup("").join(parts)


def _short(name: str, most: int) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"
