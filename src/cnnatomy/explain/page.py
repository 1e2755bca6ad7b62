"""An explanation as one page that needs nothing but itself, and as what a notebook shows."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from pathlib import Path

from markupsafe import Markup

from cnnatomy.errors import ArgumentError
from cnnatomy.explain import lines, text
from cnnatomy.explain.explanation import flat
from cnnatomy.explain.gather import output_name
from cnnatomy.explain.record import Record
from cnnatomy.explain.views import View, view

LARGEST = 2_000_000
"""Bytes that a page has at most."""
LISTED = 16
"""Outputs in the table that needs no script."""
HEIGHT = "38rem"


def render(record: Record) -> str:
    """The page: every number and every line is in it, and its script moves a cursor through them.

    Raises:
        ArgumentError: the page would be too large.
    """
    from cnnatomy.report.render import template

    here, shown = Path(__file__).parent, view(record)
    script = (here / "page.js").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(f"\n{script}".encode()).digest()).decode()
    made = template("page.html.j2", "cnnatomy.explain").render(
        record=record,
        view=shown,
        title=f"{record['operator']['name']}, step by step",
        sentences=text.sentences(record),
        agreement=text.agreement(record),
        seen=text.sees(record["network"]) if "network" in record else "",
        at=flat(record["at"], record["tensors"]["y"]["shape"]),
        data=Markup(_data(record, shown)),
        own=Markup((here / "page.css").read_text("utf-8")),
        script=Markup(f"\n{script}"),
        digest=digest,
        parts=[(part["role"], part["record"]["operator"]["call"]) for part in record.get("parts", ())],
    )
    if len(made.encode()) > LARGEST:
        got, expected = f"{len(made.encode()):,} bytes", f"at most {LARGEST:,}"
        hint = "a smaller input, or .json, which has no bound"
        raise ArgumentError("the page would be too large", expected=expected, got=got, hint=hint)
    return made


def _data(record: Record, shown: View) -> str:
    """The steps as JSON that no page can take for its own markup."""
    data = {
        "outputs": shown.outputs,
        "cells": shown.cells,
        "at": flat(record["at"], record["tensors"]["y"]["shape"]),
    }
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


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
        f"<td>{html.escape(lines.line(record, o))}</td></tr>"
        for o in range(min(count, LISTED))
    )
    rest = "" if count <= LISTED else f"<caption>the first {LISTED} of {count} outputs</caption>"
    call = html.escape(record["operator"]["call"])
    return f"<details><summary><code>{call}</code></summary><table>{rest}{rows}</table></details>"
