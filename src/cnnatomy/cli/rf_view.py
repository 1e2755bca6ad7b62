"""What one unit sees, on a terminal: a table of numbers and a small map of the input."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cnnatomy.anatomy.present.map_layout import borderless, layout
from cnnatomy.anatomy.present.number_text import NONE, part
from cnnatomy.anatomy.present.sentences import title
from cnnatomy.anatomy.shapes import sizes

if TYPE_CHECKING:
    from cnnatomy.anatomy import Anatomy
    from cnnatomy.anatomy.field import Field
    from cnnatomy.anatomy.figures import Layer

COLUMNS, LINES = 56, 20
"""The most letters and lines of the drawn input."""
HEAD = ("axis", "reads", "cells", "without border", "cut off", "size", "jump", "start", "centre")


def show(
    known: Anatomy,
    layer: Layer,
    fields: Sequence[Field],
    unit: tuple[int, ...],
    place: tuple[int, ...],
    reading: str,
    console: Console,
) -> None:
    """Print the numbers, and the picture for an input with two spatial axes."""
    where = f"unit {','.join(map(str, place))} " if place else ""
    channel = unit[layout(fields)[0]]
    console.print(Text(title(known), "bold"))
    console.print(
        Text.assemble(where, "of ", (layer.path or "the model", "cyan"), f", channel {channel}, {reading}")
    )
    if whole := _sees_all(fields, unit):
        shapes = ", ".join(sizes(shape) for shape in known.inputs.values())
        console.print(Text(f"sees the whole input, {shapes}, as every unit here does"))
    else:
        console.print(numbers(known, fields, unit))
    for text in _remarks(known, fields):
        console.print(Text(text, "yellow"))
    for name, shape in () if whole else known.inputs.items():
        axes = [one for one in fields if one.input == name]
        if len(shape) == 4 and len(axes) == 2:
            y, x = (one.interval(unit) for one in axes)
            console.print(drawn((shape[2], shape[3]), y, x))


def _sees_all(fields: Sequence[Field], unit: tuple[int, ...]) -> bool:
    """Whether a unit reads every axis whole, and so do all others: there is nothing to tell of each axis."""
    return all(one.law.kind == "global" and one.interval(unit) == range(one.n) for one in fields)


def numbers(known: Anatomy, fields: Sequence[Field], unit: tuple[int, ...]) -> Table:
    """A row for each axis of each input."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="dim")
    for name in HEAD:
        table.add_column(name, justify="left" if name == "axis" else "right", no_wrap=True)
    for one in fields:
        table.add_row(*_numbers(known, one, unit))
    return table


def _numbers(known: Anatomy, one: Field, unit: tuple[int, ...]) -> list[str]:
    inside, law = one.interval(unit), one.law
    free = borderless(one, unit)
    texts = [_axis(one, known), f"{inside[0]}..{inside[-1]}" if inside else "nothing", str(len(inside))]
    texts.append(f"{free[0]}..{free[1]}" if free else NONE)
    cut = (max(0, inside[0] - free[0]), max(0, free[1] - inside[-1])) if free and inside else None
    texts.append(f"{cut[0]} + {cut[1]}" if cut and any(cut) else "0" if cut else NONE)
    if law.kind != "periodic" or law.jump is None or law.centre is None:
        return [*texts, law.kind, NONE, NONE, NONE]
    sizes = " or ".join(map(str, sorted(set(law.sizes))))
    return [*texts, sizes, part(law.jump), str(law.start), part(law.centre)]


def _axis(one: Field, known: Anatomy) -> str:
    spatial = len(known.inputs[one.input]) - 2
    names = "zyx"[3 - spatial :] if spatial <= 3 else ""
    axis = names[one.axis - 2] if names else str(one.axis)
    return axis if len(known.inputs) == 1 else f"{one.input} {axis}"


def _remarks(known: Anatomy, fields: Sequence[Field]) -> list[str]:
    """What must be known of the numbers."""
    unsure = sorted({one.unsure for one in fields if one.unsure})
    said = [f"at most: {name} is taken to read everything" for name in unsure]
    said += sorted({f"no law: {one.law.why}" for one in fields if one.law.why})
    channel = layout(fields)[0]
    if any(max(one.lo.shape[channel], one.hi.shape[channel]) > 1 for one in fields):
        said.append("channels differ: size, jump and start are those of the widest")
    if "drift" in {one.law.kind for one in fields}:
        said.append("drift: branches of unequal jumps meet, so there is no single one")
    return [*said, *([f"partial: {known.reason}"] if known.reason else [])]


def drawn(size: tuple[int, int], y: range, x: range) -> Text:
    """The input as a frame of points, the cells that are read as blocks.

    Example:
        >>> print(drawn((4, 8), range(1, 3), range(0, 2)).plain)
        ┌────────┐
        │········│
        │██······│
        │██······│
        │········│
        └────────┘
    """
    height, width = size
    scale = max(height / LINES / 2, width / COLUMNS, 1.0) if height > LINES or width > COLUMNS else 0.0
    # A letter is about twice as high as wide: of a large input it stands for twice as many rows as columns.
    rows = _cells(height, round(height / scale / 2) if scale else height, y)
    columns = _cells(width, round(width / scale) if scale else width, x)
    text = Text(f"┌{'─' * len(columns)}┐\n")
    for row in rows:
        text.append("│")
        for column in columns:
            seen = row and column
            text.append("█" if seen else "·", "bold green" if seen else "dim")
        text.append("│\n")
    return text.append(f"└{'─' * len(columns)}┘")


def _cells(n: int, letters: int, seen: range) -> list[bool]:
    """For each letter along an axis, whether any of the cells that it stands for is read."""
    letters = max(1, letters)
    edges = [n * i // letters for i in range(letters + 1)]
    return [
        bool(seen) and seen.start < max(stop, start + 1) and start < seen.stop
        for start, stop in pairwise(edges)
    ]
