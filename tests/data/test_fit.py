from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cnnatomy.data.colours import stacked
from cnnatomy.data.fit_policies import POLICIES, Frame, place
from cnnatomy.data.fit_summary import FitReport
from cnnatomy.errors import ArgumentError

from .makers import random_pixels, smooth_pixels

SIDES = st.tuples(st.integers(1, 400), st.integers(1, 400))


@given(size=SIDES, into=SIDES, policy=st.sampled_from(sorted(POLICIES)))
def test_every_placement_stays_inside_the_picture_and_the_network(
    size: tuple[int, int], into: tuple[int, int], policy: str
) -> None:
    placement = place(size, into, policy)
    left, top, right, bottom = placement.box
    assert 0 <= left < right <= size[1]
    assert 0 <= top < bottom <= size[0]
    for offset, scaled, side in zip(placement.offset, placement.scaled, into, strict=True):
        assert scaled >= 1
        before, after = offset, side - scaled - offset
        assert before >= 0
        assert after - before in (0, 1)
    assert 0 <= placement.padded < 1
    assert -1e-12 <= placement.cut(size) < 1


@given(size=SIDES, into=SIDES)
def test_letterbox_enlarges_by_whole_factors_and_keeps_all(
    size: tuple[int, int], into: tuple[int, int]
) -> None:
    placement = place(size, into, "letterbox")
    y, x = placement.zoom
    assert placement.cut(size) == 0
    if size[0] <= into[0] and size[1] <= into[1]:
        assert y == x == int(y) >= 1
        assert size[0] * (y + 1) > into[0] or size[1] * (y + 1) > into[1], "a larger factor would fit"
    else:
        assert min(y, x) <= 1
        assert placement.scaled[0] == into[0] or placement.scaled[1] == into[1]
        exact = min(into[0] / size[0], into[1] / size[1])
        assert abs(placement.scaled[0] - exact * size[0]) <= max(0.5, 1 - exact * size[0])
        assert abs(placement.scaled[1] - exact * size[1]) <= max(0.5, 1 - exact * size[1])


@given(size=SIDES, into=SIDES)
def test_crop_covers_and_keeps_the_ratio(size: tuple[int, int], into: tuple[int, int]) -> None:
    placement = place(size, into, "crop")
    y, x = placement.zoom
    assert placement.scaled == into
    assert y == pytest.approx(x)
    assert y == pytest.approx(max(into[0] / size[0], into[1] / size[1]))


def test_stretch_uses_the_whole_picture() -> None:
    placement = place((10, 40), (32, 32), "stretch")
    assert (placement.box, placement.scaled, placement.zoom) == ((0, 0, 40, 10), (32, 32), (3.2, 0.8))


def test_mnist_is_padded_by_two_cells_and_not_scaled() -> None:
    pictures = random_pixels(7, 1, 28, 28)
    fitted = Frame((32, 32), 1).stack(pictures)
    assert (fitted[:, :, 2:30, 2:30] == pictures).all()
    assert fitted.sum(dtype=np.int64) == pictures.sum(dtype=np.int64), "the padding must be black"


@pytest.mark.parametrize("policy", sorted(POLICIES))
@pytest.mark.parametrize("size", [(28, 28), (8, 8), (50, 30), (33, 33), (32, 32), (31, 47)])
@pytest.mark.parametrize("channels", [1, 3])
def test_stacks_and_single_pictures_fit_alike(policy: str, size: tuple[int, int], channels: int) -> None:
    frame = Frame((32, 24), channels, policy)
    pictures = random_pixels(3, channels, *size)
    fitted = frame.stack(pictures)
    for picture, expected in zip(pictures, fitted, strict=True):
        out = np.zeros((channels, 32, 24), np.uint8)
        pixels = picture[0] if channels == 1 else np.ascontiguousarray(picture.transpose(1, 2, 0))
        placement = frame.place(size)
        placement.write(frame.scale(Image.fromarray(pixels), placement.box, placement.scaled), out)
        np.testing.assert_array_equal(out, expected)


def test_crop_without_scaling_is_a_slice() -> None:
    pictures = random_pixels(2, 3, 33, 40)
    np.testing.assert_array_equal(Frame((33, 32), 3, "crop").stack(pictures), pictures[:, :, :, 4:36])


