"""Present: one anatomy as a terminal table, HTML, Markdown, CSV or JSON."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict
from html import escape
from typing import TYPE_CHECKING

from cnnatomy.anatomy.table import Row, Table, sizes

if TYPE_CHECKING:
    from rich.console import RenderableType

_HTML_STYLE = (
    ".cnnatomy{border-collapse:collapse;font-variant-numeric:tabular-nums}"
    ".cnnatomy caption{text-align:left;padding:.3em 0;font-weight:600}"
    ".cnnatomy th,.cnnatomy td{padding:.2em .9em;text-align:left;border-bottom:1px solid #8884}"
    ".cnnatomy .n{text-align:right}"
    ".cnnatomy tfoot th,.cnnatomy tfoot td{font-weight:600;border-top:2px solid currentColor}"
)


def terminal(table: Table) -> RenderableType:
    """The table for rich: numbers to the right, the total under a rule, then what must be known."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Group
    from rich.table import Table as RichTable
    from rich.text import Text

    head, body, foot = _cells(table)
    grid = RichTable(box=SIMPLE_HEAD, show_footer=True, pad_edge=False)
    for index, (title, total) in enumerate(zip(head, foot, strict=True)):
        style = ("cyan", "", "green")[index] if index < 3 else ""
        number = index > 2
        grid.add_column(
            Text(title, style="bold"),
            Text(total, style="bold"),
            style=style,
            justify="right" if number else "left",
            no_wrap=number,
            overflow="fold",
        )
    for cells in body:
        grid.add_row(*(Text(cell, style="dim" if cell in ("0", "–") else "") for cell in cells))
    said = [Text(f"partial: {table.reason}", style="yellow")] if table.reason else []
    notes = [Text(note, style="dim") for note in _notes(table)]
    return Group(Text(_title(table), style="bold"), grid, *said, *notes)


def html_text(table: Table) -> str:
    """The table as one HTML element that carries its own style."""
    head, body, foot = _cells(table)

    def line(cells: list[str], tag: str) -> str:
        classes = ["", "", ""] + [" class=n"] * (len(cells) - 3)
        marked = (f"<{tag}{of}>{escape(cell)}</{tag[:2]}>" for of, cell in zip(classes, cells, strict=True))
        return f"<tr>{''.join(marked)}</tr>"

    said = [f"partial: {table.reason}"] if table.reason else []
    return (
        f"<style>{_HTML_STYLE}</style><table class=cnnatomy><caption>{escape(_title(table))}</caption>"
        f"<thead>{line(head, 'th scope=col')}</thead>"
        f"<tbody>{''.join(line(cells, 'td') for cells in body)}</tbody>"
        f"<tfoot>{line(foot, 'td')}</tfoot></table>"
        + "".join(f"<p>{escape(note)}</p>" for note in said + _notes(table))
    )


def markdown(table: Table) -> str:
    """The table in Markdown: title, pipes, and notes below."""
    head, body, foot = _cells(table)
    rule = ["---:" if column > 2 else "---" for column in range(len(head))]
    total = [f"**{cell}**" if cell else "" for cell in foot]
    lines = [" | ".join(_unpiped(cell) for cell in cells) for cells in (head, rule, *body, total)]
    said = [f"partial: {table.reason}"] if table.reason else []
    parts = [f"**{_title(table)}**", "\n".join(f"| {line} |" for line in lines), *said, *_notes(table)]
    return "\n\n".join(parts) + "\n"


def csv_text(table: Table) -> str:
    """One line a row; several output shapes are separated by spaces."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["layer", "type", "output_shapes", "trainable", "frozen", "shared"])
    for row in table.rows:
        shapes = " ".join("x".join(map(str, shape)) for shape in row.output_shapes)
        writer.writerow([row.path, row.type, shapes, row.trainable, row.frozen, row.shared])
    return out.getvalue()


def json_text(table: Table) -> str:
    """The fields of the table, its totals, and `complete`."""
    totals = {name: getattr(table, name) for name in ("parameters", "trainable", "frozen", "complete")}
    return json.dumps(asdict(table) | totals, indent=2, ensure_ascii=False)


def _cells(table: Table) -> tuple[list[str], list[list[str]], list[str]]:
    """Head, body and foot; a column that would be zero all the way down is left out."""
    extra = [name for name in ("frozen", "shared") if any(getattr(row, name) for row in table.rows)]
    head = ["layer", "type", "output shape", "trainable" if "frozen" in extra else "parameters", *extra]
    body = [_row_cells(row, extra) for row in table.rows]
    label = "total" if table.complete else "all layers"
    shapes = ", ".join(map(sizes, table.output_shapes)) if table.complete else "partial"
    totals = [f"{table.frozen:,}" if name == "frozen" else "" for name in extra]
    return head, body, [label, "", shapes, f"{table.trainable:,}", *totals]


def _row_cells(row: Row, extra: list[str]) -> list[str]:
    shapes = ", ".join(map(sizes, row.output_shapes)) or "–"
    counts = [f"{row.trainable:,}", *(f"{getattr(row, name):,}" for name in extra)]
    return [row.path or "(itself)", row.type, shapes, *counts]


def _title(table: Table) -> str:
    return f"{table.model} on one input of {sizes(table.input_shape)}"


def _notes(table: Table) -> list[str]:
    uncalled = any(not row.output_shapes for row in table.rows)
    return [*(["–: not called as a layer"] if uncalled and table.complete else []), *table.notes]


def _unpiped(cell: str) -> str:
    return cell.replace("|", r"\|")
