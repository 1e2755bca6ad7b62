"""Maps and pictures drawn in frames of fixed size, with rectangles in their own cells."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

_STYLE = (Path(__file__).parents[1] / "explain" / "svg.css").read_text("utf-8")
_OWN = """
.rim { fill: none; stroke: var(--line); vector-effect: non-scaling-stroke }
.unit, .seen { fill: none; stroke-width: 3; vector-effect: non-scaling-stroke }
.unit { stroke: var(--c1) } .seen { stroke: var(--c0) } image { image-rendering: pixelated }
"""


def drawn(width: int, height: int, said: str, parts: Sequence[Markup], alone: bool = False) -> Markup:
    """An SVG element of these parts; with its own style and size if it stands alone.

    Args:
        width: of the drawing.
        height: of the drawing.
        said: what it shows, for those who do not see it.
        parts: what is in it.
        alone: whether it is a file of its own.
    """
    if alone:
        style = Markup("<style>{}</style>").format(Markup(_STYLE + _OWN))
        parts = [style, Markup('<rect width="100%" height="100%" fill="var(--paper)"/>'), *parts]
    own = Markup(' width="{}"').format(width) if alone else ""
    return Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {} {}" role="img" aria-label="{}"{}>{}</svg>'
    ).format(width, height, said, own, Markup("").join(parts))


def text(x: int, y: int, said: str, name: str = "") -> Markup:
    """A line of text, by which a script may find it."""
    return Markup('<text class="soft"{} x="{}" y="{}">{}</text>').format(_id(name), x, y, said)


def frame(
    box: Sequence[int], size: Sequence[int], name: str, inside: Sequence[Markup], picture: str = ""
) -> Markup:
    """A map of rows and columns, stretched into a box (x, y, width, height), over a picture."""
    rows, columns = size
    parts = [rect("rim", (0, 0, columns, rows)), *inside]
    if picture:
        seen = Markup('<image href="{}" width="{}" height="{}" preserveAspectRatio="none"/>')
        parts.insert(0, seen.format(picture, columns, rows))
    return Markup(
        '<svg{} x="{}" y="{}" width="{}" height="{}" viewBox="0 0 {} {}" preserveAspectRatio="none">{}</svg>'
    ).format(_id(name), *box, columns, rows, Markup("").join(parts))


def rect(kind: str, at: Sequence[int], name: str = "") -> Markup:
    """A rectangle (x, y, width, height)."""
    return Markup('<rect class="{}"{} x="{}" y="{}" width="{}" height="{}"/>').format(kind, _id(name), *at)


def _id(name: str) -> Markup:
    return Markup(' id="{}"').format(name) if name else Markup("")
