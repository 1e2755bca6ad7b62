"""Every pooling at work on one picture: what comes out of its windows, and where the gradient goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from cnnatomy.data import read_pictures
from cnnatomy.ops import pool
from cnnatomy.reducers import REGISTRY, Mean, Reducer
from cnnatomy.regions import Adaptive, Bins, Boxes, Fractional, Pyramid, Region, Sliding, Whole
from cnnatomy.report.pixels import png
from cnnatomy.report.render import template
from cnnatomy.train.atomic_files import write_whole

PICTURE = Path(__file__).parent / "assets" / "pagoda.png"
CREDIT = "Photograph by danielbuechele (part), CC BY 2.0"
SIDE = 128
"""Pixels of the picture, across and down."""
WINDOW = 4
WHITE = 6.0
"""The value of white: values that differ by more than one are what exponential weights tell apart."""
DETAIL = slice(44, 84)
"""The rows and columns whose gradient is shown."""
REGIONS: tuple[Region, ...] = (
    Sliding(8),
    Sliding(24, stride=8),
    Adaptive((6, 20)),
    Fractional(0.15, seed=3, kind="random"),
    Bins([[(0, 8), (8, 24), (24, 56), (56, 120)], [(0, 64), (64, 128)]]),
    Whole(),
    Boxes([(0, 36, 4, 92, 60), (0, 56, 70, 124, 120)], 6),
    Pyramid((2, 6, 18)),
)


@dataclass(frozen=True)
class Tile:
    """One pooling, or one region, and its pictures as PNG."""

    call: str
    pictures: tuple[bytes, ...]
    summary: str = ""
    formula: str = ""
    source: str = ""
    note: str = ""


def write(
    page: Path,
    picture: Path | None = None,
    reducers: Sequence[Reducer] = (),
    regions: Sequence[Region] = REGIONS,
) -> Path:
    """Write the gallery as one HTML page that needs nothing but itself, and say where.

    Args:
        page: the file to write.
        picture: a picture of any size, of which the middle is shown; one that comes along if left out.
        reducers: what to show; everything in the registry, without arguments, if left out.
        regions: those to show below.

    Raises:
        DataError: the picture cannot be read.
    """
    x = read_pictures([picture or PICTURE], size=(SIDE, SIDE), channels=3, fit="crop")
    values = x * (WHITE / 255)
    shown = reducers or [REGISTRY[name]() for name in sorted(REGISTRY)]
    html = template("gallery.html.j2").render(
        original=Tile(
            "the picture",
            (png(x[0]), png(x[0][:, DETAIL, DETAIL])),
            source="" if picture else CREDIT,
        ),
        poolings=[reduced(values, reducer) for reducer in shown],
        places=[placed(values, region) for region in regions],
        window=WINDOW,
        white=WHITE,
    )
    write_whole(page, html.encode("utf-8"))
    return page


def reduced(x: Tensor, reducer: Reducer) -> Tile:
    """A pooling's result on values (1, 3, H, W) over small windows, and the gradient of a detail."""
    x = x.clone().requires_grad_()
    companions: dict[str, Any] = {name: contrast(x.detach()) for name in reducer.companions}
    learned: dict[str, Any] = {one.name: torch.tensor(one.start) for one in reducer.parameters}
    y = pool(x, reducer, Sliding(WINDOW), training=True, seed=0, **companions, **learned)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    colours, darker = visible(y.detach()[0])
    share = gradient[0, :, DETAIL, DETAIL].abs().clamp(max=1).sqrt()
    notes = [f"Shown at {darker:.2g} of its brightness."] if darker < 0.99 else []
    notes += [f"{name}: twice the local contrast." for name in companions]
    return Tile(
        called(reducer),
        (png(colours), png((255 * share).round().to(torch.uint8))),
        reducer.summary,
        reducer.formula,
        reducer.source,
        " ".join(notes),
    )


def placed(x: Tensor, region: Region) -> Tile:
    """The averages over a region, each drawn where it was read; for a pyramid, level by level."""
    parts = region.grids if isinstance(region, Pyramid) else (region,)
    summary = " ".join((type(region).__doc__ or "").split("\n\n")[0].split()).rstrip(".")
    return Tile(called(region), tuple(png(painted(x, part)) for part in parts), summary)


def called(record: Any) -> str:
    """The shortest call that makes a record.

    Example:
        >>> called(Sliding(8, padding="same"))
        "Sliding(8, padding='same')"
    """
    own = {field.name: (getattr(record, field.name), field.default) for field in fields(record)}
    given = [
        repr(value) if default is MISSING else f"{name}={value!r}"
        for name, (value, default) in own.items()
        if value != default
    ]
    return f"{type(record).__name__}({', '.join(given)})"


def painted(x: Tensor, region: Region) -> Tensor:
    """Every pixel (3, H, W) as the mean of the averages that read it; grey and dark where nothing does."""
    blank = torch.zeros_like(x).requires_grad_()
    total = pool(blank, Mean(divisor=1.0), region)
    y = pool(x, "mean", region)
    (sums,) = torch.autograd.grad(total, blank, y, retain_graph=True)
    (readers,) = torch.autograd.grad(total, blank, torch.ones_like(y))
    unread = (x.mean(1, keepdim=True) * 0.25).expand_as(x)
    return visible(torch.where(readers > 0, sums / readers.clamp(min=1), unread)[0])[0]


def contrast(x: Tensor) -> Tensor:
    """Twice the distance of every value from the average around it."""
    return 2 * (x - F.avg_pool2d(x, 5, 1, 2, count_include_pad=False)).abs()


def visible(y: Tensor) -> tuple[Tensor, float]:
    """Values (C, H, W) as bytes, and the share of their brightness that they are shown with.

    Three channels are colours, and any other number of channels is shown by its length in grey.
    """
    if len(y) != 3:
        y = y.norm(dim=0, keepdim=True)
    share = min(1.0, WHITE / max(float(y.abs().max()), 1e-12))
    return (y.clamp(min=0) * (share * 255 / WHITE)).round().to(torch.uint8), share
