"""Colours of the confusion matrix: steps for right and wrong answers, readable in light and dark."""

from __future__ import annotations

import math

Colour = tuple[int, int, int]

STEPS = 10
FAINTEST = 0.12
"""How much of the full colour the first step has at least, so that a single mistake is seen."""
INK: dict[str, tuple[Colour, Colour]] = {
    "light": ((11, 11, 11), (255, 255, 255)),
    "dark": ((11, 11, 11), (255, 255, 255)),
}
PAPER: dict[str, Colour] = {"light": (252, 252, 251), "dark": (26, 26, 25)}
RAMPS: dict[str, dict[str, Colour]] = {
    "right": {"light": (28, 92, 171), "dark": (42, 106, 191)},
    "wrong": {"light": (178, 58, 14), "dark": (190, 70, 22)},
}


def step(count: int, total: int) -> int:
    """The step for `count` of `total`: 0 for none, then as the square root, so that a few show among many.

    Example:
        >>> [step(count, 1000) for count in (0, 1, 40, 1000)]
        [0, 1, 2, 10]
    """
    return max(1, round(STEPS * math.sqrt(count / total))) if count else 0


def luminance(colour: Colour) -> float:
    """Relative luminance, as WCAG 2 defines it."""
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: Colour, other: Colour) -> float:
    """The contrast ratio of two colours, as WCAG 2 defines it: 4.5 is enough to read.

    Example:
        >>> round(contrast((0, 0, 0), (255, 255, 255)))
        21
    """
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def cell(kind: str, mode: str, at: int) -> tuple[Colour, Colour]:
    """Background and ink of one step: the ramp's colour mixed into the paper, and the readable ink."""
    share = FAINTEST + (1 - FAINTEST) * at / STEPS if at else 0.0
    paper, full = PAPER[mode], RAMPS[kind][mode]
    red, green, blue = (round(p + (f - p) * share) for p, f in zip(paper, full, strict=True))
    background = (red, green, blue)
    return background, max(INK[mode], key=lambda ink: contrast(ink, background))


def css(mode: str) -> str:
    """One rule a kind and step: `.right.h7 { background; color }`."""
    rules = ((kind, at, *cell(kind, mode, at)) for kind in RAMPS for at in range(1, STEPS + 1))
    return "".join(
        f".{kind}.h{at}{{background:{_hex(back)};color:{_hex(ink)}}}" for kind, at, back, ink in rules
    )


def _hex(colour: Colour) -> str:
    return "#" + "".join(f"{value:02x}" for value in colour)
