"""Columns: what a table says of each row, as a value for programs and as text for people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cnnatomy.anatomy.present import number_text
from cnnatomy.anatomy.present.number_text import NONE
from cnnatomy.anatomy.present.rows import Row, View, per_axis, rows
from cnnatomy.anatomy.shapes import sizes
from cnnatomy.errors import ArgumentError

if TYPE_CHECKING:
    from cnnatomy.anatomy.result import Anatomy


Total = Callable[["Anatomy"], str]


def _blank(_: Anatomy) -> str:
    return ""


@dataclass(frozen=True)
class Column:
    """One column."""

    name: str
    title: str
    rank: int
    """Columns of higher rank go first where the width is short; 0 never does."""
    value: Callable[[Row], Any]
    """What programs get: a number, text, or None where there is none."""
    text: Callable[[Row], str]
    """What people get."""
    total: Total = _blank
    number: bool = True
    """Whether it is set to the right, and never shortened."""


def _amount(
    name: str,
    title: str,
    rank: int,
    value: Callable[[Row], Any],
    text: Callable[[Any], str],
    total: Total = _blank,
) -> Column:
    """A column whose text is its value in units."""

    def said(row: Row) -> str:
        number = value(row)
        nothing = number is None and not _unknown(row, name)
        return NONE if nothing or number == 0 else text(number)

    return Column(name, title, rank, value, said, total)


def _field(name: str, rank: int, what: Any) -> Column:
    """A column of one number of the receptive field."""

    def said(row: Row) -> str:
        return per_axis(row.fields, what)

    return Column(name, name, rank, said, said)


def _cost(name: str, title: str, rank: int, total: Total) -> Column:
    """A column of one kind of cost."""
    return _amount(name, title, rank, lambda row: row.cost(name), number_text.counted, total)


def _so_far(name: str) -> Total:
    """What the model itself costs, of a pass that stopped early up to there."""
    return lambda known: number_text.counted(getattr(known.layers[0], name) if known.layers else None)


_COUNTED = ("macs", "flops", "intensity")


def _unknown(row: Row, name: str) -> bool:
    """Whether a missing value means that it is not known, rather than that there is none."""
    if name == "share":
        return row.anatomy.macs is None and row.cost("macs") != 0
    return row.cost("flops" if name == "intensity" else name) is None if name in _COUNTED else False


def _own(row: Row) -> str:
    """Parameters; in parentheses those that an earlier layer has counted."""
    own, shared = row.parameters(), row.parameters("shared")
    if not own:
        return f"({shared:,})" if shared else NONE
    return number_text.exact(own) + (f" ({shared:,})" if shared else "")


def _shapes(row: Row) -> str:
    return ", ".join(map(sizes, row.shapes)) or NONE


def _bare_shapes(row: Row) -> str:
    return " ".join("x".join(map(str, shape)) for shape in row.shapes)


def _output(anatomy: Anatomy) -> str:
    return ", ".join(map(sizes, anatomy.outputs.values())) if anatomy.complete else "partial"


def _saved(anatomy: Anatomy) -> str:
    known = anatomy.memory
    return number_text.stored(known.saved) if known and known.saved is not None else ""


def _path(row: Row) -> str:
    return row.layer.path


def _type(row: Row) -> str:
    return row.type


_ALL = (
    Column("path", "layer", 0, _path, lambda row: row.layer.path or "(itself)", number=False),
    Column("type", "type", 4, _type, _type, number=False),
    Column("output", "output shape", 1, _bare_shapes, _shapes, _output, number=False),
    Column(
        "parameters", "parameters", 0, Row.parameters, _own, lambda known: number_text.exact(known.parameters)
    ),
    _cost("macs", "MACs", 2, _so_far("macs")),
    _cost("flops", "FLOPs", 8, _so_far("flops")),
    _amount("memory", "output bytes", 6, lambda row: row.memory, number_text.stored),
    _amount("saved", "saved", 9, lambda row: row.saved, number_text.stored, _saved),
    _field("field", 3, "size"),
    _field("jump", 5, "jump"),
    _field("start", 7, "start"),
    _amount("padding", "padding", 11, lambda row: row.padding, number_text.share),
    _amount("intensity", "FLOPs/B", 12, lambda row: row.intensity, number_text.ratio),
    _amount("share", "share", 10, lambda row: row.share, number_text.share),
)
COLUMNS: dict[str, Column] = {column.name: column for column in _ALL}
"""Every column by name."""

SHOWN = ("path", "type", "output", "parameters", "macs", "memory", "field", "jump", "start")
"""Those of a layer table that nobody chose columns for."""


@dataclass(frozen=True)
class Grid:
    """A table before it is set: its columns, and the texts of every row."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    body: tuple[tuple[str, ...], ...]
    foot: tuple[str, ...]


def grid(anatomy: Anatomy, view: View) -> Grid:
    """The rows and columns of a view, sorted.

    Raises:
        ArgumentError: a column has an unknown name, or cannot be sorted by.
    """
    columns = chosen(view)
    lines = sorted_rows(anatomy, view)
    label = "total" if anatomy.complete else "so far"
    foot = [column.total(anatomy) for column in columns]
    foot[0] = foot[0] or label
    body = tuple(tuple(column.text(row) for column in columns) for row in lines)
    return Grid(columns, tuple(lines), body, tuple(foot))


def chosen(view: View) -> tuple[Column, ...]:
    """The columns of a view.

    Raises:
        ArgumentError: there is no such column.
    """
    shown = tuple(name for name in SHOWN if not (view.operations and name == "parameters"))
    return tuple(column(name) for name in (view.columns or shown))


def column(name: str) -> Column:
    """A column by its name.

    Raises:
        ArgumentError: there is none; the nearest is told.

    Example:
        >>> column("macs").title
        'MACs'
    """
    from difflib import get_close_matches

    if name not in COLUMNS:
        near = get_close_matches(name, COLUMNS, n=1)
        raise ArgumentError(
            f"no column {name!r}", expected="one of " + ", ".join(COLUMNS), hint=near[0] if near else None
        )
    return COLUMNS[name]


def sorted_rows(anatomy: Anatomy, view: View) -> Sequence[Row]:
    """The rows in the order that the view asks for."""
    lines = rows(anatomy, view)
    if view.sort is None:
        return lines
    by = column(view.sort)
    if by.name in ("field", "jump", "start"):
        return sorted(lines, key=lambda row: -_extent(row, by.name))
    if not by.number:
        return sorted(lines, key=lambda row: str(by.value(row)))
    return sorted(lines, key=lambda row: -(by.value(row) or 0))


def _extent(row: Row, what: str) -> float:
    """The largest of a row's fields, jumps or starts; a field without a law is larger than any."""
    laws = [field.law for field in row.fields]
    name = "size" if what == "field" else what
    known = [float(getattr(law, name)) for law in laws if law.kind == "periodic"]
    boundless = what == "field" and any(law.kind in ("global", "drift") for law in laws)
    return float("inf") if boundless else max(known, default=float("-inf"))
