from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from cnnatomy.errors import ArgumentError
from cnnatomy.train.finder import RateCurve, find_rate, smooth
from cnnatomy.train.optimizers import make_optimizer

CURVATURE = 4.0


class Bowl(nn.Module):
    """A parabola, whose gradient descent is known: it diverges at rates above 2 / curvature."""

    def __init__(self) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.tensor(1.0, dtype=torch.float64))

    def forward(self, _: Tensor) -> Tensor:
        return CURVATURE * self.place.square() / 2


def descend(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=1.0)


def nothing(_: int) -> tuple[Tensor, Tensor]:
    return torch.zeros(1), torch.zeros(1)


def test_losses_are_those_of_gradient_descent_with_these_rates() -> None:
    curve = find_rate(Bowl(), nothing, lambda y, _: y, descend, low=1e-4, high=10, steps=60)
    place = 1.0
    for step, (rate, loss) in enumerate(zip(curve.rates, curve.losses, strict=True)):
        assert rate == pytest.approx(1e-4 * 1e5 ** (step / 59))
        assert loss == pytest.approx(CURVATURE * place**2 / 2)
        place -= rate * CURVATURE * place
    assert len(curve.rates) < 60, "it ends when the loss has risen"
    assert curve.rates[-1] > 2 / CURVATURE
    assert curve.smoothed == pytest.approx(smooth([min(loss, 5.0) for loss in curve.losses]), rel=1e-2)
    assert 0.1 / CURVATURE < curve.suggestion < 2 / CURVATURE
    assert curve.steepest < curve.lowest < curve.rates[-1]

    clipped = find_rate(Bowl(), nothing, lambda y, _: y, descend, low=1e-4, high=10, steps=60, clip=0.5)
    place = 1.0
    for rate, loss in zip(clipped.rates, clipped.losses, strict=True):
        assert loss == pytest.approx(CURVATURE * place**2 / 2, rel=1e-4)
        place -= rate * max(-0.5, min(0.5, CURVATURE * place))


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(), nn.Flatten(), nn.Linear(16, 3))


def test_network_gradients_and_random_state_stay_as_they_were() -> None:
    model = network()
    model.eval()
    model[1].train()
    first_weight, *_, last_bias = model.parameters()
    first_weight.grad = torch.ones_like(first_weight)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    torch.manual_seed(5)
    state = torch.get_rng_state()
    seen: list[bool] = []

    def batches(step: int) -> tuple[Tensor, Tensor]:
        labels = torch.randint(0, 3, (30,))
        return torch.randn(30, 1, 4, 4) + 3 * labels[:, None, None, None], labels

    def made(copied: nn.Module) -> torch.optim.Optimizer:
        seen.extend(part.training for part in copied.modules())
        return make_optimizer("adam", [{"params": copied.parameters()}])

    first = find_rate(model, batches, nn.functional.cross_entropy, made, steps=40)
    assert torch.equal(torch.get_rng_state(), state)
    again = find_rate(model, batches, nn.functional.cross_entropy, made, steps=40)
    assert first == again
    assert all(seen), "the copy trains"
    assert not model.training
    assert model[1].training
    assert first_weight.grad.eq(1).all()
    assert last_bias.grad is None
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_groups_keep_their_proportions() -> None:
    used: list[tuple[float, float]] = []

    class Recorder(torch.optim.SGD):
        def step(self, closure: None = None) -> None:  # type: ignore[override]
            slow, fast = (group["lr"] for group in self.param_groups)
            used.append((slow, fast))
            super().step()

    def made(copied: nn.Module) -> torch.optim.Optimizer:
        first, *rest = copied.parameters()
        return Recorder([{"params": [first], "lr": 0.1}, {"params": rest, "lr": 0.4}])

    def batches(_: int) -> tuple[Tensor, Tensor]:
        labels = torch.arange(30) % 3
        return 3.0 * labels[:, None, None, None].expand(30, 1, 4, 4), labels

    find_rate(network(), batches, nn.functional.cross_entropy, made, low=1e-3, high=1.0, steps=10)
    for step, (slow, fast) in enumerate(used):
        assert fast == pytest.approx(1e-3 * 1e3 ** (step / 9))
        assert slow == pytest.approx(fast / 4)


def test_smoothing_lags_nowhere_and_keeps_straight_lines() -> None:
    bump = [0.0] * 20 + [1.0] + [0.0] * 20
    assert smooth(bump).index(max(smooth(bump))) == 20
    assert smooth(bump)[10:31] == pytest.approx(smooth(bump)[10:31][::-1])
    line = [2.0 + 3 * step for step in range(60)]
    assert smooth(line)[15:-15] == pytest.approx(line[15:-15])
    assert sum(smooth(bump)) == pytest.approx(1, abs=1e-5)


def test_what_tells_nothing_is_said() -> None:
    def bad(_: Tensor, __: Tensor) -> Tensor:
        return torch.tensor(math.nan, requires_grad=True)

    with pytest.raises(ArgumentError, match="the loss left all bounds within 0 steps: expected at least 10"):
        find_rate(Bowl(), nothing, bad, descend)
    with pytest.raises(
        ArgumentError, match="no rate made the loss fall: expected a fall of 5%, got from 2 to"
    ):
        find_rate(Bowl(), nothing, lambda y, _: y, descend, low=1e-9, high=1e-6)
    for options in ({"low": 0.0}, {"low": 1.0, "high": 0.5}, {"steps": 3}, {"high": math.inf}):
        with pytest.raises(ArgumentError):
            find_rate(Bowl(), nothing, lambda y, _: y, descend, **options)


def test_suggestions_follow_from_the_curve() -> None:
    rates = tuple(10.0**power for power in range(-6, 2))
    curve = RateCurve(rates, (), (2.0, 2.0, 1.9, 1.2, 0.9, 0.85, 0.8, 4.0))
    assert curve.steepest == pytest.approx(10**-3.5)
    assert curve.lowest == 1.0
    assert curve.tenth == 0.1
    assert curve.enough == 0.1, "0.86 is 95% of the fall from 2 to 0.8"
    assert curve.suggestion == pytest.approx(10**-0.5)
