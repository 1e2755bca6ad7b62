"""A table on a terminal: as many columns as fit, no number broken, then what must be known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.table import Table
from rich.text import Text

from cnnatomy.anatomy.present import sentences
from cnnatomy.anatomy.present.columns import Column, Grid, grid
from cnnatomy.anatomy.present.number_text import NONE, UNKNOWN
from cnnatomy.anatomy.present.rows import View

if TYPE_CHECKING:
    from cnnatomy.anatomy.result import Anatomy

LEAST = {"path": 14, "type": 10, "output": 12}
"""The least width of columns of text, which are shortened where the terminal is narrow."""
STYLES = {"path": "cyan", "parameters": "green"}
SAID = 8
"""So many pieces of advice are shown."""


@dataclass(frozen=True)
class Terminal:
    """An anatomy as rich prints it, in the width that there is."""

    anatomy: Anatomy
    view: View

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        table = grid(self.anatomy, self.view)
        body = self._indented(table)
        widths, left_out = fitted(table, body, options.max_width)
        yield Text(sentences.title(self.anatomy), style="bold")
        yield _drawn(table, body, widths)
        if said := sentences.partial(self.anatomy):
            yield Text(said, style="yellow")
        if said := sentences.memory(self.anatomy):
            yield Text(said)
        yield from (Text(note, style="dim") for note in sentences.notes(self.anatomy))
        if left_out:
            yield Text(f"no room for: {', '.join(left_out)} (choose columns, or widen)", style="dim")
        yield from _advised(self.anatomy)

    def _indented(self, table: Grid) -> list[list[str]]:
        """The texts, with paths as a tree where rows stand in their order."""
        tree = not (self.view.sort or self.view.operations)
        at = next((i for i, column in enumerate(table.columns) if column.name == "path"), None)
        body = [list(cells) for cells in table.body]
        for row, cells in zip(table.rows, body, strict=True):
            if tree and at is not None:
                cells[at] = "  " * row.indent + (row.name or cells[at])
        return body


def fitted(table: Grid, body: list[list[str]], width: int) -> tuple[dict[int, int], list[str]]:
    """The width of each column that fits, by its index, and the names of those that do not.

    Columns of text give way first, down to their least width; then whole columns go, those of the highest
    rank first. A number keeps its width.
    """
    lines = [[column.title for column in table.columns], *body, list(table.foot)]
    widths = {i: max(cell_len(cells[i]) for cells in lines) for i in range(len(table.columns))}
    left_out: list[str] = []
    while _taken(_least(table, widths)) > width:
        going = max(widths, key=lambda i: (table.columns[i].rank, i))
        if table.columns[going].rank == 0:
            break
        left_out.append(table.columns[going].name)
        del widths[going]
    spare = width - _taken(_least(table, widths))
    for i, least in _least(table, widths).items():
        given = min(widths[i], least + max(0, spare))
        spare -= given - least
        widths[i] = given
    return widths, left_out


def _least(table: Grid, widths: dict[int, int]) -> dict[int, int]:
    return {i: min(width, LEAST.get(table.columns[i].name, width)) for i, width in widths.items()}


def _taken(widths: dict[int, int]) -> int:
    return (
        sum(widths.values()) + 3 * len(widths) + 1
    )  # as rich counts: padding of two, a rule between, an edge on both sides


def _drawn(table: Grid, body: list[list[str]], widths: dict[int, int]) -> Table:
    drawn = Table(box=SIMPLE_HEAD, show_footer=True, pad_edge=False, padding=(0, 1))
    for i, width in widths.items():
        column = table.columns[i]
        right = column.number
        drawn.add_column(
            Text(_short(column, column.title, width), style="bold"),
            Text(_short(column, table.foot[i], width), style="bold"),
            style=STYLES.get(column.name, ""),
            justify="right" if right else "left",
            no_wrap=True,
            width=width,
        )
    for cells in body:
        shown = {i: _short(table.columns[i], cells[i], width) for i, width in widths.items()}
        drawn.add_row(*(Text(cell, style=_style(cell)) for cell in shown.values()))
    return drawn


def _style(cell: str) -> str:
    return "dim" if cell in ("0", NONE) else "yellow" if cell == UNKNOWN else ""


def _short(column: Column, text: str, width: int) -> str:
    """Text that fits: of a path its ends remain, of other text its beginning."""
    if cell_len(text) <= width:
        return text
    if column.name != "path":
        return text[: width - 1] + "…"
    indent = min(len(text) - len(text.lstrip()), width // 2)
    room, name = width - indent - 1, text.lstrip()
    head = room // 3
    return " " * indent + name[:head] + "…" + name[len(name) - (room - head) :]


def _advised(anatomy: Anatomy) -> Iterator[Text]:
    """What stands out, the gravest first."""
    if anatomy.graph is None:
        return
    from cnnatomy.anatomy.ask.advice import advise

    found = advise(anatomy)
    order = ("error", "warning", "note")
    styles = dict(zip(order, ("red", "yellow", "blue"), strict=True))
    for one in sorted(found, key=lambda one: order.index(one.level))[:SAID]:
        where = f"{one.layer}: " if one.layer else ""
        yield Text.assemble((f"{one.level}: ", styles[one.level]), f"{where}{one.what}; {one.remedy}")
    if len(found) > SAID:
        yield Text(f"and {len(found) - SAID} more remarks", style="dim")
