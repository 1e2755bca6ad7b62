"""Random operators on random numbers, in which ties, NaN, infinities and empty windows are forced."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

import cnnatomy as ca
import cnnatomy.nn
from cnnatomy.reducers import REGISTRY, Reducer
from cnnatomy.regions import Region

ours: Any = cnnatomy.nn
REGIONS: Sequence[Region] = (
    ca.Sliding(3, 2, 1),
    ca.Adaptive((3, 2)),
    ca.Sliding((2, 3), (1, 2), "full", 2),
    ca.Whole(),
    ca.Fractional(0.7, seed=3, overlapping=True),
    ca.Boxes([(0, 1, 1, 4, 5), (1, -3, 2, 9, 9), (0, 20, 20, 30, 30)], (2, 2)),
    ca.Pyramid((1, 2)),
    ca.Sliding(2, 2, (2, 1), 1, True),
)
"""The third and the last have windows that hold no cell."""
KINDS = ("normal", "ties", "normal", "nan", "inf", "ties")


@dataclass(frozen=True)
class Case:
    """What is explained, on what; and the operator run apart, as a function of x."""

    what: Any
    x: Tensor
    at: tuple[int, ...]
    run: Callable[[Tensor], Tensor]
    options: Mapping[str, Any] = field(default_factory=dict)
    kind: str = "normal"


def numbers(seed: int, shape: Sequence[int], kind: str, positive: bool = False) -> Tensor:
    """Random numbers in double precision."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(tuple(shape), generator=generator, dtype=torch.float64)
    if kind == "ties":
        x = torch.randint(-2, 3, tuple(shape), generator=generator).double()
    x = x.abs() + 0.25 if positive else x
    if kind in ("nan", "inf"):
        place = torch.randint(0, x.numel(), (2,), generator=generator)
        x.view(-1)[place] = torch.tensor(
            [math.nan, math.nan] if kind == "nan" else [math.inf, -math.inf], dtype=x.dtype
        )
    return x


def variants(name: str) -> list[Reducer]:
    """A pooling of a name, in several settings."""
    kind: Any = REGISTRY[name]
    found: list[Reducer] = [kind()]
    fields = set(kind.__dataclass_fields__)
    found += [kind(learned=1)] if "learned" in fields else []
    found += [kind(normalize=one) for one in ("size", "sum") if name in ("l2", "lp")]
    extra: dict[str, list[Reducer]] = {
        "lp": [ca.Lp(3.0, "mean"), ca.Lp(math.inf)],
        "mixed": [ca.Mixed(0.3, random=True)],
        "kmax": [ca.KMax(3), ca.KMax(2, each=True)],
        "kth": [ca.Kth(2), ca.Kth(2, largest=False)],
        "stochastic": [ca.Stochastic("exp")],
        "mean": [ca.Mean(True), ca.Mean(divisor=2.0)],
        "importance": [ca.Importance("size")],
        "covariance": [ca.Covariance("none"), ca.Covariance("log"), ca.Covariance("top", k=2)],
    }
    return found + extra.get(name, [])


