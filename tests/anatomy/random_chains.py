"""Random chains of the commonest operators, in every layout and dtype."""

from __future__ import annotations

import random
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STEPS: dict[str, Callable[[Tensor, int], Tensor]] = {
    "relu": lambda x, k: F.relu(x, inplace=bool(k % 2)),
    "gelu": lambda x, k: F.gelu(x),
    "silu": lambda x, k: F.silu(x, inplace=bool(k % 2)),
    "relu6": lambda x, k: F.relu6(x),
    "adaptive": lambda x, k: F.adaptive_avg_pool2d(x, (5, 7)),
    "squeeze": lambda x, k: x * torch.sigmoid(F.adaptive_avg_pool2d(x, 1)),
    "join": lambda x, k: torch.cat([x, torch.tanh(x)], 1),
    "nearest": lambda x, k: F.interpolate(x, scale_factor=2),
    "bilinear": lambda x, k: F.interpolate(x, size=(9, 8), mode="bilinear"),
    "add": lambda x, k: x + F.hardtanh(x),
    "add_": lambda x, k: x.abs().add_(x),
    "mask": lambda x, k: torch.ones(1, 1, 1, x.shape[-1], dtype=x.dtype) * x,
    "transpose": lambda x, k: x.transpose(2, 3),
    "centre": lambda x, k: x - x.mean((2, 3), keepdim=True),
    "numbers": lambda x, k: (x * 2.0 + 1) / 3 - x**2,
    "softmax": lambda x, k: x.softmax(1),
    "layout": lambda x, k: x.contiguous(memory_format=torch.channels_last) if k % 2 else x.contiguous(),
    "product": lambda x, k: x @ x.transpose(2, 3) @ x,
    "part": lambda x, k: x.chunk(2, 1)[0],
    "pad": lambda x, k: F.pad(x, (1, 0, 2, 1)),
}


class Chain(nn.Module):
    """Some steps one after the other; the same for the same seed."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        draw = random.Random(seed)
        self.channels = draw.choice([1, 2, 4, 6])
        self.dtype = (torch.float32, torch.float64, torch.bfloat16)[seed % 3]
        self.mods, self.plan = nn.ModuleDict(), list[tuple[str, str]]()
        width = self.channels
        for k in range(draw.randint(2, 9)):
            kinds = (*STEPS, *("conv", "transposed", "depthwise") * 2, "bn", "ln", "max", "avg", "dropout")
            kind = draw.choice(kinds)
            self.plan.append((str(k), kind))
            made, width = layer(kind, width, draw)
            if made is not None:
                last = torch.channels_last if draw.random() < 0.3 else torch.preserve_format
                self.mods[str(k)] = made.to(memory_format=last)  # type: ignore[call-overload]
        self.to(self.dtype)
        size = draw.choice([6, 11])
        self.x = torch.randn(2, self.channels, size, 9, dtype=self.dtype)
        if seed % 4 == 1:
            self.x = self.x.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        """Run the steps."""
        for k, kind in self.plan:
            if kind == "ln":
                x = self.mods[k](x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
            else:
                x = self.mods[k](x) if k in self.mods else STEPS[kind](x, int(k))
        return x


def layer(kind: str, width: int, draw: random.Random) -> tuple[nn.Module | None, int]:
    """A random layer of that kind, and the channels after it."""
    out, stride, bias = draw.choice([1, 2, 4, 8]), draw.choice([1, 2]), draw.random() < 0.5
    size = draw.choice([1, 2, 3])
    pad = draw.choice([0, 1]) if size > 1 else 0
    window = {"stride": stride, "padding": pad, "dilation": draw.choice([1, 2])}
    ceil = draw.random() < 0.5
    if kind == "conv":
        return nn.Conv2d(width, out, size, **window, bias=bias), out  # type: ignore[arg-type]
    if kind == "transposed":
        return nn.ConvTranspose2d(width, out, size, **window, bias=bias), out  # type: ignore[arg-type]
    if kind == "depthwise":
        return nn.Conv2d(width, width, size, **window, groups=width), width  # type: ignore[arg-type]
    made: dict[str, Callable[[], nn.Module]] = {
        "bn": lambda: nn.BatchNorm2d(width, affine=bias),
        "ln": lambda: nn.LayerNorm(width, elementwise_affine=bias),
        "max": lambda: nn.MaxPool2d(size + 1, stride, pad, ceil_mode=ceil),
        "avg": lambda: nn.AvgPool2d(size + 1, stride, pad, ceil_mode=ceil),
        "dropout": lambda: nn.Dropout(0.5),
    }
    after = {"join": 2 * width, "part": (width + 1) // 2}.get(kind, width)
    return (made[kind]() if kind in made else None), after
