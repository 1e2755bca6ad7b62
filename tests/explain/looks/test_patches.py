"""Patches: exactly what a unit depends on, of the pictures where it returns most."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

import cnnatomy.nn as own
from cnnatomy.errors import ArgumentError
from cnnatomy.explain.looks import Patch, patches
from cnnatomy.explain.looks.cropping import Seeing


def net() -> nn.Sequential:
    torch.manual_seed(5)
    return nn.Sequential(
        nn.Conv2d(2, 5, 3, stride=2, padding=2),
        nn.Tanh(),
        nn.AvgPool2d(3, 2, 1),
        nn.Conv2d(5, 4, 3, dilation=2, padding=1),
        nn.Softplus(),
        nn.Flatten(),
        nn.Linear(4 * 5 * 4, 3),
    )


def pictures(count: int = 40) -> Tensor:
    return torch.randn(count, 2, 24, 20, generator=torch.Generator().manual_seed(0))


def unit(model: nn.Sequential, x: Tensor, layer: int, channel: int, at: tuple[int, ...]) -> Tensor:
    with torch.no_grad():
        made: Tensor = model[: layer + 1](x[None])
    return made[(0, channel, *at)]


def test_noise_outside_changes_nothing_and_noise_inside_does() -> None:
    model, x = net(), pictures()
    drawn = torch.Generator().manual_seed(9)
    for layer, channels in ((0, 5), (2, 5), (4, 4), (6, 3)):
        for channel in range(channels):
            for patch in patches(model, x, str(layer), channel, count=4):
                picture = x[patch.picture]
                noise = torch.randn(picture.shape, generator=drawn)
                rows, columns = (slice(one.start, one.stop) for one in patch.seen)
                outside, inside = noise.clone(), picture.clone()
                outside[:, rows, columns] = picture[:, rows, columns]
                inside[:, rows, columns] = noise[:, rows, columns]
                was = unit(model, picture, layer, channel, patch.at)
                assert was == pytest.approx(patch.value, rel=1e-5, abs=1e-6)
                assert torch.equal(unit(model, outside, layer, channel, patch.at), was)
                assert not torch.equal(unit(model, inside, layer, channel, patch.at), was)


def test_two_hundred_random_units_see_their_field_and_nothing_else() -> None:
    model, x = net().eval(), pictures(8)
    drawn = torch.Generator().manual_seed(4)

    def some(below: int) -> int:
        return int(torch.randint(below, (), generator=drawn))

    for layer in ("0", "2", "3", "4"):
        seeing = Seeing(model, x.shape[1:], layer)
        for _ in range(50):
            channel, place, i = some(seeing.channels), some(math.prod(seeing.sizes)), some(len(x))
            patch = seeing.patch(i, channel, 0.0, place)
            noise = torch.randn(x.shape[1:], generator=drawn)
            rows, columns = (slice(one.start, one.stop) for one in patch.seen)
            outside, inside = noise.clone(), x[i].clone()
            outside[:, rows, columns] = x[i, :, rows, columns]
            inside[:, rows, columns] = noise[:, rows, columns]
            was, same, other = (
                unit(model, one, int(layer), channel, patch.at) for one in (x[i], outside, inside)
            )
            assert torch.equal(same, was)
            assert not torch.equal(other, was)


def test_every_side_of_the_field_counts() -> None:
    model, x = net(), pictures()
    for patch in patches(model, x, "4", 1, count=10):
        rows, columns = patch.seen
        for dim, line in ((1, rows[0]), (1, rows[-1]), (2, columns[0]), (2, columns[-1])):
            changed = x[patch.picture].clone()
            changed.select(dim, line).add_(1)
            assert not torch.equal(
                unit(model, changed, 4, 1, patch.at), unit(model, x[patch.picture], 4, 1, patch.at)
            )


def test_they_are_the_best_of_all() -> None:
    model, x = net(), pictures()
    with torch.no_grad():
        maps = model[:5](x)[:, 2]
    best = maps.flatten(1).max(1).values.sort(descending=True).values[:6]
    found = patches(model, x, "4", 2, count=6)
    torch.testing.assert_close(torch.tensor([one.value for one in found]), best)
    for one in found:
        assert maps[(one.picture, *one.at)] == maps[one.picture].max()


def test_a_crop_is_as_large_as_the_field_and_filled_beyond_the_border() -> None:
    x = pictures()
    for patch in patches(net(), x, "0", 0, count=40):
        cut = patch.crop(x[patch.picture], fill=7.0)
        assert cut.shape == (2, 3, 3)
        rows, columns = patch.field
        for i, y in enumerate(rows):
            for j, at in enumerate(columns):
                inside = 0 <= y < 24 and 0 <= at < 20
                wanted = x[patch.picture, :, y, at] if inside else torch.full((2,), 7.0)
                assert torch.equal(cut[:, i, j], wanted)


def test_a_margin_surrounds_the_field() -> None:
    patch = Patch(0, (0, 0), 0.0, (range(2, 4), range(1, 2)), (range(2, 4), range(1, 2)))
    x = torch.arange(36.0).view(1, 6, 6)
    assert torch.equal(patch.crop(x, margin=1), x[:, 1:5, 0:3])


def test_units_without_a_map_see_the_whole_picture() -> None:
    model, x = net(), pictures()
    best = patches(model, x, "6", 1, count=3)
    assert best[0].at == ()
    assert best[0].picture == int(model.eval()(x)[:, 1].argmax())
    assert best[0].seen == (range(24), range(20))


def test_poolings_of_our_own() -> None:
    model = nn.Sequential(nn.Conv2d(2, 3, 3), own.Pool2d("max", 2))
    (best,) = patches(model, pictures(), "1", 0, count=1)
    assert [len(one) for one in best.seen] == [4, 4]


def test_what_there_is_not_is_said() -> None:
    with pytest.raises(ArgumentError, match="channel 5 does not exist"):
        patches(net(), pictures(), "0", 5)
    with pytest.raises(ArgumentError, match="no layer is called 'x'"):
        patches(net(), pictures(), "x", 0)
