"""Modes are put back as they were, module by module."""

from __future__ import annotations

import pytest
from torch import nn

from cnnatomy.nn.modes import evaluating


def test_a_frozen_layer_stays_frozen() -> None:
    net = nn.Sequential(nn.BatchNorm2d(2), nn.Sequential(nn.BatchNorm2d(2).eval(), nn.Dropout()))
    before = [one.training for one in net.modules()]
    with evaluating(net) as same:
        assert same is net
        assert not any(one.training for one in net.modules())
    with pytest.raises(ZeroDivisionError), evaluating(net):
        raise ZeroDivisionError
    assert [one.training for one in net.modules()] == before
