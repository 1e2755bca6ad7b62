"""Rectangles that are overwritten: how often, how large, where, with what."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from cnnatomy.data.augment import recipe

UNTOUCHED = -1.0  # no filling has this value


def erased(
    text: str, count: int, height: int = 32, width: int = 40
) -> tuple[Tensor, list[NDArray[np.int64]]]:
    """Return varied pictures and, for each that was changed, the rows and columns of its rectangle: (4,)."""
    images = torch.full((count, 2, height, width), UNTOUCHED)
    out = recipe(text)(images, torch.arange(count), seed=0, epoch=0)
    boxes = []
    for mask in (out != UNTOUCHED).numpy():
        if mask.any():
            rows, columns = np.nonzero(mask[0])
            edges = np.array([rows.min(), rows.max() + 1, columns.min(), columns.max() + 1])
            assert mask.all() == (mask[:, edges[0] : edges[1], edges[2] : edges[3]].size == mask.size)
            assert mask[:, edges[0] : edges[1], edges[2] : edges[3]].all()
            assert mask.sum() == 2 * (edges[1] - edges[0]) * (edges[3] - edges[2])
            boxes.append(edges)
    return out, boxes


def test_erasing_has_its_probability_areas_and_ratios() -> None:
    _, boxes = erased("erase(0.6)", 4000)
    assert abs(len(boxes) / 4000 - 0.6) < 0.04
    top, bottom, left, right = np.array(boxes).T
    tall, wide = (bottom - top) / 32, (right - left) / 40
    assert 0.01 < (tall * wide).min() < 0.03
    assert 0.3 < (tall * wide).max() < 0.36
    assert abs((tall * wide).mean() - 0.175) < 0.01
    assert 2.5 < (tall / wide).max() < 4.5
    assert 2.5 < (wide / tall).max() < 4.5
    middle = np.array([(top + bottom) / 64, (left + right) / 80])
    np.testing.assert_allclose(middle.mean(axis=1), 0.5, atol=0.02)
    assert (top == 0).any()
    assert (bottom == 32).any()
    assert (left == 0).any()
    assert (right == 40).any()


def test_erased_areas_grow_to_the_one_asked_for() -> None:
    _, boxes = erased("erase(1,0.9)", 1000)
    top, bottom, left, right = np.array(boxes).T
    assert (bottom - top).max() == 32
    assert 0.85 < ((bottom - top) * (right - left) / 1280).max() <= 0.95


def test_cutouts_have_one_size_and_lie_about_every_cell() -> None:
    _, boxes = erased("cutout(0.5,zero)", 4000)
    assert len(boxes) == 4000
    top, bottom, left, right = np.array(boxes).T
    assert (bottom - top).max() == 16
    assert (right - left).max() == 20
    assert (bottom - top).min() == 8  # half of it is outside
    assert set(top) == set(range(24))
    inside = (top > 0) & (bottom < 32)
    assert set((bottom - top)[inside]) == {16}


def test_noise_is_new_for_every_cell_channel_and_picture() -> None:
    out, _ = erased("erase(1,1)", 500)
    noise = out[out != UNTOUCHED].numpy()
    assert noise.min() == 0
    assert noise.max() == 255
    assert abs(noise.mean() - 127.5) < 0.5
    assert abs(noise.std() - 73.9) < 0.5
    both = out[(out != UNTOUCHED).all(1).unsqueeze(1).expand_as(out)].reshape(-1)
    assert len(torch.unique(both)) == 256
    first, second = (out[:, channel][out[:, 0] != UNTOUCHED].numpy() for channel in (0, 1))
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.02


@pytest.mark.parametrize(("word", "index"), [("erase(1,0.4,{})", 0), ("cutout(0.4,{})", 0)])
def test_the_filling_is_the_mean_of_each_channel_or_zero(word: str, index: int) -> None:
    images = 255 * torch.rand(40, 3, 12, 16)
    for fill in ("mean", "zero"):
        out = recipe(word.format(fill))(images, torch.arange(40), seed=index, epoch=0)
        expected = images.mean((2, 3), keepdim=True) * (fill == "mean")
        changed = out != images
        assert 0.02 < float(changed.double().mean()) < 0.4
        torch.testing.assert_close(
            out[changed], expected.expand_as(images)[changed], atol=1e-2, rtol=0, check_dtype=False
        )
