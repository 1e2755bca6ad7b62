"""What networks share that read pictures standardised: (byte / 255 - mean) / deviation, for each channel."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from cnnatomy import checks
from cnnatomy.errors import ArgumentError
from cnnatomy.models.classifier import Classifier


class Standardised(Classifier):
    """A classifier whose pictures are standardised by `mean` and `std`, tensors of one value a channel.

    Both are in parts of 255, learned from training pictures by `adapt` or brought by weights.
    """

    mean: Tensor
    std: Tensor

    def preprocess(self, images: Tensor) -> Tensor:
        """Bytes as parts of 255, less the mean of each channel, over its deviation."""
        like = self.mean.view(-1, *(1,) * (images.dim() - 2))
        return (images.to(self.mean.dtype) / 255 - like) / self.std.view_as(like)

    def adapt(self, images: Tensor) -> None:
        """Take mean and deviation of each channel from uint8 pictures (N, C, *spatial)."""
        count = images.numel() // images.shape[1]
        axes = [0, *range(2, images.dim())]
        total = torch.zeros(images.shape[1], dtype=torch.float64)
        squares = total.clone()
        for part in torch.split(images, 1024):
            share = part.double() / 255
            total += share.sum(axes)
            squares += share.square().sum(axes)
        mean = total / count
        self.standardise(mean.tolist(), (squares / count - mean.square()).clamp_min(0).sqrt().tolist())

    def standardise(self, mean: Sequence[float], std: Sequence[float]) -> None:
        """Set mean and deviation of each channel, in parts of 255; one that has none keeps its scale.

        Raises:
            ArgumentError: they are no finite numbers, or for another number of channels.
        """
        for value in (*mean, *std):
            checks.real("mean and std", value, "finite numbers", math.isfinite)
        if not len(mean) == len(std) == len(self.mean):
            got = f"{len(mean)} and {len(std)}"
            raise ArgumentError("mean and std", expected=f"{len(self.mean)} values each", got=got)
        self.mean.copy_(torch.tensor(mean))
        self.std.copy_(torch.tensor([value if value > 1e-6 else 1.0 for value in std]))

    def facts(self) -> dict[str, Any]:
        """What preprocessing needs beside the weights, as JSON values."""
        return {"mean": self.mean.tolist(), "std": self.std.tolist()}

    def recall(self, facts: Mapping[str, Any]) -> None:
        """Take back what `facts` gave."""
        self.standardise(facts["mean"], facts["std"])

    def levels(self, maps: Tensor) -> Tensor:
        """Undo `preprocess` but for rounding: maps (N, C, H, W) -> levels from 0 to 255."""
        scaled = maps * self.std.view(-1, 1, 1) + self.mean.view(-1, 1, 1)
        return scaled.mul(255).clamp(0, 255)
