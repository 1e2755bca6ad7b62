"""What training takes, against optimizers that have taken a step and passes that have run."""

from __future__ import annotations

import pytest
import torch
from anatomy.real_run import really
from torch import Tensor, nn

from cnnatomy.errors import ArgumentError
from cnnatomy.train.footprint import footprint, optimizer_state
from cnnatomy.train.optimizer_names import OPTIMIZERS
from cnnatomy.train.optimizers import make_optimizer


def network() -> nn.Module:
    frozen = nn.Conv2d(3, 4, 3).requires_grad_(False)
    layers = frozen, nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 8, 3), nn.Flatten(), nn.Linear(8 * 16, 5)
    return nn.Sequential(*layers)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_state_is_what_a_step_leaves_behind(name: str) -> None:
    model = network()
    learning = [p for p in model.parameters() if p.requires_grad]
    before = [p.clone() for p in learning]
    found = optimizer_state(name, learning)
    assert all(map(torch.equal, learning, before))
    real = make_optimizer(name, [{"params": learning}])
    model(torch.randn(3, 3, 8, 8)).sum().backward()
    real.step()
    kept = [value for state in real.state.values() for value in state.values()]
    assert found == sum(value.numel() * value.itemsize for value in kept if isinstance(value, Tensor))


@pytest.mark.parametrize("batch", [1, 6])
def test_the_rest_is_what_a_real_pass_holds(batch: int) -> None:
    model = network()
    found = footprint(model, (3, 8, 8), batch=batch, optimizer="adam")
    real = really(model, [torch.randn(batch, 3, 8, 8)], backward=True, train=True)
    assert found.gradients + found.activations == real.peak
    assert found.weights == sum(t.numel() * t.itemsize for t in (*model.parameters(), *model.buffers()))
    assert found.total == found.weights + real.peak + found.state
    learning = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert found.state - 2 * 4 * learning < 4 * 4 * len(list(model.parameters()))  # and its counters


def test_whether_it_fits_is_said_in_a_line() -> None:
    found = footprint(network(), (3, 8, 8), batch=64, optimizer="momentum")
    assert found.line(found.total).endswith(f"; fits in {found.line().split(': ')[1].split(' (')[0]}")
    assert "; does not fit in " in found.line(found.total - 1)
    assert found.line().startswith("training with momentum, batches of 64: ")


def test_what_cannot_be_said_is_refused() -> None:
    with pytest.raises(ArgumentError, match="optimizer"):
        footprint(network(), (3, 8, 8), optimizer="adamm")
    with pytest.raises(ArgumentError, match="batch"):
        footprint(network(), (3, 8, 8), batch=0)
