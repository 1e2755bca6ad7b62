"""Pictures that make a unit return as much as it can."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cnnatomy import checks
from cnnatomy.anatomy.present.map_layout import unit_at
from cnnatomy.errors import ArgumentError
from cnnatomy.explain.looks.cropping import Seeing
from cnnatomy.explain.looks.layer_outputs import Network, listening, module_of, returned

Bounds = tuple[Tensor | float, Tensor | float]
FREE = 0.75
"""The share of the steps in which the picture is shifted and blurred; the others only climb."""
BLURRED = 4
"""After so many steps the picture is blurred."""
FIRST, LAST = 0.1, 0.05
"""The first and the last step, as a share of the range of values."""


@dataclass(frozen=True)
class Maximised:
    """Pictures from several starts, the one that the unit likes most first."""

    pictures: Tensor
    """(starts, C, H, W) as the network reads them."""
    values: Tensor
    """(starts,): what the unit returns for each."""
    at: tuple[int, ...]
    """The unit's place on its map."""


def maximise(
    net: Network,
    layer: str,
    channel: int,
    shape: Sequence[int] | None = None,
    *,
    bounds: Bounds | None = None,
    at: Sequence[int] | None = None,
    starts: int = 4,
    steps: int = 128,
    shift: int = 1,
    seed: int = 0,
) -> Maximised:
    """Climb the gradient of a unit from noise: x <- clip(x + r g / rms(g)), g = d unit / d x.

    In the first three quarters of the steps the picture is shifted by up to `shift` pixels before each one,
    and blurred after every fourth by 1 2 1 along both axes, so that no single pixel counts for much.

    Args:
        net: any network, or a run.
        layer: the path of a layer.
        channel: which of its channels.
        shape: (C, H, W) of the picture; left out, that of the classifier.
        bounds: the least and the largest value of a picture; left out, those of black and white to the
            classifier.
        at: the unit's place on the map (y, x); left out, the middle.
        starts: pictures of noise to begin with.
        steps: how often the gradient is followed.
        shift: pixels.
        seed: of the noise and the shifts; the same seed gives the same pictures, bit by bit.

    Raises:
        ArgumentError: there is no such unit; or shape or bounds are left out of a network that does not know
            them.

    Source: C. Olah, A. Mordvintsev, L. Schubert, Feature visualization, Distill 2017 (shifts and blur).

    Example:
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(9, 1, bias=False))
        >>> _ = net[1].weight.data.copy_(torch.tensor([[3.0, -3, 3, -3, 3, -3, 3, -3, 3]]))
        >>> found = maximise(net, "1", 0, (1, 3, 3), bounds=(0.0, 1.0))
        >>> bool(found.values[0] > net(torch.rand(100, 1, 3, 3)).max())
        True
    """
    module = module_of(net)
    seeing = Seeing(module, _shape(module, shape), layer)
    how = Climbing(starts, steps, shift, seed)
    return how.maximised(seeing, [channel], at=at, bounds=bounds)[0]


