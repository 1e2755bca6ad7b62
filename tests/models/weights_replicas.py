"""Networks with the names and shapes of transformers' and timm's, in plain torch, and older names."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class ConvNorm(nn.Module):
    """transformers' ResNetConvLayer."""

    def __init__(self, inside: int, out: int, kernel: int = 3, stride: int = 1, active: bool = True) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inside, out, kernel, stride, kernel // 2, bias=False)
        self.normalization = nn.BatchNorm2d(out)
        self.activation = nn.ReLU() if active else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.activation(self.normalization(self.convolution(x)))
        return y


class Shortcut(nn.Module):
    def __init__(self, inside: int, out: int, stride: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inside, out, 1, stride, bias=False)
        self.normalization = nn.BatchNorm2d(out)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.normalization(self.convolution(x))
        return y


class BottleNeck(nn.Module):
    """Registers its shortcut before its layers: in order, its tensors differ from torchvision's."""

    def __init__(self, inside: int, out: int, stride: int) -> None:
        super().__init__()
        width = out // 4
        project = inside != out or stride != 1
        self.shortcut = Shortcut(inside, out, stride) if project else nn.Identity()
        self.layer = nn.Sequential(
            ConvNorm(inside, width, 1), ConvNorm(width, width, 3, stride), ConvNorm(width, out, 1, 1, False)
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.layer(x) + self.shortcut(x))


def _tree(**parts: nn.Module) -> nn.Module:
    holder = nn.Module()
    for name, part in parts.items():
        holder.add_module(name, part)
    return holder


class TransformersResNet(nn.Module):
    """ResNetForImageClassification with bottlenecks."""

    def __init__(self, repeats: Sequence[int] = (3, 4, 6, 3), width: int = 64, classes: int = 1000) -> None:
        super().__init__()
        stages, inside = [], width
        for i, count in enumerate(repeats):
            out = 4 * width * 2**i
            blocks = [
                BottleNeck(inside if j == 0 else out, out, 2 if i and j == 0 else 1) for j in range(count)
            ]
            stages.append(_tree(layers=nn.Sequential(*blocks)))
            inside = out
        embedder = _tree(embedder=ConvNorm(3, width, 7, 2))
        self.resnet = _tree(embedder=embedder, encoder=_tree(stages=nn.ModuleList(stages)))
        self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(inside, classes))

    def forward(self, x: Tensor) -> Tensor:
        x = self.resnet.get_submodule("embedder.embedder")(x)
        x = nn.functional.max_pool2d(x, 3, 2, 1)
        for stage in self.resnet.get_submodule("encoder.stages").children():
            x = stage.get_submodule("layers")(x)
        y: Tensor = self.classifier(nn.functional.adaptive_avg_pool2d(x, 1))
        return y


class TimmVGG(nn.Module):
    """timm's VGG: the classifier's first two layers are convolutions."""

    def __init__(
        self, repeats: Sequence[int] = (2, 2, 3, 3, 3), width: int = 64, classes: int = 1000
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inside = 3
        for i, count in enumerate(repeats):
            out = width * min(2**i, 8)
            for _ in range(count):
                layers += [nn.Conv2d(inside, out, 3, padding=1), nn.ReLU(inplace=True)]
                inside = out
            layers.append(nn.MaxPool2d(2, 2))
        self.features = nn.Sequential(*layers)
        hidden = 64 * width
        self.pre_logits = _tree(fc1=nn.Conv2d(inside, hidden, 7), fc2=nn.Conv2d(hidden, hidden, 1))
        self.head = _tree(fc=nn.Linear(hidden, classes))

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x)
        for name in ("fc1", "fc2"):
            x = torch.relu(self.pre_logits.get_submodule(name)(x))
        y: Tensor = self.head.get_submodule("fc")(x.mean((2, 3)))
        return y


def as_before(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A DenseNet's state dict with the names that torchvision's published files still have."""
    return {
        re.sub(r"(\.denselayer\d+\.(?:norm|conv))(\d)\.", r"\1.\2.", name): tensor
        for name, tensor in state.items()
    }


def shaken(model: nn.Module, seed: int = 0) -> nn.Module:
    """Random values everywhere, statistics of batch norms too, in evaluation mode."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in model.state_dict().items():
        if name.endswith("running_var"):
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
        elif tensor.is_floating_point():
            fan = max(1, tensor[0].numel() if tensor.dim() > 1 else 4)
            tensor.copy_(torch.randn(tensor.shape, generator=generator) / fan**0.5)
    return model.eval()
