"""torch's window modules as this package's: the same windows and sizes, with another reducer or method."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

import cnnatomy.nn as ours
from cnnatomy.errors import ArgumentError
from cnnatomy.geometry import per_axis
from cnnatomy.geometry.axis_resampling import known_method
from cnnatomy.nn.pooling_modules import PoolingModule
from cnnatomy.ops.padding import OPTIONS, SYNONYMS, checked_mode
from cnnatomy.reducers import REGISTRY, Reducer, reducer
from cnnatomy.regions import Region

SLIDING: dict[type[nn.Module], int] = {
    **{nn.MaxPool1d: 1, nn.MaxPool2d: 2, nn.MaxPool3d: 3},
    **{nn.AvgPool1d: 1, nn.AvgPool2d: 2, nn.AvgPool3d: 3},
    **{nn.LPPool1d: 1, nn.LPPool2d: 2, nn.LPPool3d: 3},
}
ADAPTIVE: dict[type[nn.Module], int] = {
    **{nn.AdaptiveMaxPool1d: 1, nn.AdaptiveMaxPool2d: 2, nn.AdaptiveMaxPool3d: 3},
    **{nn.AdaptiveAvgPool1d: 1, nn.AdaptiveAvgPool2d: 2, nn.AdaptiveAvgPool3d: 3},
}
CONVOLUTIONS: dict[type[nn.Module], Any] = {
    nn.Conv1d: ours.Conv1d,
    nn.Conv2d: ours.Conv2d,
    nn.Conv3d: ours.Conv3d,
}
_POOLS: tuple[Any, ...] = (None, ours.Pool1d, ours.Pool2d, ours.Pool3d)
_GRIDS: tuple[Any, ...] = (None, ours.AdaptivePool1d, ours.AdaptivePool2d, ours.AdaptivePool3d)

Target = str | Reducer | Callable[[nn.Module], nn.Module]


def replacement(module: nn.Module, target: Target) -> nn.Module:
    """The module that stands for another: pooling by a reducer, resizing by a method, padding in a mode.

    Raises:
        ArgumentError: the target means nothing for this module.

    Example:
        >>> replacement(nn.MaxPool2d(3, 2, 1, ceil_mode=True), "soft")
        Pool2d(Soft(temperature=1.0, learned=0), Sliding(kernel_size=(3, 3), stride=(2, 2), padding=(1, 1), \
dilation=(1, 1), ceil_mode=True))
        >>> replacement(nn.Upsample(scale_factor=2), "lanczos3")
        Upsample(scale_factor=2.0, mode='lanczos3')
    """
    if not isinstance(target, str | Reducer) and callable(target):
        made = target(module)
        if not isinstance(made, nn.Module):
            raise ArgumentError("a factory gives no module", expected="an nn.Module", got=type(made).__name__)
        return made
    base = pooling_kind(module)
    if base is not None and isinstance(target, str | Reducer):
        return _pooled(module, base, reducer(target))
    if isinstance(target, str) and isinstance(module, nn.Upsample) and known_method(target):
        options = {} if target in ("nearest", "area") else {"align_corners": module.align_corners}
        return ours.Upsample(module.size, module.scale_factor, target, **options)
    if isinstance(target, str) and (target in OPTIONS or target in SYNONYMS) and type(module) in CONVOLUTIONS:
        return _bordered(module, checked_mode(target))
    what = f"{target!r} means nothing for {type(module).__name__}"
    expected = (
        "a reducer for a pooling, a method for an Upsample, a padding mode for a convolution, or a function"
    )
    raise ArgumentError(
        what, expected=expected, hint=f"one of {', '.join(sorted(REGISTRY))}" if base else None
    )


def pooling_kind(module: nn.Module) -> type[nn.Module] | None:
    """torch's pooling class that a module is of, or this package's."""
    known = (*SLIDING, *ADAPTIVE, PoolingModule)
    return next((kind for kind in known if isinstance(module, kind)), None)


def _pooled(module: Any, kind: type[nn.Module], what: Reducer) -> nn.Module:
    indices = bool(getattr(module, "return_indices", False))
    if indices and not what.selects:
        hint = "a reducer that selects, or the network without unpooling"
        raise ArgumentError(f"{what.name} pooling gives no indices, which {module} does", hint=hint)
    if kind is PoolingModule:
        return _again(module, what)
    if kind in ADAPTIVE:
        size = module.output_size
        grid: nn.Module = _GRIDS[ADAPTIVE[kind]](what, size, return_indices=indices)
        return grid
    rank = SLIDING[kind]
    axes = [getattr(module, name, default) for name, default in (("padding", 0), ("dilation", 1))]
    stride = module.kernel_size if module.stride is None else module.stride
    sizes = [_flat(value, rank) for value in (module.kernel_size, stride, *axes)]
    pool: nn.Module = _POOLS[rank](what, *sizes, bool(module.ceil_mode), indices)
    return pool


def _flat(value: Any, rank: int) -> tuple[int, ...]:
    entries = tuple(value) if isinstance(value, tuple | list) else (value,)
    return per_axis(entries * rank if len(entries) == 1 else entries, rank, "size", 0)


def _again(module: PoolingModule, what: Reducer) -> nn.Module:
    """A pooling of this package over its own region, with another reducer."""
    region: Region = module.region
    made = type(module).__new__(type(module))
    PoolingModule.__init__(made, region, what, module.return_indices)
    for name in ("padding_mode", "seed"):
        if name in module.__dict__:
            setattr(made, name, module.__dict__[name])
    return made


def _bordered(module: Any, mode: Any) -> nn.Module:
    """A convolution with the same weights, and something else in its padding."""
    kind = CONVOLUTIONS[type(module)]
    axes = (module.kernel_size, module.stride, module.padding, module.dilation, module.groups)
    options = {"padding_mode": mode, "device": "meta", "dtype": module.weight.dtype}
    made: nn.Module = kind(module.in_channels, module.out_channels, *axes, module.bias is not None, **options)
    made.weight = module.weight
    made.bias = module.bias
    return made
