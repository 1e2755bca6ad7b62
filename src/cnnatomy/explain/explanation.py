"""What `explain` returns: a record, and the views of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cnnatomy.checks import index
from cnnatomy.errors import ArgumentError
from cnnatomy.explain import output_lines
from cnnatomy.explain.record import Record

FORMATS = (".html", ".svg", ".json")


class Explanation:
    """Every number of an operator on an input, forward and backward, as a record that is only shown.

    Printing gives the text for a terminal, a notebook shows the page, and `save` writes either as a file.

    Args:
        record: plain lists, which keep to `explanation.schema.json`.

    Example:
        >>> import torch, cnnatomy
        >>> made = cnnatomy.explain(torch.nn.MaxPool2d(2), torch.tensor([[1.0, 5.0], [5.0, 2.0]]))
        >>> made.line((0, 0)), made.backward((0, 1))
        ('max(1, 5, 5, 2) = 5', 'x[0,1] <- y[0,0]·1 = 1')
    """

    def __init__(self, record: Record) -> None:
        self.record = record

    def line(self, at: int | Sequence[int] | None = None) -> str:
        """How one output comes about, as an expression and its value.

        Args:
            at: its place on the plane; the one that was asked for if left out.

        Raises:
            ArgumentError: the record has no such output.
        """
        return output_lines.line(self.record, self.output(at))

    def output(self, at: int | Sequence[int] | None = None) -> int:
        """The flat number, in the record, of the output at a place of the plane."""
        y = self.record["tensors"]["y"]
        if at is None:
            return flat(self.record["at"], y["shape"])
        place = [at] if isinstance(at, int) else list(at)
        return flat(_within("output", place, y["start"], y["shape"]), y["shape"])

    def backward(self, cell: int | Sequence[int]) -> str:
        """What one cell of the input gathers: every output that reads it times the derivative there.

        Args:
            cell: its place (.., y, x), before it the channel where several are read.

        Raises:
            ArgumentError: the record has no such cell.
        """
        from cnnatomy.explain.gradient_text import gathered

        return gathered(self.record, self.cell(cell))

    def cell(self, cell: int | Sequence[int]) -> int:
        """The flat number, in the record, of a cell of the input."""
        x = self.record["tensors"]["x"]
        place, start = [cell] if isinstance(cell, int) else list(cell), x["start"]
        if len(place) == len(start):
            place = [x["channels"][0], *place]
        if len(place) != len(start) + 1 or place[0] not in x["channels"]:
            expected = f"{len(start)} numbers, or one of channels {x['channels']} before them"
            raise ArgumentError("there is no such cell", expected=expected, got=str(cell))
        inner = _within("cell", place[1:], start, x["shape"][1:])
        return flat([x["channels"].index(place[0]), *inner], x["shape"])

    def save(self, path: str | Path) -> Path:
        """Write the page (.html), a picture of one output (.svg) or the record (.json), and say where.

        Raises:
            ArgumentError: the name has another ending, or the page or picture would be too large.
        """
        from cnnatomy.explain import explanation_page, svg
        from cnnatomy.train.atomic_files import write_whole

        file = Path(path).expanduser()
        if file.suffix not in FORMATS:
            raise ArgumentError(
                "an explanation is saved by its ending", expected=" or ".join(FORMATS), got=repr(file.name)
            )
        made = {".html": explanation_page.render, ".svg": svg.render, ".json": text_of}[file.suffix](
            self.record
        )
        write_whole(file, made.encode("utf-8"))
        return file

    def __str__(self) -> str:
        from cnnatomy.explain.explanation_text import plain

        return plain(self.record)

    def __rich__(self) -> Any:
        """The same in colours."""
        from cnnatomy.explain.explanation_text import coloured

        return coloured(self.record)

    def __repr__(self) -> str:
        operator = self.record["operator"]
        return f"<Explanation of {operator['call']}>"

    def _repr_html_(self) -> str:
        from cnnatomy.explain.explanation_page import embedded

        return embedded(self.record)


def text_of(record: Record) -> str:
    """The record as JSON, which has no NaN."""
    return json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n"


def flat(place: Sequence[int], shape: Sequence[int]) -> int:
    """The row-major number of a place."""
    found = 0
    for i, n in zip(place, shape, strict=True):
        found = found * n + i
    return found


def _within(what: str, place: Sequence[int], start: Sequence[int], shape: Sequence[int]) -> list[int]:
    """A place counted from the first that is shown."""
    if len(place) != len(shape):
        raise ArgumentError(
            f"there is no such {what}", expected=f"{len(shape)} numbers", got=str(list(place))
        )
    return [
        index(f"{what} on axis {axis}", i - first, n)
        for axis, (i, first, n) in enumerate(zip(place, start, shape, strict=True))
    ]
