"""ResNet-50 (He et al. 2016), DenseNet-121 (Huang et al. 2017) and a normalizer-free network (Brock 2021)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Placement = Literal["torch", "slim"]


class Bottleneck(nn.Module):
    """1x1, 3x3 with the stride, 1x1, and a shortcut."""

    def __init__(self, inside: int, width: int, stride: int) -> None:
        super().__init__()
        out = 4 * width
        self.conv1 = nn.Conv2d(inside, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None
        if inside != out:
            self.downsample = nn.Sequential(
                nn.Conv2d(inside, out, 1, stride, bias=False), nn.BatchNorm2d(out)
            )
        elif stride > 1:
            self.downsample = nn.MaxPool2d(1, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn3(self.conv3(self.relu(self.bn2(self.conv2(y)))))
        y += x if self.downsample is None else self.downsample(x)
        out: Tensor = self.relu(y)
        return out


class ResNet(nn.Module):
    def __init__(self, repeats: Sequence[int], width: int, classes: int, placement: Placement) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        inside = width
        for i, count in enumerate(repeats):
            strides = [1] * count
            if placement == "torch" and i > 0:
                strides[0] = 2
            if placement == "slim" and i < len(repeats) - 1:
                strides[-1] = 2
            stage = []
            for stride in strides:
                stage.append(Bottleneck(inside, width * 2**i, stride))
                inside = 4 * width * 2**i
            setattr(self, f"layer{i + 1}", nn.Sequential(*stage))
        self.stages = len(repeats)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(inside, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for i in range(self.stages):
            x = getattr(self, f"layer{i + 1}")(x)
        scores: Tensor = self.fc(torch.flatten(self.avgpool(x), 1))
        return scores


def resnet50(
    classes: int = 1000,
    repeats: Sequence[int] = (3, 4, 6, 3),
    width: int = 64,
    placement: Placement = "torch",
) -> nn.Module:
    """25,557,032 parameters; `placement="slim"` strides in the last unit of a stage, not in its first."""
    return ResNet(repeats, width, classes, placement)


class DenseLayer(nn.Module):
    def __init__(self, inside: int, growth: int, width: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inside)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(inside, width * growth, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(width * growth)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(width * growth, growth, 3, padding=1, bias=False)

    def forward(self, maps: list[Tensor]) -> Tensor:
        squeezed = self.conv1(self.relu1(self.norm1(torch.cat(maps, 1))))
        grown: Tensor = self.conv2(self.relu2(self.norm2(squeezed)))
        return grown


class DenseBlock(nn.ModuleDict):
    def forward(self, x: Tensor) -> Tensor:
        maps = [x]
        for layer in self.values():
            maps.append(layer(maps))
        return torch.cat(maps, 1)


class DenseNet(nn.Module):
    def __init__(self, repeats: Sequence[int], growth: int, classes: int) -> None:
        super().__init__()
        inside = 2 * growth
        parts: OrderedDict[str, nn.Module] = OrderedDict(
            conv0=nn.Conv2d(3, inside, 7, 2, 3, bias=False),
            norm0=nn.BatchNorm2d(inside),
            relu0=nn.ReLU(inplace=True),
            pool0=nn.MaxPool2d(3, 2, 1),
        )
        for i, count in enumerate(repeats, 1):
            block = DenseBlock()
            for j in range(count):
                block[f"denselayer{j + 1}"] = DenseLayer(inside + j * growth, growth, 4)
            parts[f"denseblock{i}"] = block
            inside += count * growth
            if i < len(repeats):
                parts[f"transition{i}"] = transition(inside)
                inside //= 2
        parts["norm5"] = nn.BatchNorm2d(inside)
        self.features = nn.Sequential(parts)
        self.classifier = nn.Linear(inside, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.features(x), inplace=True)
        scores: Tensor = self.classifier(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))
        return scores


def transition(inside: int) -> nn.Module:
    """Halve the maps, then each of them."""
    return nn.Sequential(
        OrderedDict[str, nn.Module](
            norm=nn.BatchNorm2d(inside),
            relu=nn.ReLU(inplace=True),
            conv=nn.Conv2d(inside, inside // 2, 1, bias=False),
            pool=nn.AvgPool2d(2, 2),
        )
    )


def densenet121(classes: int = 1000, repeats: Sequence[int] = (6, 12, 24, 16), growth: int = 32) -> nn.Module:
    """7,978,856 parameters."""
    return DenseNet(repeats, growth, classes)


class StandardizedConv2d(nn.Conv2d):
    """Its weight is standardized in every pass, and the convolution is called as a function."""

    def __init__(self, inside: int, out: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inside, out, kernel, stride, kernel // 2, groups=groups)
        self.gain = nn.Parameter(torch.ones(out, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        var, mean = torch.var_mean(self.weight, (1, 2, 3), keepdim=True)
        scale = torch.rsqrt(torch.clamp(var * self.weight[0].numel(), min=1e-4)) * self.gain
        weight = self.weight * scale - mean * scale
        return F.conv2d(x, weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class NormFree(nn.Module):
    """A residual block without normalization: activation first, a scaled branch, squeeze and excite."""

    def __init__(self, inside: int, out: int, stride: int, group: int) -> None:
        super().__init__()
        width = out // 2
        self.conv1 = StandardizedConv2d(inside, width, 1)
        self.conv2 = StandardizedConv2d(width, width, 3, stride, width // group)
        self.conv3 = StandardizedConv2d(width, out, 1)
        self.fc1, self.fc2 = nn.Conv2d(out, out // 2, 1), nn.Conv2d(out // 2, out, 1)
        self.gain = nn.Parameter(torch.zeros(()))
        self.shortcut = StandardizedConv2d(inside, out, 1) if inside != out or stride > 1 else None
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        y = F.gelu(x) * 1.7015
        if self.shortcut is not None:
            x = self.shortcut(F.avg_pool2d(y, 2, self.stride, ceil_mode=True) if self.stride > 1 else y)
        y = self.conv2(F.gelu(self.conv1(y)))
        y = self.conv3(F.gelu(y))
        y = y * torch.sigmoid(self.fc2(F.relu(self.fc1(y.mean((2, 3), keepdim=True))))) * 2
        out: Tensor = x + 0.2 * self.gain * y
        return out


def nfnet(classes: int = 1000, widths: Sequence[int] = (64, 128, 256), group: int = 32) -> nn.Module:
    """A small network of NFNet's blocks: every convolution a function, no module of torch's runs."""
    layers: list[nn.Module] = [StandardizedConv2d(3, 64, 3, 2)]
    inside = 64
    for i, out in enumerate(widths):
        for j in range(2):
            layers.append(NormFree(inside, out, 2 if j == 0 and i > 0 else 1, group))
            inside = out
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inside, classes))
