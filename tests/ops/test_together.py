"""Every window operator in one network, as compilers, exporters and autocast meet them."""

from __future__ import annotations

import shutil

import pytest
import torch
from support import close, random
from torch import Tensor, nn

import cnnatomy
from cnnatomy import Sliding


class Everything(nn.Module):
    """Pad, convolve, pool, unpool, resample and convolve back."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Parameter(random((4, 3, 3, 3)))
        self.up = nn.Parameter(random((4, 2, 3, 3), seed=1))

    def forward(self, x: Tensor) -> Tensor:
        x = cnnatomy.pad(x, ((1, 2), (2, 1)), "symmetric")
        x = cnnatomy.convolve(x, self.down, stride=2, padding="same", padding_mode="reflect")
        y, indices = cnnatomy.pool(x, "max", Sliding(2), return_indices=True)
        x = cnnatomy.unpool(y, indices, output_size=tuple(x.shape[2:]))
        x = cnnatomy.resample(x, scale_factor=1.5, method="cubic")
        return cnnatomy.convolve_transposed(x, self.up, stride=2)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="Inductor needs a C++ compiler")
def test_inductor_gives_results_and_gradients_of_eager_mode() -> None:
    net, x = Everything(), random((2, 3, 11, 12)).requires_grad_()
    torch._dynamo.reset()
    compiled = torch.compile(net, fullgraph=True)
    y, found = net(x), compiled(x)
    close(found, y, 100)
    pull = random(tuple(y.shape), seed=3)
    wrt = (x, *net.parameters())
    for mine, theirs in zip(
        torch.autograd.grad(found, wrt, pull), torch.autograd.grad(y, wrt, pull), strict=True
    ):
        close(mine, theirs, 1000)


def test_exports_with_a_batch_of_any_size() -> None:
    net = Everything()
    sizes = ({0: torch.export.Dim("batch")},)
    program = torch.export.export(net, (random((2, 3, 11, 12)),), dynamic_shapes=sizes)
    x = random((5, 3, 11, 12), seed=1)
    close(program.module()(x), net(x), 100)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_autocast_casts_convolutions_alone(dtype: torch.dtype) -> None:
    net, x = Everything(), random((2, 3, 11, 12))
    with torch.autocast("cpu", dtype):
        for mode in ("constant", "edge", "reflect", "mean", "linear_ramp"):
            assert cnnatomy.pad(x, ((1, 2), (2, 1)), mode).dtype is torch.float32
        assert cnnatomy.resample(x, scale_factor=2).dtype is torch.float32
        found = net(x)
    assert found.dtype is dtype
    close(found, net(x), 100)
