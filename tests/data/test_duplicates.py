"""Copies are found, whatever was done to them, and pictures that are merely alike are not called copies."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from cnnatomy.data.survey import candidates as module
from cnnatomy.data.survey import duplicates
from cnnatomy.data.survey.candidates import candidates
from cnnatomy.data.survey.duplicates import Duplicates, find_duplicates
from cnnatomy.data.survey.thumbnails import thumbnails

from .makers import encoded

SIDE = 48


def natural(count: int, seed: int = 0, side: int = SIDE) -> Tensor:
    """Pictures in colour whose spectrum falls off as that of photographs does, with 1/f."""
    rng = np.random.default_rng(seed)
    fy, fx = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None]
    fall = 1 / np.maximum(np.hypot(fy, fx), 1 / side)
    grey, colour = (
        np.fft.irfft2(np.fft.rfft2(rng.normal(size=(count, c, side, side))) * fall, s=(side, side))
        for c in (1, 3)
    )
    mixed = grey + 0.5 * colour
    scaled = 110 + 45 * mixed / mixed.std((1, 2, 3), keepdims=True)
    return torch.from_numpy(scaled.clip(0, 255).astype(np.uint8))


def image_of(picture: Tensor) -> Image.Image:
    return Image.fromarray(picture.permute(1, 2, 0).numpy())


def tensor_of(image: Image.Image) -> Tensor:
    resized = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(resized)).permute(2, 0, 1)


def recompressed(picture: Tensor) -> Tensor:
    return tensor_of(Image.open(io.BytesIO(encoded(image_of(picture), "JPEG", quality=50))))


def scaled(picture: Tensor) -> Tensor:
    side = round(0.8 * SIDE)
    return tensor_of(image_of(picture).resize((side, side), Image.Resampling.BICUBIC))


def brightened(picture: Tensor) -> Tensor:
    return (picture * 1.15).clamp(max=255).to(torch.uint8)


def cropped(picture: Tensor) -> Tensor:
    cut = round(0.03 * SIDE)
    return tensor_of(image_of(picture).crop((cut, cut, SIDE - cut, SIDE - cut)))


def turned(picture: Tensor) -> Tensor:
    return picture.flip(-1)


def both(picture: Tensor) -> Tensor:
    return recompressed(turned(picture))


@pytest.mark.parametrize("copy", [recompressed, scaled, brightened, cropped, turned, both])
def test_copies_are_found_and_nothing_else(copy: Callable[[Tensor], Tensor]) -> None:
    pictures = natural(400)
    found = find_duplicates(torch.cat([pictures, torch.stack([copy(one) for one in pictures[:100]])]))
    assert found.exact == ()
    right = {(i, 400 + i) for i in range(100)}
    assert set(found.near) <= right
    assert len(found.near) >= 95


def test_nothing_is_found_among_different_pictures() -> None:
    assert find_duplicates(natural(1500, seed=7)) == Duplicates((), ())


def strokes(count: int) -> Tensor:
    """Straight strokes on black: some are very much alike, none is a copy."""
    rng = np.random.default_rng(3)
    lean, middle, thick = (rng.uniform(low, high, (count, 1, 1)) for low, high in ((-4, 4), (10, 17), (2, 4)))
    y, x = np.mgrid[0:28, 0:28]
    beside = np.abs(x - middle - lean * (14 - y) / 10) / np.hypot(1, lean / 10)
    ink = (thick - beside).clip(0, 1) * ((y > 3) & (y < 24))
    return torch.from_numpy((255 * ink).round().astype(np.uint8))[:, None]


def test_strokes_that_are_alike_are_no_copies() -> None:
    images = strokes(1000)
    assert len(find_duplicates(images).near) <= 5
    bright = (images[:50] * 0.9).to(torch.uint8)
    found = find_duplicates(torch.cat([images, bright])).groups
    assert sum(any(i in group and 1000 + i in group for group in found) for i in range(50)) >= 45


def test_equal_pictures_are_one_group_each() -> None:
    images = natural(12)
    images[5], images[9], images[3] = images[1], images[1], images[2]
    images[11] = recompressed(images[2])
    found = find_duplicates(images)
    assert found == Duplicates(((1, 5, 9), (2, 3)), ((2, 3, 11),))
    assert found.groups == ((2, 3, 11), (1, 5, 9))
    assert find_duplicates(images, near=False) == Duplicates(((1, 5, 9), (2, 3)), ())


def test_pictures_that_show_nothing_are_equal_or_nothing() -> None:
    grey = torch.full((6, 3, 20, 20), 99, dtype=torch.uint8)
    grey[1:, 0] = torch.arange(5, dtype=torch.uint8)[:, None, None] + 100
    grey[2, :, 3, 3] += 1
    assert find_duplicates(grey) == Duplicates((), ())
    grey[4] = grey[0]
    assert find_duplicates(grey).exact == ((0, 4),)


def test_the_same_shape_in_another_colour_is_no_copy() -> None:
    images = natural(60)
    other = images[:20].roll(1, 1).float()
    weights = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
    other += ((images[:20] * weights).sum(1) - (other * weights).sum(1))[:, None]  # as bright everywhere
    found = find_duplicates(torch.cat([images, other.clamp(0, 255).to(torch.uint8)]))
    assert len(found.near) <= 4


@pytest.mark.parametrize("count", range(8))
@pytest.mark.parametrize("channels", [1, 3])
def test_few_pictures_of_any_size(count: int, channels: int) -> None:
    for side in (1, 2, 9, 31):
        images = torch.randint(
            256, (count, channels, side, 2 * side), generator=torch.Generator().manual_seed(1)
        )
        assert find_duplicates(images.to(torch.uint8)).near == ()


def test_leaks_are_groups_on_several_sides() -> None:
    found = Duplicates(((0, 1), (2, 7), (5, 6)), ((3, 9),))
    assert found.leaks([5, 2, 3]) == ((3, 9), (2, 7))
    assert found.leaks([10]) == ()


def test_thumbnails_of_mirror_images_are_mirrored_thumbnails() -> None:
    images = natural(20, side=37)
    found, expected = thumbnails(images).turned(), thumbnails(images.flip(-1))
    for name in ("whole", "cut", "contrast", "colours"):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name), atol=2e-4, rtol=0)
    assert (found.steps == expected.steps).float().mean() > 0.999


@pytest.mark.parametrize("few", [0, 4096])
def test_candidates_are_the_pairs_that_agree(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside a search through all pairs: nothing wrong, nothing twice, nothing missed up to 7 bits."""
    monkeypatch.setattr(module, "_FEW", few)
    steps = torch.rand(300, 4, 8, 8, generator=torch.Generator().manual_seed(4)) < 0.5
    for i in range(0, 300, 3):
        flips = torch.randperm(256, generator=torch.Generator().manual_seed(i))[: i % 40]
        steps[i + 1] = steps[i]
        steps[i + 1].view(-1)[flips] ^= True
    found = torch.cat(list(candidates(steps, steps, torch.arange(300)))).tolist()
    evenly = (steps.flatten(1).float().mean(0) - 0.5).abs().argsort()[: module.BITS]
    bits = steps.flatten(1)[:, evenly]
    differing = (bits[:, None] != bits).sum(2)
    pairs = {(i, j) for i, j in found}
    assert len(pairs) == len(found)
    assert all(i < j and differing[i, j] <= 11 for i, j in pairs)
    assert {(i, j) for i, j in (differing <= 7).triu(1).nonzero().tolist()} <= pairs


