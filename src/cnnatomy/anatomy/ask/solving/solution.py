"""What a question about windows is answered with, and how windows are named."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from cnnatomy.geometry import Window


@dataclass(frozen=True, slots=True)
class Option:
    """One way to get what was asked for, tried before it is named."""

    change: str
    """What to set: `padding 2`, `24 layers`."""
    arithmetic: str
    """The sum, with its numbers."""
    windows: tuple[Window, ...]
    """The windows, one for each layer."""
    n: int | None
    """Cells of the input; None where a field was asked for."""
    size: int
    """What comes out: outputs, or cells of the field."""

    @staticmethod
    def over(change: str, window: Window, n: int) -> Option:
        """One window over n cells.

        Example:
            >>> print(Option.over("stride 2", Window(3, stride=2), 7))
            stride 2: floor((7 + 0 + 0 - 3)/2) + 1 = 3; every cell is read and nothing is left over.
        """
        return Option(change, window.explain(n), (window,), n, window.output_size(n))

    def __str__(self) -> str:
        return f"{self.change}: {self.arithmetic}"


@dataclass(frozen=True, slots=True, repr=False)
class Solution:
    """What was asked, and every way found, the smallest change first."""

    question: str
    options: tuple[Option, ...]

    def __bool__(self) -> bool:
        return bool(self.options)

    def __len__(self) -> int:
        return len(self.options)

    def __iter__(self) -> Iterator[Option]:
        return iter(self.options)

    def __getitem__(self, index: int) -> Option:
        return self.options[index]

    def __str__(self) -> str:
        lines = [f"  {option}" for option in self.options] or ["  nothing nearby fits"]
        return "\n".join([self.question, *lines])

    def __repr__(self) -> str:
        return str(self)

    def _repr_markdown_(self) -> str:
        rows = [f"| {one.change} | {one.arithmetic.replace('|', chr(92) + '|')} |" for one in self.options]
        table = ["| change | arithmetic |", "| --- | --- |", *rows] if rows else ["nothing nearby fits"]
        return "\n".join([f"**{self.question}**", "", *table])


def changed(window: Window, part: str, value: Any) -> Window:
    """The window with one of its parts changed.

    Example:
        >>> changed(Window(3), "stride", 2)
        Window(kernel=3, stride=2, padding=(0, 0), dilation=1, ceil_mode=False)
    """
    return replace(window, **{part: value})


def named(window: Window) -> str:
    """A window in words, without what is as usual.

    Example:
        >>> named(Window(3)), named(Window(5, stride=2, padding=(1, 2)))
        ('kernel 3', 'kernel 5, stride 2, padding (1, 2)')
    """
    parts = [f"kernel {window.kernel}"]
    parts += [f"stride {window.stride}"] if window.stride > 1 else []
    parts += [f"padding {pair(window.padding)}"] if any(window.padding) else []
    parts += [f"dilation {window.dilation}"] if window.dilation > 1 else []
    return ", ".join(parts)


def pair(padding: tuple[int, int]) -> str:
    """Padding in words: one number where both sides are equal.

    Example:
        >>> pair((2, 2)), pair((0, 1))
        ('2', '(0, 1)')
    """
    return str(padding[0]) if padding[0] == padding[1] else str(padding)


def count(number: int, thing: str) -> str:
    """A number of things.

    Example:
        >>> count(1, "cell"), count(2, "layer")
        ('1 cell', '2 layers')
    """
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
