"""`diff` against facts counted by hand, and layers matched as a reader would match them."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import torch
from anatomy import zoo
from rich.console import Console
from torch import Tensor, nn

from cnnatomy.anatomy.ask.compare import Difference, diff
from cnnatomy.anatomy.measure import anatomy
from cnnatomy.anatomy.result import Anatomy


def measured(*layers: nn.Module, size: int = 16) -> Anatomy:
    return anatomy(nn.Sequential(*layers), (1, size, size))


def kinds(difference: Difference) -> dict[str | None, str]:
    return {pair.before if pair.before is not None else pair.after: pair.kind for pair in difference.pairs}


def test_a_network_does_not_differ_from_itself() -> None:
    one = measured(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
    same = diff(one, one)
    assert not same
    assert list(same) == []
    assert same.counts == {"same": 4, "changed": 0, "renamed": 0, "added": 0, "removed": 0}
    assert all(change.before == change.after for change in same.totals)


def test_a_changed_layer_tells_its_numbers_and_its_field() -> None:
    one = measured(nn.Conv2d(1, 4, 3), nn.ReLU())
    two = measured(nn.Conv2d(1, 4, 5), nn.ReLU())
    pair = next(pair for pair in diff(one, two) if pair.before == "0")
    changes = {change.what: (change.before, change.after) for change in pair.changes}
    assert changes["output"] == (((1, 4, 14, 14),), ((1, 4, 12, 12),))
    assert changes["parameters"] == (4 * (9 + 1), 4 * (25 + 1))
    assert changes["macs"] == (4 * 14 * 14 * 9, 4 * 12 * 12 * 25)
    assert changes["field"] == (("3", "3"), ("5", "5"))
    assert changes["activations"] == (4 * 4 * 14 * 14, 4 * 4 * 12 * 12)
    assert "type" not in changes
    assert "field" not in {change.what for pair in diff(one, two, fields=False) for change in pair.changes}


def test_an_inserted_layer_moves_the_others_and_is_the_only_one_added() -> None:
    one = measured(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 8, 3), nn.MaxPool2d(2))
    two = measured(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 8, 3), nn.MaxPool2d(2))
    found = diff(one, two)
    assert {(pair.before, pair.after) for pair in found.pairs if pair.before} == {
        ("0", "0"),
        ("1", "2"),
        ("2", "3"),
        ("3", "4"),
    }
    assert [pair.after for pair in found if pair.kind == "added"] == ["1"]
    assert found.counts["removed"] == 0


def test_renamed_modules_find_their_counterparts() -> None:
    class Named(nn.Module):
        def __init__(self, prefix: str) -> None:
            super().__init__()
            for i in range(3):
                self.add_module(f"{prefix}{i}", nn.Conv2d(1, 1, 2 * i + 1))

        def forward(self, x: Tensor) -> Tensor:
            for layer in self.children():
                x = layer(x)
            return x

    found = diff(anatomy(Named("conv"), (1, 16, 16)), anatomy(Named("layer"), (1, 16, 16)))
    assert {(pair.before, pair.after, pair.changes) for pair in found} == {
        (f"conv{i}", f"layer{i}", ()) for i in range(3)
    }
    assert found.counts["renamed"] == 3


def test_another_type_at_the_same_place_is_a_change() -> None:
    found = diff(measured(nn.Conv2d(1, 4, 3), nn.ReLU()), measured(nn.Conv2d(1, 4, 3), nn.GELU()))
    (pair,) = found  # and not the model, whose shape and parameters are the same
    assert (pair.before, pair.after, pair.kind) == ("1", "1", "changed")
    assert [(change.before, change.after) for change in pair.changes if change.what == "type"] == [
        ("ReLU", "GELU")
    ]


def test_removed_layers_tell_their_parameters() -> None:
    found = diff(measured(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 1)), measured(nn.Conv2d(1, 4, 3)))
    (gone,) = [pair for pair in found if pair.kind == "removed"]
    assert (gone.before, gone.parameters) == ("1", 20)


def test_totals_of_known_networks() -> None:
    with torch.device("meta"):
        nets = zoo.resnet50(), zoo.vgg16()
    one, two = (anatomy(net, (3, 224, 224), training=False) for net in nets)
    totals = {change.what: change for change in diff(one, two, fields=False).totals}
    assert (totals["parameters"].before, totals["parameters"].after) == (25_557_032, 138_357_544)
    ratio = totals["macs"].ratio
    assert ratio is not None
    assert round(ratio, 2) == 3.78  # 15.470 G beside 4.089 G


def test_every_layer_of_both_is_told_once() -> None:
    with torch.device("meta"):
        nets = zoo.resnet50(), zoo.mobilenet_v2()
    one, two = (anatomy(net, (3, 64, 64), training=False) for net in nets)
    pairs = diff(one, two, fields=False).pairs
    assert [pair.before for pair in pairs if pair.before is not None] == [layer.path for layer in one.layers]
    told = sorted(pair.after for pair in pairs if pair.after is not None)
    assert told == sorted(layer.path for layer in two.layers)


def test_a_partial_network_is_said_to_be_one() -> None:
    class Stops(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if x.sum() > 0 else -x

    found = diff(anatomy(Stops(), (1, 4, 4)), measured(nn.ReLU(), size=4))
    assert found.reasons[0] is not None
    assert found.reasons[1] is None
    assert "partial: Stops: " in str(found)
    macs = next(change for change in found.totals if change.what == "macs")
    assert (macs.before, macs.ratio) == (None, None)


def test_forms_tell_the_same() -> None:
    found = diff(measured(nn.Conv2d(1, 4, 3)), measured(nn.Conv2d(1, 4, 5), nn.ReLU()))
    facts = json.loads(found.to_json())
    assert facts["counts"] == found.counts
    assert {one["kind"] for one in facts["layers"]} == {"changed", "added"}
    assert "| parameters | 40 | 104 | ×2.6 |" in found.to_markdown()
    out = io.StringIO()
    Console(file=out, width=120).print(found)
    assert "parameters 40 → 104" in " ".join(out.getvalue().split())


def test_an_anatomy_without_its_pass_is_compared_without_fields() -> None:
    one = measured(nn.Conv2d(1, 4, 3))
    assert not diff(replace(one, graph=None), one)


def test_what_only_follows_from_a_layer_before_is_one_row() -> None:
    """A stem of 7 in place of 3: every field behind it has four cells more, and nothing else differs."""

    def net(kernel: int) -> nn.Module:
        blocks = [nn.Sequential(nn.Conv2d(8, 8, 3, 1 + i % 2, 1), nn.ReLU()) for i in range(4)]
        return nn.Sequential(nn.Conv2d(3, 8, kernel, padding=kernel // 2), *blocks)

    found = diff(anatomy(net(3), (3, 64, 64)), anatomy(net(7), (3, 64, 64)))
    rows = [line for line in found.to_markdown().splitlines() if line.startswith("| changed")]
    assert rows[-1] == "| changed | from 1 on |  | field +4, 12 layers |"
    assert len(rows) == 3
    assert len(list(found)) == 14


def test_fields_that_grow_by_different_steps_are_not_folded() -> None:
    def net(kernel: int) -> nn.Module:
        return nn.Sequential(*(nn.Conv2d(1, 1, kernel, padding=kernel // 2, bias=False) for _ in range(5)))

    found = diff(anatomy(net(3), (1, 32, 32)), anatomy(net(5), (1, 32, 32)))
    assert " on |" not in found.to_markdown()
