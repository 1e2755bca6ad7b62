"""An evaluation in a notebook: the result beside its yardstick, what was confused, and the worst mistakes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from cnnatomy.files.printable import percent

if TYPE_CHECKING:
    from cnnatomy.train.evaluation import Evaluation

FEW = 12
"""Classes whose confusions are shown as a whole matrix, pairs of more classes, and mistakes."""


def markdown(found: Evaluation) -> str:
    """Markdown in the order of a report: the headline, the confusions, the mistakes that it was surest of."""
    low, high = found.interval
    usual = found.yardstick
    wrong = len(found.mistakes)
    lines = [
        f"**accuracy {percent(found.accuracy, 2)}**, 95% interval {percent(low, 2)} to {percent(high, 2)}; "
        f"{wrong} of {found.judged} wrong; always answering {usual.name} scores {percent(usual.accuracy, 2)}",
        _confusion(found),
    ]
    if found.mistakes:
        rows = [
            (one.name, one.label, one.predicted, percent(one.probability, 0)) for one in found.mistakes[:FEW]
        ]
        lines.append(_table(("picture", "is", "was called", "how surely"), rows))
    return "\n\n".join(lines)


def _confusion(found: Evaluation) -> str:
    if len(found.classes) <= FEW:
        rows = [(name, *row) for name, row in zip(found.classes, found.confusion.tolist(), strict=True)]
        return _table(("is \\\\ was called", *found.classes), rows)
    pairs = [(one.label, one.predicted, one.times) for one in found.confusions[:FEW]]
    return _table(("is", "was called", "pictures"), pairs)


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _cell(said: object) -> str:
    return str(said).replace("|", "\\|").replace("\n", " ")
