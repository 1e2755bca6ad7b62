"""MobileNet (Howard et al. 2017), MobileNetV2 (Sandler et al. 2018), EfficientNet-B0 (Tan and Le 2019)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

Activation = Callable[..., nn.Module]


def unit(
    inside: int,
    out: int,
    kernel: int = 1,
    stride: int = 1,
    groups: int = 1,
    act: Activation | None = nn.ReLU6,
) -> nn.Sequential:
    """Convolution, normalization, activation."""
    conv = nn.Conv2d(inside, out, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out), *([act(inplace=True)] if act else []))


class Headed(nn.Module):
    """Features, the mean of every map, a classifier."""

    def __init__(self, features: nn.Module, width: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.features = features
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(nn.Dropout(dropout, inplace=True), nn.Linear(width, classes))

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))
        return scores


def mobilenet_v1(classes: int = 1000, width: float = 1.0) -> nn.Module:
    """4,231,976 parameters."""
    plan = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]
    inside = int(32 * width)
    layers = [unit(3, inside, 3, 2, act=nn.ReLU)]
    for maps, stride in plan:
        out = int(maps * width)
        layers += [unit(inside, inside, 3, stride, inside, nn.ReLU), unit(inside, out, act=nn.ReLU)]
        inside = out
    return Headed(nn.Sequential(*layers), inside, classes, 0.001)


class InvertedResidual(nn.Module):
    def __init__(self, inside: int, out: int, stride: int, expand: int) -> None:
        super().__init__()
        width = inside * expand
        layers = [unit(inside, width)] if expand != 1 else []
        project = unit(width, out, act=None)
        self.conv = nn.Sequential(*layers, unit(width, width, 3, stride, width), *project)
        self.skips = stride == 1 and inside == out

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return x + y if self.skips else y


def mobilenet_v2(classes: int = 1000) -> nn.Module:
    """3,504,872 parameters."""
    plan = (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    )
    layers: list[nn.Module] = [unit(3, 32, 3, 2)]
    inside = 32
    for expand, out, count, stride in plan:
        for i in range(count):
            layers.append(InvertedResidual(inside, out, stride if i == 0 else 1, expand))
            inside = out
    return Headed(nn.Sequential(*layers, unit(inside, 1280)), 1280, classes, 0.2)


class SqueezeExcitation(nn.Module):
    def __init__(self, maps: int, squeezed: int) -> None:
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1, self.fc2 = nn.Conv2d(maps, squeezed, 1), nn.Conv2d(squeezed, maps, 1)
        self.activation, self.scale_activation = nn.SiLU(inplace=True), nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        scale: Tensor = self.scale_activation(self.fc2(self.activation(self.fc1(self.avgpool(x)))))
        return scale * x


class MBConv(nn.Module):
    def __init__(self, inside: int, out: int, kernel: int, stride: int, expand: int) -> None:
        super().__init__()
        width = inside * expand
        layers: list[nn.Module] = [unit(inside, width, act=nn.SiLU)] if expand != 1 else []
        layers.append(unit(width, width, kernel, stride, width, nn.SiLU))
        layers += [SqueezeExcitation(width, max(1, inside // 4)), unit(width, out, act=None)]
        self.block = nn.Sequential(*layers)
        self.skips = stride == 1 and inside == out

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.block(x)
        return x + y if self.skips else y


def efficientnet_b0(classes: int = 1000) -> nn.Module:
    """5,288,548 parameters."""
    plan = ((1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3), (6, 5, 1, 112, 3))
    stages: list[nn.Module] = [unit(3, 32, 3, 2, act=nn.SiLU)]
    inside = 32
    for expand, kernel, stride, out, count in (*plan, (6, 5, 2, 192, 4), (6, 3, 1, 320, 1)):
        stage = []
        for i in range(count):
            stage.append(MBConv(inside, out, kernel, stride if i == 0 else 1, expand))
            inside = out
        stages.append(nn.Sequential(*stage))
    return Headed(nn.Sequential(*stages, unit(inside, 1280, act=nn.SiLU)), 1280, classes, 0.2)
