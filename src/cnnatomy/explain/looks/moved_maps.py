"""Whether the maps of a layer move as the picture does: the equivariance error, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import torch
from torch import Tensor
from torch.nn import functional as F

from cnnatomy import checks
from cnnatomy.anatomy import Anatomy, anatomy
from cnnatomy.errors import ArgumentError
from cnnatomy.explain.looks.layer_maps import maps_of
from cnnatomy.explain.looks.layer_outputs import Network, module_of

MOVES = ("shift", "rotation", "scale", "flip")


def equivariance(
    net: Network,
    pictures: Tensor,
    move: str = "shift",
    amount: float = 1.0,
    layers: Sequence[str] | None = None,
) -> dict[str, float]:
    """How far maps of moved pictures are from moved maps: rms(f(T x) - T f(x)) / rms(f(x) - mean f(x)).

    T moves maps as it moves the picture: a shift of one pixel is one of half a cell on a map whose cells are
    two pixels apart. Both are sampled bilinearly, and compared in the middle half of every map. 0 is a layer
    that moves along exactly; at sqrt(2) the two have nothing in common. A mirror goes from left to right.

    Args:
        net: any network from pictures, or a run.
        pictures: (N, C, H, W) as the network reads them.
        move: `"shift"` right, `"rotation"` counter-clockwise, `"scale"` larger, or `"flip"`.
        amount: pixels, degrees, parts; a flip has none.
        layers: paths of layers; left out, every module without children that returns maps.

    Returns:
        The error of each layer, as they ran; those whose cells are not at even steps are left out.

    Raises:
        ArgumentError: there is no such move or layer.

    Source: K. Lenc, A. Vedaldi, Understanding image representations by measuring their equivariance and
    equivalence, 2015.

    Example:
        >>> net = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3, padding=1), torch.nn.ReLU())
        >>> found = equivariance(net, torch.rand(2, 1, 16, 16), "shift", 2)
        >>> {path: round(error, 3) for path, error in found.items()}
        {'0': 0.0, '1': 0.0}
    """
    if move not in MOVES:
        raise ArgumentError("no such move", expected=f"one of {', '.join(MOVES)}", got=repr(move))
    checks.real("amount", amount, "a number of 0 or more", lambda value: 0 <= value < math.inf)
    module = module_of(net)
    plain, other = (maps_of(module, x, layers) for x in (pictures, _moved(pictures, move, amount)))
    known, found = anatomy(module, tuple(pictures.shape[1:])), {}
    for path, one in plain.items():
        step = _step(known, path)
        if step is not None and min(one.shape[2:]) > 1:
            found[path] = _error(other[path], _moved(one, move, amount, float(step)), one)
    return found


def _step(known: Anatomy, path: str) -> int | Fraction | None:
    """Pixels from one cell of a layer's map to the next; None where they differ, or it sees no picture."""
    try:
        return known[path].field.stride[-1]
    except ArgumentError:
        return None


def _moved(x: Tensor, move: str, amount: float, step: float = 1.0) -> Tensor:
    """Pictures or maps (N, C, h, w) whose cells are so many pixels apart; the border is repeated."""
    cos, sin, factor = math.cos(math.radians(amount)), math.sin(math.radians(amount)), 1 / (1 + amount)
    matrix = {
        "shift": ((1.0, 0.0, -2 * amount / step / x.shape[3]), (0.0, 1.0, 0.0)),
        "rotation": ((cos, -sin, 0.0), (sin, cos, 0.0)),
        "scale": ((factor, 0.0, 0.0), (0.0, factor, 0.0)),
        "flip": ((-1.0, 0.0, 0.0), (0.0, 1.0, 0.0)),
    }[move]
    theta = torch.tensor(matrix, dtype=x.dtype, device=x.device).expand(len(x), 2, 3)
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, padding_mode="border", align_corners=False)


def _error(found: Tensor, wanted: Tensor, plain: Tensor) -> float:
    """In the middle half of each map."""
    found, wanted, plain = (_middle(one).double() for one in (found, wanted, plain))
    spread = (plain - plain.mean((0, 2, 3), keepdim=True)).square().mean()
    return float(((found - wanted).square().mean() / spread.clamp(min=1e-30)).sqrt())


def _middle(maps: Tensor) -> Tensor:
    for dim in (2, 3):
        n = maps.shape[dim]
        maps = maps.narrow(dim, n // 4, n - 2 * (n // 4))
    return maps
