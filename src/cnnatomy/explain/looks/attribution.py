"""Which pixels a score depends on: by its gradient, along a path, by a layer, and by covering them."""

from __future__ import annotations

from math import ceil

import numpy as np
import torch
from torch import Tensor, nn

from cnnatomy import checks
from cnnatomy.errors import ArgumentError
from cnnatomy.explain.looks.layer_outputs import (
    Network,
    batches,
    class_of,
    listening,
    module_of,
    one_picture,
    scores,
)
from cnnatomy.nn.modes import evaluating


def saliency(net: Network, picture: Tensor, target: int | str) -> Tensor:
    """How strongly the score of a class depends on each value of a picture: |d s / d x|.

    Args:
        net: any network from pictures to scores, or a run.
        picture: (C, H, W) as the network reads it.
        target: the class, by its number, or by its name where the network has names.

    Returns:
        (C, H, W), in units of the score per unit of x.

    Raises:
        ArgumentError: there is no such class, this is no picture, or the network gives no scores.

    Source: K. Simonyan, A. Vedaldi, A. Zisserman, Deep inside convolutional networks, 2014.

    Example:
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(4, 1, bias=False))
        >>> _ = net[1].weight.data.copy_(torch.tensor([[1.0, -2.0, 0.0, 3.0]]))
        >>> saliency(net, torch.zeros(1, 2, 2), 0).tolist()
        [[[1.0, 2.0], [0.0, 3.0]]]
    """
    module = module_of(net)
    with evaluating(module):
        return _gradient(module, one_picture(picture), target)[0].abs()


def integrated_gradients(
    net: Network, picture: Tensor, target: int | str, *, baseline: Tensor | float = 0.0, steps: int = 50
) -> Tensor:
    """What each value of a picture adds to the score: (x - b) times the mean gradient on the way from b to x.

    The parts sum to s(x) - s(b) but for the error of the quadrature, Gauss-Legendre with `steps` points.

    Args:
        net: any network from pictures to scores, or a run.
        picture: (C, H, W) as the network reads it.
        target: the class.
        baseline: what the way begins at: a picture, or one value everywhere.
        steps: points at which the gradient is computed.

    Returns:
        (C, H, W), in units of the score.

    Raises:
        ArgumentError: there is no such class, or the picture, the baseline or the steps mean nothing.

    Source: M. Sundararajan, A. Taly, Q. Yan, Axiomatic attribution for deep networks, 2017.

    Example:
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(4, 1, bias=False))
        >>> x = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])
        >>> parts = integrated_gradients(net, x, 0)
        >>> torch.allclose(parts.sum(), net(x[None])[0, 0])
        True
    """
    module, x = module_of(net), one_picture(picture)
    begin = _like(baseline, x, "baseline")
    nodes, weights = np.polynomial.legendre.leggauss(checks.count("steps", steps, most=10_000))
    points = torch.from_numpy((nodes + 1) / 2).to(x)
    shares = torch.from_numpy(weights / 2).to(x).view(-1, 1, 1, 1)
    total = torch.zeros_like(x)
    with evaluating(module):
        for some, share in zip(batches(points), batches(shares), strict=True):
            way = begin + some.view(-1, 1, 1, 1) * (x - begin)
            total += (_gradient(module, way, target) * share).sum(0, keepdim=True)
    return ((x - begin) * total)[0]


