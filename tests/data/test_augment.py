from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from cnnatomy.data.augment import RECIPES, Augment, recipe, splitmix64, uniform
from cnnatomy.errors import ArgumentError

WORD = (1 << 64) - 1


def splitmix64_by_the_paper(x: int) -> int:
    x = (x + 0x9E3779B97F4A7C15) & WORD
    x = ((x ^ x >> 30) * 0xBF58476D1CE4E5B9) & WORD
    x = ((x ^ x >> 27) * 0x94D049BB133111EB) & WORD
    return x ^ x >> 31


@given(st.lists(st.integers(0, WORD), min_size=1, max_size=9))
def test_the_hash_is_splitmix64(counters: list[int]) -> None:
    found = splitmix64(np.array(counters, np.uint64))
    assert found.tolist() == [splitmix64_by_the_paper(x) for x in counters]


def test_draws_are_uniform_and_independent() -> None:
    draws = uniform(seed=3, epoch=5, indices=np.arange(40_000), lanes=4)
    assert draws.min() >= 0
    assert draws.max() < 1
    for lane in draws.T:
        counts = np.histogram(lane, 50, (0, 1))[0]
        chi2 = ((counts - 800) ** 2 / 800).sum()
        assert 20 < chi2 < 90  # 49 degrees of freedom: p = 1e-4 at either end
    bound = 5 / math.sqrt(len(draws))
    other = [
        uniform(3, 6, np.arange(40_000), 1),
        uniform(4, 5, np.arange(40_000), 1),
        np.roll(draws[:, :1], 1, 0),
    ]
    together = np.corrcoef(np.hstack([draws, *other]).T)
    assert np.abs(together - np.eye(7)).max() < bound


@given(st.integers(-(10**30), 10**30), st.integers(0, 10**6), st.integers(0, 2**62))
def test_any_seed_epoch_and_index_will_do(seed: int, epoch: int, index: int) -> None:
    (draw,) = uniform(seed, epoch, np.array([index]), 1)[0]
    assert 0 <= draw < 1


SETTINGS = [*RECIPES.values(), Augment(rotate_deg=180, flip=True), Augment(shift=0.5, scale=0.5)]


@settings(deadline=None, max_examples=25)
@given(
    varied=st.sampled_from(SETTINGS),
    cuts=st.lists(st.integers(0, 23), max_size=4).map(sorted),
    channels=st.sampled_from([1, 3]),
    last=st.booleans(),
)
def test_cutting_the_batch_differently_changes_no_bit(
    varied: Augment, cuts: list[int], channels: int, last: bool
) -> None:
    images = torch.rand(23, channels, 17, 20, generator=torch.Generator().manual_seed(1))
    if last:
        images = images.contiguous(memory_format=torch.channels_last)
    indices = torch.randperm(1000, generator=torch.Generator().manual_seed(2))[:23]
    whole = varied(images, indices, seed=7, epoch=2, fill=0.25)
    edges = [0, *cuts, 23]
    for start, end in pairwise(edges):
        if end > start:
            part = varied(images[start:end], indices[start:end], seed=7, epoch=2, fill=0.25)
            assert torch.equal(part, whole[start:end])


@pytest.mark.parametrize("name", ["distortions", "flip-shift"])
def test_any_number_of_processes_sees_the_same_epoch(name: str) -> None:
    images, order = torch.rand(60, 1, 32, 32), torch.randperm(60)
    whole = recipe(name)(images[order], order, seed=1, epoch=4)
    for world in (2, 3, 5):
        for rank in range(world):
            mine = order[rank::world]
            assert torch.equal(recipe(name)(images[mine], mine, seed=1, epoch=4), whole[rank::world])


def test_seed_epoch_and_index_each_matter() -> None:
    images = torch.rand(1, 1, 32, 32).expand(3, 1, 32, 32)
    first = recipe("distortions")(images, torch.arange(3), seed=0, epoch=0)
    assert not torch.equal(first[0], first[1])
    for seed, epoch in ((1, 0), (0, 1)):
        assert not torch.equal(first, recipe("distortions")(images, torch.arange(3), seed=seed, epoch=epoch))


