"""What is wrong with a text of notation, and where: a caret points at the column."""

from __future__ import annotations

from cnnatomy.errors import ArgumentError


class NotationError(ArgumentError):
    """A text that says no network: what, expected, got, what to try, and the line with a caret below it.

    Args:
        what: what is wrong.
        text: the whole text.
        at: where in it, in characters from 0; None where no place is to blame.
        length: how many characters are to blame.

    Example:
        >>> print(NotationError("no layer 'cov'", "conv3-8 cov3-8", 8, 3, hint="conv"))
        no layer 'cov'; try conv, at column 9
          conv3-8 cov3-8
                  ^^^
    """

    def __init__(
        self,
        what: str,
        text: str = "",
        at: int | None = None,
        length: int = 1,
        *,
        expected: str | None = None,
        got: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(what, expected=expected, got=got, hint=hint)
        self.line = self.column = None
        self._said = (str(self.args[0]), text, at, length)
        if at is None or not text:
            return
        at = min(max(at, 0), len(text))
        begin = text.rfind("\n", 0, at) + 1
        shown = text[begin:].split("\n", 1)[0]
        self.line, self.column = text.count("\n", 0, at) + 1, at - begin + 1
        place = f"column {self.column}" if "\n" not in text else f"line {self.line}, column {self.column}"
        width = max(1, min(length, len(shown) - (at - begin)))
        before, shown = _window(shown, at - begin)
        caret = " " * before + "^" * min(width, 60)
        self.args = (f"{self.args[0]}, at {place}\n  {shown}\n  {caret}",)

    def also(self, *more: str) -> NotationError:
        """The same error, saying more before it says where.

        Example:
            >>> print(NotationError("no window fits", "maxpool", 0, 7).also("8x8 is enough"))
            no window fits; 8x8 is enough, at column 1
              maxpool
              ^^^^^^^
        """
        said, text, at, length = self._said
        return NotationError("; ".join([said, *filter(None, more)]), text, at, length)


def _window(line: str, at: int, room: int = 96) -> tuple[int, str]:
    """The part of a long line around a place, and the place in it."""
    plain = "".join(letter if letter.isprintable() else " " for letter in line)
    start = max(0, at - room // 2) if len(plain) > room else 0
    return at - start, plain[start : start + room]
