"""An evaluation in a notebook: the result beside its yardstick, what was confused, and the worst mistakes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from cnnatomy.files.printable import percent

if TYPE_CHECKING:
    from cnnatomy.train.evaluation import Evaluation

FEW = 12
"""Classes whose confusions are shown as a whole matrix, pairs of more classes, and mistakes."""


def headline(found: Evaluation) -> str:
    """The accuracy with its interval, how many pictures were wrong, and what the yardstick scores."""
    low, high = (percent(end, 2) for end in found.interval)
    wrong = f"{len(found.mistakes)} of {found.judged} wrong"
    usual = f"always answering {found.yardstick.name} scores {percent(found.yardstick.accuracy, 2)}"
    return f"accuracy {percent(found.accuracy, 2)}, 95% interval {low} to {high}; {wrong}; {usual}"


def markdown(found: Evaluation) -> str:
    """Markdown in the order of a report: the headline, the confusions, the mistakes that it was surest of."""
    lines = [f"**{headline(found)}**", _confusion(found)]
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
