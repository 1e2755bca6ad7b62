from __future__ import annotations

import math

import pytest
import torch

from cnnatomy.errors import ArgumentError
from cnnatomy.nn.rbf import RBF, map_loss


def test_is_the_squared_distance() -> None:
    torch.manual_seed(0)
    codes, x = torch.randn(5, 7), torch.randn(4, 7)
    torch.testing.assert_close(RBF(codes)(x), torch.cdist(x, codes) ** 2)
    assert torch.equal(RBF(codes)(codes).diagonal(), torch.zeros(5))


def test_codes_travel_with_the_weights_and_are_not_trained() -> None:
    layer = RBF(torch.eye(3))
    assert list(layer.parameters()) == []
    assert torch.equal(layer.state_dict()["codes"], torch.eye(3))


@pytest.mark.parametrize("codes", [torch.ones(3), torch.ones(1, 3), torch.ones(2, 3)])
def test_codes_must_tell_classes_apart(codes: torch.Tensor) -> None:
    with pytest.raises(ArgumentError, match="all different"):
        RBF(codes)


def test_loss_is_equation_nine() -> None:
    torch.manual_seed(1)
    y, labels, j = torch.rand(6, 4, dtype=torch.float64) * 9, torch.tensor([0, 3, 2, 2, 1, 0]), 0.7
    terms = [
        y[n, d].item() + math.log(math.exp(-j) + sum(math.exp(-v) for v in y[n].tolist()))
        for n, d in enumerate(labels.tolist())
    ]
    assert map_loss(-y, labels, j).item() == pytest.approx(sum(terms) / 6, abs=1e-12)


def test_loss_gradient_and_stability() -> None:
    scores = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([4, 0, 2])
    assert torch.autograd.gradcheck(lambda s: map_loss(s, labels, 0.1), (scores,))
    assert map_loss(torch.full((1, 2), -1e6), torch.tensor([0]), 0.1).isfinite()


def test_loss_pushes_wrong_classes_away_only_while_they_are_near() -> None:
    scores = torch.tensor([[-50.0, -1.0, -60.0]], requires_grad=True)
    (gradient,) = torch.autograd.grad(map_loss(scores, torch.tensor([0]), 0.1), scores)
    right, near, far = gradient[0].tolist()
    assert right == pytest.approx(-1)
    assert 0.1 < near < 1
    assert 0 <= far < 1e-9
