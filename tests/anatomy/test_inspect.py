"""`anatomy` against the truth: the same model run on real tensors, with its parameters counted by hand."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from anatomy import zoo
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils import prune

from cnnatomy.anatomy import Anatomy, anatomy
from cnnatomy.anatomy.figures import Layer
from cnnatomy.errors import ArgumentError


def leaves(found: Anatomy) -> list[Layer]:
    return [layer for layer in found.layers if layer.leaf]


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
    found = anatomy(model, shape)
    assert [(layer.path, layer.output_shapes[0]) for layer in leaves(found)] == really(model, shape)
    for layer in leaves(found):
        assert layer.parameters == sum(p.numel() for p in model.get_submodule(layer.path).parameters())
    assert found.parameters == sum(p.numel() for p in model.parameters())
    assert found.complete
    assert list(found.outputs.values()) == [(1, 5)]


def test_lenet5_is_the_paper_layer_by_layer() -> None:
    from cnnatomy import models

    found = anatomy(models.build("lenet5", classes=10), (1, 32, 32))
    owners = [layer.trainable for layer in found.layers if layer.trainable]
    assert owners == [156, 12, 1516, 32, 48120, 10164]
    assert found.trainable == 60_000
    assert found.absent == 36 * 25
    assert list(found.outputs.values()) == [(1, 10)]


def prune_some(layer: nn.Linear) -> nn.Linear:
    prune.l1_unstructured(layer, "weight", 3)  # type: ignore[no-untyped-call]
    return layer


def test_vgg16_has_as_many_parameters_as_published_and_needs_no_memory() -> None:
    with torch.device("meta"):
        model = zoo.vgg16()
    found = anatomy(model, (3, 224, 224))
    assert found.parameters == 138_357_544
    first, second = found.layer("features.0"), found.layer("features.2")
    assert (first.parameters, second.parameters) == (1_792, 36_928)
    assert found.layer("classifier.0").parameters == 102_764_544
    assert found.layer("classifier.0").input_shapes == ((1, 25088),)


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
    found = anatomy(model, (7,))
    rows = {layer.path: layer for layer in found.layers}
    assert rows[""].trainable == 7
    assert (rows["twice#1"].trainable, rows["twice#1"].shared) == (56, 0)
    assert (rows["twice#2"].trainable, rows["twice#2"].shared) == (0, 56)
    assert (rows["tied"].trainable, rows["tied"].shared) == (0, 49)
    assert (rows["fixed"].trainable, rows["fixed"].frozen) == (0, 56)
    assert (rows["unused"].trainable, rows["unused"].output_shapes) == (12, ())
    assert (rows["unused"].called, rows["twice#2"].called) == (False, True)
    assert rows["attention"].output_shapes == ((1, 1, 7), (1, 1, 1))
    out = rows["attention.out_proj"]
    assert (out.called, found.layers[out.parent or 0].path, out.depth) == (False, "attention", 2)
    assert found.parameters == sum(p.numel() for p in model.parameters())
    assert found.frozen == 56


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

    found = anatomy(model, (7,))

    after = {**model.state_dict(keep_vars=True), "pruned": model.fixed.weight, "order": model.order}
    assert all(after[name] is tensor for name, tensor in tensors.items())
    assert all(torch.equal(after[name], value) for name, value in values.items())
    assert [module.training for module in model.modules()] == training
    assert [(len(m._forward_hooks), len(m._forward_pre_hooks)) for m in model.modules()] == hooks
    assert not heard
    assert found.complete
    assert found.notes == ("hooks of the caller, not run: 1",)
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


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (Undecided(), "the model (Undecided) cannot run without data"),
        (nn.Sequential(nn.Linear(4, 4), Numpy()), "layer '1' (Numpy) cannot run without data"),
    ],
)
def test_a_model_that_needs_data_gives_a_partial_anatomy(model: nn.Module, reason: str) -> None:
    found = anatomy(model, (4,))
    assert not found.complete
    assert found.reason is not None
    assert found.reason.startswith(reason)
    assert found.parameters == sum(p.numel() for p in model.parameters())
    assert found.macs is None


def test_what_ran_before_the_stop_is_kept() -> None:
    rows = {layer.path: layer.output_shapes for layer in anatomy(Undecided(), (4,)).layers}
    assert rows == {"": (), "first": ((1, 4),), "second": ()}


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
        anatomy(model, shape)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_lazy_layer_must_have_seen_an_input() -> None:
    with pytest.raises(ArgumentError, match=r"parameter '0.weight' has no size yet"):
        anatomy(nn.Sequential(nn.LazyLinear(3)), (4,))


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
    found = anatomy(model, shape)
    assert found.complete
    assert all(layer.output_shapes or layer.path.endswith("out_proj") for layer in found.layers)
    assert found.parameters == sum(p.numel() for p in model.parameters())


class Selecting(nn.Module):
    """Keeps the cells that are positive."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        kept = (y > 0).nonzero()
        return y.flatten()[kept[:, 0]]


def test_a_pass_that_stops_says_in_plain_words_where_in_the_model_and_what_it_cost_so_far() -> None:
    found = anatomy(Selecting(), (3, 8, 8))
    assert found.reason is not None
    start = (
        "the model (Selecting) cannot run without data: how many cells of a mask are true depends on values"
    )
    assert found.reason.startswith(start)
    line = inspect.getsourcelines(Selecting.forward)[1] + 2
    assert found.reason.endswith(
        f" (test_inspect.py:{line}: kept = (y > 0).nonzero()); assume nonzero=all, or a count, to go on"
    )
    assert found.macs is None
    (foot,) = (row for row in found.to_markdown().splitlines() if "so far" in row)
    assert "**3.888 k**" in foot
