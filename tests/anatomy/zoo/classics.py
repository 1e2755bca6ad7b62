"""AlexNet (Krizhevsky 2014, one column) and VGG-16 (Simonyan and Zisserman 2015, configuration D)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Plain(nn.Module):
    """Features, a pool to a fixed size, a classifier."""

    def __init__(self, features: nn.Module, pool: int, classifier: nn.Module) -> None:
        super().__init__()
        self.features = features
        self.avgpool = nn.AdaptiveAvgPool2d(pool)
        self.classifier = classifier

    def forward(self, x: Tensor) -> Tensor:
        pooled: Tensor = self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))
        return pooled


def alexnet(classes: int = 1000) -> nn.Module:
    """61,100,840 parameters."""
    layers: list[nn.Module] = []
    plan = (
        (3, 64, 11, 4, 2),
        (64, 192, 5, 1, 2),
        (192, 384, 3, 1, 1),
        (384, 256, 3, 1, 1),
        (256, 256, 3, 1, 1),
    )
    for i, (inside, out, kernel, stride, padding) in enumerate(plan):
        layers += [nn.Conv2d(inside, out, kernel, stride, padding), nn.ReLU(inplace=True)]
        if i in (0, 1, 4):
            layers.append(nn.MaxPool2d(3, 2))
    head = [nn.Dropout(), nn.Linear(256 * 36, 4096), nn.ReLU(inplace=True)]
    head += [nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU(inplace=True), nn.Linear(4096, classes)]
    return Plain(nn.Sequential(*layers), 6, nn.Sequential(*head))


def vgg16(classes: int = 1000, repeats: Sequence[int] = (2, 2, 3, 3, 3), width: int = 64) -> nn.Module:
    """138,357,544 parameters."""
    layers: list[nn.Module] = []
    inside = 3
    for i, count in enumerate(repeats):
        out = width * min(2**i, 8)
        for _ in range(count):
            layers += [nn.Conv2d(inside, out, 3, padding=1), nn.ReLU(inplace=True)]
            inside = out
        layers.append(nn.MaxPool2d(2, 2))
    hidden = 64 * width
    head = [nn.Linear(inside * 49, hidden), nn.ReLU(True), nn.Dropout()]
    head += [nn.Linear(hidden, hidden), nn.ReLU(True), nn.Dropout(), nn.Linear(hidden, classes)]
    return Plain(nn.Sequential(*layers), 7, nn.Sequential(*head))