def test_fewer_bits_may_differ_where_all_are_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = torch.rand(400, 4, 8, 8, generator=torch.Generator().manual_seed(5)) < 0.02
    monkeypatch.setattr(module, "_PER_PICTURE", 5)
    found = torch.cat(list(candidates(steps, steps, torch.arange(400))))
    assert len(found) <= 5 * 400


@pytest.mark.parametrize("dimensions", [2, 6])
def test_the_nearest_neighbour_to_be_expected_is_that_of_points_on_a_sphere(dimensions: int) -> None:
    points = torch.randn(20_000, dimensions + 1, generator=torch.Generator().manual_seed(6))
    points /= points.norm(dim=1, keepdim=True)
    expected = duplicates._reach(points[:500], points[::10], len(points), 1)
    nearest = (1 - points[:500] @ points.T).topk(2, largest=False).values[:, 1]
    assert 0.5 < (nearest.median() / expected.median()) < 2


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)).filter(lambda pair: pair[0] != pair[1])))
def test_groups_are_scipys_connected_components(pairs: list[tuple[int, int]]) -> None:
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    i, j = zip(*pairs, strict=True) if pairs else ((), ())
    _, labels = connected_components(coo_matrix((np.ones(len(pairs)), (i, j)), (31, 31)), directed=False)
    groups = [tuple(np.flatnonzero(labels == label).tolist()) for label in range(labels.max() + 1)]
    assert duplicates._joined(pairs) == tuple(sorted(group for group in groups if len(group) > 1))
