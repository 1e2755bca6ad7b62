"""Pictures are prepared as the libraries that made the weights prepare them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from cnnatomy.errors import ArgumentError
from cnnatomy.models.weights import Preprocessing
from cnnatomy.models.weights.preprocessing import from_timm, from_transformers

PILLOW = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def by_pillow(picture: Tensor, resized: int, size: int, how: str, mean: Any, std: Any) -> NDArray[np.float64]:
    """torchvision's steps: the shorter side to `resized`, the middle, scale, standardise."""
    image = Image.fromarray(picture.permute(1, 2, 0).numpy())
    w, h = image.size
    short = min(w, h)
    image = image.resize((int(resized * w / short), int(resized * h / short)), PILLOW[how])
    left, top = round((image.width - size) / 2), round((image.height - size) / 2)
    pixels = np.asarray(image.crop((left, top, left + size, top + size)), np.float64) / 255
    return np.asarray((pixels - mean) / std)


def smooth(height: int, width: int) -> Tensor:
    """A picture of soft blobs (3, H, W): noise would show little but the order of rounding."""
    noise = np.random.default_rng(1).integers(0, 256, (5, 6, 3), np.uint8)
    image = Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


@pytest.mark.parametrize("how", ["bilinear", "bicubic"])
@pytest.mark.parametrize("sides", [(40, 60), (71, 33), (24, 24), (300, 200)])
def test_the_steps_are_torchvisions(how: str, sides: tuple[int, int]) -> None:
    picture = smooth(*sides)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    prepare = Preprocessing(mean, std, (28, 28), 28 / 32, how)
    ours = prepare(picture[None])[0].permute(1, 2, 0).numpy()
    truth = by_pillow(picture, 32, 28, how, mean, std)
    off = np.abs(ours - truth) * 255 * np.array(std)
    assert ours.shape == (28, 28, 3)
    assert off.max() < 2.01, "levels of 255: Pillow rounds between the axes, and not always in one order"
    assert off.mean() < 0.3


def test_without_a_crop_the_whole_picture_is_squeezed() -> None:
    picture = smooth(40, 90)[None]
    prepare = Preprocessing((0.0,) * 3, (1.0,) * 3, (32, 32), None)
    image = Image.fromarray(picture[0].permute(1, 2, 0).numpy()).resize((32, 32), PILLOW["bilinear"])
    off = prepare(picture)[0].permute(1, 2, 0) * 255 - torch.from_numpy(np.asarray(image).copy())
    assert off.abs().max() < 2.01
    assert off.abs().mean() < 0.3


def test_levels_are_scaled_and_each_channel_standardised() -> None:
    prepare = Preprocessing((0.0, 0.5, 1.0), (1.0, 0.5, 0.25), None)
    picture = torch.tensor([0, 255, 51], dtype=torch.uint8).view(1, 3, 1, 1)
    assert prepare(picture).flatten().tolist() == pytest.approx([0.0, 1.0, -3.2])
    with pytest.raises(ArgumentError, match="expected 3 channels, got 1"):
        prepare(picture[:, :1])


@pytest.mark.parametrize("resized", [224, 232, 235, 256, 288, 354, 375, 408])
def test_a_share_gives_back_the_side_it_was_made_of(resized: int) -> None:
    prepare = Preprocessing((0.5,), (0.5,), (224, 224), 224 / resized)
    picture = torch.zeros(1, 1, resized, resized, dtype=torch.uint8)
    picture[..., resized // 2, resized // 2] = 255  # survives untouched only if nothing is resized
    assert prepare.frame(picture).max() == 255


@given(
    st.tuples(st.integers(1, 90), st.integers(1, 90)),
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.one_of(st.none(), st.floats(0.1, 1)),
)
def test_any_picture_comes_out_in_the_size(
    sides: tuple[int, int], size: tuple[int, int], crop: float | None
) -> None:
    prepare = Preprocessing((0.5,), (0.5,), size, crop)
    assert prepare(torch.zeros(1, 1, *sides, dtype=torch.uint8)).shape == (1, 1, *size)
    assert Preprocessing.from_json(prepare.to_json()) == prepare


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (  # timm/vgg16.tv_in1k
            {
                "architecture": "vgg16",
                "pretrained_cfg": {
                    "input_size": [3, 224, 224],
                    "interpolation": "bilinear",
                    "crop_pct": 0.875,
                    "crop_mode": "center",
                    "mean": [0.485, 0.456, 0.406],
                    "std": [0.229, 0.224, 0.225],
                },
            },
            Preprocessing(),
        ),
        (
            {"crop_mode": "squash", "input_size": [3, 9, 8]},
            Preprocessing(size=(9, 8), crop=None, interpolation="bicubic"),
        ),
    ],
)
def test_timms_words_are_understood(config: dict[str, Any], expected: Preprocessing) -> None:
    assert from_timm(config) == expected


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (  # microsoft/resnet-50
            {"crop_pct": 0.875, "do_normalize": True, "do_resize": True, "resample": 3, "size": 224},
            Preprocessing(interpolation="bicubic"),
        ),
        ({"size": {"shortest_edge": 384}, "crop_pct": 0.875}, Preprocessing(size=(384, 384), crop=None)),
        (
            {"size": {"height": 256, "width": 192}, "do_normalize": False},
            Preprocessing((0.0,) * 3, (1.0,) * 3, (256, 192), None),
        ),
        (
            {"size": {"shortest_edge": 256}, "do_center_crop": True, "crop_size": 224},
            Preprocessing(crop=224 / 256),
        ),
    ],
)
def test_transformers_words_are_understood(config: dict[str, Any], expected: Preprocessing) -> None:
    assert from_transformers(config) == expected


@pytest.mark.parametrize(
    "bad",
    [
        {"mean": ()},
        {"mean": (0.5,)},
        {"std": (1.0, 0.0, 1.0)},
        {"std": (1.0, float("nan"), 1.0)},
        {"size": (0, 3)},
        {"crop": 0.0},
        {"crop": 1.5},
        {"interpolation": "nearby"},
    ],
)
def test_values_that_mean_nothing_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError):
        Preprocessing(**bad)
