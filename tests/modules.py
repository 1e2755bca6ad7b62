"""One example of every module and function of the package, with what it is called on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from support import random
from torch import Tensor

import cnnatomy as ca
from cnnatomy.geometry.kernels import METHODS
from cnnatomy.ops.padding import OPTIONS
from cnnatomy.reducers import REGISTRY, GeM, LogSumExp, Mixed, Reducer, Soft, reducer
from cnnatomy.regions import Adaptive, Boxes, Fractional, Pyramid, Sliding, Whole

nn: Any = ca.nn
"""Untyped: names are looked up, and some are torch's to a type checker."""
SHAPES = {1: (2, 4, 9), 2: (2, 4, 8, 6), 3: (2, 4, 5, 6, 7)}
BOXES = [(0, 0, 0, 2, 3), (1, 1, 1, 3, 3), (0, 3, 1, 9, 9)]
TABLE = [[1, 0, 1], [0, 1, 1], [1, 1, 0], [1, 0, 0]]


def x(rank: int = 2, **options: Any) -> Tensor:
    """Maps of so many axes, (2, 4, *spatial)."""
    return random(SHAPES[rank], **options)


def learned() -> list[Reducer]:
    """Every pooling that learns, with one value and with one for each of three channels."""
    return [kind(learned=count) for kind in (GeM, LogSumExp, Mixed, Soft) for count in (1, 3)]


def found(rank: int) -> tuple[Tensor, Tensor]:
    """Values, and where in maps of twice the size a pooling found them."""
    wide = random((2, 4, *(2 * n for n in SHAPES[rank][2:])))
    y, indices = ca.pool(wide, "max", Sliding(2), rank=rank, return_indices=True)
    return y, indices


_RANKED: dict[str, Callable[[Any, int], Any]] = {
    "AdaptiveAvgPool": lambda make, rank: make(3),
    "AdaptiveMaxPool": lambda make, rank: make(3),
    "AdaptivePool": lambda make, rank: make("soft", 3),
    "AvgPool": lambda make, rank: make(2),
    "BedOfNails": lambda make, rank: make(2),
    "BlurPool": lambda make, rank: make(),
    "Conv": lambda make, rank: make(4, 3, 3, 2, "same"),
    "ConvTranspose": lambda make, rank: make(4, 3, 3, 2, "same"),
    "DepthwiseConv": lambda make, rank: make(4, 3, 2, 2, "same"),
    "FixedFilter": lambda make, rank: make("binomial"),
    "FractionalPool": lambda make, rank: make("max", 0.6, seed=0),
    "GlobalPool": lambda make, rank: make("mean"),
    "LPPool": lambda make, rank: make(2, 2),
    "MaxBlurPool": lambda make, rank: make(),
    "MaxPool": lambda make, rank: make(3, 2, 1),
    "MaxUnpool": lambda make, rank: make(2),
    "MeanUnpool": lambda make, rank: make(2),
    "Pad": lambda make, rank: make(1, "reflect"),
    "PointwiseConv": lambda make, rank: make(4, 3),
    "Pool": lambda make, rank: make(GeM(learned=4), 2),
    "PyramidPool": lambda make, rank: make(Mixed(learned=1), (1, 2)),
    "Resample": lambda make, rank: make(scale_factor=2),
    "ResizeConv": lambda make, rank: make(4, 3, 3, 2),
    "RoIPool": lambda make, rank: make("max", 2),
    "SeparableConv": lambda make, rank: make(4, 3, 3, 1, "same"),
    "StridedConvPool": lambda make, rank: make(4),
    "SubpixelConv": lambda make, rank: make(4, 2, 3, 2),
    "Unpool": lambda make, rank: make(Sliding(2)),
}
"""How modules of one to three axes are made."""


def modules() -> dict[str, Callable[[], Any]]:
    """How one module of each class is made, by its name."""
    makes: dict[str, Callable[[], Any]] = {
        f"{name}{rank}d": partial(make, getattr(nn, f"{name}{rank}d"), rank)
        for name, make in _RANKED.items()
        for rank in (1, 2, 3)
    }
    makes |= {
        "ConnectedConv2d": lambda: nn.ConnectedConv2d(TABLE, 3),
        "LIPool2d": lambda: nn.LIPool2d(4),
        "LocalResponseNorm": nn.LocalResponseNorm.alexnet,
        "RBF": lambda: nn.RBF(torch.eye(3, 4)),
        "SoftGate": nn.SoftGate,
        "Subsample2d": lambda: nn.Subsample2d(4),
        "Upsample": lambda: nn.Upsample(scale_factor=2, mode="bilinear"),
        "Conv2d(connections)": lambda: nn.Conv2d(4, 3, 3, connections=TABLE),
        "ConvTranspose2d(connections)": lambda: nn.ConvTranspose2d(4, 3, 3, connections=TABLE),
        "Pool2d(soft)": lambda: nn.Pool2d(Soft(learned=1), 2),
        "Pool2d(logsumexp)": lambda: nn.Pool2d(LogSumExp(learned=4), 2),
        "Pool2d(mixed)": lambda: nn.Pool2d(Mixed(learned=4), 2),
    }
    return makes


