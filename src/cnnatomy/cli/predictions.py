"""Predictions as they come, batch by batch: a table for people, CSV or JSON for programs."""

from __future__ import annotations

import csv
import io
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from cnnatomy.cli.console import complaints, literal, output
from cnnatomy.errors import DataError
from cnnatomy.files.printable import counted, json_text, percent, shown
from cnnatomy.train.atomic_files import whole

if TYPE_CHECKING:
    from cnnatomy.train.prediction import Prediction, Stream

WIDEST = 60
"""Letters of a name that the table leaves room for; a longer one pushes the rest of its row to the right."""
Batch = Sequence["Prediction"]


class Form(Protocol):
    """How predictions are written: what comes before them, each batch, and what comes after."""

    @property
    def head(self) -> str | Text:
        """Before the first batch."""

    @property
    def foot(self) -> str:
        """After the last."""

    def rows(self, batch: Batch) -> str | Text:
        """Write a batch; rows end in line ends."""


def write(made: Stream, style: str, top: int, file: Path | None) -> None:
    """Write predictions as a "table", "csv" or "json", to the standard output or a file.

    Raises:
        DataError: no picture can be read; nothing has been written.
    """
    forms: dict[str, Callable[[Stream, int], Form]] = {"table": Table, "csv": Csv, "json": Json}
    form = forms[style](made, min(top, len(made.classes)))
    console, bad, done, changed = output(), 0, 0, Counter[str]()
    with _place(console, file) as put, _progress(len(made.paths), style, console, file) as moved:
        for batch in _readable(moved(made.predictions)):
            if not done:
                put(form.head)
            put(form.rows(batch))
            done, bad = done + len(batch), bad + sum(one.error is not None for one in batch)
            changed.update(name for one in batch for name in one.conversions)
        put(form.foot)
    if file:
        said = f"{done:,} pictures in {literal(str(file))}"
        console.print(said, markup=False, soft_wrap=True)
    say_changes(changed, done - bad)
    say_unread(bad, done)


def say_unread(bad: int, pictures: int) -> None:
    """Say on the error output how many of the pictures cannot be read, if any."""
    if bad:
        said = f"{bad:,} of {pictures:,} pictures cannot be read"
        complaints().print(said, style="red", soft_wrap=True)


def say_changes(counts: Mapping[str, int], pictures: int) -> None:
    """Say on the error output in which ways the values of pictures were changed, if any were."""
    from cnnatomy.data.colours import colour_notes

    if changes := colour_notes(counts, pictures):
        said = f"{counted(pictures, 'picture')}, {', '.join(changes)}"
        complaints().print(said, style="dim", markup=False, soft_wrap=True)


class Csv:
    """A row a picture: its name, the likeliest classes with their probabilities, and why there are none."""

    foot = ""

    def __init__(self, made: Stream, top: int) -> None:
        more = [f"{name}_{rank}" for rank in range(2, top + 1) for name in ("class", "probability")]
        self.columns = 2 * top
        self.head = csv_text([["picture", "class", "probability", *more, "error"]])

    def rows(self, batch: Batch) -> str:
        """Write a batch."""
        return csv_text([self._row(one) for one in batch])

    def _row(self, one: Prediction) -> list[str]:
        cells = [cell for name, share in one.ranked for cell in (shown(name), f"{share:.6g}")]
        cells += [""] * (self.columns - len(cells))
        return [shown(one.path), *cells, one.error or ""]


class Json:
    """A list with an object for each picture."""

    head, foot = "[", "\n]\n"

    def __init__(self, made: Stream, top: int) -> None:
        self.between = "\n"

    def rows(self, batch: Batch) -> str:
        """Write a batch."""
        written = []
        for one in batch:
            classes = [{"class": name, "probability": share} for name, share in one.ranked]
            value = {"picture": str(one.path), "classes": classes, "error": one.error}
            written += [self.between, "  ", json_text(value, indent=2)]
            self.between = ",\n"
        return "".join(written)


class Table:
    """Columns that are as wide as the longest name that will come."""

    foot = "\n"

    def __init__(self, made: Stream, top: int) -> None:
        self.widths = [
            min(WIDEST, max(cell_len(name) for name in names))
            for names in (["picture", *map(_named, made.paths)], ["class", *map(literal, made.classes)])
        ]
        rule = "─" * (sum(self.widths) + len("   " * 2) + len("probability"))
        self.head = Text(f"\n {self._padded('picture', 'class')}probability\n {rule}\n", "dim")

    def rows(self, batch: Batch) -> Text:
        """Write a batch."""
        text = Text()
        for one in batch:
            path = _named(one.path)
            if one.error:
                text.append(f" {self._padded(path)}{literal(one.error)}\n", "red")
            for rank, (name, share) in enumerate(one.ranked):
                row = f" {self._padded('' if rank else path, literal(name))}{percent(share):>11}\n"
                text.append(row, "dim" if rank else "")
        return text

    def _padded(self, *names: str) -> str:
        pairs = zip(names, self.widths, strict=False)
        return "".join(name + " " * (max(0, width - cell_len(name)) + 3) for name, width in pairs)


def _named(path: Path) -> str:
    return literal(str(path))


def csv_text(rows: Iterable[Sequence[str]]) -> str:
    """Rows as CSV, quoted where that is due."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


@contextmanager
def _place(console: Console, file: Path | None) -> Iterator[Callable[[str | Text], object]]:
    """Where text goes: the file, which is whole at the end or not there at all, or the standard output."""

    def show(text: str | Text) -> None:
        if isinstance(text, Text) and console.is_terminal:
            console.print(text, soft_wrap=True, end="")
        else:
            sys.stdout.write(str(text))
            sys.stdout.flush()

    if file is None:
        yield show
        return
    with whole(file) as opened:
        yield lambda text: opened.write(str(text).encode("utf-8", "backslashreplace"))


@contextmanager
def _progress(
    total: int, style: str, console: Console, file: Path | None
) -> Iterator[Callable[[Iterable[Batch]], Iterator[Batch]]]:
    """A bar of the batches that pass, on a terminal: below the table, or on the error output."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    here = file is None and console.is_terminal
    place = console if here else complaints()
    wanted = place.is_terminal and (not here or style == "table")
    columns = (BarColumn(bar_width=None), MofNCompleteColumn(), TimeRemainingColumn(compact=True))
    bar = Progress(*columns, console=place, transient=True, expand=True, disable=not wanted)
    task = bar.add_task("", total=total)

    def moved(batches: Iterable[Batch]) -> Iterator[Batch]:
        for batch in batches:
            yield batch
            bar.advance(task, len(batch))

    with bar:
        yield moved


def _readable(batches: Iterable[Batch]) -> Iterator[Batch]:
    """The batches, held back until there is a picture that could be read.

    Raises:
        DataError: there is none.
    """
    held: list[Prediction] = []
    read = False
    for batch in batches:
        read = read or not all(one.error for one in batch)
        held += batch
        if read:
            yield held
            held = []
    if held:
        first = f"{shown(held[0].path)} {held[0].error}"
        many = f"none of the {len(held):,} pictures can be read, the first: "
        raise DataError(first if len(held) == 1 else many + first)
