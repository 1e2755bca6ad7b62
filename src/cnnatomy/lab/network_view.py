"""The network view: notation typed, its layers and advice, and what any unit sees of a picture."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from cnnatomy.anatomy import Anatomy, anatomy
from cnnatomy.errors import ArgumentError, CnnatomyError
from cnnatomy.explain.explanation_page import alone, data_of
from cnnatomy.lab.limits import INPUT, LETTERS
from cnnatomy.lab.network_figure import figure
from cnnatomy.lab.numbers_view import place_of
from cnnatomy.lab.reply import Reply
from cnnatomy.lab.settings_form import Field, Form
from cnnatomy.lab.view_document import document, told
from cnnatomy.models import is_code
from cnnatomy.report.anatomy_page import backdrop
from cnnatomy.report.render import embed, template

FIELDS = (
    Field("net", "network in notation, or its name", "conv3-8 maxpool conv3-16 maxpool FC-10", "rows"),
    Field("input", "input", "3x32x32", hint="channels x rows x columns; empty: its own"),
    Field("layer", "layer", kind="hidden"),
    Field("unit", "unit", kind="hidden"),
)
EXAMPLES: Mapping[str, Mapping[str, str]] = {
    "LeNet-5": {"net": "lenet5", "input": "", "layer": "c3", "unit": "4,4"},
    "VGG-16": {"net": "vgg16", "input": "3x224x224"},
    "A word misspelt": {"net": "conv3-8 maxpol conv3-16 FC-10"},
    "A map that does not divide": {"net": "conv3-8 maxpool maxpool FC-10", "input": "1x27x27"},
    "Three small kernels for a large one": {"net": "conv3-8 conv3-8 conv3-8", "input": "8x16x16"},
}
SCRIPT = Path(__file__).parent / "units.js"


def form_of(query: Mapping[str, str]) -> Form:
    """The settings that an address has."""
    return Form(FIELDS, {one.name: query[one.name] for one in FIELDS if one.name in query})


def measured(form: Form) -> Anatomy:
    """The anatomy of the network that is asked for: of a notation or a name, never of code.

    Raises:
        CnnatomyError: it cannot be had; of notation it says where.
    """
    text, size = form.text("net"), form["input"].strip()
    if len(text) > LETTERS:
        raise ArgumentError("network", expected=f"at most {LETTERS:,} letters", got=f"{len(text):,}")
    if is_code(text) or ":" in text:
        raise ArgumentError("network", expected="notation, or a name of the catalog", got=repr(text[:40]))
    if not size:
        return anatomy(text)
    if not re.fullmatch(r"[1-9][0-9]{0,3}(x[1-9][0-9]{0,3}){2}", size):
        raise ArgumentError("input", expected="sizes such as 3x32x32", got=repr(size[:40]))
    found = tuple(map(int, size.split("x")))
    if max(found) > INPUT:
        raise ArgumentError("input", expected=f"at most {INPUT} each", got=size)
    return anatomy(text, found)


def record_of(form: Form) -> dict[str, Any]:
    """All that the view shows: layers with their figures and fields, advice, and where its reader stands."""
    known = measured(form)
    shape = next(iter(known.inputs.values()))
    layers = [_layer(part) for part in known]
    record: dict[str, Any] = {
        "size": list(shape[-2:]),
        "picture": embed(backdrop(known, None)),
        "parameters": known.parameters,
        "macs": known.macs,
        "layers": layers,
        "advice": [
            {"level": one.level, "layer": one.layer, "said": f"{one.what}: {one.why}; try {one.remedy}"}
            for one in known.advice
        ],
        "reason": known.reason or "",
    }
    shown = [i for i, layer in enumerate(layers) if layer["rows"]]
    if not shown:
        raise ArgumentError("no layer of it has maps", expected="a convolution or a pooling")
    named = [i for i in shown if layers[i]["path"] == form["layer"]]
    record["layer"] = (named or shown[-1:])[0]
    layer = layers[record["layer"]]
    sizes = len(layer["rows"]), len(layer["columns"])
    place = place_of(form["unit"]) or ()
    fits = len(place) == 2 and all(i < n for i, n in zip(place, sizes, strict=True))
    record["unit"] = list(place) if fits else [(n - 1) // 2 for n in sizes]
    return record


def _layer(part: Any) -> dict[str, Any]:
    """One layer: its figures, and for every row and column of its map the cells that are seen."""
    shape: tuple[int, ...] = part.output_shapes[0] if part.output_shapes else ()
    found = {
        "path": part.path,
        "type": part.type,
        "out": "×".join(map(str, shape[1:])),
        "parameters": part.parameters,
        "macs": part.macs,
        "rows": [],
        "columns": [],
    }
    if len(shape) == 4 and max(shape[2:]) <= INPUT:
        try:
            field = part.field
        except ArgumentError:
            return found
        if len(field.axes) == 2:
            found["rows"] = [_span(field.at(i, 0)[0], "rows") for i in range(shape[2])]
            found["columns"] = [_span(field.at(0, i)[1], "columns") for i in range(shape[3])]
    return found


def _span(cells: range, noun: str) -> list[Any]:
    """The first cell, how many, and both in words."""
    said = f"{noun} {cells[0]}..{cells[-1]}" if len(cells) else f"no {noun}"
    return [cells.start, len(cells), said]


def shown_of(record: Mapping[str, Any]) -> Markup:
    """The record as it is shown."""
    made = template("network_shown.html.j2", "cnnatomy.lab").render(record=record, figure=figure(record))
    return Markup(made)


def page(query: Mapping[str, str], picture: bytes = b"") -> Reply:
    """The view."""
    form = form_of(query)
    try:
        record = record_of(form)
    except CnnatomyError as error:
        return document("network", form, error=str(error), examples=EXAMPLES, saves=SAVES)
    stood = form.standing(
        layer=record["layers"][record["layer"]]["path"], unit=",".join(map(str, record["unit"]))
    )
    return document("network", stood, shown_of(record), data_of(record), examples=EXAMPLES, saves=SAVES)


SAVES = ("html", "svg", "png", "json")


def check(query: Mapping[str, str], picture: bytes = b"") -> Reply:
    """Nothing: what the anatomy says is not computed twice."""
    return told([])


def saved(query: Mapping[str, str], ending: str, picture: bytes = b"") -> Reply:
    """The view as a file.

    Raises:
        CnnatomyError: there is no such network.
    """
    record = record_of(form_of(query))
    if ending == "svg":
        return Reply(figure(record, alone=True).encode(), "image/svg+xml; charset=utf-8", name="network.svg")
    if ending == "json":
        return Reply(str(data_of(record)).encode(), "application/json", name="network.json")
    made = alone("a network and what its units see", shown_of(record), data_of(record), SCRIPT)
    return Reply(made.encode(), "text/html; charset=utf-8", name="network.html")
