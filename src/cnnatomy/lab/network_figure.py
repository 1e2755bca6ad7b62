"""A layer's map with a unit, and the picture with what the unit sees, as one SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

SIDE, GAP, TOP, FOOT = 260, 40, 26, 34
"""The side of both drawings, and the space between, above and below them, in pixels."""
_STYLE = (Path(__file__).parents[1] / "explain" / "svg.css").read_text("utf-8")
_OWN = """
.map, .rim { fill: none; stroke: var(--line); vector-effect: non-scaling-stroke }
.unit, .seen { fill: none; stroke-width: 3; vector-effect: non-scaling-stroke }
.unit { stroke: var(--c1) } .seen { stroke: var(--c0) }
"""


def figure(record: Mapping[str, Any], alone: bool = False) -> Markup:
    """The figure of the unit that a record stands at; with its own style and sentence if it stands alone."""
    layer, (row, column) = record["layers"][record["layer"]], record["unit"]
    rows, columns, said = len(layer["rows"]), len(layer["columns"]), sentence(record)
    (top, tall, _), (left, wide, _) = layer["rows"][row], layer["columns"][column]
    width, height, right = 2 * SIDE + GAP + 4, SIDE + TOP + FOOT, 2 + SIDE + GAP
    parts = [
        _text(2, 16, f"{layer['path']}, {rows}×{columns}", "map-name"),
        _text(right, 16, "the picture"),
        _drawing(2, (rows, columns), "map", "unit", (column, row, 1, 1)),
        _drawing(right, record["size"], "rim", "seen", (left, top, wide, tall), record["picture"]),
    ]
    if alone:
        style = Markup("<style>{}</style>").format(Markup(_STYLE + _OWN))
        paper = Markup('<rect width="100%" height="100%" fill="var(--paper)"/>')
        parts = [style, paper, *parts, _text(2, SIDE + TOP + 24, said)]
    return Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {} {}" role="img" aria-label="{}"{}>{}</svg>'
    ).format(
        width, height, said, Markup(' width="{}"').format(width) if alone else "", Markup("").join(parts)
    )


def _text(x: int, y: int, said: str, name: str = "") -> Markup:
    own = Markup(' id="{}"').format(name) if name else ""
    return Markup('<text class="soft"{} x="{}" y="{}">{}</text>').format(own, x, y, said)


def sentence(record: Mapping[str, Any]) -> str:
    """What the unit sees, in words."""
    layer = record["layers"][record["layer"]]
    row, column = record["unit"]
    return f"{layer['path']}[{row},{column}] sees {layer['rows'][row][2]}, {layer['columns'][column][2]}"


def _drawing(
    x: int, size: Sequence[int], kind: str, mark: str, at: Sequence[int], picture: str = ""
) -> Markup:
    """A map or a picture in a frame of fixed size, with one rectangle in its own cells."""
    rows, columns = size
    parts = [_rect(kind, "", (0, 0, columns, rows)), _rect(mark, mark, at)]
    if picture:
        seen = Markup('<image href="{}" width="{}" height="{}" preserveAspectRatio="none"/>')
        parts.insert(0, seen.format(picture, columns, rows))
    return Markup(
        '<svg id="{}" x="{}" y="{}" width="{}" height="{}" viewBox="0 0 {} {}" '
        'preserveAspectRatio="none">{}</svg>'
    ).format(kind, x, TOP, SIDE, SIDE, columns, rows, Markup("").join(parts))


def _rect(kind: str, name: str, at: Sequence[int]) -> Markup:
    own = Markup(' id="{}"').format(name) if name else ""
    return Markup('<rect class="{}"{} x="{}" y="{}" width="{}" height="{}"/>').format(kind, own, *at)
