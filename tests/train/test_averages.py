from __future__ import annotations

import pytest
import torch
from torch import nn

from cnnatomy.errors import ArgumentError, CheckpointError
from cnnatomy.train.weight_averages import Average


def network() -> nn.Sequential:
    made = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 2))
    made.register_buffer("seen", torch.zeros((), dtype=torch.int64))
    return made


def step(model: nn.Sequential, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    model.train()
    model(torch.randn(6, 1, 4, 4, generator=generator))
    with torch.no_grad():
        model.get_buffer("seen").add_(1)
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator))


def test_weights_and_statistics_of_norms_are_averaged_and_the_rest_is_copied() -> None:
    model = network()
    average = Average(model, decay=0.4)
    expected = {name: tensor.double() for name, tensor in model.state_dict().items()}
    for t in range(1, 8):
        step(model, t)
        average.update()
        decay = min(0.4, (1 + t) / (10 + t))
        live = model.state_dict()
        expected = {name: decay * own + (1 - decay) * live[name].double() for name, own in expected.items()}
    with average.applied() as applied:
        assert applied is model
        found = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for name in ("seen", "1.num_batches_tracked"):
        assert found.pop(name) == 7
    assert "1.running_var" in found
    for name, tensor in found.items():
        torch.testing.assert_close(tensor.double(), expected[name], rtol=1e-5, atol=1e-6)


def test_the_networks_own_weights_come_back_to_the_bit_whatever_happens() -> None:
    model = network()
    average = Average(model)
    step(model, 0)
    average.update()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    places = [parameter.data_ptr() for parameter in model.parameters()]

    def fail() -> None:
        with average.applied():
            assert not torch.equal(model.state_dict()["0.weight"], before["0.weight"])
            model(torch.randn(6, 1, 4, 4))  # in training, which moves the statistics
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert places == [parameter.data_ptr() for parameter in model.parameters()]


def test_kept_and_given_back_it_goes_on_to_the_bit() -> None:
    model = network()
    whole, first = Average(model, decay=0.9), Average(model, decay=0.9)
    for seed in range(3):
        step(model, seed)
        whole.update()
        first.update()
    kept = {name: tensor.clone() for name, tensor in first.state().items()}
    second = Average(network(), decay=0.9)
    with pytest.raises(CheckpointError, match=r"the average of 0.weight: expected .* got nothing"):
        second.restore({})
    second = Average(model, decay=0.9)
    second.restore(kept | {"model/0.weight": torch.zeros(1)})
    step(model, 9)
    whole.update()
    second.update()
    ours, theirs = whole.state(), second.state()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("decay", [-0.1, 1.0, float("nan"), "0.9"])
def test_a_decay_that_is_none_is_told(decay: float) -> None:
    with pytest.raises(ArgumentError, match="ema: expected a number from 0 to below 1"):
        Average(network(), decay)
