"""When an epoch is the best so far, and when enough of them have been no better; standard library only."""

from __future__ import annotations

from collections.abc import Sequence


def best(figures: Sequence[float], least: float = 0.0) -> int | None:
    """Give the place of the last figure that was higher than the best before it by more than `least`.

    Figures that are no numbers (nan) are never better. None: there is no figure that counts.

    Example:
        >>> best([0.5, 0.7, 0.7, 0.6]), best([0.5, 0.7, 0.705], least=0.01), best([])
        (1, 1, None)
    """
    place: int | None = None
    for index, figure in enumerate(figures):
        if figure == figure and (place is None or figure > figures[place] + least):
            place = index
    return place


def is_over(figures: Sequence[float], patience: int, least: float = 0.0) -> bool:
    """Whether the last `patience` figures, one an epoch, higher ones better, brought nothing better.

    Source: Prechelt (1998), "Early stopping - but when?", doi:10.1007/3-540-49430-8_3, his criterion UP
    without strips.

    Example:
        >>> is_over([0.5, 0.7, 0.6, 0.7], patience=2), is_over([0.5, 0.7, 0.6], patience=2)
        (True, False)
    """
    place = best(figures, least)
    return len(figures) - (0 if place is None else place + 1) >= patience
