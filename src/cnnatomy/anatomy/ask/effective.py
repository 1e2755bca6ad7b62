"""Effective receptive fields: not which pixels a unit can depend on, but how much it does."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from cnnatomy import checks
from cnnatomy.anatomy.present.map_layout import layout
from cnnatomy.anatomy.present.rows import fields_of
from cnnatomy.anatomy.result import Anatomy
from cnnatomy.errors import ArgumentError

MOST = 48
"""So many layers at most are worth a page's time."""


def effective(
    model: nn.Module,
    anatomy: Anatomy,
    layers: Sequence[int] | None = None,
    *,
    pictures: int = 2,
    seed: int = 0,
) -> dict[int, Tensor]:
    """How strongly the middle unit of a layer depends on each pixel, E = sqrt(mean sum_c (v . dy / dx_c)^2).

    y are the channels of the middle unit, v normal random weights of them and x noise: the root mean
    square of the input gradient over channels and pictures. It falls off like a Gaussian from the middle, and
    its width grows as the square root of the depth.

    Args:
        model: with weights; it is left as it is, a copy in evaluation mode runs.
        anatomy: of this model on one input (C, H, W).
        layers: indices of the layers; if left out, all if they are few, else those that `distinct` chooses.
        pictures: how many pictures of noise the mean is over.
        seed: of the noise.

    Returns:
        A map (H, W) for each layer by its index.

    Raises:
        ArgumentError: the model has no weights, or its input is no picture.

    Source: W. Luo, Y. Li, R. Urtasun, R. Zemel, Understanding the effective receptive field in deep
    convolutional neural networks, 2016.
    """
    shapes = list(anatomy.inputs.values())
    if len(shapes) != 1 or len(shapes[0]) != 4:
        raise ArgumentError("effective fields are of one picture", expected="an input (C, H, W)")
    if any(tensor.is_meta for tensor in (*model.parameters(), *model.buffers())):
        raise ArgumentError("the model has no weights", hint="giving a module that has them")
    wanted = list(distinct(anatomy) if layers is None else layers)
    generator = torch.Generator().manual_seed(checks.count("seed", seed, least=0))
    floats = (one.dtype for one in model.parameters() if one.dtype.is_floating_point)
    x = torch.randn(pictures, *shapes[0][1:], generator=generator).to(next(floats, torch.float32))
    outputs = _outputs(copy.deepcopy(model).eval(), x.requires_grad_(), anatomy, wanted)
    found = {}
    for at in wanted:
        middle = _middle(anatomy, at, outputs.get(at))
        if middle is not None:
            weights = torch.randn(middle.shape, generator=generator).to(middle.dtype)
            (gradient,) = torch.autograd.grad(middle, x, weights, retain_graph=True, allow_unused=True)
            if gradient is not None:
                found[at] = gradient.float().square().sum(1).mean(0).sqrt()
    return found


def distinct(anatomy: Anatomy) -> list[int]:
    """The layers with a map whose field no layer before has, and blocks of layers down to two levels."""
    maps: dict[int, tuple[Any, ...]] = {}
    for at in range(len(anatomy.layers)):
        fields = fields_of(anatomy, at)
        if fields and len(fields[0].shape) == 4:
            maps[at] = tuple(one.law for one in fields)
    if len(maps) <= MOST:
        return list(maps)
    first = {laws: at for at, laws in reversed(maps.items())}
    blocks = {at for at in maps if anatomy.layers[at].children and 0 < anatomy.layers[at].depth <= 2}
    chosen = sorted({*first.values(), *blocks})
    return chosen[:: -(-len(chosen) // MOST)]


def _outputs(model: nn.Module, x: Tensor, anatomy: Anatomy, wanted: Sequence[int]) -> dict[int, Tensor]:
    """What the wanted layers return, with the graph that leads to the pictures."""
    paths = {anatomy.layers[at].path: at for at in wanted}
    times: Counter[str] = Counter()
    kept: dict[int, Tensor] = {}

    def keep(path: str) -> Any:
        def listen(_module: nn.Module, _args: Any, output: Any) -> None:
            times[path] += 1
            at = paths.get(path if times[path] == 1 and path in paths else f"{path}#{times[path]}")
            tensors = [leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor)]
            if at is not None and tensors:
                kept[at] = tensors[0].clone()  # an operator in place may write into it later

        return listen

    for path, module in model.named_modules():
        module.register_forward_hook(keep(path))
    with torch.enable_grad():
        model(x)
    return kept


def _middle(anatomy: Anatomy, at: int, output: Tensor | None) -> Tensor | None:
    """The channels of the unit in the middle of the layer's map, for every picture."""
    fields = fields_of(anatomy, at)
    if not fields or output is None or not output.requires_grad:
        return None
    order = layout(fields)
    for dim in sorted((dim for dim in order[1:] if dim), reverse=True):
        output = output.select(dim, (output.shape[dim] - 1) // 2)
    return output