def test_scaling_is_pillows_antialiased_bicubic() -> None:
    pixels = random_pixels(90, 60, 3)
    fitted = Frame((30, 20), 3).stack(pixels.transpose(2, 0, 1)[None])[0]
    expected = np.asarray(Image.fromarray(pixels).resize((20, 30), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(fitted.transpose(1, 2, 0), expected)


@pytest.mark.parametrize(("height", "width"), [(300, 400), (1000, 900), (64, 64), (40, 37)])
def test_a_gradient_survives_scaling(height: int, width: int) -> None:
    picture = smooth_pixels(height, width).transpose(2, 0, 1)[None]
    fitted = Frame((32, 32), 3, "stretch").stack(picture)[0].transpose(1, 2, 0).astype(float)
    y, x = (np.mgrid[0:32, 0:32] + 0.5) * 255 / 32
    np.testing.assert_allclose(fitted[..., 0], y, atol=8)
    np.testing.assert_allclose(fitted[..., 1], x, atol=8)


def test_colour_to_grey_is_what_pillow_does_and_grey_to_colour_repeats() -> None:
    pixels = random_pixels(256, 256, 3)
    grey = Frame((256, 256), 1).stack(pixels.transpose(2, 0, 1)[None])
    np.testing.assert_array_equal(grey[0, 0], np.asarray(Image.fromarray(pixels).convert("L")))
    colour = Frame((256, 256), 3).stack(grey)
    np.testing.assert_array_equal(colour, np.repeat(grey, 3, axis=1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((0, 32), 1, "crop"), "size must be two sides"),
        (((32,), 1, "crop"), "size must be two sides"),
        (((32, 32), 2, "crop"), "expected 1 or 3, got 2"),
        (((32, 32), 1, "leterbox"), "try 'letterbox'"),
    ],
)
def test_a_frame_checks_itself(arguments: tuple[tuple[int, int], int, str], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        Frame(*arguments)


@pytest.mark.parametrize(
    ("policy", "sizes", "sentence"),
    [
        (
            "letterbox",
            {(28, 28): 60_000},
            "60,000 pictures 28x28 padded to 32x32 (23% of the area is padding)",
        ),
        ("letterbox", {(8, 8): 1}, "1 picture 8x8 enlarged x4 to 32x32"),
        ("letterbox", {(32, 32): 10}, "10 pictures 32x32 taken as they are"),
        ("stretch", {(32, 32): 10}, "10 pictures 32x32 taken as they are"),
        ("letterbox", {(64, 64): 2}, "2 pictures 64x64 shrunk to 32x32"),
        (
            "letterbox",
            {(120, 80): 3, (3024, 4032): 1},
            "4 pictures of 2 sizes, 120x80 to 3024x4032 (height x width), shrunk and padded to 32x32 "
            "(32% of the area is padding on average)",
        ),
        (
            "crop",
            {(64, 128): 3},
            "3 pictures 64x128 (height x width) shrunk and cropped to 32x32 (50% of the area cut off)",
        ),
        (
            "crop",
            {(36, 32): 1},
            "1 picture 36x32 (height x width) cropped to 32x32 (11% of the area cut off)",
        ),
        (
            "stretch",
            {(64, 128): 3},
            "3 pictures 64x128 (height x width) stretched to 32x32 "
            "(the ratio of the sides changed by up to x2)",
        ),
    ],
)
def test_the_report_says_what_was_done(policy: str, sizes: dict[tuple[int, int], int], sentence: str) -> None:
    assert FitReport(policy, (32, 32), sizes).sentence() == sentence


@pytest.mark.parametrize(
    ("count", "conversions", "end"),
    [
        (2000, {"grey": 1999}, ", 1,999 of them turned from colour to grey"),
        (2000, {"colour": 2000}, ", all of them turned from grey to colour"),
        (1, {"white": 1}, ", 1 of them laid on white where transparent"),
        (
            5,
            {"grey": 2, "eight": 1},
            ", 1 of them brought from 16 bits to 8, 2 of them turned from colour to grey",
        ),
        (5, {"grey": 0}, ""),
    ],
)
def test_the_report_names_conversions(count: int, conversions: dict[str, int], end: str) -> None:
    before = FitReport("crop", (32, 32), {(32, 32): count}).sentence()
    assert FitReport("crop", (32, 32), {(32, 32): count}, conversions).sentence() == before + end


def test_conversions_of_stacks() -> None:
    colour = random_pixels(5, 3, 4, 4)
    colour[2] = colour[2, :1]
    assert stacked(colour, 1) == {"grey": 4}
    assert stacked(colour, 3) == {} == stacked(colour[:, :1], 1)
    assert stacked(colour[:, :1], 3) == {"colour": 5}


def test_the_report_counts_what_stack_did() -> None:
    report = FitReport("letterbox", (32, 32), {(20, 10): 1, (28, 28): 3})
    white = [Frame((32, 32), 1).stack(np.full((1, 1, *size), 255, np.uint8)) for size in report.sizes]
    black = [float((picture == 0).mean()) for picture in white]
    assert report.padded == pytest.approx((black[0] + 3 * black[1]) / 4)
    assert report.count == 4
