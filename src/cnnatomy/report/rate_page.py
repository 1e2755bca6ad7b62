"""The page of a search for the learning rate: the loss at each rate, and what follows from it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup

from cnnatomy.report.chart import ticks
from cnnatomy.report.render import template
from cnnatomy.train.atomic_files import write_whole
from cnnatomy.train.finder import RateCurve

WIDTH, HEIGHT = 760, 360
LEFT, RIGHT, TOP, BOTTOM = 46, 16, 74, 40
ROW = 16
"""Between two lines of text above the drawing."""


class Mark(NamedTuple):
    """A rate of the curve that means something."""

    name: str
    rate: float
    meaning: str


def marks(curve: RateCurve) -> list[Mark]:
    """The rates that are drawn and told, the suggestion first."""
    return [
        Mark("suggested", curve.suggestion, "for the peak of a schedule: just below the lowest"),
        Mark("steepest", curve.steepest, "where the loss falls fastest: rates below waste steps"),
        Mark("tenth", curve.tenth, "a tenth of the lowest: for a rate that stays the same"),
        Mark("lowest", curve.lowest, "where the loss is lowest: rates above undo what was learned"),
    ]


def write_rates(curve: RateCurve, path: Path) -> Path:
    """Write the page to a file, whole or not at all, and make its folder where there is none."""
    page = template("rates.html.j2").render(curve=curve, drawing=drawing(curve), marks=marks(curve))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, page.encode("utf-8"))
    return path


def drawing(curve: RateCurve) -> Markup:
    """The curve as an SVG element: losses over rates, these on a logarithmic axis, with the marks."""
    low, high = min(curve.smoothed), max(curve.smoothed)
    levels = ticks(low - 0.05 * (high - low), high + 0.05 * (high - low))
    x = _scale(math.log10(curve.rates[0]), math.log10(curve.rates[-1]), LEFT, WIDTH - RIGHT)
    y = _scale(levels[0], levels[-1], HEIGHT - BOTTOM, TOP)
    parts = [
        *(_level(y(level), f"{level:.4g}") for level in levels),
        *(_decade(x(power), power) for power in _powers(curve)),
        Markup('<text class="axis" x="{}" y="{}" text-anchor="middle">learning rate</text>').format(
            (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4
        ),
        *_marks(marks(curve), x),
        Markup('<g class="raw">{}</g>').format(Markup("").join(_points(curve, x, y, levels))),
        Markup('<g class="c0"><path d="M{}"/></g>').format(
            "L".join(f"{x(math.log10(r))} {y(v)}" for r, v in zip(curve.rates, curve.smoothed, strict=True))
        ),
    ]
    said = "; ".join(f"{mark.name} {mark.rate:.3g}" for mark in marks(curve))
    return Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH, HEIGHT, f"Loss by learning rate: {said}", Markup("").join(parts)
    )


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    return lambda value: round(start + (value - low) / (high - low) * (end - start), 1)


def _powers(curve: RateCurve) -> range:
    """The powers of ten on the axis, of the exponents that lie on it."""
    first, last = math.log10(curve.rates[0]), math.log10(curve.rates[-1])
    return range(math.ceil(first - 1e-9), math.floor(last + 1e-9) + 1)


def _level(y: float, label: str) -> Markup:
    return Markup(
        '<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/>'
        '<text class="axis" x="{}" y="{}" text-anchor="end" dy=".32em">{}</text>'
    ).format(LEFT, WIDTH - RIGHT, y, y, LEFT - 8, y, label)


def _decade(x: float, power: int) -> Markup:
    return Markup(
        '<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/>'
        '<text class="axis" x="{}" y="{}" text-anchor="middle">{}</text>'
    ).format(x, x, TOP, HEIGHT - BOTTOM, x, HEIGHT - BOTTOM + 17, f"{10.0**power:g}")


def _marks(found: Sequence[Mark], x: Callable[[float], float]) -> list[Markup]:
    """A line for each mark, with its name above, each in a row of its own; the rightmost is the shortest."""
    lines, names = [], []
    for row, mark in enumerate(sorted(found, key=lambda mark: mark.rate)):
        at, top = x(math.log10(mark.rate)), 12 + row * ROW
        kind = "mark chosen" if mark is found[0] else "mark"
        line = '<line class="{}" x1="{}" x2="{}" y1="{}" y2="{}"/>'
        lines.append(Markup(line).format(kind, at, at, top, HEIGHT - BOTTOM))
        beside = (at - 6, "end") if at > WIDTH * 0.8 else (at + 6, "start")
        name = '<text class="{}" x="{}" text-anchor="{}" y="{}" dy=".32em">{} {}</text>'
        names.append(Markup(name).format(kind, *beside, top, mark.name, f"{mark.rate:.2g}"))
    return lines + names


def _points(
    curve: RateCurve, x: Callable[[float], float], y: Callable[[float], float], levels: Sequence[float]
) -> list[Markup]:
    """The losses as they were, but for those beyond the axis."""
    return [
        Markup('<circle cx="{}" cy="{}" r="2.5"><title>{}</title></circle>').format(
            x(math.log10(rate)), y(loss), f"rate {rate:.3g}: loss {loss:.4g}"
        )
        for rate, loss in zip(curve.rates, curve.losses, strict=True)
        if levels[0] <= loss <= levels[-1]
    ]
