"""The padding modules: the operator over spatial axes, without a state."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from support import random

from cnnatomy.errors import ArgumentError
from cnnatomy.nn.padding_modules import Pad1d, Pad2d, Pad3d, PadModule
from cnnatomy.ops.padding import pad

MODULES: list[PadModule] = [
    Pad1d(2, "reflect", reflect_type="odd"),
    Pad2d(((1, 2), 3), "mean", stat_length=2),
    Pad3d((1, 0, -1), constant_values=4.0),
]


@pytest.mark.parametrize("module", MODULES, ids=repr)
def test_pads_spatial_axes_with_and_without_a_batch(module: PadModule) -> None:
    x = random((2, 3, 6, 5, 4)[: module.rank + 2])
    y = module(x)
    assert y.shape[:2] == x.shape[:2]
    assert torch.equal(y, pad(x, module.padding, module.mode, **module.options))
    assert torch.equal(module(x[0]), y[0])


@pytest.mark.parametrize("module", MODULES, ids=repr)
def test_has_no_state_and_survives_copies(module: PadModule) -> None:
    x = random((2, 3, 6, 5, 4)[: module.rank + 2])
    assert not module.state_dict()
    for twin in (pickle.loads(pickle.dumps(module)), copy.deepcopy(module)):
        assert repr(twin) == repr(module)
        assert torch.equal(twin(x), module(x))


def test_prints_what_it_does() -> None:
    assert repr(Pad2d((1, 2), "edge")) == "Pad2d(((1, 1), (2, 2)), mode='edge')"


@pytest.mark.parametrize("padding", [(1, 2, 3), (1, 1, 2, 2), ((1, 2),), 1.5, ((1, 2, 3), 1)])
def test_refuses_widths_of_other_axes(padding: object) -> None:
    with pytest.raises(ArgumentError):
        Pad2d(padding)  # type: ignore[arg-type]


def test_refuses_other_ranks() -> None:
    with pytest.raises(ArgumentError, match="does not fit"):
        Pad2d(1)(torch.zeros(3, 3))
