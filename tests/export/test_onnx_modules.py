"""Every other kind of module as standard ONNX operators, against onnxruntime."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from export.test_onnx_reducers import run
from support import random
from torch import Tensor
from torch.nn import Module

import cnnatomy
import cnnatomy.nn
from cnnatomy.errors import ArgumentError
from cnnatomy.export import onnx
from cnnatomy.geometry.kernels import METHODS
from cnnatomy.ops.padding import OPTIONS
from cnnatomy.reducers import Mean

pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")

nn: Any = cnnatomy.nn
Case = tuple[str, Callable[[], Module]]


class Function(Module):
    """A function of one tensor."""

    def __init__(self, function: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Any:
        return self.function(x)


class Unpooled(Module):
    """Pooled, and put back to where the winners were."""

    def __init__(self, pool: Module, back: Module) -> None:
        super().__init__()
        self.pool, self.back = pool, back

    def forward(self, x: Tensor) -> Tensor:
        y, indices = self.pool(x)
        out: Tensor = self.back(y, indices, x.shape[2:])
        return out


CONVOLUTIONS: list[Case] = [
    *(
        (f"conv {rule}", lambda rule=rule: nn.Conv2d(3, 4, 3, 2, rule))
        for rule in ("same", "keep", "full", "valid", "causal")
    ),
    *(
        (f"conv {mode}", lambda mode=mode: nn.Conv2d(3, 4, 3, 1, ((1, 0), 2), padding_mode=mode))
        for mode in ("zeros", "reflect", "replicate", "circular", "symmetric")
    ),
    ("connected", lambda: nn.ConnectedConv2d([[1, 0, 1], [0, 1, 1], [1, 1, 1]], 3)),
    ("depthwise", lambda: nn.DepthwiseConv2d(3, 3, padding="same")),
    ("separable", lambda: nn.SeparableConv2d(3, 5, 3)),
    ("transposed same", lambda: nn.ConvTranspose2d(3, 2, 3, 2, "same")),
    ("transposed keep", lambda: nn.ConvTranspose2d(3, 2, 4, 2, "keep")),
    ("transposed pairs", lambda: nn.ConvTranspose2d(3, 2, 3, 2, ((1, 0), (0, 2)))),
]
OTHERS: list[Case] = [
    ("subpixel", lambda: nn.SubpixelConv2d(3, 2, 3, 2)),
    ("resize and convolve", lambda: nn.ResizeConv2d(3, 2, 3, 2)),
    ("response norm", lambda: nn.LocalResponseNorm(3, 0.5, 0.75, 2.0)),
    ("unpool", lambda: Unpooled(nn.Pool2d("max", 2, return_indices=True), nn.Unpool2d())),
    ("unpool overlapping", lambda: Unpooled(nn.Pool2d("min", 3, 1, 1, return_indices=True), nn.Unpool2d())),
    ("unpool torch's", lambda: Unpooled(nn.MaxPool2d(2, return_indices=True), nn.MaxUnpool2d(2))),
    ("mean unpool", lambda: nn.MeanUnpool2d(3, 1)),
    ("mean unpool overlapping", lambda: nn.MeanUnpool2d((2, 3), 1, normalize=True)),
    ("importance", lambda: nn.LIPool2d(3)),
    ("subsample", lambda: nn.Subsample2d(3)),
    ("widely padded mean", lambda: nn.Pool2d(Mean(count_include_pad=True), 3, 2, (3, 2))),
    ("bordered pool", lambda: nn.Pool2d("mean", 3, 1, 1, padding_mode="reflect")),
    ("max pool", lambda: nn.MaxPool2d(3, 2, 1, ceil_mode=True)),
    ("average pool", lambda: nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False)),
    ("power pool", lambda: nn.LPPool2d(2, 2)),
    ("nails", lambda: nn.BedOfNails2d(3)),
]
PADDINGS: list[Case] = [
    (f"pad {mode}", partial(nn.Pad2d, ((2, 1), (0, 3)), mode)) for mode in OPTIONS if mode != "empty"
]
RESAMPLED: list[Case] = [
    *(
        (
            f"{method} {options}",
            lambda method=method, options=options: nn.Resample2d(method=method, **options),
        )
        for method in METHODS
        for options in ({"size": (14, 24)}, {"scale": 2}, {"size": (5, 7)}, {"scale": 0.6})
        if method != "nails"
    ),
    *(
        (
            f"{method} {options}",
            lambda method=method, options=options: nn.Resample2d((13, 5), None, method, **options),
        )
        for method in ("linear", "cubic", "lanczos3")
        for options in ({"antialias": True}, {"coordinates": "corners"}, {"coordinates": "asymmetric"})
    ),
    *(
        (f"upsample {mode}", lambda mode=mode: nn.Upsample(None, 2, mode))
        for mode in ("nearest", "bilinear", "bicubic")
    ),
]


def differing(cases: list[Case], path: Path) -> list[str]:
    torch.manual_seed(0)
    made = nn.ModuleList(make() for _, make in cases).eval()
    net: Any = Function(lambda x: [module(x) for module in made])
    net.made = made
    onnx(net, path, random((2, 3, 7, 8)), dynamic_shapes=())
    x = random((2, 3, 7, 8), seed=5)
    with torch.no_grad():
        truth = net(x)
    pairs = zip(cases, run(path, (x,)), truth, strict=True)
    return [
        f"{name}: {tuple(ours.shape)} for {tuple(theirs.shape)}"
        for (name, _), ours, theirs in pairs
        if ours.shape != theirs.shape or not torch.allclose(ours, theirs, rtol=1e-4, atol=1e-4)
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    "cases", [CONVOLUTIONS, OTHERS, PADDINGS, RESAMPLED], ids=["convolve", "other", "pad", "resample"]
)
def test_modules_run_elsewhere_to_1e_4(cases: list[Case], tmp_path: Path) -> None:
    assert differing(cases, tmp_path / "net.onnx") == []


@pytest.mark.slow
def test_sizes_may_be_open_where_torch_has_the_operator(tmp_path: Path) -> None:
    net = nn.Sequential(
        nn.Pool2d("max", 3, 2, 1),
        nn.Pool2d("mean", 2),
        nn.Resample2d(scale_factor=2),
        nn.GlobalPool2d("mean"),
    )
    sizes = {2: torch.export.Dim("height", min=8, max=64), 3: torch.export.Dim("width", min=8, max=64)}
    onnx(net, tmp_path / "net.onnx", random((2, 3, 16, 20)), dynamic_shapes=(sizes,))
    x = random((2, 3, 24, 33))
    torch.testing.assert_close(run(tmp_path / "net.onnx", (x,))[0], net(x), rtol=1e-4, atol=1e-4)
    with pytest.raises(cnnatomy.errors.ArgumentError, match="open sizes"):
        onnx(nn.Pool2d("median", 3), tmp_path / "no.onnx", random((2, 3, 16, 20)), dynamic_shapes=(sizes,))
    assert not (tmp_path / "no.onnx").exists()


def test_a_graph_that_the_runtime_refuses_is_told_and_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = pytest.importorskip("onnxruntime")

    def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError("no kernel")

    monkeypatch.setattr(runtime, "InferenceSession", refuse)
    with pytest.raises(ArgumentError, match="onnxruntime refuses the graph"):
        onnx(torch.nn.ReLU(), tmp_path / "net.onnx", random((2, 3, 8, 8)))
    assert not list(tmp_path.iterdir())


def test_zeros_around_a_pooling_are_values_to_every_runtime(tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    net = torch.nn.Sequential(torch.nn.ZeroPad2d(3), torch.nn.MaxPool2d(2))
    onnx(net, tmp_path / "net.onnx", random((2, 3, 8, 8)).abs())
    session = runtime.InferenceSession(tmp_path / "net.onnx", providers=["CPUExecutionProvider"])
    x = -random((2, 3, 8, 8)).abs()
    (y,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    assert torch.equal(torch.from_numpy(y), net(x))
