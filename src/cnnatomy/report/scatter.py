"""Sizes of pictures as an SVG element: width across, height up, both in octaves."""

from __future__ import annotations

import math
from collections.abc import Mapping

from markupsafe import Markup

WIDTH, HEIGHT = 520, 360
LEFT, RIGHT, TOP, BOTTOM = 52, 20, 28, 38
LARGEST = 11.0
"""The radius of the dot of the commonest size."""


def scatter(sizes: Mapping[tuple[int, int], int]) -> Markup:
    """A dot for each size (height, width), its area by the logarithm of how many pictures have it."""
    sides = [side for size in sizes for side in size]
    low, high = math.floor(math.log2(min(sides))), math.ceil(math.log2(max(sides)))
    high = max(high, low + 1)
    octaves = [2**power for power in range(low, high + 1)]

    def x(width: float) -> float:
        return round(LEFT + (math.log2(width) - low) / (high - low) * (WIDTH - RIGHT - LEFT), 1)

    def y(height: float) -> float:
        return round(HEIGHT - BOTTOM - (math.log2(height) - low) / (high - low) * (HEIGHT - BOTTOM - TOP), 1)

    most = math.log1p(max(sizes.values()))
    square = Markup('<path class="square" d="M{} {}L{} {}"/>').format(
        x(octaves[0]), y(octaves[0]), x(octaves[-1]), y(octaves[-1])
    )
    parts = [
        *(_marks(x(side), y(side), side) for side in octaves),
        _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4, "middle", "width"),
        _text(LEFT - 8, TOP - 14, "end", "height"),
        square,
        *(
            Markup('<circle cx="{}" cy="{}" r="{}"><title>{}</title></circle>').format(
                x(width),
                y(height),
                round(max(2.0, LARGEST * math.sqrt(math.log1p(count) / most)), 1),
                f"{height}x{width}: {count:,}",
            )
            for (height, width), count in sorted(sizes.items(), key=lambda item: -item[1])
        ),
    ]
    said = f"{len(sizes):,} sizes, sides from {min(sides)} to {max(sides)}"
    return Markup(
        '<svg class="chart scatter" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>'
    ).format(WIDTH, HEIGHT, said, Markup("").join(parts))


def _marks(x: float, y: float, side: int) -> Markup:
    line = Markup('<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/>').format
    lines = line(LEFT, WIDTH - RIGHT, y, y) + line(x, x, TOP, HEIGHT - BOTTOM)
    below = _text(x, HEIGHT - BOTTOM + 17, "middle", str(side))
    return lines + _text(LEFT - 8, y + 4, "end", str(side)) + below


def _text(x: float, y: float, anchor: str, text: str) -> Markup:
    return Markup('<text class="axis" x="{}" y="{}" text-anchor="{}">{}</text>').format(x, y, anchor, text)
