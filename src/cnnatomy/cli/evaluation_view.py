"""An evaluation on a terminal: the result, the classes, and what is taken for what."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cnnatomy.cli.console import literal
from cnnatomy.files.printable import percent
from cnnatomy.report.result_text import constant, warning
from cnnatomy.train.evaluation import FEW

if TYPE_CHECKING:
    from cnnatomy.train.evaluation import Evaluation
    from cnnatomy.train.reporter import Epoch
    from cnnatomy.train.statistics import ClassScore

BARS, COLUMNS = "▁▂▃▄▅▆▇█", 60
MOST = 10
"""So many classes and confusions are listed where there is no room for all."""


def show(evaluation: Evaluation, console: Console) -> None:
    """Print the result in full; of more classes than fit a screen, what went worst."""
    console.print()
    for line in headline(evaluation):
        console.print(line, soft_wrap=True)
    few = len(evaluation.classes) <= FEW
    scores = evaluation.per_class if few else evaluation.worst(MOST)
    if not few:
        title = f"\n the {len(scores)} classes of the lowest F1, of {len(evaluation.classes):,}"
        console.print(Text(title, "dim"))
    console.print(classes(scores))
    matrix = confusion(evaluation) if few else None
    unbounded = console.options.update(width=10_000)
    if matrix and console.measure(matrix, options=unbounded).maximum <= console.width:
        console.print(Text(" row: what the pictures are, column: what the model said", "dim"))
        console.print(matrix)
    elif evaluation.confusions:
        console.print(worst_pairs(evaluation))
    console.print()


def learning(history: Sequence[Epoch]) -> list[Text]:
    """The accuracy of every epoch as a row of bars from 0 to 100%, one row for each part of the pictures.

    Of more epochs than `COLUMNS`, those at even steps, the last among them. One epoch makes no curve.
    """
    if len(history) < 2:
        return []
    step = -(-len(history) // COLUMNS)
    shown = list(history)[::-1][::step][::-1]
    parts: dict[str, list[float | None]] = {
        "train": [epoch.accuracy for epoch in shown],
        "validation": [epoch.validation_accuracy for epoch in shown],
        "test": [epoch.test_accuracy for epoch in shown],
    }
    lines = [Text(f"\naccuracy of epochs {shown[0].epoch} to {shown[-1].epoch}", "dim")]
    for name, shares in parts.items():
        known = [share for share in shares if share is not None and math.isfinite(share)]
        if len(known) == len(shares):
            bars = "".join(BARS[round(min(max(share, 0), 1) * (len(BARS) - 1))] for share in known)
            said = f"  {percent(known[0])} to {percent(known[-1])}"
            lines.append(Text.assemble((f"{name:<11}", "dim"), (bars, "blue"), said))
    return lines


def headline(evaluation: Evaluation) -> list[Text]:
    """What was judged, the accuracy, what a constant answer scores, and the other figures of the whole."""
    low, high = evaluation.interval
    wrong, error = len(evaluation.mistakes), percent(evaluation.error, 2)
    caution = warning(evaluation)
    what = f"{evaluation.part} accuracy ".lstrip()
    figures = [
        f"balanced accuracy {percent(evaluation.balanced_accuracy, 2)}",
        f"macro F1 {percent(evaluation.macro_f1, 2)}",
    ]
    if evaluation.top5_accuracy is not None:
        figures.append(f"top-5 accuracy {percent(evaluation.top5_accuracy, 2)}")
    lines = [
        Text(literal(f"on {evaluation.judged}; {constant(evaluation)}")),
        Text.assemble(
            (what, "bold"),
            (percent(evaluation.accuracy, 2), "bold red" if caution else "bold green"),
            f"   95% interval {percent(low, 2)} to {percent(high, 2)}; "
            f"{wrong:,} of {evaluation.pictures:,} pictures wrong, {error} error",
        ),
        Text("   ".join(figures)),
    ]
    if evaluation.averaged is not None:
        lines.append(Text(f"averaged over changed copies of each picture {percent(evaluation.averaged, 2)}"))
    lines += [Text(literal(f"note: {note}"), "yellow") for note in evaluation.notes]
    if caution:
        lines.append(Text(literal(f"warning: {caution}"), "bold red"))
    return lines


def classes(scores: Sequence[ClassScore]) -> Table:
    """A row a class: pictures, recall, precision, F1."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="dim")
    table.add_column("class", overflow="fold")
    for name in ("pictures", "recall", "precision", "F1"):
        table.add_column(name, justify="right", no_wrap=True)
    for score in scores:
        numbers = (percent(score.recall), percent(score.precision), percent(score.f1))
        table.add_row(Text(literal(score.name)), f"{score.support:,}", *numbers)
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
    for pair in evaluation.confusions[:MOST]:
        share = percent(pair.times / pair.pictures)
        table.add_row(Text(literal(pair.label)), Text(literal(pair.predicted)), f"{pair.times:,}", share)
    return table


def _count(count: int, right: bool) -> Text:
    if not count:
        return Text("·", "dim")
    return Text(f"{count:,}", "bold blue" if right else "bold red")
