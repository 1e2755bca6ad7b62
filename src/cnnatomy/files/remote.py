"""A file somewhere else (standard library only)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Remote:
    """A file to fetch: its place in a folder here, its address, its size in bytes and its SHA-256.

    Of the SHA-256 the first digits will do, where no more of it is known; none at all checks the size alone.
    """

    path: str
    url: str
    size: int
    sha256: str
