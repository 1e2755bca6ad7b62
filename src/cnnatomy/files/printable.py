"""How names, numbers, shares and times are written for people: always one printable line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from os import PathLike

WIDTH = 140
"""Letters of a line of JSON."""


def shown(path: str | PathLike[str]) -> str:
    r"""Return a file's name as one printable line, whatever bytes the name is made of.

    Example:
        >>> shown("cats/0001.png")
        'cats/0001.png'
        >>> shown("two\nlines.png")
        'two\\nlines.png'
    """
    text = str(path)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def written(name: str) -> str:
    r"""Return a file's name as text that can be written to a file, whatever bytes the name is made of.

    Example:
        >>> written("Zürich.png"), written("not utf-8: \udcff.png")
        ('Zürich.png', 'not utf-8: \\udcff.png')
    """
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def byte_count(n: int) -> str:
    """Return a number of bytes for people.

    Example:
        >>> byte_count(170_052_171), byte_count(12)
        ('162.2 MiB', '12 bytes')
    """
    for power, unit in ((3, "GiB"), (2, "MiB"), (1, "KiB")):
        if n >= 1024**power:
            return f"{n / 1024**power:.1f} {unit}"
    return f"{n} bytes"


def counted(n: int, what: str, many: str | None = None) -> str:
    """Return a number and its noun, in the plural where that is due.

    Example:
        >>> counted(1, "picture"), counted(60_000, "picture"), counted(2, "class", "classes")
        ('1 picture', '60,000 pictures', '2 classes')
    """
    return f"{n:,} {what if n == 1 else many or what + 's'}"


def listed(names: Iterable[str], most: int = 10) -> str:
    """Return names in a row, of many the first ones and how many there are.

    Example:
        >>> listed(["cat", "dog"]), listed("abcd", most=2)
        ('cat, dog', 'a, b, ... (4 in all)')
    """
    names = list(map(shown, names))
    return ", ".join(names if len(names) <= most else [*names[:most], f"... ({len(names):,} in all)"])


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


def json_text(value: object, indent: int = 0) -> str:
    r"""Return JSON with an indent of two, in which lists and objects that fit into a line stay in one.

    Letters that no terminal should see are escaped.

    Example:
        >>> print(json_text({"rows": [[k] * 30 for k in (1, 2)], "name": "a\x1b"}))
        {
          "rows": [
            [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1],
            [2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2]
          ],
          "name": "a\u001b"
        }
    """
    line = json.dumps(value, ensure_ascii=False)
    if not line.isprintable():
        line = json.dumps(value)
    if not value or not isinstance(value, Mapping | list | tuple) or indent + len(line) <= WIDTH:
        return line
    if isinstance(value, Mapping):
        items = [f"{json_text(str(key))}: {json_text(item, indent + 2)}" for key, item in value.items()]
    else:
        items = [json_text(item, indent + 2) for item in value]
    first, last = "{}" if isinstance(value, Mapping) else "[]"
    between = f",\n{' ' * (indent + 2)}"
    return f"{first}\n{' ' * (indent + 2)}{between.join(items)}\n{' ' * indent}{last}"
