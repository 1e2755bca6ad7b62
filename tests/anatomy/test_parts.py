"""An anatomy asked by the layer's name: figures and receptive field, against the recorded pass and against
noise."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import cnnatomy as ca
from cnnatomy.anatomy import Anatomy, anatomy
from cnnatomy.errors import ArgumentError


def net() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1), nn.MaxPool2d(2), nn.Conv2d(3, 4, (3, 5)), nn.Flatten()
    )


def test_a_part_has_every_figure_of_its_layer() -> None:
    known = anatomy(net(), (1, 16, 20))
    for path in ("0", "1", "2", "3"):
        part, layer = known[path], known.layer(path)
        figures = (layer.type, layer.macs, layer.parameters, layer.output_shapes)
        assert part.path == path
        assert (part.type, part.macs, part.parameters, part.output_shapes) == figures
    assert [part.path for part in known] == ["0", "1", "2", "3"]
    assert repr(known["2"]) == "2 Conv2d: 4×6×6; 184 parameters, 6,480 MACs"
    with pytest.raises(AttributeError):
        _ = known["2"].colour
    assert copy.copy(known["2"]).macs == known["2"].macs


def test_a_unit_sees_what_changes_it() -> None:
    """Noise outside of the field leaves the unit as it is; noise at its first and last cells changes it."""
    model, x = net().double(), torch.randn(1, 1, 16, 20, dtype=torch.float64)
    known = anatomy(model, (1, 16, 20))
    field = known["2"].field
    assert (field.size, field.stride) == ((8, 12), (2, 2))
    up_to = model[:3]
    for unit in [(0, 0), (5, 5), (2, 3)]:
        rows, columns = field.at(*unit)
        inside = torch.zeros(16, 20, dtype=torch.bool)
        inside[rows.start : rows.stop, columns.start : columns.stop] = True
        before = up_to(x)[0, :, unit[0], unit[1]]
        outside = torch.where(inside, x, torch.randn_like(x))
        assert torch.equal(up_to(outside)[0, :, unit[0], unit[1]], before)
        for edge in (rows.start, rows.stop - 1):
            changed = x.clone()
            changed[..., edge, columns.start : columns.stop] += 100
            assert not torch.equal(up_to(changed)[0, :, unit[0], unit[1]], before)
    assert field.at(0, 1, 2, 3) == field.at(2, 3)
    assert repr(field) == "a unit sees 8×12 cells, the next 2×2 further"


def test_a_vector_sees_all() -> None:
    known = ca.anatomy("conv3-4 globalavg FC-3", (2, 9, 9))
    (part,) = (one for one in known if one.type == "Linear")
    assert part.field.at(0) == (range(9), range(9))


def test_a_shuffled_map_has_steps_of_half_a_cell() -> None:
    known = anatomy(nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.PixelShuffle(2)), (1, 8, 8))
    assert [str(step) for step in known["1"].field.stride] == ["1/2", "1/2"]


def test_what_has_no_field_says_so() -> None:
    known = anatomy(net(), (1, 16, 20))
    read = Anatomy.from_json(known.to_json())
    assert read["2"].macs == known["2"].macs
    with pytest.raises(ArgumentError, match="read from a file has no fields"):
        _ = read["2"].field
    with pytest.raises(ArgumentError, match=r"no layer is called 'c3'"):
        known["c3"]
    with pytest.raises(ArgumentError, match="no unit"):
        known["2"].field.at(6, 0)


@pytest.mark.parametrize(
    ("name", "parameters"), [("vgg16", 138_357_544), ("resnet18", 11_689_512), ("lenet5", 60_000)]
)
def test_a_classic_by_its_name_is_the_published_one(name: str, parameters: int) -> None:
    known = ca.anatomy(name)
    assert known.parameters == parameters
    if name != "lenet5":
        assert parameters == sum(p.numel() for p in ca.network(name, device="meta").parameters())


def test_a_network_is_measured_on_what_it_was_made_for() -> None:
    assert ca.anatomy(ca.network("conv3-8 FC-10", input_size=(3, 12, 12))).inputs["0"] == (1, 3, 12, 12)
    assert ca.anatomy("input 3x20x20 conv3-8 FC-10").inputs["0"] == (1, 3, 20, 20)
    for without in ("conv3-8 FC-10", nn.Conv2d(1, 1, 3)):
        with pytest.raises(ArgumentError, match="made for no one input: expected input_size"):
            ca.anatomy(without)


def test_a_batch_is_answered_with_the_size_to_give() -> None:
    with pytest.raises(ArgumentError, match=r"try input_size=\(3, 224, 224\), without the batch"):
        ca.anatomy("resnet18", (1, 3, 224, 224))
    with pytest.raises(ArgumentError, match=r"try input_size=\(3, 20, 20\), without the batch"):
        ca.anatomy(nn.Conv2d(3, 1, 3), (1, 3, 20, 20))
    volume = nn.Conv3d(1, 2, 3)
    assert ca.anatomy(volume, (1, 8, 8, 8)).inputs["0"] == (1, 1, 8, 8, 8)


def test_advice_is_at_hand() -> None:
    known = ca.anatomy(nn.MaxPool2d(3), (1, 7, 7))
    assert "do not tile" in known.advice[1].what
