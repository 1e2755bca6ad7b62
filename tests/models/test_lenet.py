from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from cnnatomy.errors import ArgumentError
from cnnatomy.models import build
from cnnatomy.models.lenet import TABLE_I, LeNet5

PUBLISHED = {"c1": 156, "s2": 12, "c3": 1516, "s4": 32, "c5": 48120, "f6": 10164}


def trainable(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_has_the_published_parameters() -> None:
    model = build("lenet5", classes=10)
    assert {name: trainable(model.get_submodule(name)) for name in PUBLISHED} == PUBLISHED
    assert trainable(model) == 60_000
    assert trainable(build("lenet5", classes=10, output="softmax")) == 60_850


def test_state_dict_holds_no_absent_weight() -> None:
    state = build("lenet5", classes=10).state_dict()
    assert state["c3.weight"].shape == (60, 5, 5)
    assert sum(v.numel() for name, v in state.items() if name != "head.codes") == 60_000


def test_table_one_has_the_published_groups() -> None:
    columns = [[i for i in range(6) if TABLE_I[i][o]] for o in range(16)]
    assert columns[:6] == [sorted((o + k) % 6 for k in range(3)) for o in range(6)]
    assert columns[6:12] == [sorted((o + k) % 6 for k in range(4)) for o in range(6)]
    assert columns[12:15] == [sorted((o + k) % 6 for k in (0, 1, 3, 4)) for o in range(3)]
    assert columns[15] == list(range(6))


def test_layers_have_the_published_shapes() -> None:
    model = build("lenet5", classes=10)
    shapes: dict[str, tuple[int, ...]] = {}
    for name in PUBLISHED:
        model.get_submodule(name).register_forward_hook(
            lambda _m, _i, out, name=name: shapes.__setitem__(name, tuple(out.shape[1:]))
        )
    model(torch.zeros(1, 1, 32, 32))
    assert shapes == {
        "c1": (6, 28, 28),
        "s2": (6, 14, 14),
        "c3": (16, 10, 10),
        "s4": (16, 5, 5),
        "c5": (120, 1, 1),
        "f6": (84,),
    }


def test_forward_is_the_paper_in_plain_torch() -> None:
    torch.manual_seed(0)
    model = LeNet5("0123456789").double()
    x = torch.randn(3, 1, 32, 32, dtype=torch.float64)
    state: dict[str, torch.Tensor] = model.state_dict()

    def squash(a: torch.Tensor) -> torch.Tensor:
        return torch.tanh(a * 2 / 3).mul(1.7159)

    def subsample(a: torch.Tensor, name: str) -> torch.Tensor:
        windows = a[:, :, ::2, ::2] + a[:, :, 1::2, ::2] + a[:, :, ::2, 1::2] + a[:, :, 1::2, 1::2]
        return windows * state[f"{name}.weight"][:, None, None] + state[f"{name}.bias"][:, None, None]

    dense = torch.zeros(16, 6, 5, 5, dtype=torch.float64)
    pairs = [(o, i) for o in range(16) for i in range(6) if TABLE_I[i][o]]
    for row, (o, i) in enumerate(pairs):
        dense[o, i] = state["c3.weight"][row]
    a = squash(F.conv2d(x, state["c1.weight"], state["c1.bias"]))
    a = squash(subsample(a, "s2"))
    a = squash(F.conv2d(a, dense, state["c3.bias"]))
    a = squash(subsample(a, "s4"))
    a = squash(a.flatten(1) @ state["c5.weight"].flatten(1).t() + state["c5.bias"])
    a = squash(a @ state["f6.weight"].t() + state["f6.bias"])
    torch.testing.assert_close(-model(x), torch.cdist(a, state["head.codes"]) ** 2)


def test_every_parameter_learns() -> None:
    torch.manual_seed(3)
    for output in ("rbf", "softmax"):
        model = build("lenet5", classes=10, output=output)
        names, parameters = zip(*model.named_parameters(), strict=True)
        loss = model.loss(model(torch.randn(4, 1, 32, 32)), torch.arange(4))
        for name, gradient in zip(names, torch.autograd.grad(loss, parameters), strict=True):
            assert gradient.abs().sum() > 0, name


def test_preprocess_scales_ink_and_paper() -> None:
    model, images = build("lenet5", classes=10), torch.tensor([0, 255], dtype=torch.uint8)
    before = images.clone()
    assert model.preprocess(images).tolist() == pytest.approx([-0.1, 1.175])
    assert torch.equal(images, before)


def test_loss_and_probabilities_by_output() -> None:
    scores, labels = torch.tensor([[-2.0, -40.0]]), torch.tensor([0])
    rbf = LeNet5("01")
    softmax = LeNet5("01", output="softmax")
    expected = 2 + math.log(math.exp(-0.1) + math.exp(-2) + math.exp(-40))
    assert rbf.loss(scores, labels).item() == pytest.approx(expected)
    assert softmax.loss(scores, labels).item() == pytest.approx(0, abs=1e-6)
    for model in (rbf, softmax):
        assert model.probabilities(scores).sum().item() == pytest.approx(1)


def test_pictures_of_another_size_are_told_and_a_single_one_is_scored() -> None:
    model = LeNet5("0123456789").eval()
    x = torch.rand(1, 32, 32)
    assert torch.equal(model(x), model(x[None])[0])
    for odd, said in (
        (torch.rand(2, 1, 28, 28), r"got shape \(2, 1, 28, 28\)"),
        (x[None].byte(), "takes floats"),
    ):
        with pytest.raises(ArgumentError, match=said):
            model(odd)
