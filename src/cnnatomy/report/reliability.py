"""Accuracy against confidence as an SVG element: a bar a bin, and the line on which both are equal."""

from __future__ import annotations

from markupsafe import Markup

from cnnatomy.files.printable import percent
from cnnatomy.train.calibration import BINS, Bin, Calibration

SIDE, LEFT, BOTTOM, TOP = 240, 46, 40, 8


def reliability(found: Calibration, bins: int = BINS) -> Markup:
    """The reliability diagram; a bar is as wide as its bin, and as dark as it has pictures."""
    most = max(one.pictures for one in found.bins)
    bars = Markup("").join(_bar(one, most, bins) for one in found.bins)
    marks = Markup("").join(_mark(n / 4) for n in range(5))
    spoken = f"confidence {percent(found.confidence)}, accuracy {percent(found.accuracy)}"
    diagonal = Markup('<line class="equal" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(
        _x(0), _y(0), _x(1), _y(1)
    )
    axis = Markup('<text class="axis" x="{}" y="{}" text-anchor="middle">confidence</text>').format(
        _x(0.5), TOP + SIDE + BOTTOM - 4
    )
    return Markup(
        '<svg class="chart reliability" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>'
    ).format(LEFT + SIDE + 16, TOP + SIDE + BOTTOM, f"Reliability: {spoken}", marks + bars + diagonal + axis)


def _x(share: float) -> float:
    return round(LEFT + share * SIDE, 1)


def _y(share: float) -> float:
    return round(TOP + (1 - share) * SIDE, 1)


def _bar(one: Bin, most: int, bins: int) -> Markup:
    left = min(int(one.confidence * bins), bins - 1) / bins
    said = (
        f"{one.pictures:,} pictures: confidence {percent(one.confidence)}, accuracy {percent(one.accuracy)}"
    )
    return Markup(
        '<rect class="c0" x="{}" y="{}" width="{:.1f}" height="{:.1f}" fill-opacity="{:.2f}">'
        "<title>{}</title></rect>"
    ).format(
        _x(left) + 1,
        _y(one.accuracy),
        SIDE / bins - 2,
        max(_y(0) - _y(one.accuracy), 1),
        0.35 + 0.65 * one.pictures / most,
        said,
    )


def _mark(share: float) -> Markup:
    return Markup(
        '<line class="grid" x1="{}" x2="{}" y1="{y}" y2="{y}"/>'
        '<text class="axis" x="{}" y="{y}" text-anchor="end" dy=".32em">{label}</text>'
        '<text class="axis" x="{}" y="{}" text-anchor="middle">{label}</text>'
    ).format(_x(0), _x(1), _x(0) - 6, _x(share), TOP + SIDE + 18, y=_y(share), label=f"{100 * share:g}%")
