"""From an address to an answer."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

from cnnatomy.errors import CnnatomyError
from cnnatomy.lab import kept_pictures, network_view, numbers_view, picture_view, run_view
from cnnatomy.lab.reply import Reply, line

Query = Mapping[str, str]
PAGES: Mapping[str, Callable[[Query, bytes], Reply]] = {
    "numbers": lambda query, _: numbers_view.page(query),
    "picture": picture_view.page,
    "network": lambda query, _: network_view.page(query),
    "run": run_view.page,
}
CHECKS: Mapping[str, Callable[[Query, bytes], Reply]] = {
    "numbers": lambda query, _: numbers_view.check(query),
    "picture": picture_view.check,
    "run": run_view.check,
}
SAVES: Mapping[str, Callable[[Query, str, bytes], Reply]] = {
    "numbers": lambda query, ending, _: numbers_view.saved(query, ending),
    "picture": picture_view.saved,
    "network": lambda query, ending, _: network_view.saved(query, ending),
    "run": run_view.saved,
}


def begin(run: Path | None) -> None:
    """Make ready: what is loaded once, and a first page, which loads the rest."""
    if run is not None:
        run_view.load(run)
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
    if path == "pictures":
        return Reply(kept_pictures.kept(body), "image/png")
    if name in PAGES and not rest:
        return PAGES[name](query, body)
    if name in CHECKS and rest == "check":
        return CHECKS[name](query, body)
    stem, _, ending = rest.partition(".")
    if name in SAVES and stem == "save" and ending in ("html", "svg", "json"):
        return SAVES[name](query, ending, body)
    return line("there is no such page", 404)
