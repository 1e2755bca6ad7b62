"""ViT-B/16 (Dosovitskiy et al. 2021), Swin-T (Liu et al. 2021) and ConvNeXt-T (Liu et al. 2022)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Permute(nn.Module):
    def __init__(self, *dims: int) -> None:
        super().__init__()
        self.dims = dims

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(self.dims)


class LayerNorm2d(nn.LayerNorm):
    def forward(self, x: Tensor) -> Tensor:
        y = F.layer_norm(x.permute(0, 2, 3, 1), self.normalized_shape, self.weight, self.bias, self.eps)
        return y.permute(0, 3, 1, 2)


def mlp(width: int, hidden: int) -> nn.Sequential:
    """Two linear layers, GELU between them."""
    return nn.Sequential(
        nn.Linear(width, hidden), nn.GELU(), nn.Dropout(0.0), nn.Linear(hidden, width), nn.Dropout(0.0)
    )


class EncoderBlock(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width, eps=1e-6)
        self.self_attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.dropout = nn.Dropout(0.0)
        self.ln_2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = mlp(width, 4 * width)

    def forward(self, x: Tensor) -> Tensor:
        y = self.ln_1(x)
        y, _ = self.self_attention(y, y, y, need_weights=False)
        x = x + self.dropout(y)
        mixed: Tensor = x + self.mlp(self.ln_2(x))
        return mixed


class Encoder(nn.Module):
    def __init__(self, tokens: int, width: int, heads: int, depth: int) -> None:
        super().__init__()
        self.pos_embedding = nn.Parameter(torch.zeros(1, tokens, width))
        self.dropout = nn.Dropout(0.0)
        blocks = {f"encoder_layer_{i}": EncoderBlock(width, heads) for i in range(depth)}
        self.layers = nn.Sequential(OrderedDict[str, nn.Module](blocks))
        self.ln = nn.LayerNorm(width, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.ln(self.layers(self.dropout(x + self.pos_embedding)))
        return y


class VisionTransformer(nn.Module):
    def __init__(self, size: int, patch: int, width: int, heads: int, depth: int, classes: int) -> None:
        super().__init__()
        self.conv_proj = nn.Conv2d(3, width, patch, patch)
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.encoder = Encoder((size // patch) ** 2 + 1, width, heads, depth)
        self.heads = nn.Sequential(OrderedDict[str, nn.Module](head=nn.Linear(width, classes)))

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.conv_proj(x).flatten(2).permute(0, 2, 1)
        tokens = torch.cat([self.class_token.expand(len(x), -1, -1), tokens], 1)
        scores: Tensor = self.heads(self.encoder(tokens)[:, 0])
        return scores


def vit_b_16(
    classes: int = 1000, size: int = 224, patch: int = 16, width: int = 768, heads: int = 12, depth: int = 12
) -> nn.Module:
    """86,567,656 parameters; the input must have the given size."""
    return VisionTransformer(size, patch, width, heads, depth, classes)


class WindowAttention(nn.Module):
    """Attention within windows, which are shifted by half a window in every other block."""

    def __init__(self, width: int, window: int, shift: int, heads: int) -> None:
        super().__init__()
        self.window, self.shift, self.heads = window, shift, heads
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        at = torch.stack(torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")).flatten(1)
        apart = (at[:, :, None] - at[:, None, :]) + window - 1
        self.register_buffer("relative_position_index", (apart[0] * (2 * window - 1) + apart[1]).flatten())

    def forward(self, x: Tensor) -> Tensor:
        batch, rows, columns, width = x.shape
        n = self.window
        x = F.pad(x, (0, 0, 0, -columns % n, 0, -rows % n))
        high, wide = x.shape[1:3]
        shifts = [0 if n >= high else self.shift, 0 if n >= wide else self.shift]
        if any(shifts):
            x = torch.roll(x, (-shifts[0], -shifts[1]), (1, 2))
        count = (high // n) * (wide // n)
        x = x.view(batch, high // n, n, wide // n, n, width).permute(0, 1, 3, 2, 4, 5)
        x = x.reshape(batch * count, n * n, width)
        q, k, v = (
            F.linear(x, self.qkv.weight, self.qkv.bias)  # as torchvision has it
            .reshape(len(x), n * n, 3, self.heads, width // self.heads)
            .permute(2, 0, 3, 1, 4)
        )
        scores = (q * (width // self.heads) ** -0.5).matmul(k.transpose(-2, -1))
        bias = self.relative_position_bias_table[self.relative_position_index].view(n * n, n * n, -1)  # type: ignore[index]
        scores = scores + bias.permute(2, 0, 1)[None]
        if any(shifts):
            scores = self.masked(scores, high, wide, shifts, count)
        x = F.softmax(scores, -1).matmul(v).transpose(1, 2).reshape(len(q), n * n, width)
        x = (
            F.linear(x, self.proj.weight, self.proj.bias)
            .view(batch, high // n, wide // n, n, n, width)
            .permute(0, 1, 3, 2, 4, 5)
        )
        x = x.reshape(batch, high, wide, width)
        if any(shifts):
            x = torch.roll(x, (shifts[0], shifts[1]), (1, 2))
        return x[:, :rows, :columns].contiguous()

    def masked(self, scores: Tensor, high: int, wide: int, shifts: Sequence[int], count: int) -> Tensor:
        """What was brought together by the shift alone does not see each other."""
        n = self.window
        mask = scores.new_zeros((high, wide))
        part = 0
        for rows in ((0, -n), (-n, -shifts[0]), (-shifts[0], None)):
            for columns in ((0, -n), (-n, -shifts[1]), (-shifts[1], None)):
                mask[rows[0] : rows[1], columns[0] : columns[1]] = part
                part += 1
        mask = mask.view(high // n, n, wide // n, n).permute(0, 2, 1, 3).reshape(count, n * n)
        mask = mask[:, None] - mask[:, :, None]
        mask = mask.masked_fill(mask != 0, -100.0).masked_fill(mask == 0, 0.0)
        scores = scores.view(-1, count, self.heads, n * n, n * n) + mask[:, None][None]
        return scores.view(-1, self.heads, n * n, n * n)


class SwinBlock(nn.Module):
    def __init__(self, width: int, window: int, shift: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-5), nn.LayerNorm(width, eps=1e-5)
        self.attn = WindowAttention(width, window, shift, heads)
        self.mlp = mlp(width, 4 * width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        mixed: Tensor = x + self.mlp(self.norm2(x))
        return mixed


class PatchMerging(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.reduction = nn.Linear(4 * width, 2 * width, bias=False)
        self.norm = nn.LayerNorm(4 * width, eps=1e-5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x, (0, 0, 0, x.shape[-2] % 2, 0, x.shape[-3] % 2))
        parts = [x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]]
        merged: Tensor = self.reduction(self.norm(torch.cat(parts, -1)))
        return merged


class Swin(nn.Module):
    def __init__(
        self, width: int, depths: Sequence[int], heads: Sequence[int], window: int, classes: int
    ) -> None:
        super().__init__()
        patches = nn.Conv2d(3, width, 4, 4)
        stages: list[nn.Module] = [nn.Sequential(patches, Permute(0, 2, 3, 1), nn.LayerNorm(width, eps=1e-5))]
        for i, (depth, h) in enumerate(zip(depths, heads, strict=True)):
            if i:
                stages.append(PatchMerging(width))
                width *= 2
            shifts = [0 if j % 2 == 0 else window // 2 for j in range(depth)]
            stages.append(nn.Sequential(*[SwinBlock(width, window, shift, h) for shift in shifts]))
        self.features = nn.Sequential(*stages)
        self.norm = nn.LayerNorm(width, eps=1e-5)
        self.permute, self.avgpool, self.flatten = Permute(0, 3, 1, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(1)
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.permute(self.norm(self.features(x)))
        scores: Tensor = self.head(self.flatten(self.avgpool(x)))
        return scores


def swin_t(
    classes: int = 1000,
    width: int = 96,
    depths: Sequence[int] = (2, 2, 6, 2),
    heads: Sequence[int] = (3, 6, 12, 24),
    window: int = 7,
) -> nn.Module:
    """28,288,354 parameters."""
    return Swin(width, depths, heads, window, classes)


class CNBlock(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv2d(width, width, 7, padding=3, groups=width),
            Permute(0, 2, 3, 1),
            nn.LayerNorm(width, eps=1e-6),
            nn.Linear(width, 4 * width),
            nn.GELU(),
            nn.Linear(4 * width, width),
            Permute(0, 3, 1, 2),
        )
        self.layer_scale = nn.Parameter(torch.full((width, 1, 1), 1e-6))

    def forward(self, x: Tensor) -> Tensor:
        mixed: Tensor = x + self.layer_scale * self.block(x)
        return mixed


class ConvNeXt(nn.Module):
    def __init__(self, widths: Sequence[int], depths: Sequence[int], classes: int) -> None:
        super().__init__()
        stages: list[nn.Module] = [
            nn.Sequential(nn.Conv2d(3, widths[0], 4, 4), LayerNorm2d(widths[0], eps=1e-6))
        ]
        for i, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            if i:
                before = widths[i - 1]
                stages.append(nn.Sequential(LayerNorm2d(before, eps=1e-6), nn.Conv2d(before, width, 2, 2)))
            stages.append(nn.Sequential(*[CNBlock(width) for _ in range(depth)]))
        self.features, self.avgpool = nn.Sequential(*stages), nn.AdaptiveAvgPool2d(1)
        last = widths[-1]
        self.classifier = nn.Sequential(LayerNorm2d(last, eps=1e-6), nn.Flatten(1), nn.Linear(last, classes))

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.classifier(self.avgpool(self.features(x)))
        return scores


def convnext_tiny(
    classes: int = 1000, widths: Sequence[int] = (96, 192, 384, 768), depths: Sequence[int] = (3, 3, 9, 3)
) -> nn.Module:
    """28,589,128 parameters."""
    return ConvNeXt(widths, depths, classes)
