"""Where to print: colours where somebody looks and wants them (NO_COLOR counts), plain text elsewhere."""

from __future__ import annotations

import sys
from typing import NoReturn

from rich.console import Console

UNSEEN_WIDTH = 120
"""Columns of a file or a pipe, which have no width of their own."""


def output() -> Console:
    """The console of the standard output."""
    return _console(stderr=False)


def complaints() -> Console:
    """The console of the error output."""
    return _console(stderr=True)


def load_torch() -> None:
    """Load torch, which takes seconds on a busy machine, and say so on a terminal meanwhile."""
    seen = sys.stderr.isatty()
    if seen:
        sys.stderr.write("starting ...")
        sys.stderr.flush()
    try:
        import torch  # noqa: F401 (what follows uses it)
    finally:
        if seen:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def literal(text: str) -> str:
    """Text that came from outside, with nothing in it that a terminal would obey.

    Example:
        >>> literal("cat\x1b[2J\\n")
        'cat�[2J�'
    """
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


class _Console(Console):
    def on_broken_pipe(self) -> NoReturn:
        """Leave it to `main`, which knows the exit code."""
        raise BrokenPipeError


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else UNSEEN_WIDTH
    return _Console(stderr=stderr, highlight=False, width=width, emoji=False)
