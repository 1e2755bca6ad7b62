"""From a network and pictures to all that its page shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from markupsafe import Markup
from torch import Tensor

from cnnatomy.anatomy import anatomy
from cnnatomy.anatomy.ask.effective import effective
from cnnatomy.anatomy.layer_search import find
from cnnatomy.anatomy.present.map_layout import unit_at
from cnnatomy.data import Pictures
from cnnatomy.explain.looks.attribution import grad_cam, integrated_gradients, occlusion, saliency
from cnnatomy.explain.looks.cropping import Patch, Seeing, best_patches
from cnnatomy.explain.looks.drawing import grey, heat, line, small
from cnnatomy.explain.looks.embedding_map import FEWEST, Method, laid_out, methods
from cnnatomy.explain.looks.layer_maps import feature_maps, first_filters
from cnnatomy.explain.looks.layer_outputs import one_picture
from cnnatomy.explain.looks.maximising import Climbing
from cnnatomy.explain.looks.moved_maps import equivariance
from cnnatomy.explain.looks.sensitivity import CHANGES, Curve, curve
from cnnatomy.models.classifier import Classifier
from cnnatomy.models.embedding import embedded
from cnnatomy.report.pixels import png

FIELDS, MAPPED, MOVED = 4, 300, 32
"""Shown: receptive fields; pictures on the map of embeddings. Pictures that equivariance is measured on."""
ERRORS = (("shift", 1), ("shift", 4), ("rotation", 10), ("scale", 0.2), ("flip", 1))
FILTERS, LAYERS, UNITS, PATCHES, MAPS, CHANNELS = 48, 3, 6, 5, 8, 12
"""Shown: kernels; layers, units of each, and patches of each; layers with their maps, and maps of each."""
STARTS, STEPS, STEPS_OF_PATH = 2, 64, 50
LARGEST, WHOLE, THUMB = 64, 96, 32
"""Pixels of a side of a map and of a picture on the page."""


class Tile(NamedTuple):
    """A patch: the picture that it is cut from, where, and what it is."""

    picture: int
    view: str
    """Left, top, width and height of what is shown, in pixels of the picture."""
    field: tuple[int, int, int, int]
    """Left, top, width and height of the receptive field."""
    said: str


class Unit(NamedTuple):
    """One channel of a layer."""

    channel: int
    tiles: Sequence[Tile]
    maximised: bytes
    said: str


class Layer(NamedTuple):
    """Some units of one layer."""

    path: str
    said: str
    units: Sequence[Unit]


class Shown(NamedTuple):
    """A picture and what it is."""

    png: bytes
    title: str
    said: str = ""


class Moved(NamedTuple):
    """What the maps of a layer do as the picture is moved."""

    layer: str
    errors: Sequence[float]


class Field(NamedTuple):
    """What the middle unit of a layer sees of the picture."""

    layer: str
    png: bytes
    """How strongly it depends on each pixel."""
    box: tuple[int, int, int, int]
    """Left, top, width and height of its exact receptive field."""


class Place(NamedTuple):
    """A picture on the map of embeddings."""

    x: float
    y: float
    colour: str
    said: str


@dataclass(frozen=True)
class Looks:
    """All that the page shows."""

    filters: Sequence[bytes]
    filters_said: str
    layers: Sequence[Layer]
    wholes: Mapping[int, bytes]
    """The pictures that patches are cut from."""
    size: tuple[int, int]
    heats: Sequence[Shown]
    maps: Sequence[tuple[str, Sequence[bytes]]]
    curves: Sequence[tuple[str, Markup, Curve]]
    fields: Sequence[Field]
    moved: Sequence[Moved]
    moves: Sequence[tuple[str, float]]
    """What they are moved by."""
    places: Mapping[str, Sequence[Place]]
    """By the method that laid them out."""
    thumbs: Sequence[bytes]
    """The pictures on the map."""


def gathered(
    model: Classifier, pictures: Pictures, picture: Tensor, name: str, *, labelled: bool, seed: int
) -> Looks:
    """Look at a network.

    Args:
        model: the network.
        pictures: what patches are cut from, and curves are measured on if they are `labelled`.
        picture: levels (C, H, W) of the picture that maps and attributions are shown of.
        name: of that picture.
        labelled: whether the pictures' labels index the network's classes.
        seed: of the noise that maximised pictures begin with.
    """
    x = model.preprocess(pictures.images)
    read = model.preprocess(picture[None])[0]
    maps = {path: one for path, one in feature_maps(model, read).items() if one[0].numel() > 1}
    layers = [_layer(model, path, pictures, x, seed) for path in _spread(_weighty(model, maps), LAYERS)]
    used = sorted({tile.picture for layer in layers for unit in layer.units for tile in unit.tiles})
    height, width = picture.shape[1:]
    filters, said = _filters(model)
    on_map = drawn(pictures, MAPPED, seed)
    return Looks(
        filters=filters,
        filters_said=said,
        layers=layers,
        wholes={i: small(pictures.images[i], WHOLE) for i in used},
        size=(height, width),
        heats=_heats(model, picture, read, maps, name),
        maps=[_maps(path, maps[path]) for path in _spread(list(maps), MAPS)],
        curves=[_curve(curve(model, pictures, change)) for change in CHANGES] if labelled else [],
        fields=_fields(model, maps, picture),
        moved=_moved(model, x[:MOVED], _spread(list(maps), MAPS)),
        moves=ERRORS,
        places=_maps_of_pictures(model, on_map, seed),
        thumbs=[small(one, THUMB) for one in on_map.images],
    )


def _maps_of_pictures(model: Classifier, pictures: Pictures, seed: int) -> dict[str, list[Place]]:
    """By every method at hand; none of fewer than three pictures."""
    if len(pictures) < FEWEST:
        return {}
    features = embedded(model, pictures.images)
    return {method: _places(features, pictures, method, seed) for method in methods()}


def _fields(model: Classifier, maps: Mapping[str, Tensor], picture: Tensor) -> list[Field]:
    """Theoretical and effective field of the middle units, over the picture."""
    known = anatomy(model, model.input_shape)
    paths = [layer.path for layer in known.layers]
    numbers = [find(path, paths) for path in _spread(list(maps), FIELDS)]
    found = []
    for number, strength in effective(model, known, numbers).items():
        axes = known[paths[number]].field.axes
        middle = unit_at(axes, [(n - 1) // 2 for n in axes[0].shape[2:]])
        rows, columns = (axis.interval(middle) for axis in axes)
        box = (columns.start, rows.start, len(columns), len(rows))
        found.append(Field(paths[number], heat(strength, picture), box))
    return found


def _moved(model: Classifier, x: Tensor, layers: Sequence[str]) -> list[Moved]:
    """The equivariance errors of layers."""
    columns = [equivariance(model, x, move, amount, layers) for move, amount in ERRORS]
    return [Moved(path, [column[path] for column in columns]) for path in columns[0]]


def _places(features: Tensor, pictures: Pictures, method: Method, seed: int) -> list[Place]:
    """Pictures where the method puts them, in a square of 0 to 1."""
    at = laid_out(features, method, seed)
    low, high = at.amin(0), at.amax(0)
    at = (at - low) / (high - low).clamp(min=1e-12)
    hues = 360 / max(len(pictures.classes), 1)
    rows = zip(at.tolist(), pictures.labels.tolist(), pictures.names, strict=True)
    return [
        Place(
            round(x, 4),
            round(1 - y, 4),
            f"hsl({label * hues:.0f} 65% 50%)",
            f"{pictures.classes[label]}, {name}",
        )
        for (x, y), label, name in rows
    ]


def _spread(names: Sequence[str], most: int) -> list[str]:
    """The first, the last, and some evenly between."""
    if len(names) <= most:
        return list(names)
    return [names[round(i * (len(names) - 1) / (most - 1))] for i in range(most)]


def _weighty(model: Classifier, maps: Mapping[str, Tensor]) -> list[str]:
    """The layers of more parameters than the two a channel of a norm."""
    modules = dict(model.named_modules())
    counts = {path: sum(p.numel() for p in one.parameters(recurse=False)) for path, one in modules.items()}
    return [path for path, one in maps.items() if counts[path.partition("#")[0]] > 2 * len(one)]


def _filters(model: Classifier) -> tuple[list[bytes], str]:
    found = first_filters(model)
    made = found.pictures()
    count, channels, height, width = found.weights.shape
    said = f"{found.layer}: {count} kernels of {height}×{width} over {channels} channel{'s' * (channels > 1)}"
    if len(made) > FILTERS:
        said += f", the first {FILTERS} of {len(made)} pictures"
    return [png(255 * one) for one in made[:FILTERS]], said


def _layer(model: Classifier, path: str, pictures: Pictures, x: Tensor, seed: int) -> Layer:
    """Units evenly spaced among the channels of a layer."""
    seeing = Seeing(model, x.shape[1:], path)
    count = seeing.channels
    channels = sorted({round(i * (count - 1) / (UNITS - 1)) for i in range(UNITS)})
    best = best_patches(seeing, x, channels, PATCHES)
    highest = Climbing(STARTS, STEPS, seed=seed).maximised(seeing, channels)
    units = [
        Unit(
            channel,
            [_tile(patch, pictures) for patch in found],
            small(_levels(model, made.pictures[0]), WHOLE),
            f"made to maximise it: {float(made.values[0]):.3g}",
        )
        for channel, found, made in zip(channels, best, highest, strict=True)
    ]
    height, width = (len(one) for one in best[0][0].field)
    said = f"{len(channels)} of {count} channels; a unit sees {height}×{width} pixels"
    return Layer(path, said, units)


def _levels(model: Classifier, read: Tensor) -> Tensor:
    """The levels of a picture that the network reads: every one preprocesses linearly."""
    black = torch.zeros(1, *read.shape, dtype=torch.uint8)
    least, most = model.preprocess(black)[0], model.preprocess(black + 255)[0]
    return 255 * (read - least) / (most - least)


def _tile(patch: Patch, pictures: Pictures) -> Tile:
    rows, columns = patch.field
    margin = max(1, max(len(rows), len(columns)) // 8)
    view = (columns.start - margin, rows.start - margin, len(columns) + 2 * margin, len(rows) + 2 * margin)
    i = patch.picture
    label = pictures.classes[int(pictures.labels[i])]
    said = f"{patch.value:.3g} at {', '.join(map(str, patch.at))} on {pictures.names[i]}, {label}"
    return Tile(i, " ".join(map(str, view)), (columns.start, rows.start, len(columns), len(rows)), said)


def _heats(
    model: Classifier, picture: Tensor, read: Tensor, maps: Mapping[str, Tensor], name: str
) -> list[Shown]:
    """The picture, and what speaks for the class that the network calls it."""
    with torch.no_grad():
        shares = model.probabilities(model(one_picture(read)))[0]
    target = int(shares.argmax())
    called = f"called {model.classes[target]}, {100 * float(shares[target]):.1f}%"
    side = min(read.shape[1:])
    patch = max(2, side // 6)
    stride = max(1, patch // 2)
    found = [
        Shown(small(picture, 4 * WHOLE), name, called),
        Shown(
            heat(occlusion(model, read, target, patch=patch, stride=stride), picture),
            "occlusion",
            f"what the score loses when {patch}×{patch} pixels are covered, every {stride}",
        ),
        Shown(heat(saliency(model, read, target).amax(0), picture), "gradient", "largest of the channels"),
        Shown(
            heat(integrated_gradients(model, read, target, steps=STEPS_OF_PATH).sum(0), picture),
            "integrated gradients",
            "from zeros as the network reads them, sum of the channels",
        ),
    ]
    if maps:
        last = list(maps)[-1]
        cam = grad_cam(model, read, target, last)
        cells = "×".join(f"{n / m:g}" for n, m in zip(read.shape[1:], cam.shape, strict=True))
        found.append(Shown(heat(cam, picture), "Grad-CAM", f"{last}: a cell is {cells} pixels"))
    return found


def _maps(path: str, maps: Tensor) -> tuple[str, list[bytes]]:
    count, height, width = maps.shape
    shown = f", the first {CHANNELS}" if count > CHANNELS else ""
    said = f"{path}: {count} of {height}×{width}{shown}"
    side = max(1, -(-max(height, width) // LARGEST))
    planes = (
        torch.nn.functional.avg_pool2d(maps[:CHANNELS], side, ceil_mode=True) if side > 1 else maps[:CHANNELS]
    )
    return said, [grey(one) for one in planes]


def _curve(found: Curve) -> tuple[str, Markup, Curve]:
    change = found.change
    return change.name, line(found.amounts, found.accuracy, change.unit, change.name), found


def drawn(pictures: Pictures, most: int, seed: int) -> Pictures:
    """So many of the pictures at most, drawn by a seed, in their own order."""
    if len(pictures) <= most:
        return pictures
    order = torch.randperm(len(pictures), generator=torch.Generator().manual_seed(seed))[:most].sort().values
    names = [pictures.names[i] for i in order.tolist()]
    return replace(pictures, images=pictures.images[order], labels=pictures.labels[order], names=names)
