"""How names and numbers are written in messages: always one printable line."""

from __future__ import annotations

from os import PathLike


def shown(path: str | PathLike[str]) -> str:
    r"""Return a file's name as one printable line, whatever bytes the name is made of.

    Example:
        >>> shown("cats/0001.png")
        'cats/0001.png'
        >>> shown("two\nlines.png")
        'two\\nlines.png'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(path))


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