def test_flips_and_whole_shifts_are_exact_copies() -> None:
    images = torch.rand(200, 3, 32, 32)
    moved = recipe("flip-shift")(images, torch.arange(200), seed=0, epoch=0, fill=[0.1, 0.2, 0.3])
    found = {
        (flip, *shift) for image, out in zip(images, moved, strict=True) for flip, shift in [find(image, out)]
    }
    assert {flip for flip, _, _ in found} == {False, True}
    assert {y for _, y, _ in found} == {x for _, _, x in found} == {-2, -1, 0, 1, 2}


def find(image: Tensor, out: Tensor) -> tuple[bool, tuple[int, int]]:
    """Return the flip and the shift that explain every value of `out`."""
    fill = torch.tensor([0.1, 0.2, 0.3]).reshape(3, 1, 1)
    for flip in (False, True):
        source = image.flip(2) if flip else image
        for y in range(-2, 3):
            for x in range(-2, 3):
                expected = fill.expand(3, 36, 36).clone()
                expected[:, 2 + y : 34 + y, 2 + x : 34 + x] = source
                if torch.allclose(out, expected[:, 2:34, 2:34], atol=1e-6):
                    return flip, (y, x)
    raise AssertionError("no flip and shift explain the picture")


def spot(y: float, x: float, height: int = 41, width: int = 61) -> Tensor:
    """A soft spot at (y, x) cells from the centre."""
    rows = torch.arange(height)[:, None] - (height - 1) / 2
    columns = torch.arange(width) - (width - 1) / 2
    return torch.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 8)[None]


def centre(image: Tensor) -> tuple[float, float]:
    rows = torch.arange(image.shape[1])[:, None] - (image.shape[1] - 1) / 2
    columns = torch.arange(image.shape[2]) - (image.shape[2] - 1) / 2
    mass = image[0] / image.sum()
    return float((rows * mass).sum()), float((columns * mass).sum())


def moves(varied: Augment, y: float, x: float, count: int = 100) -> list[tuple[float, float]]:
    out = varied(spot(y, x).repeat(count, 1, 1, 1), torch.arange(count), seed=0, epoch=0)
    return [centre(image) for image in out]


def test_rotation_keeps_the_radius_in_cells_and_reaches_its_bound() -> None:
    found = moves(Augment(rotate_deg=30), 0, 12)
    angles = [math.degrees(math.atan2(-y, x)) for y, x in found]
    assert all(math.hypot(y, x) == pytest.approx(12, abs=0.05) for y, x in found)
    assert 25 < max(angles) <= 30.1
    assert -30.1 <= min(angles) < -25


def test_scale_moves_along_the_radius() -> None:
    found = [math.hypot(y, x) / 10 for y, x in moves(Augment(scale=0.2), 6, 8)]
    assert 0.79 < min(found) < 0.83
    assert 1.17 < max(found) < 1.21
    assert all(x / y == pytest.approx(8 / 6, rel=0.01) for y, x in moves(Augment(scale=0.2), 6, 8))


def test_shift_is_a_part_of_each_side() -> None:
    found = moves(Augment(shift=0.1), 0, 0)
    y, x = (np.array(values) for values in zip(*found, strict=True))
    assert 3.8 < np.abs(y).max() < 4.15
    assert 5.6 < np.abs(x).max() < 6.15
    assert abs(np.corrcoef(y, x)[0, 1]) < 0.4


def test_shear_leans_upright_lines_and_keeps_heights() -> None:
    found = moves(Augment(shear=0.3), 10, 0)
    assert all(y == pytest.approx(10, abs=0.05) for y, _ in found)
    leans = [x / y for y, x in found]
    assert 0.27 < max(leans) <= 0.31
    assert -0.31 <= min(leans) < -0.27


