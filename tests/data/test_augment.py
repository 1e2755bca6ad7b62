"""What holds for every augmentation, and the moves of pictures one by one."""

from __future__ import annotations

import math
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from cnnatomy.data.augment import RECIPES, TERMS, Augment, recipe
from cnnatomy.data.augment.draws import Draws, splitmix64
from cnnatomy.errors import ArgumentError

WORD = (1 << 64) - 1
MOVES = ("rotate", "shear", "scale", "shift down", "shift right", "flip")
EXAMPLES = {  # of every term
    **{name: f"{name}(0.3)" for name in TERMS},
    **{name: name for name in ("flip", "vflip", "trivial")},
    **{"rotate": "rotate(180)", "reflect": "reflect+shift(0.5)", "zero": "zero+shift(0.5)"},
    **{"elastic": "elastic(0.1)", "erase": "erase(0.7)"},
}
SUMS = [
    *RECIPES,
    *EXAMPLES.values(),
    "rotate(180)+flip",
    "shift(0.5)+scale(0.5)",
    "crop(0.1)+rotate(20)+vflip+elastic(0.05)+reflect",
    "photo+trivial+hue(0.1)+grey(0.5)+jitter(1)+erase(0.5,0.5,mean)+cutout(0.3,noise)",
]


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
    draws = Draws(seed=3, epoch=5, indices=np.arange(40_000)).uniform("rotate", "shear", "hue", "erase down")
    assert draws.min() >= 0
    assert draws.max() < 1
    for lane in draws.T:
        counts = np.histogram(lane, 50, (0, 1))[0]
        chi2 = ((counts - 800) ** 2 / 800).sum()
        assert 20 < chi2 < 90  # 49 degrees of freedom: p = 1e-4 at either end
    bound = 5 / math.sqrt(len(draws))
    other = [
        Draws(3, 6, np.arange(40_000)).uniform("rotate"),
        Draws(4, 5, np.arange(40_000)).uniform("rotate"),
        np.roll(draws[:, :1], 1, 0),
    ]
    together = np.corrcoef(np.hstack([draws, *other]).T)
    assert np.abs(together - np.eye(7)).max() < bound


@given(st.integers(-(10**30), 10**30), st.integers(0, 10**6), st.integers(0, 2**62))
def test_any_seed_epoch_and_index_will_do(seed: int, epoch: int, index: int) -> None:
    ((draw,),) = Draws(seed, epoch, np.array([index])).uniform("rotate")
    assert 0 <= draw < 1


def test_noise_is_bytes_that_are_uniform_and_independent() -> None:
    like = torch.zeros((), dtype=torch.float64)
    noise = Draws(1, 2, np.arange(500)).noise("erase noise", 403, like).numpy()
    assert np.array_equal(noise, np.round(noise))
    counts = np.bincount(noise.astype(np.int64).ravel(), minlength=256)
    assert len(counts) == 256
    chi2 = ((counts - counts.mean()) ** 2 / counts.mean()).sum()
    assert 170 < chi2 < 350  # 255 degrees of freedom: p < 1e-4 at either end
    lags = [noise[:, 1:].ravel(), noise[:, :-1].ravel()], [noise[1:].ravel(), noise[:-1].ravel()]
    for one, other in lags:
        assert abs(np.corrcoef(one, other)[0, 1]) < 5 / math.sqrt(noise.size)


@settings(deadline=None, max_examples=60)
@given(
    text=st.sampled_from(SUMS),
    cuts=st.lists(st.integers(0, 23), max_size=4).map(sorted),
    channels=st.sampled_from([1, 3]),
    last=st.booleans(),
)
def test_cutting_the_batch_differently_changes_no_bit(
    text: str, cuts: list[int], channels: int, last: bool
) -> None:
    varied = recipe(text)
    images = 255 * torch.rand(23, channels, 17, 20, generator=torch.Generator().manual_seed(1))
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
    found = moves(recipe("rotate(30)"), 0, 12)
    angles = [math.degrees(math.atan2(-y, x)) for y, x in found]
    assert all(math.hypot(y, x) == pytest.approx(12, abs=0.05) for y, x in found)
    assert 25 < max(angles) <= 30.1
    assert -30.1 <= min(angles) < -25


def test_scale_moves_along_the_radius() -> None:
    found = [math.hypot(y, x) / 10 for y, x in moves(recipe("scale(0.2)"), 6, 8)]
    assert 0.79 < min(found) < 0.83
    assert 1.17 < max(found) < 1.21
    assert all(x / y == pytest.approx(8 / 6, rel=0.01) for y, x in moves(recipe("scale(0.2)"), 6, 8))


def test_shift_is_a_part_of_each_side() -> None:
    found = moves(recipe("shift(0.1)"), 0, 0)
    y, x = (np.array(values) for values in zip(*found, strict=True))
    assert 3.8 < np.abs(y).max() < 4.15
    assert 5.6 < np.abs(x).max() < 6.15
    assert abs(np.corrcoef(y, x)[0, 1]) < 0.4


def test_shear_leans_upright_lines_and_keeps_heights() -> None:
    found = moves(recipe("shear(0.3)"), 10, 0)
    assert all(y == pytest.approx(10, abs=0.05) for y, _ in found)
    leans = [x / y for y, x in found]
    assert 0.27 < max(leans) <= 0.31
    assert -0.31 <= min(leans) < -0.27


def test_all_moves_together_are_shear_scale_rotation_flip_and_shift_in_this_order() -> None:
    varied = recipe("rotate(60)+shift(0.1)+scale(0.3)+shear(0.4)+flip")
    draws = Draws(0, 0, np.arange(100)).uniform(*MOVES)
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
    (angle,) = 45 * Draws(0, 0, np.array([5])).signed("rotate")
    out = recipe("rotate(45)")(image[None], torch.tensor([5]), seed=0, epoch=0)[0, 0]
    expected = Image.fromarray(image[0].numpy()).rotate(angle, Image.Resampling.BILINEAR)
    np.testing.assert_allclose(out, np.asarray(expected), atol=2e-3)


