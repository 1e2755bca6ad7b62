"""Unpooling: values put at the cells that indices name, or spread over the cells of their regions."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from cnnatomy.explain.families import linear_family, region_windows
from cnnatomy.explain.families.pooling_family import At
from cnnatomy.explain.plane_layout import ABSENT, Call, Laid, Law, Plane, Reads, cropped, leading, plane
from cnnatomy.regions import Region


def _laid(family: str, call: Call, which: Plane, size: tuple[int, ...], cells: Tensor, law: Law) -> Laid:
    """A plane of x (N, C, *out) that becomes one of another size."""
    x = call.inputs["x"]
    image, channel = which.of["image"], which.of["channel"]
    inner = tuple(x.shape[2:])
    facts = linear_family.moved([(n, m, f"{n} become {m}") for n, m in zip(inner, size, strict=True)], family)
    zeros = torch.zeros(len(cells), dtype=torch.int64)
    number = torch.arange(cells.shape[1]).expand(cells.shape)
    places = linear_family.places(size, which.numbers)
    reads = Reads(
        (channel,), lambda w: w[image, channel : channel + 1], cells, number, [facts], zeros, places
    )
    return Laid(family, call, which, cropped(reads, inner), law)


@dataclass(frozen=True)
class Placing:
    """Values at their indices: x[indices[o]] = y[o], the last of several staying, and 0 elsewhere."""

    call: Call
    indices: Tensor
    size: tuple[int, ...]

    def laid(self, at: At) -> Laid:
        """The plane that an output is on."""
        y = self.call.inputs["x"]
        image, channel, place = at
        of = leading((image, channel), (len(y), y.shape[1]))
        which = plane(of, self.size, place or (0,) * len(self.size), 1, lambda x: x[image, channel])
        source = torch.full((math.prod(self.size),), ABSENT)
        for o, cell in enumerate(self.indices[image, channel].reshape(-1).tolist()):
            if cell >= 0:
                source[cell] = o
        cells = source[which.numbers][:, None]
        ones = torch.ones(cells.shape, dtype=self.call.wide)
        law = linear_family.summing(
            "y[o] where indices[o] = t", cells, ones, None, "copy", "<{x}; + >", exact=True
        )
        return _laid("unpool", self.call, which, self.size, cells, law)


@dataclass(frozen=True)
class Spreading:
    """Values spread over the cells of their regions: x[t] = sum of y[o] / n[o] over the o that hold t."""

    call: Call
    region: Region
    size: tuple[int, ...]
    normalize: bool

    def laid(self, at: At) -> Laid:
        """The plane that an output is on."""
        y = self.call.inputs["x"]
        image, channel, place = at
        of = leading((image, channel), (len(y), y.shape[1]))
        axes = self.region.axes(self.size)
        every = linear_family.places(tuple(y.shape[2:]), torch.arange(math.prod(y.shape[2:])))
        cells, inside = region_windows.joined(axes, every)
        readers, _ = linear_family.inverse(cells, inside, math.prod(self.size))
        which = plane(
            of, self.size, place or (0,) * len(self.size), readers.shape[1], lambda x: x[image, channel]
        )
        found = torch.where(readers < 0, ABSENT, readers)[which.numbers]
        shares = 1 / inside.sum(1).clamp(min=1).to(self.call.wide)
        covers = (found >= 0).sum(1, keepdim=True).clamp(min=1).to(self.call.wide)
        factors = (1 / covers).expand(found.shape) if self.normalize else shares[found.clamp(min=0)]
        formula = "(1/m[t]) sum_o y[o]" if self.normalize else "sum_o y[o] / n[o]"
        law = linear_family.summing(formula, found, factors)
        return _laid("unpool", self.call, which, self.size, found, law)


@dataclass(frozen=True)
class Rearranging:
    """Cells in another order, and channels that become cells: found by moving the cells' numbers."""

    call: Call

    def laid(self, at: At) -> Laid:
        """The plane that an output is on."""
        x = self.call.inputs["x"]
        image, channel, place = at
        count = math.prod(x.shape[1:])
        ids = torch.arange(count, dtype=torch.float64).view(1, *x.shape[1:])
        moved = self.call.run({"x": ids}).long()
        of = leading((image, channel), (len(x), moved.shape[1]))
        size = tuple(moved.shape[2:])
        which = plane(of, size, place or (0,) * len(size), 1, lambda y: y[image, channel])
        cells = moved[0, channel].reshape(-1)[which.numbers]
        inner = tuple(x.shape[2:])
        channels = sorted(set((cells // math.prod(inner)).tolist()))
        rank = torch.zeros(x.shape[1], dtype=torch.int64)
        rank[channels] = torch.arange(len(channels))
        cells = (rank[cells // math.prod(inner)] * math.prod(inner) + cells % math.prod(inner))[:, None]
        ones = torch.ones(cells.shape, dtype=self.call.wide)
        law = linear_family.summing("x[source(t)]", cells, ones, None, "copy", "<{x}; + >", exact=True)
        facts = linear_family.moved(
            [(n, m, f"{n} become {m}") for n, m in zip(inner, size, strict=True)], "rearrange"
        )
        zeros = torch.zeros(len(cells), dtype=torch.int64)
        places = linear_family.places(size, which.numbers)
        reads = Reads(channels, lambda w: w[image, channels], cells, cells * 0, [facts], zeros, places)
        return Laid("rearrange", self.call, which, cropped(reads, inner), law)
