"""`inspect` against the truth: the same model run on real tensors, with its parameters counted by hand."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils import prune

from cnnatomy import anatomy
from cnnatomy.errors import ArgumentError


def really(model: nn.Module, shape: tuple[int, ...]) -> list[tuple[str, tuple[int, ...]]]:
    """Every childless layer with its output shape, in running order, from a real forward pass."""
    seen: list[tuple[str, tuple[int, ...]]] = []
    names = {module: name for name, module in model.named_modules()}

    def listen(module: nn.Module, _args: Any, output: Tensor) -> None:
        seen.append((names[module], tuple(output.shape)))

    hooks = [m.register_forward_hook(listen) for m in model.modules() if not list(m.children())]
    was = model.training
    with torch.no_grad():
        model.eval()(torch.randn(1, *shape))
    model.train(was)
    for hook in hooks:
        hook.remove()
    return seen


@st.composite
def plain_networks(draw: st.DrawFn) -> tuple[nn.Module, tuple[int, ...]]:
    channels, size = draw(st.integers(1, 3)), draw(st.integers(9, 17))
    layers: list[nn.Module] = []
    width = channels
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(("conv", "up", "norm", "pool", "tanh")))
        out = draw(st.integers(1, 4))
        if kind == "conv":
            layers.append(
                nn.Conv2d(width, out, 3, stride=draw(st.integers(1, 2)), padding=draw(st.integers(0, 2)))
            )
        elif kind == "up":
            layers.append(nn.ConvTranspose2d(width, out, 2, stride=2, bias=draw(st.booleans())))
        elif kind == "norm":
            layers.append(nn.BatchNorm2d(width))
        elif kind == "pool":
            layers.append(nn.MaxPool2d(2, stride=1, padding=1))
        else:
            layers.append(nn.Tanh())
        width = out if kind in ("conv", "up") else width
    head = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * width, 5))
    return nn.Sequential(nn.Sequential(*layers), head), (channels, size, size + 1)


@settings(max_examples=25, deadline=None)
@given(plain_networks())
def test_shapes_and_counts_are_those_of_a_real_run(case: tuple[nn.Module, tuple[int, ...]]) -> None:
    model, shape = case
    table = anatomy.inspect(model, shape)
    assert [(row.path, row.output_shapes[0]) for row in table.rows] == really(model, shape)
    for row in table.rows:
        assert row.parameters == sum(p.numel() for p in model.get_submodule(row.path).parameters())
    assert table.parameters == sum(p.numel() for p in model.parameters())
    assert table.complete
    assert table.output_shapes == ((1, 5),)


def test_lenet5_is_the_paper_layer_by_layer() -> None:
    from cnnatomy import models

    table = anatomy.inspect(models.build("lenet5", classes=10), (1, 32, 32))
    owners = [row.trainable for row in table.rows if row.trainable]
    assert owners == [156, 12, 1516, 32, 48120, 10164]
    assert table.trainable == 60_000
    assert table.output_shapes == ((1, 10),)


def prune_some(layer: nn.Linear) -> nn.Linear:
    prune.l1_unstructured(layer, "weight", 3)  # type: ignore[no-untyped-call]
    return layer


def test_vgg16_has_as_many_parameters_as_published_and_needs_no_memory() -> None:
    layers: list[nn.Module] = []
    width = 3
    with torch.device("meta"):
        for repeats, out in ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)):
            for _ in range(repeats):
                layers += [nn.Conv2d(width, out, 3, padding=1), nn.ReLU()]
                width = out
            layers.append(nn.MaxPool2d(2))
        head = [nn.Linear(25088, 4096), nn.ReLU(), nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, 1000)]
        model = nn.Sequential(*layers, nn.Flatten(), *head)
    table = anatomy.inspect(model, (3, 224, 224))
    assert table.parameters == 138_357_544
    assert next(row for row in table.rows if row.type == "Flatten").output_shapes == ((1, 25088),)


class Everything(nn.Module):
    """Own parameters, tied weights, a layer run twice, one never run, a plain tensor, attention, a lock."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.randn(7))
        self.twice = nn.Linear(7, 7)
        self.tied = nn.Linear(7, 7, bias=False)
        self.tied.weight = self.twice.weight
        self.norm = nn.BatchNorm1d(7)
        self.fixed = nn.Linear(7, 7).requires_grad_(False)
        self.unused = nn.Linear(3, 3)
        self.order = torch.randperm(7)
        self.steps = {"first": [torch.randn(7)]}
        self.attention = nn.MultiheadAttention(7, 1, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.twice(self.twice(x * self.scale))[:, self.order]
        x = self.norm(self.tied(x)) + torch.zeros(7) + self.steps["first"][0]
        mixed, _ = self.attention(x[:, None], x[:, None], x[:, None])
        return self.fixed(mixed[:, 0])  # type: ignore[no-any-return]


def test_shared_frozen_repeated_and_unused() -> None:
    model = Everything()
    table = anatomy.inspect(model, (7,))
    rows = {row.path: row for row in table.rows}
    assert rows[""].trainable == 7
    assert (rows["twice#1"].trainable, rows["twice#1"].shared) == (56, 0)
    assert (rows["twice#2"].trainable, rows["twice#2"].shared) == (0, 56)
    assert (rows["tied"].trainable, rows["tied"].shared) == (0, 49)
    assert (rows["fixed"].trainable, rows["fixed"].frozen) == (0, 56)
    assert (rows["unused"].trainable, rows["unused"].output_shapes) == (12, ())
    assert rows["attention"].output_shapes == ((1, 1, 7), (1, 1, 1))
    assert table.parameters == sum(p.numel() for p in model.parameters())
    assert table.frozen == 56


def test_the_model_is_left_as_it_was() -> None:
    model = Everything().train()
    prune_some(model.fixed)
    model.norm.eval()
    heard: list[Any] = []
    model.twice.register_forward_hook(lambda *given: heard.append(given))
    tensors = {**model.state_dict(keep_vars=True), "pruned": model.fixed.weight, "order": model.order}
    values = {name: tensor.detach().clone() for name, tensor in tensors.items()}
    training = [module.training for module in model.modules()]
    hooks = [(len(m._forward_hooks), len(m._forward_pre_hooks)) for m in model.modules()]

    table = anatomy.inspect(model, (7,))

    after = {**model.state_dict(keep_vars=True), "pruned": model.fixed.weight, "order": model.order}
    assert all(after[name] is tensor for name, tensor in tensors.items())
    assert all(torch.equal(after[name], value) for name, value in values.items())
    assert [module.training for module in model.modules()] == training
    assert [(len(m._forward_hooks), len(m._forward_pre_hooks)) for m in model.modules()] == hooks
    assert not heard
    assert table.complete
    assert table.notes == ("hooks of the caller, not run: 1",)
    assert torch.backends.mha.get_fastpath_enabled()


class Undecided(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return self.second(x) if x.sum() > 0 else x


class Numpy(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.from_numpy(x.numpy())


class Locked(nn.Linear):
    def __init__(self) -> None:
        super().__init__(4, 4)
        self.lock = threading.Lock()


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (Undecided(), "the model (Undecided) cannot run without data"),
        (nn.Sequential(nn.Linear(4, 4), Numpy()), "layer '1' (Numpy) cannot run without data"),
        (nn.Sequential(nn.Linear(4, 4), Locked()), "no layer could be run"),
    ],
)
def test_a_model_that_needs_data_gives_a_partial_table(model: nn.Module, reason: str) -> None:
    table = anatomy.inspect(model, (4,))
    assert not table.complete
    assert table.reason is not None
    assert table.reason.startswith(reason)
    assert table.parameters == sum(p.numel() for p in model.parameters())
    for shown in (table.to_markdown(), table._repr_html_()):
        assert "partial" in shown
        assert "total" not in shown
    assert '"complete": false' in table.to_json()


def test_what_ran_before_the_stop_is_kept() -> None:
    rows = {row.path: row.output_shapes for row in anatomy.inspect(Undecided(), (4,)).rows}
    assert rows == {"first": ((1, 4),), "second": ()}


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((3, 9, 9), "layer '0' (Conv2d, in_channels=1) cannot take 1×3×9×9, from a model input of 3×9×9"),
        ((1, 8, 9), "layer '2' (Linear, in_features=98) cannot take 1×84, from a model input of 1×8×9"),
        ((1, 1, 1), "layer '0' (Conv2d, in_channels=1) cannot take 1×1×1×1, from a model input of 1×1×1"),
        ((), "the input shape is not a shape: expected positive sizes"),
        ((1, 0, 9), "the input shape is not a shape: expected positive sizes"),
        ((1, 9.0, 9), "the input shape is not a shape: expected positive sizes"),
        (9, "the input shape is not a shape: expected positive sizes"),
    ],
)
def test_a_wrong_shape_names_the_layer_and_the_sizes(shape: Any, message: str) -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(98, 3))
    with pytest.raises(ArgumentError) as caught:
        anatomy.inspect(model, shape)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_lazy_layer_must_have_seen_an_input() -> None:
    with pytest.raises(ArgumentError, match=r"parameter '0.weight' has no size yet"):
        anatomy.inspect(nn.Sequential(nn.LazyLinear(3)), (4,))


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (nn.LSTM(3, 4, num_layers=2, batch_first=True), (7, 3)),
        (nn.TransformerEncoderLayer(8, 2, batch_first=True), (7, 8)),
        (nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(3, 4, bias=False))), (3,)),
        (prune_some(nn.Linear(3, 4)), (3,)),
        (nn.Sequential(nn.Linear(3, 4)).to(torch.bfloat16), (3,)),
        (nn.Sequential(nn.ReLU()), (3,)),
    ],
)
def test_unusual_models_run_whole(model: nn.Module, shape: tuple[int, ...]) -> None:
    table = anatomy.inspect(model, shape)
    assert table.complete
    assert all(row.output_shapes or row.path.endswith("out_proj") for row in table.rows)
    assert table.parameters == sum(p.numel() for p in model.parameters())
