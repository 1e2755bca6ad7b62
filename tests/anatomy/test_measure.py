"""The whole: published networks to reference counts, layers that sum, what is not known said as such."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from anatomy import zoo
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from cnnatomy import nn as ours
from cnnatomy.anatomy import Anatomy, anatomy, explain_macs
from cnnatomy.errors import ArgumentError

GIGA = {
    "vgg16": 15.470,
    "resnet50": 4.089,
    "efficientnet_b0": 0.386,
    "convnext_tiny": 4.456,
    "swin_t": 4.491,
    "vit_b_16": 17.564,
    "unet_transposed": 9.244,
}
"""Billions of multiply-accumulates of convolutions, linear layers and matrix products at 224x224."""


def weightless(name: str) -> nn.Module:
    with torch.device("meta"):
        model: nn.Module = getattr(zoo, name)()
    return model


@cache
def seen(name: str) -> Anatomy:
    size = 299 if name == "inception_v3" else 224
    return anatomy(weightless(name), (3, size, size))


@pytest.mark.parametrize("name", zoo.__all__)
def test_every_network_sums_to_its_parameters_and_to_torchs_count(name: str) -> None:
    found, model = seen(name), weightless(name).eval()
    assert found.complete
    assert found.notes == ()
    assert found.parameters == sum(p.numel() for p in model.parameters())
    size = 299 if name == "inception_v3" else 224
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.empty(1, 3, size, size, device="meta"))
    assert found.macs == counter.get_total_flops() // 2
    if name in GIGA and found.macs is not None:
        assert round(found.macs / 1e9, 3) == GIGA[name]


@pytest.mark.parametrize("name", ["resnet50", "swin_t", "densenet121"])
def test_layers_operations_and_groups_sum_to_the_whole(name: str) -> None:
    found = seen(name)
    operations = [operation.cost for operation in found.operations]
    root = found.layers[0]
    for what in ("macs", "flops", "read", "written"):
        whole = sum(getattr(each, what) for each in operations)
        assert getattr(root, what) == whole
        for layer in found.layers:
            own = sum(getattr(operations[i], what) for i in layer.operations)
            assert getattr(layer, what) == own + sum(getattr(found.layers[c], what) for c in layer.children)
    placed = sorted(i for layer in found.layers for i in layer.operations)
    assert placed == list(range(len(operations)))
    for grouping in ("type", "stage", "module"):
        groups = found.by(grouping)
        assert sum(group.macs or 0 for group in groups) == found.macs
        assert sum(group.flops or 0 for group in groups) == found.flops
        assert sum(group.parameters for group in groups) == found.parameters
        assert sum(group.share or 0 for group in groups) == pytest.approx(1)
        assert sum(group.activations for group in groups) == root.written


def test_groups_are_named_as_people_name_them() -> None:
    found = seen("resnet50")
    stages = ["", "conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4", "avgpool", "fc"]
    assert [group.name for group in found.by("stage")] == stages
    types = {group.name: group for group in found.by("type")}
    assert types["BatchNorm2d"].parameters == 53_120
    assert types["Linear"].macs == 2048 * 1000
    assert {group.name: group.macs for group in found.by("module")}["layer1.0.conv2"] == 56 * 56 * 64 * 64 * 9
    with pytest.raises(ArgumentError, match="no such grouping"):
        found.by("colour")  # type: ignore[arg-type]


def test_an_operation_says_how_its_count_comes_about() -> None:
    found = seen("vgg16")
    first = found.operations[found.layer("features.0").operations[0]]
    assert first.name == "convolution"
    assert first.cost.formula == "64·224·224 outputs × 3·3·3 taps = 86,704,128"
    assert found.layer("classifier.0").parameters == 102_764_544
    last = found.operations[found.layer("classifier.0").outputs[0]]
    assert last.cost.formula == "4096 outputs × 25088 terms = 102,760,448"


def test_intensity_is_flops_per_byte() -> None:
    found = anatomy(nn.Conv2d(3, 8, 3, padding=1, bias=False), (3, 6, 6))
    moved = 4 * (3 * 36 + 8 * 27 + 8 * 36)
    assert found.layers[0].intensity == found.operations[0].cost.intensity == 2 * 8 * 36 * 27 / moved
    assert anatomy(nn.Flatten(), (3, 6)).operations[0].cost.intensity is None


class Odd(nn.Module):
    """What `Layer.outputs` must see through: a view, an in-place write, an identity, an input handed on."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.relu, self.same = nn.Conv2d(1, 2, 3), nn.ReLU(inplace=True), nn.Identity()
        self.flat = nn.Flatten()

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        y = self.same(self.relu(self.conv(x)))
        return {"map": y, "flat": self.flat(y), "input": x}


def test_outputs_name_the_operations_that_made_them() -> None:
    found = anatomy(Odd(), (1, 5, 5))
    names = {
        layer.path: [found.operations[i].name if i >= 0 else "" for i in layer.outputs]
        for layer in found.layers
    }
    assert names == {
        "": ["relu_", "view", ""],
        "conv": ["convolution"],
        "relu": ["relu_"],
        "same": ["relu_"],
        "flat": ["view"],
    }
    assert found.outputs == {"map": (1, 2, 3, 3), "flat": (1, 18), "input": (1, 1, 5, 5)}
    assert found.layer("conv").activations == 4 * 18


