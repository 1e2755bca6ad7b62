"""Resampling: every output a weighted sum of cells, by bands along each axis."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from cnnatomy.errors import ArgumentError
from cnnatomy.explain.families import linear_family
from cnnatomy.explain.families.pooling_family import At
from cnnatomy.explain.plane_layout import ABSENT, Call, Laid, Reads, cropped, leading, plane
from cnnatomy.geometry.axis_resampling import Resampling
from cnnatomy.geometry.bands import Bands


@dataclass(frozen=True)
class Resized:
    """A resampling as it is called.

    Args:
        call: of x (N, C, *spatial).
        how: the method and where the outputs lie.
        size: the output's spatial sizes.
    """

    call: Call
    how: Resampling
    size: tuple[int, ...]

    def laid(self, at: At) -> Laid:
        """The plane that an output is on."""
        x = self.call.inputs["x"]
        if not (self.how.picks or bool(x.isfinite().all())):
            what = "resizing weighs what it does not read by 0, which a NaN or an infinity passes"
            raise ArgumentError(what, expected="finite numbers in x")
        image, channel, place = at
        of = leading((image, channel), (len(x), x.shape[1]))
        inner = tuple(x.shape[2:])
        bands = [self.how.bands(n, m, i) for i, (n, m) in enumerate(zip(inner, self.size, strict=True))]
        most = math.prod(max(one.most, 1) for one in bands)
        first = (0,) * len(inner) if place is None else place
        which = plane(of, self.size, first, most, lambda y: y[image, channel])
        places = linear_family.places(self.size, which.numbers)
        cells = torch.zeros(len(places), 1, dtype=torch.int64)
        factors = torch.ones(len(places), 1, dtype=torch.float64)
        there = torch.ones(len(places), 1, dtype=torch.bool)
        for i, one in enumerate(bands):
            at_cell, weight = _table(one)
            at_cell, weight = at_cell[places[:, i]], weight[places[:, i]]
            cells = (cells[:, :, None] * inner[i] + at_cell[:, None].clamp(min=0)).flatten(1)
            factors = (factors[:, :, None] * weight[:, None]).flatten(1)
            there = (there[:, :, None] & (at_cell >= 0)[:, None]).flatten(1)
        cells = torch.where(there, cells, ABSENT)
        law = linear_family.summing(
            "sum_i w[t, i] x[i]",
            cells,
            factors.to(self.call.wide),
            how="copy" if self.how.picks else "sum",
            text="<{x}; + >" if self.how.picks else None,
            exact=self.how.picks,
            looseness=float(max(*inner, *self.size)),  # places are computed along the axis
        )
        facts = linear_family.moved(
            [
                (n, m, f"{n} cells become {m} by {self.how.method}")
                for n, m in zip(inner, self.size, strict=True)
            ],
            self.how.text,
        )
        zeros = torch.zeros(len(cells), dtype=torch.int64)
        number = torch.arange(cells.shape[1]).expand(cells.shape)
        reads = Reads(
            (channel,), lambda w: w[image, channel : channel + 1], cells, number, [facts], zeros, places
        )
        return Laid("resample", self.call, which, cropped(reads, inner), law)


def _table(bands: Bands) -> tuple[Tensor, Tensor]:
    """The cells that every output takes (outputs, most), ABSENT for none, and their weights."""
    most = max(bands.most, 1)
    cells = torch.full((bands.outputs, most), ABSENT)
    weights = torch.zeros(bands.outputs, most, dtype=torch.float64)
    for o, (start, row) in enumerate(zip(bands.start, bands.weights, strict=True)):
        kept = [k for k, weight in enumerate(row) if weight]
        cells[o, kept] = torch.tensor([start + k for k in kept], dtype=torch.int64)
        weights[o, kept] = torch.tensor([row[k] for k in kept], dtype=torch.float64)
    return cells, weights