def pooling(name: str, i: int) -> Case:
    """The i-th random case of a pooling."""
    reducers = variants(name)
    region, reducer = REGIONS[i % len(REGIONS)], reducers[(i // len(REGIONS)) % len(reducers)]
    kind = KINDS[(i // 3) % len(KINDS)]
    if reducer.mixes and kind == "inf":
        kind = "normal"
    x = numbers(i, (2, 2, 5, 6), kind, reducer.positive and i % 5 != 0)
    inputs: dict[str, Any] = {
        one: torch.tensor(start, dtype=x.dtype) for one, start in reducer.learns.items()
    }
    inputs |= {one: numbers(i + 1, x.shape, "normal") for one in reducer.companions}
    options = {"region": region, "reducer": reducer, "training": True, "seed": i, **inputs}

    def run(x: Tensor) -> Tensor:
        y: Tensor = ca.pool(x, reducer, region, training=True, seed=i, **inputs)
        return y

    channel = i % (run(x[:, :]).shape[1] if reducer.mixes else 2)
    if run(x).dim() == 2 and reducer.mixes:
        channel = 0
    place = (0,) * (1 if run(x).dim() == 2 else 2)
    return Case(ca.pool, x, (i % 2, channel, *place), run, options, kind)


def filled(module: nn.Module, seed: int) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    module = module.double().eval()
    with torch.no_grad():
        for one in module.parameters():
            one.copy_(torch.randn(one.shape, generator=generator, dtype=torch.float64))
    return module


TABLE = [[1, 0, 1], [0, 1, 1], [1, 1, 0], [0, 0, 1]]
MODES = (
    "constant",
    "edge",
    "reflect",
    "symmetric",
    "wrap",
    "linear_ramp",
    "mean",
    "maximum",
    "minimum",
    "median",
)
OPERATORS: dict[str, Callable[[], Any]] = {
    "torch conv": lambda: nn.Conv2d(4, 3, 3, padding=1),
    "grouped dilated conv": lambda: nn.Conv2d(4, 6, 2, 2, groups=2, dilation=2, padding=2),
    "reflecting conv": lambda: nn.Conv2d(4, 2, 3, padding=2, padding_mode="reflect"),
    "replicating conv": lambda: nn.Conv2d(4, 2, 3, padding=1, padding_mode="replicate", bias=False),
    "wrapping conv": lambda: ours.Conv2d(4, 2, 3, 2, "same", padding_mode="wrap"),
    "conv over means": lambda: ours.Conv2d(4, 2, 3, padding="full", padding_mode="mean"),
    "connected conv": lambda: ours.ConnectedConv2d(TABLE, 3, padding=1),
    "depthwise conv": lambda: ours.DepthwiseConv2d(4, 3, 2),
    "pointwise conv": lambda: ours.PointwiseConv2d(4, 3, stride=2),
    "separable conv": lambda: ours.SeparableConv2d(4, 3, 3, padding="same"),
    "strided conv as pooling": lambda: ours.StridedConvPool2d(4, 2),
    "sub-pixel conv": lambda: ours.SubpixelConv2d(4, 2, 3, 2),
    "resize conv": lambda: ours.ResizeConv2d(4, 2, 3, 2),
    "linear resize conv": lambda: ours.ResizeConv2d(4, 2, 3, 1.5, "linear"),
    "transposed conv": lambda: nn.ConvTranspose2d(4, 4, 3, 2, 1, 1, groups=2),
    "dilated transposed conv": lambda: ours.ConvTranspose2d(4, 3, 3, 2, 1, dilation=3, output_padding=2),
    "transposed conv to a rule": lambda: ours.ConvTranspose2d(4, 3, 3, 2, padding="same"),
    "fixed filter": lambda: ours.FixedFilter2d("sobel"),
    "fixed filter over edges": lambda: ours.FixedFilter2d("binomial", 2, padding_mode="edge"),
    "fixed filter over means": lambda: ours.FixedFilter2d("laplacian", padding_mode="mean"),
    "blur pooling": lambda: ours.BlurPool2d(5),
    "dense": lambda: nn.Linear(7, 3),
    "rbf": lambda: ours.RBF(torch.randn(3, 7, generator=torch.Generator().manual_seed(0))),
    "response norm": lambda: nn.LocalResponseNorm(3, 1.0, 0.75, 2.0),
    "subsampling": lambda: ours.Subsample2d(4),
    "nearest": lambda: nn.Upsample(scale_factor=2),
    "bilinear": lambda: nn.Upsample(size=(9, 5), mode="bilinear"),
    "bicubic corners": lambda: nn.Upsample(scale_factor=1.7, mode="bicubic", align_corners=True),
    "lanczos down": lambda: ours.Resample2d((4, 3), method="lanczos3", antialias=True),
    "area": lambda: ours.Resample2d(scale_factor=0.5, method="area"),
    "gaussian": lambda: ours.Resample2d(scale_factor=1.5, method="gaussian"),
    "nails": lambda: ours.BedOfNails2d((1, 2)),
    "mean unpooling": lambda: ours.MeanUnpool2d(3, 1),
    "normalized mean unpooling": lambda: ours.MeanUnpool2d(2, 1, normalize=True),
    "pixel shuffle": lambda: nn.PixelShuffle(2),
    **{f"pad {mode}": partial(ours.Pad2d, ((2, 1), (3, -1)), mode) for mode in MODES},
    "pad odd reflect": lambda: ours.Pad2d(2, "reflect", reflect_type="odd"),
    "pad constants": lambda: ours.Pad2d(1, "constant", constant_values=3.0),
    "torch reflection": lambda: nn.ReflectionPad2d((1, 2, 0, 3)),
    "torch zeros": lambda: nn.ZeroPad2d(1),
    "pool over edges": lambda: ours.Pool2d("max", 3, 2, 1, padding_mode="edge"),
    "pool over means": lambda: ours.Pool2d("mean", 3, 1, 1, padding_mode="mean"),
    "torch max": lambda: nn.MaxPool2d(3, 2, 1),
    "torch mean": lambda: nn.AvgPool2d(3, 2, 1, count_include_pad=False),
    "torch power": lambda: nn.LPPool2d(2, 2),
    "torch grid": lambda: nn.AdaptiveAvgPool2d((3, 2)),
}

FINITE = ("connected conv", "bilinear", "bicubic corners", "lanczos down", "area", "gaussian")
"""What takes no other numbers."""


def operator(name: str, i: int) -> Case:
    """The i-th random case of an operator."""
    module = filled(OPERATORS[name](), i)
    kind = KINDS[i % len(KINDS)]
    vector = name in ("dense", "rbf")
    rough = name in (
        "conv over means",
        "pool over means",
        "separable conv",
        "resize conv",
        "linear resize conv",
    )
    shape = (2, 7) if vector else (2, 4, 5, 6)
    kind = "normal" if rough or (name in FINITE and kind in ("nan", "inf")) else kind
    x = numbers(i, shape, kind)
    at = (i % 2, 0) if vector else (i % 2, 0, 0, 0)

    def run(x: Tensor) -> Tensor:
        with torch.no_grad():
            y: Tensor = module(x)
        return y

    return Case(module, x, at, run, {}, kind)
