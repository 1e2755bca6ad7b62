"""One layer of a network at one input: what it was given, its record, and what a unit sees of the picture."""

from __future__ import annotations

import inspect
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from cnnatomy.anatomy.layer_search import call_of, find
from cnnatomy.errors import ArgumentError
from cnnatomy.explain.binding.binding_common import tensor_of
from cnnatomy.explain.record import numbers
from cnnatomy.models.named_object import theirs
from cnnatomy.nn.modes import evaluating


@dataclass(frozen=True)
class Met:
    """A layer, and what it was given when the network ran."""

    path: str
    module: nn.Module
    x: Tensor
    options: dict[str, Any]


class _Found(BaseException):
    """The layer has been reached; what comes after it is not run."""


def met(net: nn.Module, x: Tensor, layer: str) -> Met:
    """What a layer is given on x; the network is left as it is, and runs in evaluation mode.

    Args:
        net: any network.
        x: its input, a batch.
        layer: the layer's path, such as `features.3`; `path#2` is its second call.

    Raises:
        ArgumentError: there is no such layer, it is not called, or the network does not take x.
    """
    stem, wanted = call_of(layer)
    paths = [path for path, _ in net.named_modules() if path]
    path = paths[find(stem, paths)]
    module = net.get_submodule(path)
    calls: Counter[str] = Counter()
    kept: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def listen(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        calls[path] += 1
        if calls[path] == wanted:
            kept.append((args, kwargs))
            raise _Found

    handle = module.register_forward_pre_hook(listen, with_kwargs=True)
    what = f"{type(net).__name__}, given x of shape {tuple(x.shape)},"
    try:
        with evaluating(net), torch.no_grad(), theirs(what):
            net(x)
    except _Found:
        pass
    finally:
        handle.remove()
    if not kept:
        got = f"{calls[path]} calls"
        raise ArgumentError(f"layer {layer!r} is not called", expected=f"at least {wanted} calls", got=got)
    args, kwargs = kept[0]
    return Met(path if wanted == 1 else f"{path}#{wanted}", module, *_arguments(module, args, kwargs))


def batch_of(net: nn.Module, x: Any) -> Tensor:
    """x as a batch of images: with those axes that a network's first window lacks.

    Example:
        >>> batch_of(nn.Sequential(nn.Conv2d(1, 1, 3), nn.Flatten()), torch.zeros(1, 8, 8)).shape
        torch.Size([1, 1, 8, 8])
    """
    given = tensor_of(x)
    names = (re.fullmatch(r".*([123])d", type(one).__name__) for one in net.modules())
    rank = next((int(found[1]) for found in names if found), None)
    if rank is None or not rank <= given.dim() < rank + 2:
        return given
    return given.reshape((1,) * (rank + 2 - given.dim()) + tuple(given.shape))


def _arguments(
    module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Tensor, dict[str, Any]]:
    """x, and the other arguments by name."""
    names = list(inspect.signature(module.forward).parameters)
    named = {**dict(zip(names, args, strict=False)), **kwargs}
    x = named.pop(names[0], None) if names else None
    if not isinstance(x, Tensor):
        what = f"{type(module).__name__} is given no tensor"
        raise ArgumentError(what, expected="a tensor as its first argument", got=type(x).__name__)
    return x.detach(), {name: value for name, value in named.items() if value is not None}


def evaluated(module: nn.Module) -> nn.Module:
    """The layer as it works in evaluation: itself, or a copy if it is in training mode."""
    if not module.training:
        return module
    import copy

    return copy.deepcopy(module).eval()


def middle(shape: Sequence[int], axes: int) -> tuple[int, ...]:
    """The place in the middle of a map.

    Example:
        >>> middle((1, 16, 10, 10), 2)
        (4, 4)
    """
    return tuple((n - 1) // 2 for n in shape[len(shape) - axes :])


def seen(net: nn.Module, x: Tensor, path: str, unit: Sequence[int]) -> dict[str, Any]:
    """What a unit of a layer sees of the network's input: the cells of each axis, and the input itself.

    Args:
        net: the network.
        x: its input (N, C, *spatial).
        path: the layer's.
        unit: image, channel and place of the unit.
    """
    from cnnatomy.anatomy import anatomy
    from cnnatomy.anatomy.present.map_layout import unit_at
    from cnnatomy.anatomy.present.rows import fields_of

    known = anatomy(net, tuple(x.shape[1:]), dtype=x.dtype, training=False)
    at = find(path, [layer.path for layer in known.layers])
    fields = fields_of(known, at)
    image, channel, *place = unit
    found: dict[str, Any] = {"layer": path, "field": []}
    if fields and len(fields[0].shape) > 1:
        index = unit_at(fields, place[: len(fields[0].shape) - 2], channel)
        for one in fields:
            cells = one.interval(index)
            known_cells = [cells[0], cells[-1]] if len(cells) else []
            found["field"].append(
                {"input": one.input, "axis": one.axis - 2, "size": one.n, "cells": known_cells}
            )
    if x.dim() > 2 and x[image].numel() <= MOST_SHOWN:
        found["picture"] = {"shape": list(x.shape[1:]), "values": numbers(x[image])}
    return found


MOST_SHOWN = 20_000
"""Numbers of a picture that is kept whole."""
