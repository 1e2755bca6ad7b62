"""What every view is shown in: the document around it, files to keep, and answers for scripts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from markupsafe import Markup

from cnnatomy.explain import explanation_page, svg
from cnnatomy.explain.explanation import text_of
from cnnatomy.explain.record import Record
from cnnatomy.lab.reply import Reply
from cnnatomy.lab.settings_form import Form
from cnnatomy.report.render import template

VIEWS = {"numbers": "stepper.js", "picture": "pair.js", "network": "units.js", "run": "stepper.js"}
"""By the first part of their addresses, the module that moves a cursor through what is shown."""


def document(
    name: str,
    form: Form,
    shown: Markup = Markup(),  # noqa: B008
    data: Markup = Markup("null"),  # noqa: B008
    *,
    error: str = "",
    title: str = "",
    examples: Mapping[str, Mapping[str, str]] | None = None,
    saves: Sequence[str] = ("html", "svg", "png", "json"),
    **more: Any,
) -> Reply:
    """A view with its settings: what is shown, or why nothing can be."""
    links = {said: f"/{name}?{urlencode(query)}" for said, query in (examples or {}).items()}
    made = template(f"{name}.html.j2", "cnnatomy.lab").render(
        views=VIEWS, name=name, script=VIEWS[name], form=form, shown=shown, data=data, error=error,
        title=title or name, examples=links, saves=saves, **more,
    )  # fmt: skip
    return Reply(made.encode())


def told(lines: Sequence[str], error: str = "") -> Reply:
    """What a script hears of a check."""
    return Reply(json.dumps({"lines": list(lines), "error": error}).encode(), "application/json")


def file_of(record: Record, ending: str) -> Reply:
    """A record as a file to keep.

    Raises:
        ArgumentError: the page would be too large.
    """
    name = f"{record['operator']['name']}.{ending}".replace("/", "-")
    makers = {"html": (explanation_page.render, "text/html"), "svg": (svg.render, "image/svg+xml")}
    make, kind = makers.get(ending, (text_of, "application/json"))
    return Reply(make(record).encode(), f"{kind}; charset=utf-8", name=name)
