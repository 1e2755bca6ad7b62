"""Which input cells no output reads: against NaN, and within bounds of memory."""

from __future__ import annotations

import tracemalloc
from unittest import mock

import pytest
import torch
from anatomy.random_nets import by_weight, plain_kernels, random_net
from torch import Tensor, nn
from torch.nn import functional as F

import cnnatomy
from cnnatomy.anatomy import anatomy
from cnnatomy.anatomy.ask.advice import advise
from cnnatomy.anatomy.ask.sizing import sizes
from cnnatomy.anatomy.field import Fields, fields
from cnnatomy.anatomy.record.tracing import trace

pytestmark = pytest.mark.filterwarnings("ignore")  # torch on uneven "same" padding, and on copies it makes


def reaching(net: nn.Module, shape: tuple[int, ...], axis: int) -> list[bool]:
    """Whether NaN in each cell of an axis reaches anything that a network returns."""
    x = torch.rand(shape[axis], *shape[1:])
    for cell in range(shape[axis]):
        x[cell].select(axis - 1, cell).fill_(torch.nan)
    resizing = mock.patch.object(F, "interpolate", by_weight(F.interpolate))
    resampling = mock.patch.object(cnnatomy, "resample", by_weight(cnnatomy.resample))
    with torch.no_grad(), plain_kernels(), resizing, resampling:
        reached: list[bool] = net(x).isnan().flatten(1).any(1).tolist()
    return reached


def test_cells_that_no_output_reads_are_those_whose_nan_reaches_none() -> None:
    cells, missed = 0, 0
    for seed in (0, 2, 3, 7, 9, 12, 13, 14):
        net, shape = random_net(seed, leaves=5)
        told = Fields(trace(net, [torch.zeros(shape)]))
        if any(field.unsure for field in told.returned(0)):
            continue
        for axis in range(2, len(shape)):
            ranges = told.unread("0", axis)
            assert ranges is not None
            gone = {cell for some in ranges for cell in some}
            assert [cell not in gone for cell in range(shape[axis])] == reaching(net, shape, axis), seed
            cells, missed = cells + shape[axis], missed + len(gone)
    assert cells > 100
    assert missed > 5


class Cell(nn.Module):
    """Branches of depthwise windows, joined: as in networks that a search has found (Zoph et al. 2018)."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.entry = nn.Conv2d(channels, width, 1)
        self.paths = nn.ModuleList(
            nn.Sequential(nn.ConstantPad2d((k - 1, k, k - 1, k), 0), nn.Conv2d(width, width, k, groups=width))
            for k in (2, 3, 4, 5)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.entry(x)
        n, m = x.shape[2:]
        return torch.cat([x, *(path(x)[:, :, :n, :m] for path in self.paths)], 1)


def searched(cells: int = 6, width: int = 128) -> nn.Module:
    """Many channels whose units see one of five sets, on a map of odd size."""
    body = [Cell(16 if i == 0 else 5 * width, width) for i in range(cells)]
    return nn.Sequential(nn.Conv2d(3, 16, 3, 2), *body, nn.Conv2d(5 * width, 4, 3, 2, 1))


def test_channels_that_see_the_same_share_one_set() -> None:
    """640 channels of 65 x 65 units with 133 cells each would be 340 MiB for each of six tensors."""
    with torch.device("meta"):
        graph = trace(searched(), [torch.empty(1, 3, 133, 133)])
    told = Fields(graph)
    tracemalloc.start()
    assert told.unread("0", 2) == ()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**24


def test_what_takes_too_much_memory_is_not_determined_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    net = nn.Sequential(nn.ZeroPad2d((1, 1, 1, 1)), nn.Conv2d(3, 2, 2, 2), nn.Upsample(scale_factor=3))
    assert sizes(net, (3, 12, 12), candidates=range(12, 13)).tried[0].determined
    monkeypatch.setattr(fields, "_MOST", 100)
    known = anatomy(net, (3, 12, 12))
    assert known.fields.unread("0", 2) is None
    said = [one for one in advise(known) if one.what.startswith("not determined")]
    assert [one.level for one in said] == ["note"]
    (one,) = sizes(net, (3, 12, 12), candidates=range(12, 13)).tried
    assert (one.determined, one.clean) == (False, False)
    assert "not determined" in one.told