@dataclass(frozen=True)
class Climbing:
    """How the gradients of units are followed; the units of a layer climb together."""

    starts: int = 4
    steps: int = 128
    shift: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        checks.count("starts", self.starts, most=1000)
        checks.count("steps", self.steps, most=100_000)
        checks.count("seed", self.seed, least=0)

    def maximised(
        self,
        seeing: Seeing,
        channels: Sequence[int],
        *,
        at: Sequence[int] | None = None,
        bounds: Bounds | None = None,
    ) -> list[Maximised]:
        """What `maximise` gives, for several channels of a layer."""
        net, size = seeing.net, seeing.shape
        place = tuple((n - 1) // 2 for n in seeing.sizes) if at is None else tuple(at)
        units = [unit_at(seeing.axes, place, channel) for channel in channels]
        like = next((p for p in net.parameters() if p.is_floating_point()), torch.zeros(()))
        low, high = (_bound(one, like, size) for one in bounds or _known_bounds(net, size))
        index = [
            torch.tensor([unit[dim] for unit in units]).repeat_interleave(self.starts)
            for dim in range(1, len(units[0]))
        ]
        climb = _Climb(net, seeing.layer, (torch.arange(len(index[0])), *index), low, high)
        x = self._climbed(climb, like, len(units))
        values, _ = climb.values(x)
        parts = zip(torch.split(x, self.starts), torch.split(values, self.starts), strict=True)
        return [Maximised(*_sorted(pictures, own), place) for pictures, own in parts]

    def _climbed(self, climb: _Climb, like: Tensor, units: int) -> Tensor:
        """Pictures (units * starts, C, H, W); every unit begins with the same noise."""
        generator = torch.Generator().manual_seed(self.seed)
        size = climb.low.shape
        noise = torch.rand(self.starts, *size, generator=generator).to(like).repeat(units, 1, 1, 1)
        x = climb.low + (climb.high - climb.low) * (0.45 + 0.1 * noise)
        free = int(FREE * self.steps)
        for step in range(self.steps):
            share = FIRST + (LAST - FIRST) * step / self.steps
            drawn = torch.randint(-self.shift, self.shift + 1, (2,), generator=generator).tolist()
            by = drawn if step < free else [0, 0]
            random = torch.randn(self.starts, *size, generator=generator).to(like).repeat(units, 1, 1, 1)
            x = climb.step(x.roll(by, (2, 3)), share, random).roll([-n for n in by], (2, 3))
            if step < free and step % BLURRED == BLURRED - 1:
                x = _blurred(x)
        return x


@dataclass(frozen=True)
class _Climb:
    """Units of a layer, one for each picture, and the way up."""

    net: nn.Module
    layer: str
    units: tuple[Tensor, ...]
    low: Tensor
    high: Tensor

    def values(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What each picture's unit returns, and its gradient."""
        given = x.detach().requires_grad_()
        with listening(self.net, [self.layer]) as kept, torch.enable_grad():
            returned(self.net, given)
            made = kept[self.layer][self.units]
            (gradient,) = torch.autograd.grad(made.sum(), given)
        return made.detach(), gradient

    def step(self, x: Tensor, share: float, random: Tensor) -> Tensor:
        """Go up; where there is no slope, in a random direction."""
        _, gradient = self.values(x)
        size = gradient.square().mean((1, 2, 3), keepdim=True).sqrt()
        direction = torch.where(size > 0, gradient / size.clamp(min=1e-30), random)
        return (x + share * (self.high - self.low) * direction).clamp(self.low, self.high)


def _sorted(pictures: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    order = values.argsort(descending=True, stable=True)
    return pictures[order], values[order]


def _blurred(x: Tensor) -> Tensor:
    line = torch.tensor([0.25, 0.5, 0.25]).to(x)
    kernel = (line[:, None] * line).expand(x.shape[1], 1, 3, 3)
    return F.conv2d(F.pad(x, (1, 1, 1, 1), "replicate"), kernel, groups=x.shape[1])


def _shape(net: nn.Module, shape: Sequence[int] | None) -> tuple[int, ...]:
    known = shape if shape is not None else getattr(net, "input_shape", None)
    if known is None or len(known) != 3:
        raise ArgumentError("shape", expected="(C, H, W)", got=repr(known))
    return tuple(known)


def _known_bounds(net: nn.Module, shape: tuple[int, ...]) -> Bounds:
    """Black and white as a classifier reads them."""
    from cnnatomy.models.classifier import Classifier

    if not isinstance(net, Classifier):
        hint = "bounds=(0.0, 1.0), or cnnatomy.models.adopt"
        raise ArgumentError("bounds", expected="the least and the largest value of a picture", hint=hint)
    black = torch.zeros(1, *shape, dtype=torch.uint8)
    ends = net.preprocess(black), net.preprocess(black + 255)
    return torch.minimum(*ends)[0], torch.maximum(*ends)[0]


def _bound(value: Tensor | float, like: Tensor, shape: tuple[int, ...]) -> Tensor:
    return torch.as_tensor(value, dtype=like.dtype, device=like.device).expand(shape)
