"""Colours of pictures, against Pillow, colorsys and formulas."""

from __future__ import annotations

import colorsys
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageEnhance
from torch import Tensor

from cnnatomy.data.augment import recipe
from cnnatomy.data.augment.draws import Draws

LUMA = np.array([0.299, 0.587, 0.114])
ENHANCERS: dict[str, Callable[[Image.Image], ImageEnhance._Enhance]] = {
    "brightness": ImageEnhance.Brightness,
    "contrast": ImageEnhance.Contrast,
    "saturation": ImageEnhance.Color,
}


def photos(count: int, side: int = 16, channels: int = 3) -> Tensor:
    """Whole values, smooth enough for their greys and means to differ from picture to picture."""
    generator = torch.Generator().manual_seed(3)
    level = 200 * torch.rand(count, channels, 1, 1, generator=generator)
    return (level + 55 * torch.rand(count, channels, side, side, generator=generator)).round()


def image(picture: Tensor) -> Image.Image:
    return Image.fromarray(picture.permute(1, 2, 0).numpy().astype(np.uint8))


def factors(name: str, strength: float, count: int) -> NDArray[np.float64]:
    return 1 + strength * Draws(0, 0, np.arange(count)).signed(name)


@pytest.mark.parametrize("name", ENHANCERS)
def test_single_factors_do_what_pillow_does(name: str) -> None:
    pictures = photos(30)
    out = recipe(f"{name}(0.9)")(pictures, torch.arange(30), seed=0, epoch=0)
    for before, after, factor in zip(pictures, out, factors(name, 0.9, 30), strict=True):
        expected = np.asarray(ENHANCERS[name](image(before)).enhance(factor), np.float64)
        # Pillow rounds the mean and the greys, then the result.
        np.testing.assert_allclose(after.permute(1, 2, 0), expected, atol=1.5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("channels", [1, 3])
def test_jitter_is_brightness_contrast_then_saturation(channels: int, dtype: torch.dtype) -> None:
    pictures = photos(20, channels=channels).to(dtype)
    out = recipe("jitter(0.8)")(pictures, torch.arange(20), seed=0, epoch=0)
    found = [factors(name, 0.8, 20) for name in ENHANCERS]
    weights = LUMA if channels == 3 else np.ones(1)
    for before, after, b, c, s in zip(pictures.double().numpy(), out.numpy(), *found, strict=True):
        x = b * before
        x = c * x + (1 - c) * np.tensordot(weights, x, 1).mean()
        if channels == 3:
            x = s * x + (1 - s) * np.tensordot(weights, x, 1)
        np.testing.assert_allclose(after, x.clip(0, 255), atol=2e-3)


def test_factors_are_drawn_evenly_and_reach_their_bounds() -> None:
    flat = torch.full((4000, 1, 1, 1), 100.0)
    out = recipe("brightness(0.3)")(flat, torch.arange(4000), seed=0, epoch=0).flatten() / 100
    assert 0.7 <= float(out.min()) < 0.701
    assert 1.299 < float(out.max()) <= 1.3
    counts = torch.histc(out, 10, 0.7, 1.3)
    assert float(((counts - 400) ** 2 / 400).sum()) < 34  # 9 degrees of freedom: p = 1e-4


def test_hue_turns_as_in_colorsys() -> None:
    pictures = torch.randint(256, (12, 3, 5, 5), generator=torch.Generator().manual_seed(0)).double()
    pictures[0] = 80  # grey has no hue
    pictures[1, :, 0] = torch.tensor([[255, 255, 0.0, 0, 0], [0, 255, 255, 0, 0], [0, 0, 0, 255, 255]])
    turns = 0.5 * Draws(0, 0, np.arange(12)).signed("hue")
    out = recipe("hue(0.5)")(pictures, torch.arange(12), seed=0, epoch=0)
    for before, after, turn in zip(pictures, out, turns, strict=True):
        for old, new in zip(before.flatten(1).T.tolist(), after.flatten(1).T.tolist(), strict=True):
            hue, saturation, value = colorsys.rgb_to_hsv(*(x / 255 for x in old))
            expected = colorsys.hsv_to_rgb((hue + turn) % 1, saturation, value)
            np.testing.assert_allclose(new, [255 * x for x in expected], atol=1e-9)


def test_a_hue_turned_in_32_bits_is_near_the_same_in_64() -> None:
    pictures = photos(50)
    single, double = (
        recipe("hue(0.5)")(pictures.to(dtype), torch.arange(50), seed=0, epoch=0)
        for dtype in (torch.float32, torch.float64)
    )
    np.testing.assert_allclose(single, double, atol=2e-3)


def test_grey_takes_colour_away_with_its_probability() -> None:
    pictures = photos(2000, side=2)
    out = recipe("grey(0.3)")(pictures, torch.arange(2000), seed=0, epoch=0)
    grey = (out - out[:, :1]).abs().amax((1, 2, 3)) < 1e-3
    assert torch.equal(out[~grey], pictures[~grey])
    assert abs(float(grey.double().mean()) - 0.3) < 0.05
    weights = torch.from_numpy(LUMA).float().reshape(3, 1, 1)
    torch.testing.assert_close(out[grey][:, 0], (pictures[grey] * weights).sum(1), atol=1e-3, rtol=0)


@pytest.mark.parametrize("text", ["saturation(1)", "hue(0.5)", "grey(1)"])
@pytest.mark.parametrize("channels", [1, 4])
def test_what_is_not_red_green_and_blue_keeps_its_colours(text: str, channels: int) -> None:
    pictures = photos(9, channels=channels)
    assert torch.equal(recipe(text)(pictures, torch.arange(9), seed=0, epoch=0), pictures)
