"""From an address to an answer: each view is a module of its own, loaded when it is first asked for."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from cnnatomy.errors import CnnatomyError
from cnnatomy.lab.reply import Reply, line

Query = Mapping[str, str]
VIEWS = ("numbers", "picture", "network", "run")
"""By the first part of their addresses."""


class View(Protocol):
    """What the module of a view has; `picture` is the one an address names, and empty if it names none."""

    def page(self, query: Query, picture: bytes) -> Reply:
        """The view."""

    def check(self, query: Query, picture: bytes) -> Reply:
        """Whether what is shown agrees with the operators."""

    def saved(self, query: Query, ending: str, picture: bytes) -> Reply:
        """The view as a file of this ending."""


def view_of(name: str) -> View:
    """The module of a view."""
    return cast(View, import_module(f"cnnatomy.lab.{name}_view"))


def begin(run: Path | None) -> None:
    """Make ready: what is loaded once, and a first page, which loads the rest."""
    if run is not None:
        from cnnatomy.lab import run_view

        run_view.load(run)
    view_of("numbers").page({}, b"")


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
        from cnnatomy.lab.kept_pictures import kept

        return Reply(kept(body), "image/png")
    stem, _, ending = rest.partition(".")
    if name in VIEWS and not rest:
        return view_of(name).page(query, body)
    if name in VIEWS and rest == "check":
        return view_of(name).check(query, body)
    if name in VIEWS and stem == "save" and ending in ("html", "svg", "json"):
        return view_of(name).saved(query, ending, body)
    return line("there is no such page", 404)
