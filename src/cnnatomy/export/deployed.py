"""A trained run as a file that others run: from the bytes of pictures to scores and probabilities."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cnnatomy import checks
from cnnatomy.export.onnx_writer import OPSET, onnx
from cnnatomy.export.program import program
from cnnatomy.export.written import Written
from cnnatomy.models.classifier import Classifier
from cnnatomy.train.run_folder import RunFolder


class Deployed(nn.Module):
    """A network with its preprocessing before it, and behind it its probabilities, or what undoes it.

    Whoever runs it brings pictures to the network's size and hands over their bytes: the arithmetic that
    training did to them is a part of the graph, and cannot be done wrong.

    Shapes: uint8 (N, C, H, W) -> scores (N, K), probabilities (N, K); of an encoder-decoder levels
    (N, C, H, W), from 0 to 255, not rounded. `outputs` has their names.

    Example:
        >>> from cnnatomy.models import build
        >>> pictures = torch.zeros(2, 1, 32, 32, dtype=torch.uint8)
        >>> scores, shares = Deployed(build("lenet5", classes=10))(pictures)
        >>> shares.shape
        torch.Size([2, 10])
    """

    def __init__(self, model: Classifier) -> None:
        super().__init__()
        self.model = model
        self.outputs = ("scores", "probabilities") if model.goal == "classify" else ("levels",)

    def forward(self, pictures: Tensor) -> tuple[Tensor, ...]:
        """Score pictures, or draw them anew."""
        scores = self.model(self.model.preprocess(pictures))
        if self.model.goal == "classify":
            return scores, self.model.probabilities(scores)
        return (self.model.levels(scores),)

    def preprocessing(self, fit: str) -> dict[str, Any]:
        """What the metadata tell: how pictures are brought to size, and what the graph does to their bytes.

        The graph computes (byte / 255 - mean) / std for each channel; both are read off what it makes of 0
        and of 255.
        """
        channels, height, width = self.model.input_shape
        ends = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, *self.model.input_shape)
        with torch.no_grad():
            low, high = self.model.preprocess(ends).double().mean((2, 3))
        std = 1 / (high - low)
        return {
            "size": [height, width],
            "channels": channels,
            "fit": fit,
            "input": "uint8, 0 to 255, channels first; the graph normalizes",
            "mean": (-low * std).tolist(),
            "std": std.tolist(),
        }


def export_run(
    run: Path,
    path: Path,
    *,
    weights: str | None = None,
    opset: int = OPSET,
    module: nn.Module | None = None,
    code: str | None = None,
) -> Written:
    """Write a run's model as ONNX (.onnx) or for torch.export (.pt2), from bytes to probabilities.

    `weights`, `module` and `code` are those of `RunFolder.load_model`.

    Raises:
        ArgumentError: there are no such weights, or the model cannot be exported.
        CheckpointError: there is no such run, or its weights are damaged.
    """
    model, facts = RunFolder(run).load_model(weights, module=module, code=code)
    path = checks.path(path, "the file")
    whole = Deployed(model)
    example = torch.randint(256, (2, *model.input_shape), generator=torch.Generator().manual_seed(0))
    metadata: dict[str, Any] = {
        "preprocessing": whole.preprocessing(facts["fit"]),
        "output_names": whole.outputs,
    }
    if model.goal == "classify":
        metadata["classes"] = model.classes
    bytes_ = example.to(torch.uint8)
    if path.suffix == ".pt2":
        return program(whole, path, bytes_, **metadata)
    return onnx(whole, path, bytes_, opset=opset, input_names=["pictures"], **metadata)
