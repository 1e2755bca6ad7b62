"""An explanation as one page that needs nothing but itself, and as what a notebook shows."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from cnnatomy.errors import ArgumentError
from cnnatomy.explain import explanation_text, output_lines
from cnnatomy.explain.explanation import flat
from cnnatomy.explain.gradient_text import output_name
from cnnatomy.explain.record import Record
from cnnatomy.explain.views import view

LARGEST = 2_000_000
"""Bytes that a page has at most."""
STEPPER, STYLE = (Path(__file__).parent / name for name in ("stepper.js", "page.css"))
LISTED = 16
"""Outputs in the table that needs no script."""
HEIGHT = "38rem"
_START = """const data = JSON.parse(document.querySelector("#data").textContent);
mount(document.querySelector("#shown"), data);"""


def render(record: Record) -> str:
    """The page: every number and every line is in it, and its script moves a cursor through them.

    Raises:
        ArgumentError: the page would be too large.
    """
    shown, data = parts(record)
    return alone(f"{record['operator']['name']}, step by step", shown, data)


def alone(title: str, shown: Markup, data: Markup, script: Path = STEPPER, style: Path = STYLE) -> str:
    """What is shown of a record as a page that needs nothing but itself.

    Args:
        title: of the page.
        shown: what is on it.
        data: what its script reads.
        script: a module whose `mount` takes what is shown and the data.
        style: what the page's own parts look like.

    Raises:
        ArgumentError: the page would be too large.
    """
    from cnnatomy.report.render import sealed, template

    made = template("page.html.j2", "cnnatomy.explain").render(
        title=title,
        shown=shown,
        data=data,
        own=Markup(style.read_text("utf-8")),
        **sealed(f"{script.read_text('utf-8')}\n{_START}"),
    )
    if len(made.encode()) > LARGEST:
        got, expected = f"{len(made.encode()):,} bytes", f"at most {LARGEST:,}"
        hint = "a smaller input, or .json, which has no bound"
        raise ArgumentError("the page would be too large", expected=expected, got=got, hint=hint)
    return made


def parts(record: Record, cell: int | None = None) -> tuple[Markup, Markup]:
    """What is shown of a record, and its steps as JSON, which the script moves through.

    Args:
        record: what is shown.
        cell: the cell of the input to begin with, gathered; the output that was asked for if left out.
    """
    from cnnatomy.report.render import template

    shown, at = view(record), flat(record["at"], record["tensors"]["y"]["shape"])
    made = template("explanation.html.j2", "cnnatomy.explain").render(
        record=record,
        view=shown,
        sentences=explanation_text.sentences(record),
        agreement=explanation_text.agreement(record),
        seen=explanation_text.sees(record["network"]) if "network" in record else "",
        at=at,
        parts=[(part["role"], part["record"]["operator"]["call"]) for part in record.get("parts", ())],
    )
    begin = {"at": at, "cell": cell or 0, "kind": "outputs" if cell is None else "cells"}
    return Markup(made), data_of({"outputs": shown.outputs, "cells": shown.cells, **begin})


def data_of(data: Mapping[str, Any]) -> Markup:
    """Data as JSON that no page can take for its own markup."""
    text_of = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Markup(text_of.replace("<", "\\u003c"))


def embedded(record: Record) -> str:
    """The page in a frame that can reach nothing outside it, and a table that needs no script."""
    try:
        page = html.escape(render(record), quote=True)
        frame = (
            f'<iframe sandbox="allow-scripts" title="explanation" srcdoc="{page}" '
            f'style="width:100%;height:{HEIGHT};border:0"></iframe>'
        )
    except ArgumentError as error:
        frame = f"<p>{html.escape(str(error))}</p>"
    return f"<div>{frame}{table(record)}</div>"


def table(record: Record) -> str:
    """The lines of the first outputs as a table."""
    count = len(record["tensors"]["y"]["values"])
    rows = "".join(
        f"<tr><th scope='row'>{html.escape(output_name(record, o))}</th>"
        f"<td>{html.escape(output_lines.line(record, o))}</td></tr>"
        for o in range(min(count, LISTED))
    )
    rest = "" if count <= LISTED else f"<caption>the first {LISTED} of {count} outputs</caption>"
    call = html.escape(record["operator"]["call"])
    return f"<details><summary><code>{call}</code></summary><table>{rest}{rows}</table></details>"
