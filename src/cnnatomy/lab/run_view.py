"""The run view: what a trained network makes of a picture, and how any number of any layer comes about."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import torch
from markupsafe import Markup
from torch import Tensor

from cnnatomy.data import read_pictures
from cnnatomy.errors import ArgumentError, CnnatomyError
from cnnatomy.explain import Disagreement, Explanation
from cnnatomy.explain.explaining import Draft, draft
from cnnatomy.explain.explanation_page import alone, parts
from cnnatomy.explain.explanation_text import agreement, plain
from cnnatomy.explain.looks.layer_maps import feature_maps
from cnnatomy.explain.network_layer import middle
from cnnatomy.explain.record import Record
from cnnatomy.files.printable import percent
from cnnatomy.lab.kept_pictures import chosen, shades
from cnnatomy.lab.numbers_view import place_of
from cnnatomy.lab.reply import Reply
from cnnatomy.lab.settings_form import Field, Form
from cnnatomy.lab.view_document import document, file_of, told
from cnnatomy.report.pixels import png
from cnnatomy.report.render import embed, template
from cnnatomy.train.run_folder import RunFolder

MAPS = 64
"""Maps of a layer that are shown."""
CELLS = 20_000
"""Cells of what a layer reads, beyond which its numbers are told in text alone."""
THUMB = 64
"""Cells of a map's side that are shown."""
BEST = 5
"""Classes whose scores are told."""
SAVES = ("html", "svg", "png", "json")
NONE = "no run was named: cnnatomy lab runs/digits-1 shows that one here"


@dataclass(frozen=True)
class Trained:
    """The network of a run, and how it reads pictures."""

    name: str
    model: Any
    fit: str

    @cached_property
    def layers(self) -> list[str]:
        """The modules without children: calls that return maps as they run, then the others."""
        blank = torch.zeros(self.model.input_shape)
        mapped = list(feature_maps(self.model, blank))
        leaves = [path for path, one in self.model.named_modules() if path and not any(one.children())]
        return mapped + [path for path in leaves if path not in mapped]


_loaded: list[Trained | str] = [NONE]
"""The run that this process was begun with, or why there is none."""


def load(run: Path) -> None:
    """Load the run that all pages are of."""
    try:
        model, facts = RunFolder(run).load_model()
        _loaded[0] = Trained(run.name, model, facts["fit"])
    except CnnatomyError as error:
        _loaded[0] = str(error)


def trained() -> Trained:
    """The run.

    Raises:
        ArgumentError: there is none; says why.
    """
    if isinstance(_loaded[0], str):
        raise ArgumentError(_loaded[0])
    return _loaded[0]


def form_of(query: Mapping[str, str]) -> Form:
    """The fields that an address calls for."""
    layers = _loaded[0].layers if isinstance(_loaded[0], Trained) else []
    fields = (
        Field("picture", "picture", kind="picture"),
        Field("layer", "layer", layers[0] if layers else "", "choice", layers),
        Field("channel", "map", "0"),
        Field("at", "unit", kind="hidden"),
        Field("cell", "cell", kind="hidden"),
    )
    return Form(fields, {one.name: query[one.name] for one in fields if one.name in query})


@dataclass(frozen=True)
class Seen:
    """A picture in the network: as it is read, what every layer makes of it, and the scores."""

    levels: Tensor
    x: Tensor
    maps: Mapping[str, Tensor]
    scores: Sequence[tuple[str, str]]


def seen(run: Trained, query: Mapping[str, str], picture: bytes) -> Seen:
    """Run the network on the picture that is asked for.

    Raises:
        CnnatomyError: there is no such picture.
    """
    channels, height, width = run.model.input_shape
    levels = _levels(chosen(query, picture), (height, width), channels, run.fit)
    x = run.model.preprocess(levels[None])
    return Seen(levels, x, feature_maps(run.model, x[0]), _scores(run.model, x))


def _levels(picture: Path | bytes, size: tuple[int, int], channels: int, fit: str) -> Tensor:
    """A picture as the network's training pictures were read: uint8 (C, H, W)."""
    if isinstance(picture, Path):
        return read_pictures([picture], size=size, channels=channels, fit=fit)[0]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "picture.png"
        file.write_bytes(picture)
        return read_pictures([file], size=size, channels=channels, fit=fit)[0]


def _scores(model: Any, x: Tensor) -> list[tuple[str, str]]:
    """The most likely classes with their shares, in words; none of a network that gives pictures."""
    if model.goal != "classify":
        return []
    with torch.no_grad():
        shares = model.probabilities(model(x))[0]
    best = shares.topk(min(BEST, len(shares)))
    pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    return [(str(model.classes[i]), percent(share)) for i, share in pairs]