def test_the_background_has_the_fill() -> None:
    images = torch.full((50, 2, 16, 16), 0.5)
    out = recipe("shift(0.5)+rotate(90)")(images, torch.arange(50), seed=0, epoch=0, fill=[-1.0, 2.0])
    assert out[:, 0].min() == -1
    assert out[:, 1].max() == 2
    assert out[:, 0].max() == pytest.approx(0.5)
    unmoved = recipe("scale(0.5)")(
        torch.full((50, 2, 16, 16), 0.7), torch.arange(50), seed=0, epoch=0, fill=0.7
    )
    torch.testing.assert_close(unmoved, torch.full_like(unmoved, 0.7))


def test_nothing_asked_for_is_nothing_done() -> None:
    images = torch.rand(3, 1, 8, 8)
    assert recipe("none")(images, torch.arange(3), seed=0, epoch=0) is images


@pytest.mark.parametrize("text", SUMS)
def test_layout_and_dtype_stay_and_the_numbers_hardly_depend_on_them(text: str) -> None:
    exact = torch.randint(256, (9, 3, 12, 10), dtype=torch.float64)
    whole = recipe(text)(exact, torch.arange(9), seed=0, epoch=0)
    for dtype in (torch.float32, torch.float64):
        for layout in (torch.contiguous_format, torch.channels_last):
            images = exact.to(dtype).contiguous(memory_format=layout)
            kept = images.clone()
            out = recipe(text)(images, torch.arange(9), seed=0, epoch=0)
            assert torch.equal(images, kept)
            assert out.is_contiguous(memory_format=layout)
            assert out.dtype == dtype
            off = (out.double() - whole).abs()
            # Whole values may be rounded to either side of a step of posterize, solarize and equalize.
            assert (off > 0.01).double().mean() < (0.02 if "trivial" in text else 1e-9)


@pytest.mark.parametrize("text", SUMS)
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 3, 1, 5), (3, 2, 2, 2), (0, 3, 8, 8)])
def test_small_and_odd_pictures_are_varied_too(text: str, shape: tuple[int, ...]) -> None:
    out = recipe(text)(torch.full(shape, 100.0), torch.arange(shape[0]), seed=0, epoch=0)
    assert out.shape == shape
    assert out.isfinite().all()


def draw(seed: int, epoch: int, index: int, lane: int) -> float:
    run = (splitmix64_by_the_paper(seed) + epoch) & WORD
    picture = splitmix64_by_the_paper((splitmix64_by_the_paper(run) + index) & WORD)
    return float((splitmix64_by_the_paper((picture + lane) & WORD) >> 11) * 2.0**-53)


def by_hand(images: Tensor, indices: list[int], seed: int, epoch: int, bounds: dict[str, float]) -> Tensor:
    """Flip and shift, or distort, from the hash and the formulas: what trained once trains so again."""
    height, width = images.shape[2:]
    grids = []
    for index in indices:
        u = [draw(seed, epoch, index, lane) for lane in range(5)]
        mirrored = (draw(seed, epoch - epoch % 2, index, 5) < 0.5) == (epoch % 2 == 0)
        turn, lean, grow, down, right = (2 * x - 1 for x in u)
        angle = math.radians(bounds.get("rotate", 0) * turn)
        shear, scale = bounds.get("shear", 0) * lean, 1 + bounds.get("scale", 0) * grow
        dy, dx = bounds["shift"] * height * down, bounds["shift"] * width * right
        mirror = 1.0
        if "flip" in bounds:
            dy, dx, mirror = round(dy), round(dx), -1.0 if mirrored else 1.0
        a, b = math.cos(angle) * mirror / scale, -math.sin(angle) / scale
        c, d = math.sin(angle) * mirror / scale, math.cos(angle) / scale
        a, b = a - shear * c, b - shear * d
        rows = torch.tensor(
            [[a, b, -(a * dx + b * dy)], [c, d, -(c * dx + d * dy)]], dtype=torch.float64
        ).float()
        y = torch.arange(height)[:, None] - (height - 1) / 2
        x = torch.arange(width) - (width - 1) / 2
        parts = [rows[i] * (2 / length) for i, length in enumerate((width, height))]
        grids.append(torch.stack([part[0] * x + (part[1] * y + part[2]) for part in parts], dim=2))
    mode = "nearest" if "flip" in bounds else "bilinear"
    return F.grid_sample(images, torch.stack(grids), mode, padding_mode="zeros", align_corners=False)


@pytest.mark.parametrize(
    ("name", "bounds"),
    [
        ("distortions", {"rotate": 10.0, "shift": 0.06, "scale": 0.10, "shear": 0.15}),
        ("flip-shift", {"flip": 0.5, "shift": 2 / 32}),
    ],
)
@pytest.mark.parametrize("shape", [(40, 1, 32, 32), (20, 3, 21, 30)])
def test_recipes_keep_their_bits(name: str, bounds: dict[str, float], shape: tuple[int, ...]) -> None:
    images, indices = 255 * torch.rand(shape), torch.randperm(60_000)[: shape[0]]
    found = recipe(name)(images, indices, seed=11, epoch=7)
    assert torch.equal(found, by_hand(images, indices.tolist(), 11, 7, bounds))


def test_checking_a_text_loads_nothing_heavy() -> None:
    code = "import sys, cnnatomy.data.augment as a; a.check('photo+jitter(0.2)'); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "numpy", "PIL"} & set(done.stdout.split())


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
