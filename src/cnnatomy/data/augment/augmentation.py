"""Augment: the terms of an augmentation, applied to a batch of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from cnnatomy.data.augment.affine import Affine, Background, copied, sampled
from cnnatomy.data.augment.augmentation_text import Given, parse, written
from cnnatomy.data.augment.colour import Colour
from cnnatomy.data.augment.draws import Draws
from cnnatomy.data.augment.elastic import bend
from cnnatomy.data.augment.erasing import Cutout, Erase
from cnnatomy.data.augment.trivial import vary_trivially
from cnnatomy.errors import ArgumentError

_DTYPES = (torch.float32, torch.float64)  # fewer bits cannot tell where between two cells a sample lies
_MOVES = ("rotate", "shear", "scale", "shift", "flip", "vflip")
_COLOURS = ("brightness", "contrast", "saturation", "hue", "grey")


@dataclass(frozen=True, repr=False)
class Augment:
    """Random variation of pictures by the batch, settled for each by (seed, epoch, its index) alone.

    In whatever order the terms are given, pictures are cropped, sheared, scaled, rotated, mirrored, shifted
    and bent, then changed by `trivial`, then in brightness, contrast, saturation and hue, then erased.
    They are sampled once, bilinearly; where only mirrors and shifts are asked for, shifts are by whole cells
    and every value is an exact copy.

    Example:
        >>> vary = recipe("flip + shift(0.1) + reflect + jitter(0.2)")
        >>> images, indices = torch.randint(256, (4, 3, 32, 32)).float(), torch.arange(4)
        >>> varied = vary(images, indices, seed=0, epoch=3)
        >>> again = vary(images[2:], indices[2:], seed=0, epoch=3)
        >>> vary, torch.equal(varied[2:], again)
        (recipe('flip+shift(0.1)+reflect+jitter(0.2)'), True)
    """

    terms: tuple[Given, ...] = ()

    def __str__(self) -> str:
        return written(self.terms)

    def __repr__(self) -> str:
        return f"recipe({str(self)!r})"

    def __call__(
        self,
        images: Tensor,
        indices: Tensor,
        *,
        seed: int,
        epoch: int,
        fill: float | Sequence[float] | Tensor = 0.0,
    ) -> Tensor:
        """Return images (B, C, H, W) in 0..255, each varied by the draws of its index in the data set (B,).

        `fill` is the value of the background: a number, or one for each channel. The layout in memory stays.
        """
        if not self.terms:
            return images
        if images.ndim != 4 or images.dtype not in _DTYPES or len(indices) != len(images):
            raise ArgumentError(
                "cannot vary these images",
                expected="float32 or float64 (B, C, H, W) and an index for each",
                got=f"{images.dtype} {tuple(images.shape)}, {len(indices)} indices",
            )
        if not len(images):
            return images
        draws = Draws(seed, epoch, indices.cpu().numpy())
        background = self._background(images, fill)
        varied = self._moved(images, draws, background)
        if varied is images and (self._changes or "trivial" in self._by_name):
            varied = images.clone()  # all that follows is in place
        if "trivial" in self._by_name:
            vary_trivially(varied, draws, background)
        for change in self._changes:
            change(varied, draws)
        return varied.contiguous(memory_format=_layout(images))

    @cached_property
    def _by_name(self) -> dict[str, Given]:
        return {given.term.name: given for given in self.terms}

    def _amount(self, name: str) -> float:
        """The first number of a term, 0 if it is not asked for."""
        return self._by_name[name].numbers[0] if name in self._by_name else 0.0

    @cached_property
    def _affine(self) -> Affine:
        crop = self._by_name.get("crop")
        area = (crop.numbers[0], crop.numbers[1]) if crop else None
        return Affine(**{name: self._amount(name) for name in _MOVES}, crop=area)

    @cached_property
    def _changes(self) -> list[Colour | Erase | Cutout]:
        amounts = {name: self._amount(name) for name in _COLOURS}
        if "jitter" in self._by_name:
            amounts |= dict.fromkeys(_COLOURS[:3], self._amount("jitter"))
        found: list[Colour | Erase | Cutout] = [Colour(**amounts)] if any(amounts.values()) else []
        if erase := self._by_name.get("erase"):
            found.append(Erase(erase.numbers[0], erase.numbers[1], erase.word))
        if cutout := self._by_name.get("cutout"):
            found.append(Cutout(cutout.numbers[0], cutout.word))
        return found

    def _background(self, images: Tensor, fill: float | Sequence[float] | Tensor) -> Background:
        if "reflect" in self._by_name:
            return None
        return torch.as_tensor(fill, dtype=images.dtype, device=images.device).reshape(-1, 1, 1)

    def _moved(self, images: Tensor, draws: Draws, background: Background) -> Tensor:
        elastic = self._by_name.get("elastic")
        if self._affine == Affine() and elastic is None:
            return images
        inverse = self._affine.inverse(draws, *images.shape[2:])
        if elastic is None and self._affine.whole:
            return copied(images, inverse, background)
        field = bend(images, draws, elastic.numbers[0], elastic.numbers[1]) if elastic else None
        return sampled(images, inverse, field, background)


def _layout(images: Tensor) -> torch.memory_format:
    last = images.is_contiguous(memory_format=torch.channels_last) and not images.is_contiguous()
    return torch.channels_last if last else torch.contiguous_format


def recipe(text: str) -> Augment:
    """Return the augmentation that a text names: a recipe, or a sum of terms (`describe` lists them).

    Raises:
        ArgumentError: the text is no augmentation.
    """
    return Augment(parse(text))
