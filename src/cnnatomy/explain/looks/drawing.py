"""Arrays as pictures of a page: heat over a picture, maps in grey, curves as SVG."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from markupsafe import Markup
from torch import Tensor
from torch.nn import functional as F

from cnnatomy.report.chart import ticks
from cnnatomy.report.pixels import png

FOR, AGAINST = (192, 74, 22), (31, 106, 192)
"""Orange and blue."""
FAINT = 0.35
"""How much of a picture's contrast is left under its heat."""
WIDTH, HEIGHT = 340, 190
LEFT, RIGHT, TOP, BOTTOM = 46, 16, 12, 40


def grey(plane: Tensor) -> bytes:
    """A plane (H, W) as PNG, its least value black and its largest white."""
    low, high = plane.amin(), plane.amax()
    return png(255 * (plane - low)[None] / (high - low).clamp(min=1e-12))


def small(levels: Tensor, most: int) -> bytes:
    """Levels (C, H, W) as PNG of at most so many pixels a side."""
    side = max(levels.shape[1:])
    if side > most:
        size = [max(1, round(n * most / side)) for n in levels.shape[1:]]
        levels = F.interpolate(levels.float()[None], size, mode="area")[0]
    return png(levels)


def heat(values: Tensor, levels: Tensor) -> bytes:
    """Values (h, w) over a faint grey picture (C, H, W) of levels as PNG: orange above 0, blue below.

    The largest magnitude is in full colour; a smaller grid is drawn in blocks.
    """
    height, width = levels.shape[1:]
    values = F.interpolate(values[None, None].float(), (height, width), mode="nearest")[0, 0]
    share = (values / values.abs().amax().clamp(min=1e-12))[None]
    base = (255 - FAINT * (255 - levels.float().mean(0, keepdim=True))).expand(3, -1, -1)
    ink = torch.where(share > 0, _colour(FOR), _colour(AGAINST))
    return png(base + share.abs() * (ink - base))


def _colour(parts: Sequence[int]) -> Tensor:
    return torch.tensor(parts, dtype=torch.float32).view(3, 1, 1)


def line(xs: Sequence[float], ys: Sequence[float], axis: str, title: str) -> Markup:
    """Shares against amounts as an SVG element, with a point and its value for each."""
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    at = [round(LEFT + (x - xs[0]) / (xs[-1] - xs[0]) * (right - LEFT), 1) for x in xs]
    levels = [level for level in ticks(0.0, max(ys), 4) if level <= 1]
    top = max(levels[-1], *ys)
    ups = [round(bottom - y / top * (bottom - TOP), 1) for y in ys]
    grid = Markup("").join(
        Markup(
            '<line class="grid" x1="{}" x2="{}" y1="{y}" y2="{y}"/>'
            '<text class="axis" x="{}" y="{y}" text-anchor="end" dy=".32em">{}%</text>'
        ).format(LEFT, right, LEFT - 6, f"{100 * level:g}", y=round(bottom - level / top * (bottom - TOP), 1))
        for level in levels
    )
    marks = Markup("").join(
        Markup('<text class="axis" x="{}" y="{}" text-anchor="middle">{:g}</text>').format(
            x, bottom + 16, amount
        )
        for x, amount in zip(at, xs, strict=True)
    )
    points = Markup("").join(
        Markup('<circle cx="{}" cy="{}" r="3"><title>{:g} {}: {:.1f}%</title></circle>').format(
            x, up, amount, axis, 100 * y
        )
        for x, up, amount, y in zip(at, ups, xs, ys, strict=True)
    )
    path = "M" + "L".join(f"{x} {up}" for x, up in zip(at, ups, strict=True))
    spoken = f"{title}: from {100 * ys[0]:.1f}% to {100 * ys[-1]:.1f}%"
    name = Markup('<text class="axis" x="{}" y="{}" text-anchor="middle">{}</text>').format(
        (LEFT + right) / 2, HEIGHT - 4, axis
    )
    return Markup(
        '<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}{}{}'
        '<g class="c0"><path d="{}"/>{}</g></svg>'
    ).format(WIDTH, HEIGHT, spoken, grid, marks, name, path, points)
