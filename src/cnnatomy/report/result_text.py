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
    """What to say where the model does not beat a constant answer; None where it does."""
    if result.beaten:
        return None
    return f"the model is no better than always answering {result.yardstick.name!r}"
