"""Layers of networks: LeNet-5 on a digit, one unit of each layer."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from explain.arithmetic import same, summed
from torch import nn

import cnnatomy as ca
from cnnatomy.data import load
from cnnatomy.errors import ArgumentError
from cnnatomy.models.lenet import TABLE_I, LeNet5


@pytest.fixture(scope="module")
def lenet() -> tuple[LeNet5, torch.Tensor]:
    torch.manual_seed(0)
    net = LeNet5("0123456789")
    digit = load("digits", size=(32, 32), channels=1).test.images[:1]
    return net, net.preprocess(digit)


def unit(lenet: tuple[LeNet5, torch.Tensor], layer: str, *at: int) -> dict[str, Any]:
    return ca.explain(*lenet, layer=layer, at=at or None).record


def test_every_layer_of_lenet_is_explained(lenet: tuple[LeNet5, torch.Tensor]) -> None:
    net, x = lenet
    known: dict[str, torch.Tensor] = {}
    for name in ("c1", "s2", "c3", "s4", "c5", "f6", "head"):
        net.get_submodule(name).register_forward_hook(
            lambda module, args, y, name=name: known.__setitem__(name, y.detach())
        )
    net(x)
    for name, at in {
        "c1": (5, 3, 4),
        "s2": (2, 3, 4),
        "c3": (7, 4, 4),
        "s4": (9, 1, 2),
        "c5": (99, 0, 0),
    }.items():
        record = unit(lenet, name, *at)
        assert same(value(record), float(known[name][0][at]), 1e-5)
    for name in ("f6", "head"):
        record = unit(lenet, name, 3)
        assert same(value(record), float(known[name][0, 3]), 1e-5)


def value(record: dict[str, Any]) -> float:
    y, o = record["tensors"]["y"], 0
    for i, n in zip(record["at"], y["shape"], strict=True):
        o = o * n + i
    return float(y["values"][o])


def test_the_coefficient_and_bias_of_s2_are_in_its_line(lenet: tuple[LeNet5, torch.Tensor]) -> None:
    net, x = lenet
    with torch.no_grad():
        net.s2.weight[2], net.s2.bias[2] = 0.5, 0.25
    made = ca.explain(net, x, layer="s2", at=(2, 3, 4))
    assert made.line().startswith("0.5·(")
    assert "+ 0.25" in made.line()
    assert set(made.record["learned"]) == {"weight", "bias"}


def test_a_unit_of_c3_reads_the_maps_of_its_column_of_the_table(lenet: tuple[LeNet5, torch.Tensor]) -> None:
    for column in (0, 6, 15):
        record = unit(lenet, "c3", column, 4, 4)
        wanted = [row for row, marks in enumerate(TABLE_I) if marks[column]]
        assert record["tensors"]["x"]["channels"] == wanted
        assert len(range(*record["taps"]["ptr"][:2])) == 25 * len(wanted)
        assert same(float(record["tensors"]["y"]["values"][0]), summed(record, 0) or 0.0, 1e-5)


def test_an_rbf_unit_sums_squares_of_differences(lenet: tuple[LeNet5, torch.Tensor]) -> None:
    record = unit(lenet, "head", 4)
    pairs = zip(record["taps"]["value"], record["taps"]["code"], strict=True)
    assert math.fsum((x - code) ** 2 for x, code in pairs) == pytest.approx(value(record), rel=1e-5)
    assert set(record["taps"]["code"]) == {-1.0, 1.0}


def test_the_field_on_the_picture_is_exact(lenet: tuple[LeNet5, torch.Tensor]) -> None:
    net, x = lenet
    record = unit(lenet, "c3", 3, 4, 4)
    (y, x_axis), x = (one["cells"] for one in record["network"]["field"]), x.clone()
    outside = torch.ones(32, 32, dtype=torch.bool)
    outside[y[0] : y[1] + 1, x_axis[0] : x_axis[1] + 1] = False
    x[0, 0][outside] = torch.randn(int(outside.sum()))
    moved = ca.explain(net, x, layer="c3", at=(3, 4, 4)).record
    assert value(moved) == value(record)
    x[0, 0, y[0], x_axis[0]] += 5
    assert value(ca.explain(net, x, layer="c3", at=(3, 4, 4)).record) != value(record)


def test_the_network_is_left_as_it_was(lenet: tuple[LeNet5, torch.Tensor]) -> None:
    net, x = lenet
    net.train()
    ca.explain(net, x, layer="c1")
    assert net.training
    assert not net.c1._forward_pre_hooks
    net.eval()


def test_layers_are_found_by_name_and_call(lenet: tuple[LeNet5, torch.Tensor]) -> None:
    net, x = lenet
    first, second = (ca.explain(net, x, layer=name).record for name in ("squash", "squash#2"))
    assert (first["tensors"]["x"]["shape"], second["tensors"]["x"]["shape"]) == ([1, 28, 28], [1, 14, 14])
    with pytest.raises(ArgumentError, match="no layer is called 'c9'"):
        ca.explain(net, x, layer="c9")
    with pytest.raises(ArgumentError, match="only a network has layers"):
        ca.explain(ca.pool, x, layer="c1")


def test_a_page_of_a_layer_says_what_the_unit_sees(
    lenet: tuple[LeNet5, torch.Tensor], tmp_path: Path
) -> None:
    page = ca.explain(*lenet, layer="s2").save(tmp_path / "s2.html").read_text("utf-8")
    assert "layer s2; the unit sees rows 12..17 and columns 12..17 of the picture" in page


def test_the_second_call_of_a_layer_sees_more() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.c = nn.Conv2d(1, 1, 3, padding=1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.c(self.c(x))  # type: ignore[no-any-return]

    x = torch.randn(1, 1, 12, 12)
    for layer, cells in [("c", [2, 4]), ("c#2", [1, 5])]:
        found = ca.explain(Twice(), x, at=(0, 0, 3, 3), layer=layer).record["network"]["field"]
        assert [axis["cells"] for axis in found] == [cells, cells]
    for wrong in ("c#0", "c#abc", "c#"):
        with pytest.raises(ArgumentError, match="second call"):
            ca.explain(Twice(), x, layer=wrong)


def test_an_activation_that_writes_in_place_is_explained() -> None:
    x = torch.tensor([[[[-1.0, 2.0]]]])
    assert ca.explain(nn.ReLU(inplace=True), x).record["tensors"]["y"]["values"] == [0, 2]
    assert x.tolist() == [[[[-1, 2]]]]


def test_the_call_that_a_record_tells_gives_its_outputs() -> None:
    x = torch.randn(1, 1, 8, 8, dtype=torch.float64)
    made = ca.explain(ca.resample, x, output_size=4, antialias=True)
    told = eval(made.record["operator"]["call"], {"cnnatomy": ca, "x": x})
    assert told.reshape(-1).tolist() == pytest.approx(made.record["tensors"]["y"]["values"])
    assert any(check["allowed"] > 0 for check in made.record["checks"])
