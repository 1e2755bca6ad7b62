"""The modules that are not layers of `cnnatomy.nn`: chains with ties, residuals, concatenations, joins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

import cnnatomy.nn as cnn
from cnnatomy.ops import pad, unpool, unpool_mean
from cnnatomy.regions import Region


class Kept(NamedTuple):
    """What a tie keeps of a layer."""

    output: Tensor
    size: tuple[int, ...]
    """The spatial sizes of the layer's input."""
    indices: Tensor | None


Known = dict[str, Kept]


class Routed(nn.Module):
    """A module that reads or writes ties: `forward(x, known)`."""


class Chain(nn.Sequential, Routed):
    """Modules one after the other, some of whose outputs are kept under a name.

    Example:
        >>> chain = Chain([nn.ReLU(), Join("a")], {0: "a"})
        >>> chain(torch.tensor([[-1.0, 2.0]]), {})
        tensor([[0., 2., 0., 2.]])
    """

    def __init__(self, modules: Iterable[nn.Module], ties: Mapping[int, str] | None = None) -> None:
        super().__init__(*modules)
        self.ties = dict(ties or {})

    def forward(self, x: Tensor, known: Known | None = None) -> Tensor:
        """(N, ...) -> (N, ...)."""
        known = {} if known is None else known
        for place, module in enumerate(self):
            y = module(x, known) if isinstance(module, Routed) else module(x)
            indices = None
            if isinstance(y, tuple):
                y, indices = y
            if place in self.ties:
                known[self.ties[place]] = Kept(y, tuple(x.shape[2:]), indices)
            x = y
        return x


class Residual(Routed):
    """y = body(x) + shortcut(x); without a shortcut, body(x) + x.

    Source: He, Zhang, Ren and Sun, "Deep residual learning for image recognition", CVPR 2016, eq. 1.
    """

    def __init__(self, body: Chain, shortcut: Chain | None = None) -> None:
        super().__init__()
        self.body, self.shortcut = body, shortcut

    def forward(self, x: Tensor, known: Known) -> Tensor:
        """(N, C, *spatial) -> (N, C', *spatial')."""
        y: Tensor = self.body(x, known)
        return y + (x if self.shortcut is None else self.shortcut(x, known))


class Concatenation(Routed):
    """The maps of all branches, one after the other.

    Source: Szegedy et al., "Going deeper with convolutions", CVPR 2015, section 4.
    """

    def __init__(self, branches: Iterable[Chain]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor, known: Known) -> Tensor:
        """(N, C, *spatial) -> (N, sum of the branches' maps, *spatial')."""
        return torch.cat([branch(x, known) for branch in self.branches], 1)


class Join(Routed):
    """Concatenate with what a tie kept, which comes first, or add it.

    Source: Ronneberger, Fischer and Brox, "U-Net", MICCAI 2015, whose maps are cropped in the middle.
    """

    def __init__(self, tie: str, add: bool = False, crop: bool = False) -> None:
        super().__init__()
        self.tie, self.add, self.crop = tie, add, crop

    def forward(self, x: Tensor, known: Known) -> Tensor:
        """(N, C, *spatial) -> the same, or with more maps."""
        kept = known[self.tie].output
        if self.crop:
            more = [there - here for there, here in zip(kept.shape[2:], x.shape[2:], strict=True)]
            kept = pad(kept, [(0, 0), (0, 0), *((-(n // 2), n // 2 - n) for n in more)])
        return x + kept if self.add else torch.cat([kept, x], 1)

    def extra_repr(self) -> str:
        """The tie, and what is done."""
        return f"{self.tie!r}{', add=True' * self.add}{', crop=True' * self.crop}"


class Unpooling(Routed):
    """Put values back where the pooling of that name found them; one that chose none spreads them evenly.

    Source: Zeiler and Fergus 2014, section 2.1; Badrinarayanan, Kendall and Cipolla, "SegNet", PAMI 2017.
    """

    def __init__(self, tie: str, region: Region) -> None:
        super().__init__()
        self.tie, self.region = tie, region

    def forward(self, x: Tensor, known: Known) -> Tensor:
        """(N, C, *pooled) -> (N, C, *unpooled)."""
        kept = known[self.tie]
        if kept.indices is None:
            spread: Any = unpool_mean(x, self.region, kept.size, normalize=True)
            return spread  # type: ignore[no-any-return]
        back: Any = unpool(x, kept.indices, kept.size)
        return back  # type: ignore[no-any-return]

    def extra_repr(self) -> str:
        """The tie."""
        return repr(self.tie)


class Spread(nn.Module):
    """Mean unpooling to a size that is known."""

    def __init__(self, unpooling: nn.Module, size: tuple[int, ...]) -> None:
        super().__init__()
        self.unpooling, self.size = unpooling, size

    def forward(self, x: Tensor) -> Any:
        """(N, C, *pooled) -> (N, C, *size)."""
        return self.unpooling(x, self.size)


class Shuffle(nn.Module):
    """`depth_to_space`, or what it undoes, as a module."""

    def __init__(self, scale: tuple[int, ...], back: bool = False) -> None:
        super().__init__()
        self.scale, self.back = scale, back

    def forward(self, x: Tensor) -> Tensor:
        """(N, C * S, *spatial) -> (N, C, *larger), or the other way."""
        return cnn.space_to_depth(x, self.scale) if self.back else cnn.depth_to_space(x, self.scale)

    def extra_repr(self) -> str:
        """The scale."""
        return f"{self.scale}{', back=True' * self.back}"


class Weighed(nn.Module):
    """A pooling with companions, each of which a convolution that starts at 0 and a gate make of x.

    Source: Gao, Wang and Wu, "LIP: Local importance-based pooling", ICCV 2019.
    """

    def __init__(self, pooling: Any, channels: int, rank: int) -> None:
        super().__init__()
        self.pooling, self.region, made = pooling, pooling.region, {}
        for name in pooling.reducer.companions:
            convolution = getattr(cnn, f"Conv{rank}d")(channels, channels, 3, padding="same")
            nn.init.zeros_(convolution.weight)
            nn.init.zeros_(convolution.bias)
            made[name] = nn.Sequential(convolution, cnn.SoftGate())
        self.companions = nn.ModuleDict(made)

    def forward(self, x: Tensor) -> Any:
        """(N, C, *spatial) -> (N, C, *spatial')."""
        return self.pooling(x, **{name: net(x) for name, net in self.companions.items()})


class ScaledTanh(nn.Module):
    """LeCun's squashing function f(a) = A tanh(S a), A = 1.7159, S = 2/3, so that f(1) = 1 and f(-1) = -1.

    Source: LeCun, Bottou, Bengio and Haffner (1998), equation 6 and appendix A.

    Example:
        >>> ScaledTanh()(torch.tensor([-1.0, 0.0, 1.0])).round(decimals=4).tolist()
        [-1.0, 0.0, 1.0]
    """

    amplitude, slope = 1.7159, 2 / 3

    def forward(self, a: Tensor) -> Tensor:
        """ScaledTanh every element."""
        return self.amplitude * torch.tanh(self.slope * a)


class LayerNorm(nn.GroupNorm):
    """Layer normalisation of maps: over a whole picture, with a scale and shift for each map.

    Source: Ba, Kiros and Hinton (2016); Wu and He (2018), figure 2, of which it is the case of one group.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(1, channels)


class Negated(nn.Module):
    """Distances to scores: the nearest is the likeliest."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape -> the same."""
        return -x
