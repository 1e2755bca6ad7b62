"""How far reading or fetching has come, for whoever shows it."""

from __future__ import annotations

from typing import Literal, Protocol


class Progress(Protocol):
    """Told how far reading has come: `what` is being done, `done` of `total` (None: not known) `unit`."""

    def __call__(
        self, what: str, done: int, total: int | None, unit: Literal["bytes", "pictures"], /
    ) -> object:
        """Take note; what is returned is not looked at."""


def silent(what: str, done: int, total: int | None, unit: str, /) -> None:
    """Report nothing: the default `Progress`."""
