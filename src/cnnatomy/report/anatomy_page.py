"""A network as one page: its graph, what each layer costs, and what every unit sees of a picture."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from PIL import Image
from torch import Tensor

from cnnatomy.anatomy.ask.advice import advise
from cnnatomy.anatomy.figures import Operation
from cnnatomy.anatomy.present import number_text, sentences, texts
from cnnatomy.anatomy.present.rows import View, fields_of
from cnnatomy.anatomy.readings import READINGS
from cnnatomy.anatomy.result import Anatomy
from cnnatomy.anatomy.shapes import Shape, sizes
from cnnatomy.data import read_pictures
from cnnatomy.report.anatomy_flow import Box, flow
from cnnatomy.report.anatomy_maps import Tables, mapped
from cnnatomy.report.render import embed, template
from cnnatomy.train.atomic_files import write_whole

PICTURE = Path(__file__).parent / "assets" / "pagoda.png"
CREDIT = "Photograph by danielbuechele (part), CC BY 2.0"
SIDE = 320
"""The longest side of the embedded picture."""
_ORDER = ("error", "warning", "note")


def write(
    page: Path,
    anatomy: Anatomy,
    *,
    picture: Path | None = None,
    depth: int | None = None,
    effective: Mapping[int, Tensor] | None = None,
) -> Path:
    """Write the page as one file that needs nothing but itself, and say where.

    Args:
        page: the file to write.
        anatomy: of a recorded pass.
        picture: a picture to draw receptive fields on, stretched to the input; one that comes along if left
            out.
        depth: down to which level modules are open; as many as can be seen at once if left out.
        effective: maps (H, W) of what the middle unit of a layer depends on, by the layer's index.

    Raises:
        DataError: the picture cannot be read.
    """
    write_whole(page, render(anatomy, picture=picture, depth=depth, effective=effective).encode("utf-8"))
    return page


def render(
    anatomy: Anatomy,
    *,
    picture: Path | None = None,
    depth: int | None = None,
    effective: Mapping[int, Tensor] | None = None,
) -> str:
    """The page as HTML; for the arguments see `write`."""
    here = Path(__file__).parent
    shown = facts(anatomy) | {"depth": depth, "picture": embed(backdrop(anatomy, picture))}
    shown["effective"] = {str(layer): embed(heat(one)) for layer, one in (effective or {}).items()}
    data = json.dumps(shown, ensure_ascii=False, separators=(",", ":"))
    advice = sorted(advise(anatomy), key=lambda one: _ORDER.index(one.level))
    return template("anatomy.html.j2").render(
        title=sentences.title(anatomy),
        totals=totals(anatomy),
        said=sentences.sentences(anatomy),
        advice=advice,
        credit="" if picture else CREDIT,
        effective=bool(effective),
        layers=Markup(texts.element(anatomy, View())),
        data=Markup(data.replace("<", "\\u003c")),
        own=Markup((here / "anatomy.css").read_text("utf-8")),
        layout=Markup((here / "anatomy_layout.js").read_text("utf-8")),
        script=Markup((here / "anatomy.js").read_text("utf-8")),
    )


def totals(anatomy: Anatomy) -> dict[str, str]:
    """The figures at the head of the page."""
    known = {"parameters": number_text.exact(anatomy.parameters), "MACs": number_text.counted(anatomy.macs)}
    if anatomy.memory:
        known["inference peak"] = number_text.stored(anatomy.memory.inference)
    if anatomy.memory and anatomy.memory.saved is not None:
        known["saved for backward"] = number_text.stored(anatomy.memory.saved)
    return known


def facts(anatomy: Anatomy) -> dict[str, Any]:
    """Everything that the page's script draws."""
    drawn, tables = flow(anatomy), Tables()
    return {
        "boxes": [_box(anatomy, box, tables) for box in drawn.boxes],
        "edges": drawn.edges,
        "inputs": [{"name": name, "shape": shape} for name, shape in anatomy.inputs.items()],
        **tables.plain(),
    }


def _name(path: str, model: str) -> str:
    """The last part of a layer's path; of numbers the part before them too, as in `layer1.0`."""
    parts = path.split(".")
    first = next((at for at in reversed(range(len(parts))) if not parts[at].isdigit()), -1)
    return ".".join(parts[first:] if first >= 0 else [model, *parts]) if path else model


