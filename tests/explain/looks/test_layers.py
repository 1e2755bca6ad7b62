"""Feature maps, first filters and maximised pictures."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from cnnatomy.data import load
from cnnatomy.errors import ArgumentError
from cnnatomy.explain.looks import feature_maps, first_filters, maximise, patches
from cnnatomy.models import build


def net() -> nn.Sequential:
    torch.manual_seed(2)
    return nn.Sequential(
        nn.Conv2d(1, 4, 5),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Sequential(nn.Conv2d(4, 6, 3), nn.Dropout2d(0.9)),
        nn.Flatten(),
        nn.Linear(6 * 4 * 4, 3),
    )


def test_feature_maps_are_what_the_layers_return() -> None:
    model, x = net(), torch.randn(1, 16, 16)
    found = feature_maps(model, x)
    assert list(found) == ["0", "1", "2", "3.0", "3.1"]
    before = model[0](x[None])[0]
    torch.testing.assert_close(found["0"], before)
    torch.testing.assert_close(found["1"], before.relu())
    assert torch.equal(found["3.0"], found["3.1"])  # dropout does nothing in evaluation
    assert torch.equal(feature_maps(model, x, ["3"])["3"], found["3.1"])
    with pytest.raises(ArgumentError, match="returns no maps"):
        feature_maps(model, x, ["5"])


def test_a_module_that_runs_twice_has_two_maps() -> None:
    twice = nn.ReLU()
    model = nn.Sequential(nn.Conv2d(1, 2, 3), twice, nn.Conv2d(2, 2, 3), twice)
    found = feature_maps(model, torch.randn(1, 9, 9))
    assert [tuple(one.shape[1:]) for one in found.values()] == [(7, 7), (7, 7), (5, 5), (5, 5)]
    assert "1#2" in found
    assert torch.equal(
        feature_maps(model, torch.ones(1, 9, 9), ["1#2"])["1#2"], model(torch.ones(1, 1, 9, 9))[0]
    )


@pytest.mark.parametrize(("channels", "shape"), [(1, (8, 1, 5, 5)), (3, (8, 3, 5, 5)), (2, (16, 1, 5, 5))])
def test_filters_as_pictures_have_zero_in_the_middle(channels: int, shape: tuple[int, ...]) -> None:
    found = first_filters(nn.Sequential(nn.BatchNorm2d(channels), nn.Conv2d(channels, 8, 5)))
    made = found.pictures()
    assert found.layer == "1"
    assert made.shape == shape
    scale = found.weights.reshape(shape).abs().amax((1, 2, 3), keepdim=True)
    torch.testing.assert_close((made - 0.5) * 2 * scale, found.weights.reshape(shape))
    assert torch.allclose((made - 0.5).abs().amax((1, 2, 3)), torch.tensor(0.5))
    with pytest.raises(ArgumentError, match="no kernels"):
        first_filters(nn.Linear(2, 2))


def test_a_maximised_picture_beats_the_best_of_a_thousand() -> None:
    torch.manual_seed(0)
    model = build("lenet5", classes=10)
    data = load("digits", size=(32, 32), channels=1).train
    images = data.images[:1000]
    model.adapt(images)
    x = model.preprocess(images)
    assert len(x) == 1000
    for layer, channel in (("c1", 2), ("c5", 7)):
        best = patches(model, x, layer, channel, count=1)[0].value
        found = maximise(model, layer, channel, seed=1, steps=64, starts=2)
        assert float(found.values[0]) > best
        assert found.pictures.amin() >= x.amin() - 1e-6
        assert found.pictures.amax() <= model.preprocess(torch.full_like(images[:1], 255)).amax() + 1e-6


def test_a_seed_gives_the_same_pictures_and_another_does_not() -> None:
    model = net()
    how: dict[str, Any] = {"shape": (1, 16, 16), "bounds": (0.0, 1.0), "steps": 24}
    one, same, other = (maximise(model, "3.0", 1, seed=seed, **how) for seed in (4, 4, 5))
    assert torch.equal(one.pictures, same.pictures)
    assert torch.equal(one.values, same.values)
    assert not torch.equal(one.pictures, other.pictures)
    assert one.values.tolist() == sorted(one.values.tolist(), reverse=True)
    with torch.no_grad():
        made = model.eval()[:4](one.pictures)[(slice(None), 1, *one.at)]
    torch.testing.assert_close(made, one.values)


def test_what_a_network_does_not_know_must_be_said() -> None:
    with pytest.raises(ArgumentError, match="shape"):
        maximise(net(), "0", 0)
    with pytest.raises(ArgumentError, match="bounds"):
        maximise(net(), "0", 0, (1, 16, 16))
