"""A score for every pixel: U-Net (Ronneberger et al. 2015) both ways up, and DeepLab v3 (Chen 2017)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def double(inside: int, out: int) -> nn.Sequential:
    """Two convolutions that keep the size."""
    layers: list[nn.Module] = []
    for width in (inside, out):
        layers += [
            nn.Conv2d(width, out, 3, padding=1, bias=False),
            nn.BatchNorm2d(out),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """Down by max-pooling, up by transposed convolution or bilinear interpolation, joined at every level."""

    def __init__(self, width: int, levels: int, classes: int, bilinear: bool) -> None:
        super().__init__()
        widths = [width * 2**i for i in range(levels + 1)]
        self.bilinear = bilinear
        self.inc = double(3, width)
        self.downs = nn.ModuleList(double(a, b) for a, b in pairwise(widths))
        ups = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.ups = nn.ModuleList(
            nn.Conv2d(a, b, 1) if bilinear else nn.ConvTranspose2d(a, b, 2, 2) for a, b in ups
        )
        self.joins = nn.ModuleList(double(a, b) for a, b in ups)
        self.outc = nn.Conv2d(width, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        skips = [self.inc(x)]
        for down in self.downs:
            skips.append(down(F.max_pool2d(skips[-1], 2)))
        x = skips.pop()
        for up, join in zip(self.ups, self.joins, strict=True):
            skip = skips.pop()
            if self.bilinear:
                x = F.interpolate(up(x), size=skip.shape[2:], mode="bilinear", align_corners=False)
            else:
                x = up(x)
                dy, dx = skip.shape[2] - x.shape[2], skip.shape[3] - x.shape[3]
                x = F.pad(x, (dx // 2, dx - dx // 2, dy // 2, dy - dy // 2))
            x = join(torch.cat([skip, x], 1))
        scores: Tensor = self.outc(x)
        return scores


def unet_transposed(classes: int = 2, width: int = 32, levels: int = 4) -> nn.Module:
    """A U-Net whose way up is transposed convolution, 2 by 2 with stride 2."""
    return UNet(width, levels, classes, bilinear=False)


def unet_bilinear(classes: int = 2, width: int = 32, levels: int = 4) -> nn.Module:
    """A U-Net whose way up is bilinear interpolation to the size of the skipped maps."""
    return UNet(width, levels, classes, bilinear=True)


class Dilated(nn.Module):
    """A residual block of two convolutions."""

    def __init__(self, inside: int, out: int, stride: int, dilation: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, out, 3, stride, dilation, dilation, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, dilation, dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.downsample = nn.Conv2d(inside, out, 1, stride) if inside != out or stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + self.downsample(x))


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling: 1x1, three dilated 3x3, and the mean of the map."""

    def __init__(self, inside: int, out: int, rates: Sequence[int]) -> None:
        super().__init__()
        branches = [nn.Conv2d(inside, out, 1, bias=False)]
        branches += [nn.Conv2d(inside, out, 3, padding=r, dilation=r, bias=False) for r in rates]
        self.convs = nn.ModuleList(nn.Sequential(conv, nn.BatchNorm2d(out), nn.ReLU()) for conv in branches)
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(inside, out, 1, bias=False), nn.ReLU())
        self.project = nn.Conv2d(out * (len(rates) + 2), out, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        found = [conv(x) for conv in self.convs]
        whole = F.interpolate(self.pool(x), size=x.shape[2:], mode="bilinear", align_corners=False)
        y: Tensor = self.project(torch.cat([*found, whole], 1))
        return y


class DeepLab(nn.Module):
    def __init__(self, classes: int, width: int, rates: Sequence[int]) -> None:
        super().__init__()
        stem = [
            nn.Conv2d(3, width, 7, 2, 3, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, 1),
        ]
        blocks = [Dilated(width, width, 1, 1), Dilated(width, 2 * width, 2, 1)]
        blocks += [Dilated(2 * width, 4 * width, 1, 2), Dilated(4 * width, 8 * width, 1, 4)]
        self.backbone = nn.Sequential(*stem, *blocks)
        self.aspp = ASPP(8 * width, 4 * width, rates)
        self.classifier = nn.Conv2d(4 * width, classes, 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        scores = self.classifier(self.aspp(self.backbone(x)))
        return {"out": F.interpolate(scores, size=x.shape[2:], mode="bilinear", align_corners=False)}


def deeplab(classes: int = 21, width: int = 64, rates: Sequence[int] = (12, 24, 36)) -> nn.Module:
    """Output stride 8, multi-rate context, scores at the input's size in a dict, as torchvision's."""
    return DeepLab(classes, width, rates)