def grad_cam(net: Network, picture: Tensor, target: int | str, layer: str) -> Tensor:
    """Where a layer's map speaks for a class: relu(sum_c w_c A_c), w_c the mean of d s / d A_c over the map.

    Args:
        net: any network from pictures to scores, or a run.
        picture: (C, H, W) as the network reads it.
        target: the class.
        layer: the path of a layer that returns maps (N, channels, h, w), mostly the last one.

    Returns:
        (h, w): one value for each cell of the layer's map, which stands for many pixels.

    Raises:
        ArgumentError: there is no such class or layer, or the layer returns no maps.

    Source: R. R. Selvaraju et al., Grad-CAM: Visual explanations from deep networks via gradient-based
    localization, 2017.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        >>> grad_cam(net, torch.rand(1, 8, 8), 2, "0").shape
        torch.Size([6, 6])
    """
    module, x = module_of(net), one_picture(picture).requires_grad_()
    with listening(module, [layer]) as kept, torch.enable_grad():
        made = scores(module, x)
        score = made[0, class_of(module, target, made.shape[1])]
    maps = kept.get(layer)
    if maps is None or maps.dim() != 4:
        got = "none" if maps is None else f"shape {tuple(maps.shape)}"
        raise ArgumentError(f"layer {layer!r} returns no maps", expected="(N, channels, h, w)", got=got)
    (gradient,) = torch.autograd.grad(score, maps, allow_unused=True)
    if gradient is None:
        raise ArgumentError(f"the score does not depend on layer {layer!r}")
    return (gradient.mean((2, 3), keepdim=True) * maps.detach()).sum(1)[0].relu()


def occlusion(
    net: Network,
    picture: Tensor,
    target: int | str,
    *,
    patch: int = 5,
    stride: int = 2,
    value: Tensor | float = 0.0,
) -> Tensor:
    """How much of the score goes when a pixel is covered: the mean of s(x) - s(covered) over what covers it.

    A square of `patch` pixels moves over the picture in steps of `stride`, and beyond the last whole step
    once more, clipped, so that every pixel is covered.

    Args:
        net: any network from pictures to scores, or a run.
        picture: (C, H, W) as the network reads it.
        target: the class.
        patch: pixels of the square, down and across.
        stride: pixels from one place of it to the next, at most `patch`.
        value: what is seen in the place of covered pixels: a picture, or one value.

    Returns:
        (H, W), in units of the score.

    Raises:
        ArgumentError: there is no such class, or the square does not fit.

    Source: M. Zeiler, R. Fergus, Visualizing and understanding convolutional networks, 2014.

    Example:
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(4, 1, bias=False))
        >>> _ = net[1].weight.data.copy_(torch.tensor([[1.0, -2.0, 0.0, 3.0]]))
        >>> occlusion(net, torch.ones(1, 2, 2), 0, patch=1, stride=1).tolist()
        [[1.0, -2.0], [0.0, 3.0]]
    """
    module, x = module_of(net), one_picture(picture)
    height, width = x.shape[2:]
    checks.count("patch", patch, most=min(height, width))
    checks.count("stride", stride, most=patch)
    boxes = [
        (slice(y, min(y + patch, height)), slice(x0, min(x0 + patch, width)))
        for y in _places(height, patch, stride)
        for x0 in _places(width, patch, stride)
    ]
    covers = x.new_zeros(len(boxes), 1, height, width)
    for cover, (rows, columns) in zip(covers, boxes, strict=True):
        cover[:, rows, columns] = 1
    blank = _like(value, x, "value")
    with evaluating(module), torch.no_grad():
        whole = scores(module, x)
        k = class_of(module, target, whole.shape[1])
        lost = [
            whole[0, k] - scores(module, torch.where(some > 0, blank, x))[:, k] for some in batches(covers)
        ]
    return ((torch.cat(lost).view(-1, 1, 1, 1) * covers).sum(0) / covers.sum(0))[0]


def _places(n: int, patch: int, stride: int) -> range:
    """Where the square begins on an axis."""
    return range(0, (ceil((n - patch) / stride) + 1) * stride, stride)


def _gradient(module: nn.Module, x: Tensor, target: int | str) -> Tensor:
    """d s / d x of each picture."""
    with torch.enable_grad():
        given = x.detach().requires_grad_()
        made = scores(module, given)
        (gradient,) = torch.autograd.grad(made[:, class_of(module, target, made.shape[1])].sum(), given)
    return gradient


def _like(value: Tensor | float, x: Tensor, name: str) -> Tensor:
    """A value, or a picture, in the shape of x."""
    given = torch.as_tensor(value, dtype=x.dtype, device=x.device)
    try:
        return given.expand_as(x)
    except RuntimeError:
        expected = f"a number, or a tensor like {tuple(x.shape[1:])}"
        raise ArgumentError(name, expected=expected, got=f"shape {tuple(given.shape)}") from None
