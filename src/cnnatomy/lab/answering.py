"""From an address to an answer."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

from cnnatomy.errors import CnnatomyError
from cnnatomy.lab import network_view, numbers_view
from cnnatomy.lab.reply import Reply, line

Query = Mapping[str, str]
PAGES: Mapping[str, Callable[[Query], Reply]] = {"numbers": numbers_view.page, "network": network_view.page}
CHECKS: Mapping[str, Callable[[Query], Reply]] = {"numbers": numbers_view.check}
SAVES: Mapping[str, Callable[[Query, str], Reply]] = {
    "numbers": numbers_view.saved,
    "network": network_view.saved,
}


def begin(run: Path | None) -> None:
    """Make ready: what is loaded once, and a first page, which loads the rest."""
    numbers_view.page({})


def answer(path: str, query: Query, body: bytes = b"") -> Reply:
    """What is at an address; a fault of our own is told as one."""
    try:
        return _answer(path.strip("/"), query, body)
    except CnnatomyError as error:
        return line(str(error), 422)
    except Exception as error:
        traceback.print_exc()
        return line(f"a bug in cnnatomy: {type(error).__name__}: {error}", 500)


def _answer(path: str, query: Query, body: bytes) -> Reply:
    name, _, rest = path.partition("/")
    if name in PAGES and not rest:
        return PAGES[name](query)
    if name in CHECKS and rest == "check":
        return CHECKS[name](query)
    stem, _, ending = rest.partition(".")
    if name in SAVES and stem == "save" and ending in ("html", "svg", "json"):
        return SAVES[name](query, ending)
    return line("there is no such page", 404)
