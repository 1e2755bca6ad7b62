"""What goes back to a browser; in a module of its own, since the server loads no torch."""

from __future__ import annotations

from typing import NamedTuple


class Reply(NamedTuple):
    """An answer.

    Args:
        body: its bytes.
        type: their media type.
        status: as HTTP numbers it.
        name: of a file to keep; empty for what is only shown.
    """

    body: bytes
    type: str = "text/html; charset=utf-8"
    status: int = 200
    name: str = ""


def line(text: str, status: int) -> Reply:
    """A line of text."""
    return Reply(text.encode("utf-8", "replace"), "text/plain; charset=utf-8", status)
