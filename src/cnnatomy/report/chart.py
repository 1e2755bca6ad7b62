"""Learning curves as an SVG element drawn by hand: it scales, prints, and follows the page's colours."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from markupsafe import Markup

from cnnatomy.files.printable import percent as as_percent
from cnnatomy.report.page_content import Curve

WIDTH, HEIGHT = 520, 260
LEFT, RIGHT, TOP, BOTTOM = 52, 110, 14, 38
LETTER = 6.8
"""How wide a letter of a label is, about; the drawing grows with labels that are longer than its margin."""

Scale = Callable[[float], float]


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) that reach from `low` or below to `high` or above.

    Example:
        >>> ticks(0, 0.93)
        [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    span = high - low
    span = max(span if span > 1e-9 * abs(high) else abs(high), 1e-12)
    power = 10.0 ** math.floor(math.log10(span / about))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= span / about * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{index * step:.12g}") for index in range(first, max(last, first + 1) + 1)]


def chart(title: str, curves: Sequence[Curve], *, percent: bool = False) -> Markup:
    """Curves over the epochs: gridlines, an axis, each curve with its name and last value at its end.

    A value that is not finite leaves a gap. Curve k has the class `c{k}`, which the page colours.
    """
    finite = [value for curve in curves for value in curve.values if math.isfinite(value)]
    epochs = max((len(curve.values) for curve in curves), default=0)
    if not finite:
        return Markup("")
    levels = ticks(min(finite) if percent else min(0.0, *finite), max(finite))
    levels = [level for level in levels if not percent or 0 <= level <= 1]
    levels = levels if len(levels) > 1 else ticks(0.0, 1.0)
    x = _scale(1, max(epochs, 2), LEFT, WIDTH - RIGHT)
    y = _scale(levels[0], levels[-1], HEIGHT - BOTTOM, TOP)
    show = as_percent if percent else "{:.3g}".format
    mark = "{:.4g}%".format if percent else "{:.4g}".format
    parts = [
        *(_gridline(y(level), mark(100 * level if percent else level)) for level in levels),
        *(_epoch(x(e), e) for e in _whole(epochs)),
        Markup('<text class="axis" x="{}" y="{}" text-anchor="middle">epoch</text>').format(
            (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4
        ),
        *(_line(index, curve, x, y, show) for index, curve in enumerate(curves)),
        *_labels(curves, x, y, show),
    ]
    longest = max(len(f"{curve.name} {show(max(finite))}") for curve in curves)
    width = WIDTH + max(0, round(LETTER * longest) + 9 - RIGHT)
    return Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        width, HEIGHT, _spoken(title, curves, show), Markup("").join(parts)
    )


def _scale(low: float, high: float, start: float, end: float) -> Scale:
    return lambda value: round(start + (value - low) / (high - low) * (end - start), 1)


def _whole(epochs: int) -> list[int]:
    """Epoch numbers to write: each one of a few, round ones of many."""
    if epochs <= 10:
        return list(range(1, epochs + 1))
    return [int(tick) for tick in ticks(0, epochs) if tick == int(tick) and 1 <= tick <= epochs]


def _gridline(y: float, label: str) -> Markup:
    return Markup(
        '<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/>'
        '<text class="axis" x="{}" y="{}" text-anchor="end" dy=".32em">{}</text>'
    ).format(LEFT, WIDTH - RIGHT, y, y, LEFT - 8, y, label)


def _epoch(x: float, epoch: int) -> Markup:
    return Markup('<text class="axis" x="{}" y="{}" text-anchor="middle">{}</text>').format(
        x, HEIGHT - BOTTOM + 17, epoch
    )


def _line(index: int, curve: Curve, x: Scale, y: Scale, show: Callable[[float], str]) -> Markup:
    """The line, broken at values that are not finite, and a point with its value for every epoch."""
    path, pen = [], "M"
    for epoch, value in enumerate(curve.values, 1):
        if math.isfinite(value):
            path.append(f"{pen}{x(epoch)} {y(value)}")
        pen = "L" if math.isfinite(value) else "M"
    points = Markup("").join(
        Markup('<circle cx="{}" cy="{}" r="3"><title>{}, epoch {}: {}</title></circle>').format(
            x(epoch), y(value), curve.name, epoch, show(value)
        )
        for epoch, value in enumerate(curve.values, 1)
        if math.isfinite(value)
    )
    return Markup('<g class="c{}"><path d="{}"/>{}</g>').format(index, "".join(path), points)


def _labels(curves: Sequence[Curve], x: Scale, y: Scale, show: Callable[[float], str]) -> list[Markup]:
    """Each curve's name and last value beside its end, moved apart where they would touch."""
    last = [
        next((epoch for epoch in range(len(c.values), 0, -1) if math.isfinite(c.values[epoch - 1])), None)
        for c in curves
    ]
    ends = [(index, epoch, curves[index].values[epoch - 1]) for index, epoch in enumerate(last) if epoch]
    return [
        Markup('<text class="label c{}" x="{}" y="{}" dy=".32em">{} {}</text>').format(
            index, x(epoch) + 9, at, curves[index].name, show(value)
        )
        for (index, epoch, value), at in zip(ends, apart([y(value) for *_, value in ends]), strict=True)
    ]


def apart(wanted: Sequence[float], gap: float = 16, bottom: float = HEIGHT - BOTTOM) -> list[float]:
    """Places as near to the wanted ones as a gap between them and a lowest place allow, in the given order.

    Example:
        >>> apart([100, 104, 221], gap=16, bottom=222)
        [100, 116, 221]
        >>> apart([221, 219], gap=16, bottom=222)
        [222, 206]
    """
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    places = list(wanted)
    for above, below in pairwise(order):
        places[below] = max(places[below], places[above] + gap)
    limit = bottom
    for index in reversed(order):
        places[index] = min(places[index], limit)
        limit = places[index] - gap
    return places


def _spoken(title: str, curves: Sequence[Curve], show: Callable[[float], str]) -> str:
    drawn = (curve for curve in curves if curve.values)
    said = (f"{curve.name} from {show(curve.values[0])} to {show(curve.values[-1])}" for curve in drawn)
    return f"{title}: {'; '.join(said)}"
