"""An evaluation on a terminal: the result, the classes, and what is taken for what."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cnnatomy.cli.console import literal
from cnnatomy.report import confusions, wilson
from cnnatomy.report.words import percent

if TYPE_CHECKING:
    from cnnatomy.train.evaluation import Evaluation

PAIRS = 10
"""So many confusions are listed where the whole matrix has no room."""


def show(evaluation: Evaluation, console: Console) -> None:
    """Print the result in full."""
    low, high = wilson(len(evaluation.mistakes), evaluation.pictures)
    console.print()
    console.print(
        Text.assemble(
            ("test accuracy ", "bold"),
            (percent(evaluation.accuracy, 2), "bold green"),
            f"   {len(evaluation.mistakes):,} of {evaluation.pictures:,} pictures wrong: "
            f"{percent(evaluation.error, 2)} error, 95% interval {percent(low, 2)} to {percent(high, 2)}",
        ),
        soft_wrap=True,
    )
    console.print(classes(evaluation))
    matrix = confusion(evaluation)
    unbounded = console.options.update(width=10_000)
    if matrix.row_count <= 32 and console.measure(matrix, options=unbounded).maximum <= console.width:
        console.print(Text(" row: what the pictures are, column: what the model said", "dim"))
        console.print(matrix)
    else:
        console.print(worst_pairs(evaluation))
    console.print()


def classes(evaluation: Evaluation) -> Table:
    """A row a class: pictures, recall, precision."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="dim")
    table.add_column("class", overflow="fold")
    for name in ("pictures", "recall", "precision"):
        table.add_column(name, justify="right", no_wrap=True)
    for score in evaluation.per_class:
        numbers = (f"{score.support:,}", percent(score.recall), percent(score.precision))
        table.add_row(Text(literal(score.name)), *numbers)
    return table


def confusion(evaluation: Evaluation) -> Table:
    """A row for what the pictures are, a column for what the model said."""
    names = [literal(name) for name in evaluation.classes]
    short = max(map(len, names)) <= 4
    table = Table(box=None, padding=(0, 0, 0, 1), header_style="dim")
    table.add_column("", style="dim", no_wrap=True)
    for index, name in enumerate(names):
        table.add_column(Text(name if short else str(index)), justify="right", no_wrap=True)
    for index, row in enumerate(evaluation.confusion.tolist()):
        label = names[index] if short else f"{names[index]} {index}"
        table.add_row(Text(label), *(_count(count, index == at) for at, count in enumerate(row)))
    return table


def worst_pairs(evaluation: Evaluation) -> Table:
    """The most frequent confusions."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="dim")
    for name in ("class", "taken for"):
        table.add_column(name, overflow="fold")
    for name in ("times", "share"):
        table.add_column(name, justify="right", no_wrap=True)
    for pair in confusions(evaluation)[:PAIRS]:
        share = percent(pair.times / pair.pictures)
        table.add_row(Text(literal(pair.label)), Text(literal(pair.predicted)), f"{pair.times:,}", share)
    return table


def _count(count: int, right: bool) -> Text:
    if not count:
        return Text("·", "dim")
    return Text(f"{count:,}", "bold blue" if right else "bold red")