def drafted(query: Mapping[str, str], picture: bytes) -> tuple[Form, Seen, Draft]:
    """What the chosen layer computes on the picture, written down.

    Raises:
        CnnatomyError: there is no such layer, or no explanation of it.
    """
    run, form = trained(), form_of(query)
    found, layer = seen(run, query, picture), form.choice("layer")
    return form, found, _draft(run, form, found, layer)


def _draft(run: Trained, form: Form, found: Seen, layer: str) -> Draft:
    place = place_of(form["at"])
    if layer not in found.maps:
        with suppress(CnnatomyError):
            return draft(run.model, found.x, place, None, layer=layer)
        return draft(run.model, found.x, None, None, layer=layer)
    count, *size = found.maps[layer].shape
    channel = form.whole("channel", 0, count - 1)
    fits = place is not None and len(place) == 2 and all(i < n for i, n in zip(place, size, strict=True))
    at = place if fits and place is not None else middle(size, 2)
    return draft(run.model, found.x, (channel, *at), None, layer=layer)


def page(query: Mapping[str, str], picture: bytes = b"") -> Reply:
    """The view."""
    form = form_of(query)
    try:
        run = trained()
        found = seen(run, query, picture)
    except CnnatomyError as error:
        return document("run", form, error=str(error), saves=())
    around = shown_of(run, form, found)
    try:
        made = _draft(run, form, found, form.choice("layer"))
        shown, data = _parts(made.record, form)
    except CnnatomyError as error:
        return document("run", form, around, title=run.name, error=str(error), saves=())
    start = made.record["tensors"]["y"]["start"]
    at = [i + first for i, first in zip(made.record["at"], start, strict=True)]
    return document(
        "run", form.standing(at=",".join(map(str, at))), around + shown, data, title=run.name, saves=SAVES
    )


def _parts(record: Record, form: Form) -> tuple[Markup, Markup]:
    """The explanation as it steps; of a layer that reads very much its text alone."""
    if math.prod(record["tensors"]["x"]["shape"]) > CELLS:
        return Markup('<pre class="wide" tabindex="0">{}</pre><div id="agreement"></div>').format(
            plain(record)
        ), Markup("null")
    cell = None
    with suppress(CnnatomyError):
        place = place_of(form["cell"])
        cell = Explanation(record).cell(place) if place else None
    return parts(record, cell)


def shown_of(run: Trained, form: Form, found: Seen, linked: bool = True) -> Markup:
    """The picture as it is read, the scores, and the maps of every layer."""
    layer, kept = form["layer"], {"picture": form["picture"]} if form["picture"] else {}
    own = found.maps.get(layer)
    made = template("run_shown.html.j2", "cnnatomy.lab").render(
        run=run.name,
        scores=found.scores,
        picture=embed(png(found.levels)),
        layers=[
            (path, "×".join(map(str, one.shape)), embed(_small(one[0])), _link(linked, kept, path, 0))
            for path, one in found.maps.items()
        ],
        layer=layer,
        channel=form["channel"],
        maps=[(i, embed(_small(one)), _link(linked, kept, layer, i)) for i, one in enumerate(own[:MAPS])]
        if own is not None
        else [],
        more=max(0, len(own) - MAPS) if own is not None else 0,
    )
    return Markup(made)


def _link(linked: bool, kept: Mapping[str, str], layer: str, channel: int) -> str:
    return "/run?" + urlencode({**kept, "layer": layer, "channel": channel}) if linked else ""


def _small(plane: Tensor) -> bytes:
    """A map as a picture of at most THUMB cells a side."""
    step = -(-max(plane.shape) // THUMB)
    return shades(plane[::step, ::step])


def check(query: Mapping[str, str], picture: bytes = b"") -> Reply:
    """Whether the record agrees with the layer and with autograd."""
    try:
        return told(agreement(drafted(query, picture)[2].checked().record))
    except Disagreement as error:
        return told([], f"the record disagrees with the layer: {error}")
    except CnnatomyError as error:
        return told([], str(error))


def saved(query: Mapping[str, str], ending: str, picture: bytes = b"") -> Reply:
    """The view as a file, checked first.

    Raises:
        CnnatomyError: there is no explanation, or none that is right, or it is too large.
    """
    form, found, made = drafted(query, picture)
    record = made.checked().record
    if ending != "html":
        return file_of(record, ending)
    shown, data = _parts(record, form)
    run = trained()
    text = alone(f"{form['layer']} of {run.name}", shown_of(run, form, found, linked=False) + shown, data)
    return Reply(text.encode(), "text/html; charset=utf-8", name="unit.html")
