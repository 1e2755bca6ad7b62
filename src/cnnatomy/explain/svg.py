"""One step of an explanation as a picture: its maps with the window, and the line."""

from __future__ import annotations

import html
import textwrap
from pathlib import Path

from cnnatomy.explain.explanation import flat
from cnnatomy.explain.record import Record
from cnnatomy.explain.views import Board, View, view

SIDE, TINY, GAP, MARGIN, LINE, LETTER = 32, 10, 28, 16, 22, 8
"""Sides of cells, spaces, the height of a line of text and the width of a letter, in pixels."""
WIDEST = 1100
LETTERS = 110
"""Letters of a line of text."""
STYLE = (Path(__file__).parent / "svg.css").read_text("utf-8")


def render(record: Record) -> str:
    """The step that was asked for, as SVG that refers to nothing outside itself."""
    shown = view(record)
    o = flat(record["at"], record["tensors"]["y"]["shape"])
    parts, x, bottom, right = [], MARGIN, 0, 0
    top = MARGIN
    for board in shown.boards:
        if x > MARGIN and x + board.columns * _side(board) > WIDEST:
            x, top = MARGIN, bottom + GAP
        made, width, height = _board(board, shown, o, x, top)
        parts.append(made)
        x += width + GAP
        right, bottom = max(right, x), max(bottom, top + height)
    step = shown.outputs[o]
    said = [f"{step['name']} {step['line']}", step["remark"], step["back"], record["operator"]["call"]]
    rows = [row for one in said if one for row in textwrap.wrap(one, LETTERS)]
    for k, row in enumerate(rows):
        parts.append(f'<text x="{MARGIN}" y="{bottom + (k + 1) * LINE}">{html.escape(row)}</text>')
    height = bottom + (len(rows) + 1) * LINE
    width = max(right, MARGIN * 2 + 7 * max(map(len, rows), default=0))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" role="img" '
        f'aria-label="{html.escape(step["line"], quote=True)}"><style>{STYLE}</style>'
        f'<rect width="100%" height="100%" fill="var(--paper)"/>{"".join(parts)}</svg>\n'
    )


def _board(board: Board, shown: View, o: int, x: int, y: int) -> tuple[str, int, int]:
    step, made = shown.outputs[o], []
    made.append(f'<text class="soft" x="{x}" y="{y + 12}">{html.escape(board.name)}</text>')
    side, tall = _side(board), SIDE if board.readable else TINY
    for r, row in enumerate(board.rows):
        for c, (number, cell) in enumerate(row):
            marks = [name for name in ("read", "sent", "here") if number in step[name]]
            left, top = x + c * side, y + 20 + r * tall
            kinds = " ".join(["cell", *filter(None, [cell.kind]), *marks])
            made.append(
                f'<rect class="{kinds}" x="{left + 1}" y="{top + 1}" width="{side - 3}" height="{tall - 3}"/>'
            )
            if board.readable:
                middle = f'x="{left + side / 2 - 1:g}" y="{top + tall / 2 + 4:g}"'
                made.append(f'<text {middle} text-anchor="middle">{html.escape(cell.text)}</text>')
    return "".join(made), board.columns * side, 20 + len(board.rows) * tall


def _side(board: Board) -> int:
    """How wide the cells of a board are: as their longest number."""
    longest = max((len(cell.text) for cell in board.cells), default=1)
    return max(SIDE, LETTER * longest + 6) if board.readable else TINY