def given(name: str) -> tuple[Any, ...]:
    """What the module of a name is called on."""
    kind = name.partition("(")[0]
    rank = int(kind[-2]) if kind[-2:] in ("1d", "2d", "3d") else 2
    if kind == "RBF":
        return (random((3, 4)),)
    if kind.startswith("RoIPool"):
        ends = [float(n - 1) for n in reversed(SHAPES[rank][2:])]
        return x(rank), torch.tensor([[0.0] * (1 + rank) + ends, [1.0] * (1 + rank) + ends])
    wide = tuple(2 * n for n in SHAPES[rank][2:])
    if "Unpool" in kind:
        return (*found(rank)[: 1 if kind.startswith("Mean") else 2], wide)
    return (x(rank).abs() if kind.startswith(("Pool", "LP")) else x(rank),)


def _there_and_back(x: Tensor) -> Tensor:
    y, indices = ca.pool(x, "max", Sliding(2), return_indices=True)
    return ca.unpool(y, indices, (x.shape[2], x.shape[3]), region=Sliding(2))


def _with_companions(what: Reducer, x: Tensor) -> Any:
    options: dict[str, Any] = dict.fromkeys(what.companions, x)
    return ca.pool(x, what, Sliding(3, 2, 1), **options)


def of_maps(function: Callable[..., Any], *rest: Any, **options: Any) -> Callable[[Tensor], Any]:
    """A function as one of its first argument alone."""
    return lambda x: function(x, *rest, **options)


def functions() -> dict[str, Callable[[Tensor], Any]]:
    """Every function as one of maps (N, 4, H, W) with even sizes, by its name and what is asked of it."""
    calls: dict[str, Callable[[Tensor], Any]] = {}
    for what in (reducer(name) for name in sorted(REGISTRY)):
        calls[f"pool {what.name}"] = partial(_with_companions, what)
    regions = [Sliding(2), Sliding(3, 2, "same"), Adaptive(3), Whole(), Fractional(0.6), Pyramid((1, 2))]
    for region in (*regions, Boxes(BOXES, 2)):
        calls[f"pool over {region}"] = of_maps(ca.pool, "max", region)
    calls["pool with indices"] = lambda x: ca.pool(x, "max", Sliding(2), return_indices=True)
    calls["pool of integers"] = lambda x: ca.pool(x.int(), "mean", Sliding(2))
    for mode in OPTIONS:
        if mode != "empty":
            calls[f"pad {mode}"] = of_maps(ca.pad, ((1, 2), (2, 1)), mode)
            calls[f"pool over {mode}"] = of_maps(ca.pool, "mean", Sliding(3, 2, 1), padding_mode=mode)
    calls["pad odd"] = lambda x: ca.pad(x, 1, "reflect", reflect_type="odd", axes=(2, 3))
    calls["crop"] = lambda x: ca.pad(x, ((-1, 1), (0, -2)))
    for method in METHODS:
        given = {"scale_factor": 2} if method == "nails" else {"scale_factor": 1.5}
        calls[f"resample {method}"] = of_maps(ca.resample, method=method, **given)
    calls["resample to a size"] = lambda x: ca.resample(x, (11, 5), coordinates="corners")
    calls["resample by sizes"] = lambda x: ca.resample(x, (2 * x.shape[2], 2 * x.shape[3]))
    for rule in ("valid", "same", "keep", "full", "causal", 1):
        calls[f"convolve {rule}"] = of_maps(ca.convolve, torch.ones(3, 4, 3, 3), None, 2, rule)
        calls[f"convolve_transposed {rule}"] = of_maps(
            ca.convolve_transposed, torch.ones(4, 3, 3, 3), None, 2, rule
        )
    calls["convolve over a mode"] = lambda x: ca.convolve(
        x, torch.ones(3, 4, 3, 3), None, 2, "same", 1, 1, "edge"
    )
    calls["unpool"] = _there_and_back
    calls["unpool_mean"] = lambda x: ca.unpool_mean(x, Sliding(2), (2 * x.shape[2], 2 * x.shape[3]))
    calls["unpool_mean normalized"] = lambda x: ca.unpool_mean(x, Sliding(3, 1), normalize=True)
    for order in ("crd", "dcr"):
        calls[f"depth_to_space {order}"] = of_maps(nn.depth_to_space, 2, order)
        calls[f"space_to_depth {order}"] = of_maps(nn.space_to_depth, 2, order)
    calls["filter"] = lambda x: ca.filters.apply(x, ca.filters.binomial(3, rank=2), padding="same")
    return calls
