"""TrivialAugment: every operation against Pillow or SciPy."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps
from scipy import ndimage
from torch import Tensor

from cnnatomy.data.augment import recipe
from cnnatomy.data.augment.draws import Draws
from cnnatomy.data.augment.trivial import OPERATIONS, Chosen

Pixels = NDArray[np.float64]
HEIGHT, WIDTH, COUNT = 18, 23, 420


def affine(picture: Image.Image, back: list[list[float]], offset: tuple[float, float]) -> Pixels:
    """Show at (y, x) from the centre what lies at back @ (y, x) + offset, black outside."""
    middle = np.array([(HEIGHT - 1) / 2, (WIDTH - 1) / 2])
    matrix = np.array(back)
    start = middle - matrix @ middle + np.array(offset)
    planes = np.asarray(picture, np.float64).transpose(2, 0, 1)
    moved = [
        ndimage.affine_transform(plane, matrix, start, order=1, mode="grid-constant") for plane in planes
    ]
    return np.stack(moved, axis=-1)


def rotated(picture: Image.Image, strength: float) -> Pixels:
    """Counter-clockwise where the strength is positive."""
    angle = math.radians(135 * strength)
    turn = [[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]
    return affine(picture, turn, (0, 0))


def pixels(picture: Image.Image) -> Pixels:
    return np.asarray(picture, np.float64)


TRUTHS: dict[str, Callable[[Image.Image, float], Pixels]] = {
    "identity": lambda p, _: pixels(p),
    "shear x": lambda p, s: affine(p, [[1, 0], [0.99 * s, 1]], (0, 0)),
    "shear y": lambda p, s: affine(p, [[1, 0.99 * s], [0, 1]], (0, 0)),
    "shift x": lambda p, s: affine(p, [[1, 0], [0, 1]], (0, s * WIDTH * 10 / 32)),
    "shift y": lambda p, s: affine(p, [[1, 0], [0, 1]], (s * HEIGHT * 10 / 32, 0)),
    "rotate": rotated,
    "brightness": lambda p, s: pixels(ImageEnhance.Brightness(p).enhance(1 + 0.99 * s)),
    "contrast": lambda p, s: pixels(ImageEnhance.Contrast(p).enhance(1 + 0.99 * s)),
    "saturation": lambda p, s: pixels(ImageEnhance.Color(p).enhance(1 + 0.99 * s)),
    "sharpness": lambda p, s: pixels(ImageEnhance.Sharpness(p).enhance(1 + 0.99 * s)),
    "posterize": lambda p, s: pixels(ImageOps.posterize(p, 8 - round(6 * abs(s)))),
    "solarize": lambda p, s: pixels(ImageOps.solarize(p, 255 * (1 - abs(s)))),  # type: ignore[arg-type]
    "autocontrast": lambda p, _: pixels(ImageOps.autocontrast(p)),
    "equalize": lambda p, _: pixels(ImageOps.equalize(p)),
}
ROUNDED = {
    "brightness",
    "contrast",
    "saturation",
    "sharpness",
    "autocontrast",
}  # by Pillow, on the way and at the end


def photos(channels: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    level = 120 * torch.rand(COUNT, channels, 1, 1, generator=generator)
    return (level + 100 * torch.rand(COUNT, channels, HEIGHT, WIDTH, generator=generator)).round().double()


@pytest.mark.parametrize("name", OPERATIONS)
def test_each_operation_is_what_pillow_or_scipy_makes(name: str) -> None:
    images, indices = photos(), np.arange(COUNT)
    chosen = Chosen.of(Draws(0, 0, indices))
    (places,) = np.nonzero(chosen.operation == OPERATIONS.index(name))
    out = recipe("trivial")(images, torch.from_numpy(indices), seed=0, epoch=0)
    assert len(places) > 10
    for place in places.tolist():
        picture = Image.fromarray(images[place].permute(1, 2, 0).numpy().astype(np.uint8))
        expected = TRUTHS[name](picture, float(chosen.signed[place]))
        atol = 1.5 if name in ROUNDED else 1e-6
        np.testing.assert_allclose(out[place].permute(1, 2, 0), expected, atol=atol)


def test_operations_strengths_and_signs_are_equally_likely() -> None:
    chosen = Chosen.of(Draws(0, 0, np.arange(31_000)))
    for counts, kinds in (
        (np.bincount(chosen.operation), 14),
        (np.bincount(np.round(30 * chosen.strength).astype(int)), 31),
        (np.bincount(chosen.signed[chosen.strength > 0] > 0), 2),
    ):
        assert len(counts) == kinds
        np.testing.assert_allclose(counts, counts.mean(), rtol=0.15)
    assert set(np.round(30 * chosen.strength, 9)) == set(range(31))


def test_flat_pictures_are_neither_stretched_nor_equalized() -> None:
    flat = torch.full((400, 3, 4, 4), 90.0)
    chosen = Chosen.of(Draws(0, 0, np.arange(400)))
    out = recipe("trivial")(flat, torch.arange(400), seed=0, epoch=0)
    last = chosen.operation >= OPERATIONS.index("autocontrast")
    assert torch.equal(out[last], flat[last])


def test_pictures_of_one_channel_keep_their_saturation() -> None:
    images = photos(1)
    chosen = Chosen.of(Draws(0, 0, np.arange(COUNT)))
    out = recipe("trivial")(images, torch.arange(COUNT), seed=0, epoch=0)
    same = chosen.operation == OPERATIONS.index("saturation")
    torch.testing.assert_close(out[same], images[same])


def test_edges_are_those_of_the_augmentation() -> None:
    images = torch.full((200, 1, 9, 9), 50.0)
    moved = np.isin(Chosen.of(Draws(0, 0, np.arange(200))).operation, range(1, 6))
    for text, low in (("trivial", 0.0), ("trivial+reflect", 50.0)):
        out = recipe(text)(images, torch.arange(200), seed=0, epoch=0)[moved]
        assert float(out.min()) == pytest.approx(low, abs=1e-3)
        assert float(out.max()) == pytest.approx(50, abs=1e-3)
