"""Second moments of the channels of regions."""

from __future__ import annotations

import itertools
from math import prod
from operator import index

import torch
from torch import Tensor

from cnnatomy.reducers.contract import Windows
from cnnatomy.regions import Region, Whole

FEW = 16
"""Regions that are read one by one, whatever they are."""
Slides = tuple[tuple[int, int, int, int, int], ...]
Slices = tuple[tuple[int, int, int], ...]
"""For each axis the start, stop and step of the cells that one output reads."""


def regional(x: Tensor, region: Region, centred: bool) -> Tensor:
    """(1/n) sum_i d_i d_i^T of every region of x (N, C, *spatial), as (N, *out, C, C)."""
    if isinstance(region, Whole):  # needs no table, so that sizes may be symbols
        parts, out = [x], (1,) * (x.dim() - 2)
    else:
        size = tuple(index(n) for n in x.shape[2:])  # numbers, not symbols
        slides = _slides(region.text, size)
        if slides:
            return _centred(*_unfolded(x, slides), centred)
        out, read = _cells(region.text, size)
        parts = [_part(x, slices) for slices in read]
    moments = torch.stack([_moments(part.flatten(2), centred) for part in parts], 1)
    return moments.view(x.shape[0], *out, *moments.shape[2:])


def windowed(windows: Windows, centred: bool) -> Tensor:
    """The same from the laid out windows, as plainly as can be."""
    return _centred(torch.where(windows.inside, windows.values, 0), windows.inside, centred)


def _centred(values: Tensor, inside: Tensor, centred: bool) -> Tensor:
    """(N, C, *out, T), 0 where a tap is not inside, to (N, *out, C, C)."""
    vectors, inside = values.movedim(1, -2), inside.unsqueeze(-2)
    count = inside.sum(-1, keepdim=True)
    if centred:
        vectors = torch.where(inside, vectors - vectors.sum(-1, keepdim=True) / count, 0)
    return vectors @ vectors.mT / count


def _unfolded(x: Tensor, slides: Slides) -> tuple[Tensor, Tensor]:
    """Every window of x (N, C, *spatial) as (N, C, *out, T), zeros in the padding, and what is inside."""
    inside = torch.ones((1, 1, *x.shape[2:]), dtype=torch.bool, device=x.device)
    widths = [width for before, after, *_ in reversed(slides) for width in (before, after)]
    found = []
    for tensor in (x, inside):
        windows = torch.nn.functional.pad(tensor, widths)
        for dim, (*_, extent, stride, dilation) in enumerate(slides, 2):
            windows = windows.unfold(dim, extent, stride)[..., ::dilation]
        found.append(windows.flatten(-len(slides)))
    return found[0], found[1][0, 0]


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _slides(region: str, size: tuple[int, ...]) -> Slides:
    """For each axis how a window slides over it: padding before and after, extent, stride and dilation.

    Empty for regions that do not slide, and for so few windows that each is better read by itself.
    """
    axes, found = Region.parse(region).axes(size), []
    if prod(axis.outputs for axis in axes) <= FEW:
        return ()
    for axis in axes:
        window, before = axis.window, axis.window.padding[0] if axis.window else 0
        if window is None:
            return ()
        after = (axis.outputs - 1) * window.stride + window.extent - axis.size - before
        found.append((before, after, window.extent, window.stride, window.dilation))
    return tuple(found)


def _moments(vectors: Tensor, centred: bool) -> Tensor:
    """(N, C, n) to (N, C, C); without any position NaN."""
    if centred:
        vectors = vectors - vectors.mean(-1, keepdim=True)
    return vectors @ vectors.mT / vectors.shape[-1]


def _part(x: Tensor, slices: Slices) -> Tensor:
    for i, (start, stop, step) in enumerate(slices):
        x = x[(slice(None),) * (2 + i) + (slice(start, stop, step),)]
    return x


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _cells(region: str, size: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[Slices, ...]]:
    """The output's sizes, and what each output reads; compilers take both as they are."""
    axes = Region.parse(region).axes(size)
    taps = [[axis.table.taps(o) for o in range(axis.outputs)] for axis in axes]
    read = [tuple((t.start, t.stop, t.step) for t in cells) for cells in itertools.product(*taps)]
    return tuple(axis.outputs for axis in axes), tuple(read)