def _box(anatomy: Anatomy, box: Box, tables: Tables) -> dict[str, Any]:
    if box.kind in ("input", "output"):
        shapes = anatomy.inputs if box.kind == "input" else anatomy.outputs
        name, shape = list(shapes.items())[box.index]
        several = len(shapes) > 1
        place = {"parent": 0, "at": -1 if box.kind == "input" else len(anatomy.operations)}
        return place | {"name": name if several else box.kind, "type": box.kind, "out": _text((shape,))}
    if box.kind == "operator":
        return _operator(anatomy, box, tables)
    layer = anatomy.layers[box.index]
    below = _below(anatomy, box.index)
    known = {
        "parent": box.parent,
        "at": min((i for at in below for i in anatomy.layers[at].operations), default=-1),
        "name": _name(layer.path, anatomy.model),
        "path": layer.path,
        "type": layer.type,
        "depth": layer.depth,
        "out": _text(layer.output_shapes),
        "parameters": sum(anatomy.layers[at].parameters for at in below),
        "macs": layer.macs,
        "memory": layer.activations,
        "saved": layer.saved,
        "formula": "; ".join(filter(None, (_formula(anatomy.operations[i]) for i in layer.operations))),
    }
    readings = {name: fields_of(anatomy, box.index, reading=name) for name in READINGS}
    return known | ({"fields": mapped(anatomy, readings, tables)} if readings["exact"] else {})


def _operator(anatomy: Anatomy, box: Box, tables: Tables) -> dict[str, Any]:
    operation = anatomy.operations[box.index]
    layer = anatomy.layers[operation.layer]
    known = {
        "parent": box.parent,
        "at": box.index,
        "name": operation.name,
        "path": f"{layer.path}: {operation.name}" if layer.path else operation.name,
        "type": "operator",
        "depth": layer.depth + 1,
        "out": _text(operation.outputs),
        "parameters": 0,
        "macs": operation.cost.macs,
        "memory": operation.cost.written,
        "formula": _formula(operation),
    }
    if not operation.outputs:
        return known
    readings = {name: anatomy.fields.of(box.index, reading=name) for name in READINGS}
    fields = mapped(anatomy, readings, tables)
    return known | ({"fields": fields} if fields else {})


def _formula(operation: Operation) -> str:
    """How the multiply-accumulates come about, where there are any."""
    return operation.cost.formula if operation.cost.macs else ""


def _below(anatomy: Anatomy, at: int) -> list[int]:
    """A layer and all below it."""
    return [at, *(one for child in anatomy.layers[at].children for one in _below(anatomy, child))]


def _text(shapes: tuple[Shape, ...]) -> str:
    """Shapes without the batch of one."""
    return ", ".join(sizes(shape[1:] if shape[:1] == (1,) else shape) for shape in shapes)


def backdrop(anatomy: Anatomy, picture: Path | None) -> bytes:
    """The picture as PNG, in the proportions of the first input: in grey if that has one channel."""
    shape = next(iter(anatomy.inputs.values()))
    height, width = shape[-2:] if len(shape) > 3 else (max(1, shape[-1] // 6), shape[-1])
    scale = min(1.0, SIDE / max(height, width))
    size = max(1, round(height * scale)), max(1, round(width * scale))
    channels = 1 if len(shape) > 3 and shape[1] == 1 else 3
    pixels = read_pictures([picture or PICTURE], size=size, channels=channels, fit="stretch")[0]
    return _png(pixels[0].numpy() if channels == 1 else pixels.permute(1, 2, 0).numpy())


def heat(effective: Tensor) -> bytes:
    """What a unit depends on, as PNG: opaque where most, clear where nothing, by the square root."""
    share = (effective / effective.max().clamp(min=1e-30)).sqrt().mul(255).round().byte().numpy()
    scale = min(1.0, 112 / max(share.shape))
    rgba = np.zeros((*share.shape, 4), np.uint8)
    rgba[..., 0], rgba[..., 1], rgba[..., 3] = 255, 80, share
    small = (max(1, round(share.shape[1] * scale)), max(1, round(share.shape[0] * scale)))
    return _png(np.asarray(Image.fromarray(rgba).resize(small, Image.Resampling.BOX)))


def _png(pixels: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(out, "PNG", optimize=True)
    return out.getvalue()
