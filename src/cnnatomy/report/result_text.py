"""Numbers and results as people read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnatomy.files.printable import percent

if TYPE_CHECKING:
    from cnnatomy.train.evaluation import Evaluation


def constant(result: Evaluation) -> str:
    """What the model must beat: "always answering 'cat' scores 88.9%"."""
    name, accuracy = result.yardstick
    return f"always answering {name!r} scores {percent(accuracy, 2)}"


def warning(result: Evaluation) -> str | None:
    """What to say where the model gives one answer, or does not beat a constant one; None where it does."""
    if (single := result.single_answer) is not None:
        called = int(result.confusion[:, result.classes.index(single)].sum())
        how = "every picture" if called == result.pictures else percent(called / result.pictures)
        return f"the model answers {single!r} to {how}"
    if result.beaten:
        return None
    return f"the model is no better than always answering {result.yardstick.name!r}"
