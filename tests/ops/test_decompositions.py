"""Modules of torch.nn's names through torch's own exporter and `torch.jit.script`, without help."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from support import random

import cnnatomy.nn as nn
from cnnatomy.errors import ArgumentError

X = random((2, 4, 8, 6))
MODULES: dict[str, Any] = {
    "max": lambda: nn.MaxPool2d(3, 2, 1),
    "mean": lambda: nn.AvgPool2d(3, 2, 1),
    "mean, no padding counted": lambda: nn.AvgPool2d(3, 2, 1, count_include_pad=False),
    "grid of one": lambda: nn.AdaptiveAvgPool2d(1),
    "grid": lambda: nn.AdaptiveAvgPool2d((4, 3)),
    "grid of largest": lambda: nn.AdaptiveMaxPool2d((2, 3)),
    "power": lambda: nn.LPPool2d(2, 2),
    "upsample": lambda: nn.Upsample(scale_factor=2, mode="bilinear"),
    "upsample to a size": lambda: nn.Upsample(size=(12, 9), mode="bilinear", align_corners=True),
    "convolution": lambda: nn.Conv2d(4, 3, 3, padding=1),
    "transposed": lambda: nn.ConvTranspose2d(4, 3, 3, stride=2),
}


@pytest.mark.costly(2)
@pytest.mark.parametrize("name", MODULES)
def test_torchs_exporter_finds_what_it_needs(name: str) -> None:
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    module = MODULES[name]().eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter, about itself
        made: Any = torch.onnx.export(module, (X,), dynamo=True, verbose=False)
    session = runtime.InferenceSession(
        made.model_proto.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (found,) = session.run(None, {session.get_inputs()[0].name: X.numpy()})
    torch.testing.assert_close(torch.as_tensor(found), module(X).detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", MODULES)
def test_a_script_holds_torchs_own_module(name: str) -> None:
    module = MODULES[name]().eval()
    scripted: Any = torch.jit.script(module)
    torch.testing.assert_close(scripted(X), module(X))


def test_what_torch_has_not_cannot_be_scripted() -> None:
    for module in (nn.Subsample2d(4), nn.Conv2d(4, 3, 3, 2, "same"), nn.Upsample(2, mode="lanczos3")):
        with pytest.raises(ArgumentError, match=r"torch\.jit\.script knows no"):
            torch.jit.script(module)
