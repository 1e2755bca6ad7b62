"""LeNet-5, layer by layer as the paper publishes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from cnnatomy.errors import ArgumentError
from cnnatomy.models.codes import LENGTH, class_codes
from cnnatomy.models.model_catalog import find
from cnnatomy.models.notated import Network
from cnnatomy.models.size_mismatch import unlike
from cnnatomy.nn.connections import ConnectedConv2d
from cnnatomy.nn.rbf import RBF
from cnnatomy.nn.subsample import Subsample2d
from cnnatomy.notation.connection_tables import TABLE_I
from cnnatomy.notation.modules import ScaledTanh
from cnnatomy.notation.parse import parse

__all__ = ["BACKGROUND", "FOREGROUND", "TABLE_I", "LeNet5"]

BACKGROUND, FOREGROUND = -0.1, 1.175
"""What byte 0 and byte 255 become, so that inputs have mean about 0 and variance about 1 (section II.B)."""


class LeNet5(Network):
    """LeNet-5: convolutions with trainable subsampling between them, a dense layer and RBF units.

    | layer  | output       | parameters |                                                              |
    |--------|--------------|-----------:|--------------------------------------------------------------|
    | input  | 1 x 32 x 32  |            |                                                              |
    | c1     | 6 x 28 x 28  |        156 | convolution 5x5                                              |
    | s2     | 6 x 14 x 14  |         12 | `Subsample2d`                                                |
    | c3     | 16 x 10 x 10 |      1,516 | `ConnectedConv2d` 5x5, table I                               |
    | s4     | 16 x 5 x 5   |         32 | `Subsample2d`                                                |
    | c5     | 120 x 1 x 1  |     48,120 | convolution 5x5                                              |
    | f6     | 84           |     10,164 | dense                                                        |
    | head   | classes      |          0 | `RBF` with fixed codes, or dense before a softmax (85 each)  |

    Every layer up to f6 ends in `ScaledTanh`. With the RBF output the scores are the negated distances and
    the loss is the paper's equation 9; with softmax they are logits and the loss is cross-entropy.

    Source: LeCun, Bottou, Bengio and Haffner (1998), section II.B.

    Args:
        classes: names of the classes; `class_codes` draws the RBF's targets from them.
        output: "rbf" or "softmax".

    Example:
        >>> LeNet5("0123456789")(torch.zeros(2, 1, 32, 32)).shape
        torch.Size([2, 10])
    """

    def __init__(self, classes: Sequence[str], output: str = "rbf") -> None:
        last = f"RBF-{len(classes)}" if output == "rbf" else f"FC-{len(classes)} soft-max"
        super().__init__(parse(find("lenet5").notation.replace("RBF-10", last)), tuple(classes))
        self.input_shape, self.shape, self.output = (1, 32, 32), (len(self.classes),), output
        self.c1 = nn.Conv2d(1, 6, 5)
        self.s2 = Subsample2d(6)
        self.c3 = ConnectedConv2d(TABLE_I, 5)
        self.s4 = Subsample2d(16)
        self.c5 = nn.Conv2d(16, 120, 5)
        self.f6 = nn.Linear(120, LENGTH)
        self.squash = ScaledTanh()
        self.head: nn.Module
        if output == "rbf":
            self.head = RBF(torch.tensor(class_codes(self.classes), dtype=torch.float32))
        else:
            self.head = nn.Linear(LENGTH, len(self.classes))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw weights and biases uniformly within 2.4 / fan-in (appendix A), but subsample by the mean.

        The paper draws the subsampling coefficients too; starting them at the mean measured no worse.
        """
        for layer in (self.c1, self.c5, self.f6, self.head):
            if isinstance(layer, nn.Conv2d | nn.Linear):
                bound = 2.4 / layer.weight[0].numel()
                nn.init.uniform_(layer.weight, -bound, bound)
                if layer.bias is not None:
                    nn.init.uniform_(layer.bias, -bound, bound)
        self.c3.uniform_(2.4 / self.c3.fan_in())

    def _scores(self, x: Tensor) -> Tensor:
        for layer in (self.c1, self.s2, self.c3, self.s4, self.c5):
            x = self.squash(layer(x))
        x = self.squash(self.f6(x.flatten(1)))
        y: Tensor = self.head(x)
        return -y if self.output == "rbf" else y

    def _misfit(self, x: Tensor) -> ArgumentError | None:
        return unlike(x, self, self.input_shape)

    def preprocess(self, images: Tensor) -> Tensor:
        """Scale bytes so that 0 becomes -0.1 and 255 becomes 1.175."""
        return images.to(self.f6.weight.dtype) * ((FOREGROUND - BACKGROUND) / 255) + BACKGROUND

    def levels(self, maps: Tensor) -> Tensor:
        """Undo `preprocess` but for rounding: maps (N, 1, H, W) -> levels from 0 to 255."""
        return ((maps - BACKGROUND) * (255 / (FOREGROUND - BACKGROUND))).clamp(0, 255)

    def adapt(self, images: Tensor) -> None:
        """Take nothing from pictures: the paper says what their bytes become."""

    def facts(self) -> dict[str, Any]:
        """Nothing: preprocessing is the same for all pictures."""
        return {}

    def recall(self, facts: Mapping[str, Any]) -> None:
        """Take back nothing."""
