"""How a network does on pictures that are shifted, rotated, scaled, mirrored, darker and brighter."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from cnnatomy import checks
from cnnatomy.data import Pictures
from cnnatomy.data.shifting import shifted
from cnnatomy.errors import ArgumentError
from cnnatomy.explain.looks.layer_outputs import Network, module_of
from cnnatomy.models.classifier import Classifier
from cnnatomy.train.batch_evaluation import scores_of

Copies = Callable[[Tensor, float], list[Tensor]]
"""Levels (N, C, H, W) and an amount -> changed copies of them, one for each direction."""


@dataclass(frozen=True)
class Change:
    """One way to change pictures, by amounts of which 0 changes nothing."""

    name: str
    unit: str
    amounts: tuple[float, ...]
    """What is tried if nothing else is asked for."""
    copies: Copies


@dataclass(frozen=True)
class Curve:
    """How a network does as pictures are changed more and more."""

    change: Change
    amounts: tuple[float, ...]
    accuracy: tuple[float, ...]
    """The share of right answers, over the pictures and the directions of the change."""
    logits: tuple[float, ...]
    """The root mean square of how far scores are from those of the pictures as they are."""
    pictures: int


def rotated(images: Tensor, amount: float) -> list[Tensor]:
    """Counter-clockwise and clockwise about the centre by degrees, bilinearly; border pixels are repeated."""
    cos, sin = math.cos(math.radians(amount)), math.sin(math.radians(amount))
    return [_mapped(images, ((cos, -way), (way, cos))) for way in (sin, -sin)]


def scaled(images: Tensor, amount: float) -> list[Tensor]:
    """Larger and smaller by 1 + amount about the centre, bilinearly; border pixels are repeated."""
    return [_mapped(images, ((f, 0.0), (0.0, f))) for f in (1 / (1 + amount), 1 + amount)]


def flipped(images: Tensor, amount: float) -> list[Tensor]:
    """Mirrored left to right."""
    return [images.flip(3) if amount else images]


def brightened(images: Tensor, amount: float) -> list[Tensor]:
    """Brighter and darker by a share of white."""
    return [_levels(images.float() + 255 * way) for way in (amount, -amount)]


CHANGES = {
    one.name: one
    for one in (
        Change("shift", "pixels", (0, 1, 2, 4, 6, 8), shifted),
        Change("rotation", "degrees", (0, 5, 10, 20, 30, 45), rotated),
        Change("scale", "parts larger or smaller", (0, 0.1, 0.2, 0.3, 0.5), scaled),
        Change("flip", "mirrored", (0, 1), flipped),
        Change("brightness", "parts of white", (0, 0.1, 0.2, 0.3, 0.5), brightened),
    )
}


def curve(
    net: Network, pictures: Pictures, change: str = "shift", amounts: Sequence[float] | None = None
) -> Curve:
    """Accuracy and the change of the logits against the amount of a change of the pictures.

    Args:
        net: a classifier (`cnnatomy.models.adopt` makes one of any network), or a run.
        pictures: levels with labels that index the network's classes.
        change: `"shift"`, `"rotation"`, `"scale"`, `"flip"` or `"brightness"`.
        amounts: in pixels, degrees or shares, of 0 or more; left out, those of `CHANGES`.

    Raises:
        ArgumentError: there is no such change or amount, or this is no classifier.

    Example:
        >>> from cnnatomy.models import build
        >>> images = torch.randint(256, (4, 1, 32, 32)).to(torch.uint8)
        >>> some = Pictures(images, torch.arange(4), tuple("abcd"), tuple("1234"))
        >>> found = curve(build("lenet5", classes=4), some, "shift", [0, 4])
        >>> found.amounts, found.logits[0], found.logits[1] > 0
        ((0, 4), 0.0, True)
    """
    if change not in CHANGES:
        raise ArgumentError("no such change", expected=f"one of {', '.join(CHANGES)}", got=repr(change))
    model = checks.of_kind("the network", module_of(net), Classifier, "a classifier (cnnatomy.models.adopt)")
    checks.of_kind("pictures", pictures, Pictures, "cnnatomy.data.Pictures")
    how = CHANGES[change]
    tried = how.amounts if amounts is None else tuple(amounts)
    for amount in tried:
        checks.real("amount", amount, "a number of 0 or more", lambda value: 0 <= value < math.inf)
    plain = scores_of(model, pictures.images)
    rows = [_measured(model, pictures, how.copies(pictures.images, amount), plain) for amount in tried]
    accuracy, logits = zip(*rows, strict=True) if rows else ((), ())
    return Curve(how, tried, accuracy, logits, len(pictures))


def shift_curve(net: Network, pictures: Pictures, amounts: Sequence[float] | None = None) -> Curve:
    """The curve of shifts to the right, left, down and up, in pixels; see `curve`."""
    return curve(net, pictures, "shift", amounts)


def _measured(
    model: Classifier, pictures: Pictures, copies: Sequence[Tensor], plain: Tensor
) -> tuple[float, float]:
    """The accuracy on changed copies, and how far their scores are from the plain ones."""
    hits, far = 0, 0.0
    for images in copies:
        made = scores_of(model, images)
        hits += int((made.argmax(1) == pictures.labels).sum())
        far += float((made - plain).double().square().mean())
    return hits / (len(pictures) * len(copies)), math.sqrt(far / len(copies))


def _mapped(images: Tensor, matrix: tuple[tuple[float, float], tuple[float, float]]) -> Tensor:
    """Levels where each pixel (x, y), from the centre, shows the place matrix @ (x, y)."""
    height, width = images.shape[2:]
    y = torch.arange(height)[:, None] - (height - 1) / 2
    x = torch.arange(width) - (width - 1) / 2
    (a, b), (c, d) = matrix
    grid = torch.stack([(a * x + b * y) * 2 / width, (c * x + d * y) * 2 / height], dim=2)
    grid = grid.to(images.device).expand(len(images), -1, -1, -1)
    return _levels(F.grid_sample(images.float(), grid, padding_mode="border", align_corners=False))


def _levels(values: Tensor) -> Tensor:
    return values.round().clamp(0, 255).to(torch.uint8)
