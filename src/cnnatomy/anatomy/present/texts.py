"""A table as Markdown, as comma-separated values, and as an HTML element."""

from __future__ import annotations

import csv
import io
from html import escape
from typing import TYPE_CHECKING

from cnnatomy.anatomy.present.columns import COLUMNS, chosen, grid, sorted_rows
from cnnatomy.anatomy.present.rows import View
from cnnatomy.anatomy.present.sentences import sentences, title

if TYPE_CHECKING:
    from cnnatomy.anatomy.result import Anatomy

_STYLE = (
    ".cnnatomy{border-collapse:collapse;font-variant-numeric:tabular-nums}"
    ".cnnatomy caption{text-align:left;padding:.3em 0;font-weight:600}"
    ".cnnatomy th,.cnnatomy td{padding:.2em .9em;text-align:left;border-bottom:1px solid #8884}"
    ".cnnatomy .n{text-align:right;white-space:nowrap}"
    ".cnnatomy tfoot th,.cnnatomy tfoot td{font-weight:600;border-top:2px solid currentColor}"
)


def markdown(anatomy: Anatomy, view: View) -> str:
    """Title, pipes, and sentences below."""
    table = grid(anatomy, view)
    rule = ["---:" if column.number else "---" for column in table.columns]
    total = [f"**{cell}**" if cell else "" for cell in table.foot]
    head = [column.title for column in table.columns]
    lines = [" | ".join(_unpiped(cell) for cell in cells) for cells in (head, rule, *table.body, total)]
    parts = [f"**{title(anatomy)}**", "\n".join(f"| {line} |" for line in lines), *sentences(anatomy)]
    return "\n\n".join(parts) + "\n"


def comma_separated(anatomy: Anatomy, view: View) -> str:
    """One line a row, numbers bare, nothing where there is none; every column if none is chosen."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    columns = chosen(view) if view.columns else tuple(COLUMNS.values())
    writer.writerow(column.name for column in columns)
    for row in sorted_rows(anatomy, view):
        writer.writerow("" if (value := column.value(row)) is None else value for column in columns)
    return out.getvalue()


def element(anatomy: Anatomy, view: View) -> str:
    """One HTML table that carries its own style, and paragraphs below it."""
    table = grid(anatomy, view)
    classes = [" class=n" if column.number else "" for column in table.columns]

    def line(cells: tuple[str, ...], tag: str) -> str:
        marked = (f"<{tag}{of}>{escape(cell)}</{tag[:2]}>" for of, cell in zip(classes, cells, strict=True))
        return f"<tr>{''.join(marked)}</tr>"

    head = tuple(column.title for column in table.columns)
    return (
        f"<style>{_STYLE}</style><table class=cnnatomy><caption>{escape(title(anatomy))}</caption>"
        f"<thead>{line(head, 'th scope=col')}</thead>"
        f"<tbody>{''.join(line(cells, 'td') for cells in table.body)}</tbody>"
        f"<tfoot>{line(table.foot, 'td')}</tfoot></table>"
        + "".join(f"<p>{escape(said)}</p>" for said in sentences(anatomy))
    )


def _unpiped(cell: str) -> str:
    return cell.replace("|", r"\|")