def test_all_moves_together_are_shear_scale_rotation_flip_and_shift_in_this_order() -> None:
    varied = Augment(rotate_deg=60, shift=0.1, scale=0.3, shear=0.4, flip=True)
    draws = uniform(0, 0, np.arange(100), 6)
    for draw, (y, x) in zip(draws, moves(varied, 3, 5), strict=True):
        turn, lean, grow, down, right = 2 * draw[:5] - 1
        angle = math.radians(60 * turn)
        # Points are (x, y) with y downwards, so that counter-clockwise has the minus sign below.
        shear = np.array([[1, 0.4 * lean], [0, 1]])
        rotation = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
        mirror = np.diag([-1 if draw[5] < 0.5 else 1, 1])
        linear = mirror @ rotation @ shear * (1 + 0.3 * grow)
        expected = linear @ [5, 3] + [0.1 * 61 * right, 0.1 * 41 * down]
        np.testing.assert_allclose((x, y), expected, atol=0.05)


def test_the_draw_of_a_rotation_is_what_pillow_draws() -> None:
    image = spot(6, 9)
    (angle,) = 45 * (2 * uniform(0, 0, np.array([5]), 6)[:, 0] - 1)
    out = Augment(rotate_deg=45)(image[None], torch.tensor([5]), seed=0, epoch=0)[0, 0]
    expected = Image.fromarray(image[0].numpy()).rotate(angle, Image.Resampling.BILINEAR)
    np.testing.assert_allclose(out, np.asarray(expected), atol=2e-3)


def test_the_background_has_the_fill() -> None:
    images = torch.full((50, 2, 16, 16), 0.5)
    out = Augment(shift=0.5, rotate_deg=90)(images, torch.arange(50), seed=0, epoch=0, fill=[-1.0, 2.0])
    assert out[:, 0].min() == -1
    assert out[:, 1].max() == 2
    assert out[:, 0].max() == pytest.approx(0.5)
    unmoved = Augment(scale=0.5)(
        torch.full((50, 2, 16, 16), 0.7), torch.arange(50), seed=0, epoch=0, fill=0.7
    )
    torch.testing.assert_close(unmoved, torch.full_like(unmoved, 0.7))


def test_nothing_asked_for_is_nothing_done() -> None:
    images = torch.rand(3, 1, 8, 8)
    assert recipe("none")(images, torch.arange(3), seed=0, epoch=0) is images


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_layout_and_dtype_stay(layout: torch.memory_format) -> None:
    for dtype in (torch.float32, torch.float64):
        images = torch.rand(5, 3, 8, 8, dtype=dtype).contiguous(memory_format=layout)
        out = recipe("distortions")(images, torch.arange(5), seed=0, epoch=0)
        assert out.is_contiguous(memory_format=layout)
        assert out.dtype == dtype


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rotate_deg": -1.0}, "rotate_deg is a bound: expected a finite number >= 0, got -1.0"),
        ({"shift": math.nan}, "shift is a bound"),
        ({"shear": math.inf}, "shear is a bound"),
        ({"scale": 1.0}, "would make pictures vanish"),
    ],
)
def test_bounds_are_checked(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        Augment(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("images", "count"),
    [
        (torch.zeros(2, 1, 8, 8, dtype=torch.uint8), 2),
        (torch.zeros(2, 1, 8, 8, dtype=torch.bfloat16), 2),
        (torch.zeros(1, 8, 8), 1),
        (torch.zeros(2, 1, 8, 8), 3),
    ],
)
def test_images_are_checked(images: Tensor, count: int) -> None:
    with pytest.raises(ArgumentError, match="cannot vary these images: expected float32 or float64"):
        recipe("distortions")(images, torch.arange(count), seed=0, epoch=0)


def test_an_unknown_recipe_names_the_nearest() -> None:
    with pytest.raises(ArgumentError, match=r"unknown augmentation: .* try 'distortions'"):
        recipe("distorsions")
