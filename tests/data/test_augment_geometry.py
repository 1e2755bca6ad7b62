"""Moves and bends of pictures, against SciPy and NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from cnnatomy.data.augment import recipe
from cnnatomy.data.augment.affine import box
from cnnatomy.data.augment.draws import Draws
from cnnatomy.data.augment.elastic import bend

Floats = NDArray[np.float64]
MODES = {
    "reflect": "mirror",
    "zero": "grid-constant",
}  # of SciPy: its "constant" blends nothing into the edge
BOUNDS = {"rotate": 50.0, "scale": 0.3, "shear": 0.4, "shift": 0.25}


def pictures(count: int, height: int, width: int, channels: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    return 255 * torch.rand(count, channels, height, width, generator=generator, dtype=torch.float64)


def moved(point: Floats, draws: Draws, height: int, width: int, area: float) -> Floats:
    """Return where in the input the cells (x, y) of the output lie, one move after the other."""
    u = {name: draws.uniform(name)[0, 0] for name in ("crop right", "crop down")}
    u |= {name: draws.alternating(name)[0, 0] for name in ("flip", "vflip")}
    s = {name: draws.signed(name)[0] for name in ("rotate", "scale", "shear", "shift right", "shift down")}
    point = point - np.array([width * s["shift right"], height * s["shift down"]]) * BOUNDS["shift"]
    point = point * [-1 if u["flip"] < 0.5 else 1, -1 if u["vflip"] < 0.5 else 1]
    angle = math.radians(BOUNDS["rotate"] * s["rotate"])
    back = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    point = point @ back.T / (1 + BOUNDS["scale"] * s["scale"])
    point = point - np.stack([BOUNDS["shear"] * s["shear"] * point[..., 1], 0 * point[..., 1]], axis=-1)
    tall, wide = (side[0] for side in box(draws, "crop", (area, 1.0), 4 / 3))
    off = np.array([u["crop right"] - 0.5, u["crop down"] - 0.5]) * [width - 1, height - 1]
    return np.asarray(point * [wide, tall] + off * [1 - wide, 1 - tall])


@pytest.mark.parametrize("edge", MODES)
@pytest.mark.parametrize(("height", "width"), [(21, 30), (16, 16)])
def test_all_moves_together_are_one_sampling(edge: str, height: int, width: int) -> None:
    text = "+".join([*(f"{k}({v})" for k, v in BOUNDS.items()), "flip", "vflip", "crop(0.3)", edge])
    images, indices = pictures(12, height, width), torch.arange(100, 112)
    out = recipe(text)(images, indices, seed=4, epoch=9)
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    for image, index, found in zip(images.numpy(), indices.tolist(), out.numpy(), strict=True):
        draws = Draws(4, 9, np.array([index]))
        at = moved(np.stack([x, y], axis=-1) - middle, draws, height, width, 0.3) + middle
        for channel, values in zip(image, found, strict=True):
            expected = ndimage.map_coordinates(channel, [at[..., 1], at[..., 0]], order=1, mode=MODES[edge])
            np.testing.assert_allclose(values, expected, atol=1e-9)


@pytest.mark.parametrize("edge", MODES)
@pytest.mark.parametrize("part", [0.1, 0.6, 1.0])
def test_mirrors_and_whole_shifts_are_slices_of_the_padded_picture(edge: str, part: float) -> None:
    images = pictures(60, 9, 14, 3).float().contiguous(memory_format=torch.channels_last)
    indices = torch.arange(60)
    out = recipe(f"flip+vflip+shift({part})+{edge}")(images, indices, seed=0, epoch=1)
    draws = Draws(0, 1, indices.numpy())
    dy, dx = (
        np.round(part * side * draws.signed(name)).astype(int)
        for side, name in ((9, "shift down"), (14, "shift right"))
    )
    mirrored, upside = (draws.alternating(name)[:, 0] < 0.5 for name in ("flip", "vflip"))
    for i, image in enumerate(images.numpy()):
        source = image[:, :: -1 if upside[i] else 1, :: -1 if mirrored[i] else 1]
        mode = "reflect" if edge == "reflect" else "constant"
        padded = np.pad(source, ((0, 0), (9, 9), (14, 14)), mode=mode)  # type: ignore[call-overload]
        expected = padded[:, 9 - dy[i] : 18 - dy[i], 14 - dx[i] : 28 - dx[i]]
        np.testing.assert_array_equal(out[i].numpy(), expected)


@given(p=st.sampled_from([0.0, 0.2, 0.9, 1.0]), name=st.sampled_from(["flip", "vflip"]))
@settings(max_examples=8, deadline=None)
def test_mirrors_come_with_their_probability(p: float, name: str) -> None:
    images = torch.arange(6.0).reshape(1, 1, 2, 3).expand(3000, 1, 2, 3)
    out = recipe(f"{name}({p})")(images, torch.arange(3000), seed=1, epoch=1)
    turned = (out != images).flatten(1).any(1)
    assert torch.equal(out[turned], images[turned].flip(3 if name == "flip" else 2))
    assert abs(float(turned.double().mean()) - p) <= 5 * math.sqrt(p * (1 - p) / 3000)


@pytest.mark.parametrize("name", ["flip", "vflip", "flip+vflip"])
def test_of_two_epochs_in_turn_one_shows_the_mirrored_picture(name: str) -> None:
    images, indices = pictures(50, 5, 6), torch.arange(50)
    shown = [recipe(name)(images, indices, seed=2, epoch=epoch) for epoch in (6, 7, 8)]
    dims = [{"flip": 3, "vflip": 2}[part] for part in name.split("+")]
    assert torch.equal(shown[1], shown[0].flip(dims))
    again = (shown[2] == shown[1]).flatten(1).all(1)
    assert 0 < int(again.sum()) < 50  # the next two epochs are drawn anew


@pytest.mark.parametrize(("area", "ratio"), [(0.08, 4 / 3), (0.5, 2.0), (0.3, 1.0), (1.0, 4 / 3)])
def test_crops_fit_and_have_the_areas_and_ratios_asked_for(area: float, ratio: float) -> None:
    tall, wide = box(Draws(0, 0, np.arange(20_000)), "crop", (area, 1.0), ratio)
    assert max(tall.max(), wide.max()) <= 1
    shares, ratios = tall * wide, tall / wide
    assert area - 1e-9 <= shares.min() <= area + 1e-3
    assert abs(shares.mean() - (1 + area) / 2) < 0.01
    assert 1 / ratio - 1e-9 <= ratios.min()
    assert ratios.max() <= ratio + 1e-9
    assert abs(np.log(ratios).mean()) < 0.01
    if area < 0.2:
        assert ratios.max() > 0.99 * ratio


def test_a_crop_shows_what_it_cuts_out_and_nothing_from_outside() -> None:
    images = torch.full((200, 1, 12, 12), 7.0)
    out = recipe("crop(0.05)")(images, torch.arange(200), seed=0, epoch=0, fill=-100.0)
    torch.testing.assert_close(out, images)


@pytest.mark.parametrize("smooth", [0.06, 0.125, 0.4])
def test_displacements_are_gaussian_sums_of_a_lattice(smooth: float) -> None:
    height, width, alpha = 24, 40, 0.05
    draws = Draws(2, 3, np.arange(4))
    found = bend(torch.zeros(4, 1, height, width), draws, alpha, smooth).numpy()
    nodes = math.ceil(1 / smooth) + 7
    noise = draws.noise("elastic", 2 * nodes * nodes, torch.zeros((), dtype=torch.float64)).numpy()
    numbers = (noise.reshape(4, 2, nodes, nodes) - 127.5) / math.sqrt((256**2 - 1) / 12)
    places = (np.arange(nodes) - 3) * smooth

    def gaussians(length: int) -> Floats:
        apart = ((np.arange(length) + 0.5) / length - places[:, None]) / smooth
        weights = np.exp(-(apart**2) / 2)
        return np.asarray(weights / np.sqrt((weights**2).sum(0)))

    field = np.einsum("bcxy,yh,xw->bchw", numbers, gaussians(height), gaussians(width))
    expected = alpha * field * np.array([width, height])[:, None, None]
    np.testing.assert_allclose(found, expected, atol=0.03 * alpha * width)


def test_displacements_have_the_size_and_the_smoothness_asked_for() -> None:
    field = bend(torch.zeros(2000, 1, 32, 32), Draws(0, 0, np.arange(2000)), 0.05, 0.125).numpy()
    spread = field.std(axis=0)
    np.testing.assert_allclose(spread, 0.05 * 32, rtol=0.1)
    unit = field / spread
    assert abs((unit[:, 0] * unit[:, 1]).mean()) < 0.02
    for apart in (2, 4, 8, 12):  # a Gaussian of 4 cells, smoothed by itself
        expected = math.exp(-(apart**2) / (4 * 4**2))
        assert (unit[..., apart:] * unit[..., :-apart]).mean() == pytest.approx(expected, abs=0.03)
        assert (unit[..., apart:, :] * unit[..., :-apart, :]).mean() == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize("edge", MODES)
def test_a_bent_picture_is_sampled_at_the_displaced_cells(edge: str) -> None:
    images, indices = pictures(5, 20, 28), torch.arange(5)
    out = recipe(f"elastic(0.06,0.2)+{edge}")(images, indices, seed=1, epoch=2)
    dx, dy = bend(images, Draws(1, 2, indices.numpy()), 0.06, 0.2).unbind(1)
    x, y = np.meshgrid(np.arange(28), np.arange(20))
    for i, image in enumerate(images.numpy()):
        at = [y + dy[i].numpy(), x + dx[i].numpy()]
        for channel, found in zip(image, out[i].numpy(), strict=True):
            expected = ndimage.map_coordinates(channel, at, order=1, mode=MODES[edge])
            np.testing.assert_allclose(found, expected, atol=1e-9)
