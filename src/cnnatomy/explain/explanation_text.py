"""An explanation in a terminal: the call, the maps, one output's line and what goes back."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Any

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from cnnatomy.explain import gradient_text, output_lines
from cnnatomy.explain.explanation import flat
from cnnatomy.explain.record import Record

WIDEST = 16
"""Maps with more columns or rows than these are not drawn."""
CHANNELS = 4
"""So many channels of an input are drawn."""
LISTED = 24
"""So many gradients are listed."""


def plain(record: Record) -> str:
    """The text without colours."""
    out = io.StringIO()
    Console(file=out, width=110, color_system=None).print(coloured(record), soft_wrap=True)
    return "\n".join(row.rstrip() for row in out.getvalue().rstrip("\n").split("\n"))


def coloured(record: Record) -> Any:
    """The text as rich shows it."""
    o = flat(record["at"], record["tensors"]["y"]["shape"])
    parts: list[Any] = [
        Text(record["operator"]["call"], "bold"),
        Text(f"y = {record['formula']['text']}", "dim"),
    ]
    parts += [Text(sentence) for sentence in sentences(record)]
    if "network" in record:
        parts.append(Text(sees(record["network"]), "cyan"))
    parts += [Text(note, "yellow") for note in record["notes"]]
    parts.append(maps(record, o))
    said, more = output_lines.line(record, o), output_lines.remark(record, o)
    parts.append(
        Text.assemble(
            f"{gradient_text.output_name(record, o)} = ", (said, "bold"), f"   {more}" if more else ""
        )
    )
    parts += [Text(one) for one in sends(record, o)]
    parts += [Text(one, "green") for one in agreement(record)]
    return Group(*parts)


def sentences(record: Record) -> list[str]:
    """The size of every axis with its formula filled in; of alike axes once."""
    found: dict[str, list[int]] = {}
    for grid in record["axes"][:1]:
        for axis, facts in enumerate(grid):
            found.setdefault(facts["sentence"], []).append(axis)
    more = len(record["axes"]) - 1
    said = [f"axis {' and '.join(map(str, axes))}: {sentence}" for sentence, axes in found.items()]
    return said + ([f"and {more} more {'grid' if more == 1 else 'grids'}"] if more > 0 else [])


def sees(network: Record) -> str:
    """What a unit of a layer sees of the network's input.

    Example:
        >>> sees({"layer": "c1", "field": [{"axis": 0, "cells": [0, 4]}, {"axis": 1, "cells": [2, 6]}]})
        'layer c1; the unit sees rows 0..4 and columns 2..6 of the picture'
    """
    names = (
        ["rows", "columns"]
        if len(network["field"]) == 2
        else [f"axis {one['axis']}:" for one in network["field"]]
    )
    fields = [
        f"{name} {one['cells'][0]}..{one['cells'][1]}" if one["cells"] else f"{name} none"
        for name, one in zip(names, network["field"], strict=True)
    ]
    return f"layer {network['layer']}" + (
        f"; the unit sees {' and '.join(fields)} of the picture" if fields else ""
    )


def agreement(record: Record) -> list[str]:
    """How far the record is from the operator, and from autograd."""
    worst: dict[str, float] = {}
    for check in record["checks"]:
        what = check["what"].split(" against ")[1]
        worst[what] = max(worst.get(what, 0.0), output_lines.number(check["worst"]))
    return [
        f"agrees with {what} to {value:.1e}" if value else f"agrees with {what} exactly"
        for what, value in worst.items()
    ]


def sends(record: Record, o: int) -> list[str]:
    """Where an output's gradient goes: each cell and its part."""
    grad = output_lines.number(record["tensors"]["grad_y"]["values"][o])
    first, stop = record["taps"]["ptr"][o : o + 2]
    parts: dict[int, float] = {}
    for k in range(first, stop):
        cell = record["taps"]["cell"][k]
        if cell >= 0:
            parts[cell] = parts.get(cell, 0.0) + grad * output_lines.number(record["taps"]["partial"][k])
    nonzero = [(cell, part) for cell, part in parts.items() if part != 0]
    listed = ", ".join(
        f"{output_lines.written(part, 4)[0]} -> {gradient_text.cell_name(record, cell)}"
        for cell, part in nonzero[:LISTED]
    )
    rest = "" if len(nonzero) <= LISTED else f", and {len(nonzero) - LISTED} more"
    others = "; others 0" if len(nonzero) < len(parts) and nonzero else ""
    return [f"gradient {output_lines.written(grad, 4)[0]}: {listed or 'nothing goes back'}{rest}{others}"]


def maps(record: Record, o: int) -> Any:
    """x with the window marked, y with the output marked, and the gradient of x."""
    x, y = record["tensors"]["x"], record["tensors"]["y"]
    shape = x["shape"]
    if len(shape) not in (2, 3) or max(*shape[1:], *y["shape"]) > WIDEST:
        return Text("(the maps are too large to draw here)", "dim")
    first, stop = record["taps"]["ptr"][o : o + 2]
    read = set(record["taps"]["cell"][first:stop])
    size = math.prod(shape[1:])
    unread = {
        cell
        for cell in range(size * shape[0])
        if record["cover"]["ptr"][cell] == record["cover"]["ptr"][cell + 1]
    }
    row: list[Any] = []
    for c in range(min(shape[0], CHANNELS)):
        title = "x" if shape[0] == 1 else f"x[{x['channels'][c]}]"
        at = range(c * size, (c + 1) * size)
        row.append(
            _map(
                title,
                [x["values"][i] for i in at],
                shape[1:],
                {i - c * size for i in read},
                {i - c * size for i in unread},
            )
        )
    row.append(_map("y", y["values"], y["shape"], {o}, set()))
    if shape[0] == 1:
        row.append(_map("dx", record["tensors"]["grad_x"]["values"], shape[1:], read, unread))
    table = Table.grid(padding=(0, 4))
    table.add_row(*row)
    return table


def _map(title: str, values: Sequence[Any], shape: Sequence[int], marked: set[int], unread: set[int]) -> Any:
    columns = shape[-1]
    shown = [output_lines.written(output_lines.number(value), 4)[0] for value in values]
    width = max(map(len, shown), default=1)
    text = Text(f"{title}\n", "dim")
    for i, said in enumerate(shown):
        mark = "[]" if i in marked else "//" if i in unread else "  "
        style = "bold cyan" if i in marked else "dim" if i in unread else ""
        text.append(f"{mark[0]}{said:>{width}}{mark[1]}", style)
        if i % columns == columns - 1 and i + 1 < len(shown):
            text.append("\n")
    return text
