"""Batch normalisations that follow convolutions, folded into their weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.nn.utils.parametrize import is_parametrized

Pair = tuple[str, str]


def foldable(model: nn.Module, inputs: Sequence[Tensor]) -> list[Pair]:
    """Paths of a convolution and of the normalisation that reads its result, each called once."""
    outputs: dict[int, str] = {}
    alive: list[Tensor] = []  # so that no other tensor takes an address
    pairs: list[Pair] = []
    calls: dict[str, int] = {}

    def after(path: str) -> Any:
        def hook(module: nn.Module, given: tuple[Any, ...], result: Any) -> None:
            calls[path] = calls.get(path, 0) + 1
            if isinstance(module, _ConvNd):
                outputs[id(result)] = path
                alive.append(result)
            elif given and id(given[0]) in outputs:
                pairs.append((outputs[id(given[0])], path))

        return hook

    found = [(path, m) for path, m in model.named_modules() if _plain(m)]
    handles = [module.register_forward_hook(after(path)) for path, module in found]
    try:
        with torch.no_grad():
            model(*inputs)
    finally:
        for handle in handles:
            handle.remove()
    readers = [conv for conv, _ in pairs]
    return [(c, n) for c, n in pairs if calls[c] == calls[n] == 1 and readers.count(c) == 1]


def _plain(module: nn.Module) -> bool:
    if is_parametrized(module) or module._forward_hooks or module._forward_pre_hooks:
        return False
    if isinstance(module, _BatchNorm):
        return module.running_mean is not None and not isinstance(module, nn.SyncBatchNorm)
    return type(module) in (nn.Conv1d, nn.Conv2d, nn.Conv3d)


def fold(model: nn.Module, pairs: Sequence[Pair]) -> None:
    """Let each convolution do what its normalisation did, and that nothing; in place."""
    for convolution, normalisation in pairs:
        fused = fuse_conv_bn_eval(model.get_submodule(convolution), model.get_submodule(normalisation))  # type: ignore[type-var, arg-type]
        model.set_submodule(convolution, fused)
        model.set_submodule(normalisation, nn.Identity())
