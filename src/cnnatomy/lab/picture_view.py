"""The picture view: two operators on one picture and their difference, with one cursor over all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from markupsafe import Markup
from torch import Tensor

from cnnatomy.errors import ArgumentError, CnnatomyError
from cnnatomy.explain import Disagreement
from cnnatomy.explain.explaining import Draft, draft
from cnnatomy.explain.explanation_page import alone, data_of
from cnnatomy.explain.explanation_text import agreement
from cnnatomy.explain.gradient_text import place
from cnnatomy.explain.output_lines import line, number, written
from cnnatomy.explain.record import Record
from cnnatomy.lab.cell_drawing import drawn, frame, rect, text
from cnnatomy.lab.kept_pictures import chosen, grey, shades
from cnnatomy.lab.limits import PICTURE
from cnnatomy.lab.numbers_view import place_of
from cnnatomy.lab.offered_operators import OPERATORS
from cnnatomy.lab.reply import Reply
from cnnatomy.lab.settings_form import Field, Form
from cnnatomy.lab.view_document import document, told
from cnnatomy.report.render import embed, template

OFFERED = ("pool", "filter", "resize", "pad")
SIDES = {"a": "left", "b": "right"}
"""Prefixes of the settings of both operators, and where they are shown."""
USUAL: Mapping[str, Mapping[str, str]] = {"a": {"reducer": "max"}, "b": {"reducer": "soft"}}
SCRIPT = Path(__file__).parent / "pair.js"
SAVES = ("html", "svg", "png", "json")
SHOWN = 200
"""The side of a drawing, in pixels."""
EXAMPLES: Mapping[str, Mapping[str, str]] = {
    "Maximum and mean": {"b.reducer": "mean"},
    "Edges up and down": {"a.op": "filter", "b.op": "filter", "b.filter": "laplacian"},
    "Half the size, with and without antialias": {
        "a.op": "resize", "a.scale": "0.5", "b.op": "resize", "b.scale": "0.5", "b.antialias": "on",
    },
    "Borders": {"a.op": "pad", "a.padding": "8", "b.op": "pad", "b.padding": "8", "b.mode": "wrap"},
}  # fmt: skip


def form_of(query: Mapping[str, str]) -> Form:
    """The fields that an address calls for: those of the picture, and of both operators."""
    found = [
        Field("picture", "picture", kind="picture"),
        Field("size", "rows and columns", "32", hint=f"8 .. {PICTURE}"),
        Field("seed", "seed", "0", hint="of what is drawn"),
    ]
    for prefix in SIDES:
        found += [_under(prefix, one) for one in _own(prefix, query).fields]
    found.append(Field("at", "cell", kind="hidden"))
    return Form(found, {one.name: query[one.name] for one in found if one.name in query})


def _under(prefix: str, one: Field) -> Field:
    """A field of one operator as a field of the page."""
    usual = USUAL[prefix].get(one.name, one.default)
    return replace(one, name=f"{prefix}.{one.name}", default=usual, group=SIDES[prefix])


def _own(prefix: str, query: Mapping[str, str]) -> Form:
    """The settings of one operator."""
    start = f"{prefix}."
    said = {**USUAL[prefix], **{k.removeprefix(start): v for k, v in query.items() if k.startswith(start)}}
    which = Field("op", "operator", "pool", "choice", OFFERED, changes=True)
    operator = OPERATORS[said["op"]] if said.get("op") in OFFERED else OPERATORS["pool"]
    fields = [which, *(one for one in operator.fields(said) if one.kind != "rows")]
    return Form([*fields, Field("seed", "seed", "0", "hidden")], {"seed": query.get("seed", "0"), **said})


def drafts(query: Mapping[str, str], picture: bytes) -> tuple[Tensor, dict[str, Draft]]:
    """The picture in grey, and what both operators make of it.

    Raises:
        CnnatomyError: it cannot be done; says why, and of which operator.
    """
    form, found = form_of(query), {}
    x = grey(chosen(query, picture), form.whole("size", 8, PICTURE))
    for prefix, side in SIDES.items():
        own = _own(prefix, query)
        try:
            asked = OPERATORS[own.choice("op")].asked(own, x, _drawn)
            made = draft(asked.what, asked.x, None, None, **asked.options)
        except CnnatomyError as error:
            raise ArgumentError(f"the operator on the {side}: {error}") from error
        y = made.record["tensors"]["y"]
        if len(y["shape"]) != 2 or y["shape"] != y["whole"]:
            what = f"the operator on the {side} reads too much for every output to be explained"
            raise ArgumentError(what, hint="a smaller picture, or smaller windows")
        found[prefix] = made
    return x, found


def _drawn(name: str, text: str, shape: tuple[int, ...]) -> Tensor:
    """Numbers that a reducer takes beside x: drawn, always the same."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def record_of(query: Mapping[str, str], picture: bytes) -> dict[str, Any]:
    """All that the view shows: the planes with their numbers, lines, and the cells that the cursor visits."""
    x, made = drafts(query, picture)
    planes = {"x": _plane("x", x[0], low=0, high=255)}
    for prefix, one in made.items():
        planes[prefix] = _explained(SIDES[prefix], one.record)
    a, b = (_values(made[prefix].record) for prefix in SIDES)
    apart = f"{'×'.join(map(str, a.shape))} beside {'×'.join(map(str, b.shape))}: no difference"
    if a.shape == b.shape:
        planes["d"] = _plane("|left - right|", (a - b).abs())
        apart = ""
    rows, columns = (max(plane["size"][axis] for plane in planes.values()) for axis in (0, 1))
    at = place_of(query.get("at", "")) or ()
    fits = len(at) == 2 and at[0] < rows and at[1] < columns
    return {
        "planes": planes,
        "apart": apart,
        "rows": {name: _along(plane["size"][0], rows) for name, plane in planes.items()},
        "columns": {name: _along(plane["size"][1], columns) for name, plane in planes.items()},
        "at": list(at) if fits else [rows // 2, columns // 2],
    }


def _along(own: int, of: int) -> list[int]:
    """The cell of a map of so many that lies at each cell of the finest one."""
    return [i * own // of for i in range(of)]


def _values(record: Record) -> Tensor:
    y = record["tensors"]["y"]
    return torch.tensor([number(one) for one in y["values"]]).view(y["shape"])


def _plane(name: str, values: Tensor, low: float | None = None, high: float | None = None) -> dict[str, Any]:
    """A map with its numbers as they are written, and as a picture."""
    return {
        "name": name,
        "size": list(values.shape),
        "texts": [written(one, 4)[0] for one in values.reshape(-1).tolist()],
        "picture": embed(shades(values, low, high)),
    }


def _explained(side: str, record: Record) -> dict[str, Any]:
    """The map of an operator, with the line of every output and the cells that it reads."""
    found = _plane(f"{side}: {record['operator']['name']}", _values(record))
    count = len(record["tensors"]["y"]["values"])
    return found | {
        "call": record["operator"]["call"],
        "lines": [line(record, o) for o in range(count)],
        "reads": [_box(record, o) for o in range(count)],
    }


def _box(record: Record, o: int) -> list[int]:
    """The rectangle (x, y, width, height) of x that holds every cell an output reads."""
    first, stop = record["taps"]["ptr"][o : o + 2]
    x = record["tensors"]["x"]
    cells = [
        place(cell, x["shape"], x["start"])[1:] for cell in record["taps"]["cell"][first:stop] if cell >= 0
    ]
    if not cells:
        return [0, 0, 0, 0]
    top, left = (min(cell[axis] for cell in cells) for axis in (0, 1))
    bottom, right = (max(cell[axis] for cell in cells) for axis in (0, 1))
    return [left, top, right - left + 1, bottom - top + 1]


def _drawings(record: Mapping[str, Any], each: bool) -> list[Markup]:
    """Every plane with the cursor; x with what both outputs read."""
    found = []
    for k, (name, plane) in enumerate(record["planes"].items()):
        row, column = (
            record[axes][name][at] for axes, at in zip(("rows", "columns"), record["at"], strict=True)
        )
        marks = [rect("unit", (column, row, 1, 1))]
        if name == "x":
            for prefix in SIDES:
                o = _flat(record, prefix)
                marks.insert(0, rect(f"seen {prefix}", record["planes"][prefix]["reads"][o]))
        left = 2 if each else 2 + k * (SHOWN + 20)
        box = (left, 2 if each else 26, SHOWN, SHOWN)
        found.append(frame(box, plane["size"], "", marks, plane["picture"]))
    return found


def _flat(record: Mapping[str, Any], name: str) -> int:
    """The output of a plane that the cursor is at."""
    row, column = (record[axes][name][at] for axes, at in zip(("rows", "columns"), record["at"], strict=True))
    return int(row * record["planes"][name]["size"][1] + column)


def sentences(record: Mapping[str, Any]) -> list[str]:
    """The lines of both outputs at the cursor."""
    return [f"{SIDES[name]}: {record['planes'][name]['lines'][_flat(record, name)]}" for name in SIDES]


def shown_of(record: Mapping[str, Any]) -> Markup:
    """The record as it is shown."""
    figures = [
        (name, plane, drawn(SHOWN + 4, SHOWN + 4, plane["name"], [picture]))
        for (name, plane), picture in zip(record["planes"].items(), _drawings(record, True), strict=True)
    ]
    made = template("picture_shown.html.j2", "cnnatomy.lab").render(
        record=record, figures=figures, said=sentences(record), around=range(5)
    )
    return Markup(made)


def page(query: Mapping[str, str], picture: bytes = b"") -> Reply:
    """The view."""
    form = form_of(query)
    try:
        record = record_of(query, picture)
    except CnnatomyError as error:
        return document("picture", form, error=str(error), examples=EXAMPLES, saves=SAVES)
    stood = form.standing(at=",".join(map(str, record["at"])))
    return document("picture", stood, shown_of(record), data_of(record), examples=EXAMPLES, saves=SAVES)


def check(query: Mapping[str, str], picture: bytes = b"") -> Reply:
    """Whether both records agree with their operators and with autograd."""
    try:
        _, made = drafts(query, picture)
        lines = [f"{SIDES[k]}: {said}" for k, one in made.items() for said in agreement(one.checked().record)]
        return told(lines)
    except Disagreement as error:
        return told([], f"a record disagrees with its operator: {error}")
    except CnnatomyError as error:
        return told([], str(error))


def saved(query: Mapping[str, str], ending: str, picture: bytes = b"") -> Reply:
    """The view as a file, checked first.

    Raises:
        CnnatomyError: it cannot be had, or is not right, or is too large.
    """
    for one in drafts(query, picture)[1].values():
        one.checked()
    record = record_of(query, picture)
    if ending == "svg":
        names = [plane["name"] for plane in record["planes"].values()]
        parts = [text(2 + k * (SHOWN + 20), 16, name) for k, name in enumerate(names)]
        said = sentences(record)
        parts += [
            *_drawings(record, False),
            *(text(2, SHOWN + 50 + 20 * k, one) for k, one in enumerate(said)),
        ]
        made = drawn(len(names) * (SHOWN + 20), SHOWN + 80, "; ".join(said), parts, alone=True)
        return Reply(made.encode(), "image/svg+xml; charset=utf-8", name="pictures.svg")
    if ending == "json":
        return Reply(str(data_of(record)).encode(), "application/json", name="pictures.json")
    page_of = alone("two operators on one picture", shown_of(record), data_of(record), SCRIPT)
    return Reply(page_of.encode(), "text/html; charset=utf-8", name="pictures.html")
