"""A layer's map with a unit, and the picture with what the unit sees, as one SVG."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from cnnatomy.lab.cell_drawing import drawn, frame, rect, text

SIDE, GAP, TOP, FOOT = 260, 40, 26, 34
"""The side of both drawings, and the space between, above and below them, in pixels."""


def figure(record: Mapping[str, Any], alone: bool = False) -> Markup:
    """The figure of the unit that a record stands at; with its style and sentence if it stands alone."""
    layer, (row, column) = record["layers"][record["layer"]], record["unit"]
    rows, columns, said = len(layer["rows"]), len(layer["columns"]), sentence(record)
    (top, tall, _), (left, wide, _) = layer["rows"][row], layer["columns"][column]
    right, unit, seen = 2 + SIDE + GAP, (column, row, 1, 1), (left, top, wide, tall)
    parts = [
        text(2, 16, f"{layer['path']}, {rows}×{columns}", "map-name"),
        text(right, 16, "the picture"),
        frame((2, TOP, SIDE, SIDE), (rows, columns), "map", [rect("unit", unit, "unit")]),
        frame((right, TOP, SIDE, SIDE), record["size"], "", [rect("seen", seen, "seen")], record["picture"]),
    ]
    foot = [text(2, SIDE + TOP + 24, said)] if alone else []
    return drawn(right + SIDE + 2, SIDE + TOP + FOOT, said, [*parts, *foot], alone)


def sentence(record: Mapping[str, Any]) -> str:
    """What the unit sees, in words."""
    layer = record["layers"][record["layer"]]
    row, column = record["unit"]
    return f"{layer['path']}[{row},{column}] sees {layer['rows'][row][2]}, {layer['columns'][column][2]}"