@st.composite
def tables(draw: st.DrawFn) -> list[list[int]]:
    rows, columns = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    table = [[draw(st.integers(0, 1)) for _ in range(columns)] for _ in range(rows)]
    for column in range(columns):
        table[draw(st.integers(0, rows - 1))][column] = 1
    return table


@settings(max_examples=25)
@given(tables(), st.integers(1, 3), st.booleans())
def test_absent_connections_are_neither_parameters_nor_work(
    table: list[list[int]], kernel: int, bias: bool
) -> None:
    layer = ours.ConnectedConv2d(table, kernel, bias=bias)
    found = anatomy(nn.Sequential(layer), (len(table), 6, 6))
    present = sum(map(sum, table))
    pairs = len(table) * len(table[0])
    assert found.absent == found.layer("0").absent == (pairs - present) * kernel**2
    assert found.parameters == present * kernel**2 + bias * len(table[0])
    assert found.macs == present * kernel**2 * (7 - kernel) ** 2


def test_a_training_pass_is_counted_there_and_back() -> None:
    def both(model: nn.Module, x: Tensor) -> int:
        with FlopCounterMode(display=False) as counter:
            model(x).sum().backward()
        return int(counter.get_total_flops() // 2)

    dense = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 4, 3, 2), nn.Flatten())
    dense.append(nn.Linear(4 * 9, 5))
    found = anatomy(dense, (3, 8, 8), training=True)
    assert found.backward_macs == both(dense, torch.zeros(1, 3, 8, 8))


def test_depthwise_convolution_costs_three_times_its_forward_pass_in_training() -> None:
    stem, depthwise = nn.Conv2d(3, 6, 1, bias=False), nn.Conv2d(6, 6, 3, padding=1, groups=6, bias=False)
    found = anatomy(nn.Sequential(stem, depthwise), (3, 8, 8), training=True)
    assert found.layer("1").macs == 64 * 6 * 9
    assert found.backward_macs == 2 * 64 * 3 * 6 + 3 * 64 * 6 * 9  # nobody needs the picture's gradient


def test_training_is_measured_only_if_asked_for() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())
    with_it, without = anatomy(net, (1, 8, 8), training=True), anatomy(net, (1, 8, 8))
    assert without.backward_macs is None
    assert without.memory is not None
    assert (without.memory.saved, without.memory.training) == (None, None)
    assert {layer.saved for layer in without.layers} == {None}
    assert with_it.memory is not None
    assert with_it.layers[0].saved == with_it.memory.saved == 4 * (64 + 2 * 36)


class Factored(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.before, self.after = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.after(torch.linalg.qr(self.before(x))[0])
        return y


def test_an_unknown_operator_leaves_no_total() -> None:
    found = anatomy(Factored(), (4, 4))
    assert found.complete
    assert found.macs is None
    assert found.flops is None
    assert found.layer("before").macs == found.layer("after").macs == 4 * 4 * 4
    assert [group.macs for group in found.by("stage")] == [None, 64, 64]
    assert found.notes == (
        "operators whose MACs are not known: aten.linalg_qr (1 calls); those of the others are 128",
    )
    with pytest.raises(ArgumentError, match="no total to compare with"):
        explain_macs(found)


class Undecided(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        x = self.second(x) if x.sum() > 0 else x
        y: Tensor = self.third(x)
        return y


def test_a_pass_that_stops_early_gives_no_totals() -> None:
    found = anatomy(Undecided(), (4,), training=True)
    assert not found.complete
    assert found.reason is not None
    assert found.memory is None
    assert (found.macs, found.flops, found.backward_macs) == (None, None, None)
    assert found.parameters == 50
    assert [(layer.path, layer.called, layer.macs) for layer in found.layers[1:]] == [
        ("first", True, 16),
        ("second", False, 0),
        ("third", False, 0),
    ]


PEERS = ("torchinfo", "fvcore", "thop", "ptflops", "FlopCounterMode")
PRINTED = {
    "vgg16": (15.484, 15.470, 15.470, 15.484, 15.470),
    "resnet50": (4.089, 4.112, 4.134, 4.089, 4.089),
    "efficientnet_b0": (0.386, 0.402, 0.415, 0.386, 0.386),
    "convnext_tiny": (0.322, 4.470, 4.464, 4.469, 4.456),
    "swin_t": (0.034, 4.509, 2.978, 4.504, 4.491),
    "vit_b_16": (0.173, 16.867, 11.286, 16.865, 11.271),
    "unet_transposed": (10.480, 9.268, 10.526, 9.247, 9.244),
}
"""What the tools themselves printed, in billions."""


@pytest.mark.parametrize("name", PRINTED)
def test_other_tools_numbers_are_foretold(name: str) -> None:
    told = explain_macs(seen(name))
    assert [peer.tool for peer in told] == list(PEERS)
    assert [round(peer.macs / 1e9, 3) for peer in told] == pytest.approx(PRINTED[name], abs=0.0011)
    total = seen(name).macs
    assert all((peer.why == "the same") == (peer.macs == total) for peer in told)


def test_functional_convolutions_are_counted() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(4, 3, 3, 3))

        def forward(self, x: Tensor) -> Tensor:
            return F.conv2d(x, self.weight, padding=1)

    found = anatomy(Net(), (3, 8, 8))
    assert (found.macs, found.layers[0].trainable) == (64 * 4 * 27, 108)
