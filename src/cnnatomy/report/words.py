"""Numbers as people read them."""

from __future__ import annotations


def percent(share: float | None, digits: int = 1) -> str:
    """A share of one as people read it: 100% only when it is all, 0% only when it is none.

    Example:
        >>> percent(0.9895, 2), percent(0.5), percent(0.99999), percent(0.00001), percent(None)
        ('98.95%', '50.0%', '>99.9%', '<0.1%', '–')
    """
    if share is None:
        return "–"
    text, least = f"{100 * share:.{digits}f}", 10.0**-digits
    if float(text) == 100 and share < 1:
        return f">{100 - least:.{digits}f}%"
    if float(text) == 0 and share > 0:
        return f"<{least:.{digits}f}%"
    return text + "%"


def duration(seconds: float) -> str:
    """A time as people say it.

    Example:
        >>> duration(3.21), duration(75), duration(3725)
        ('3.2 s', '1 min 15 s', '1 h 2 min')
    """
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
