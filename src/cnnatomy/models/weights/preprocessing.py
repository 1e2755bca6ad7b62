"""What becomes of a picture before a network with given weights reads it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cnnatomy import checks
from cnnatomy.errors import ArgumentError
from cnnatomy.ops import resample

METHODS = {"nearest": "nearest", "bilinear": "bilinear", "bicubic": "bicubic", "lanczos": "lanczos3"}
"""Ways to resize, by the names that weights are published with, and as `cnnatomy.resample` calls them."""
_PILLOW = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}
"""Pillow's numbers of them, which Hugging Face's files hold."""
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and standard deviation of ImageNet's pictures, as torchvision and timm round them."""


@dataclass(frozen=True)
class Preprocessing:
    """Resize, cut out the middle, scale to 0 .. 1 and standardise: (x / 255 - mean) / std for each channel.

    The shorter side becomes floor(size / crop) and the middle of the wanted size is kept, as in torchvision
    and timm. With `crop=None` the whole picture is brought to the size, whatever its ratio.

    Args:
        mean: what is taken from each channel, on a scale of 0 .. 1.
        std: what each channel is then divided by.
        size: height and width that the weights were tested with; None leaves pictures as large as they are.
        crop: the share of the resized picture's shorter side that is kept, above 0 and at most 1.
        interpolation: one of `METHODS`, always with antialiasing.

    Raises:
        ArgumentError: a value is out of range, or mean and std differ in length.

    Example:
        >>> prepare = Preprocessing((0.5,), (0.5,), size=(2, 2), crop=0.5)
        >>> pictures = torch.full((1, 1, 6, 9), 255, dtype=torch.uint8)
        >>> prepare(pictures)
        tensor([[[[1., 1.],
                  [1., 1.]]]])
    """

    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    size: tuple[int, int] | None = (224, 224)
    crop: float | None = 0.875
    interpolation: str = "bilinear"

    def __post_init__(self) -> None:
        expected = "a finite number for each channel"
        for values in (self.mean, self.std):
            for value in checks.of_kind("mean and std", values, (tuple, list), expected):
                checks.real("mean and std", value, expected, math.isfinite)
        if not self.mean or len(self.mean) != len(self.std):
            raise ArgumentError("mean and std", expected=expected, got=f"{self.mean} and {self.std}")
        if min(self.std) <= 0:
            raise ArgumentError("std", expected="numbers > 0", got=str(self.std))
        if self.size is not None:
            expected = "(height, width) >= 1"
            sides = checks.of_kind("size", self.size, (tuple, list), expected)
            if len(sides) != 2 or any(type(side) is not int or side < 1 for side in sides):
                raise ArgumentError("size", expected=expected, got=str(self.size))
        if self.crop is not None:
            checks.real("crop", self.crop, "a number above 0 and at most 1, or None", lambda n: 0 < n <= 1)
        if not isinstance(self.interpolation, str) or self.interpolation not in METHODS:
            known = ", ".join(METHODS)
            raise ArgumentError("interpolation", expected=f"one of {known}", got=repr(self.interpolation))

    def __call__(self, pictures: Tensor) -> Tensor:
        """Bring uint8 pictures (N, C, H, W) of any size to what the network reads, float32."""
        checks.of_kind("pictures", pictures, Tensor, "a uint8 tensor (N, C, H, W)")
        return self.standardise(self.frame(pictures))

    def frame(self, pictures: Tensor) -> Tensor:
        """Resize uint8 pictures (N, C, H, W) and keep the middle: (N, C, *size), still uint8."""
        if self.size is None:
            return pictures
        height, width = self.size
        method = METHODS[self.interpolation]
        if self.crop is None:
            return resample(pictures, self.size, method=method, antialias=True)
        # The small addend keeps 224 / (224 / 354) from becoming 353.
        least = [math.floor(side / self.crop + 1e-6) for side in self.size]
        sides = pictures.shape[-2:]
        factor = max(wanted / side for wanted, side in zip(least, sides, strict=True))
        scaled = [max(int(side * factor + 1e-6), wanted) for side, wanted in zip(sides, least, strict=True)]
        pictures = resample(pictures, scaled, method=method, antialias=True)
        top, left = (round((have - wanted) / 2) for have, wanted in zip(scaled, self.size, strict=True))
        return pictures[..., top : top + height, left : left + width]

    def standardise(self, pictures: Tensor) -> Tensor:
        """Scale levels 0 .. 255 of pictures (N, C, H, W) and standardise each channel, float32.

        Raises:
            ArgumentError: the pictures have another number of channels.
        """
        if pictures.shape[-3] != len(self.mean):
            expected, got = f"{len(self.mean)} channels", f"{pictures.shape[-3]}"
            raise ArgumentError("pictures do not go with the mean and std", expected=expected, got=got)
        mean, std = (
            torch.tensor(values, device=pictures.device)[:, None, None] for values in (self.mean, self.std)
        )
        return (pictures.float() / 255 - mean) / std

    def to_json(self) -> dict[str, Any]:
        """Give the fields as JSON values.

        Example:
            >>> Preprocessing.from_json(Preprocessing().to_json()) == Preprocessing()
            True
        """
        return {
            "mean": list(self.mean),
            "std": list(self.std),
            "size": list(self.size) if self.size else None,
            "crop": self.crop,
            "interpolation": self.interpolation,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Preprocessing:
        """Read back what `to_json` gave."""
        size = tuple(values["size"]) if values["size"] else None
        mean, std = tuple(values["mean"]), tuple(values["std"])
        return cls(mean, std, size, values["crop"], values["interpolation"])


def from_timm(config: Mapping[str, Any]) -> Preprocessing:
    """Read a timm `pretrained_cfg`, bare or within the config.json of a repository.

    Example:
        >>> from_timm({"pretrained_cfg": {"crop_pct": 0.95, "interpolation": "bicubic"}}).crop
        0.95
    """
    pretrained = config.get("pretrained_cfg") or config
    size = pretrained.get("input_size") or (3, 224, 224)
    squash = pretrained.get("crop_mode", "center") == "squash"
    return Preprocessing(
        tuple(map(float, pretrained.get("mean") or IMAGENET_MEAN)),
        tuple(map(float, pretrained.get("std") or IMAGENET_STD)),
        (int(size[-2]), int(size[-1])),
        None if squash else float(pretrained.get("crop_pct") or 0.875),
        pretrained.get("interpolation") or "bicubic",
    )


def from_transformers(config: Mapping[str, Any]) -> Preprocessing:
    """Read a Hugging Face preprocessor_config.json.

    A ConvNeXT processor, which ResNets have, enlarges by its `crop_pct` below 384 pixels and from there on
    squeezes the whole picture; others resize to `size` and cut out `crop_size`.

    Example:
        >>> from_transformers({"size": 224, "crop_pct": 0.875, "resample": 3}).interpolation
        'bicubic'
    """
    size, crop = _sides(config.get("size", 224)), _sides(config.get("crop_size", 224))
    share: float | None = None
    if config.get("do_center_crop") and not config.get("crop_pct"):
        share, size = min(1.0, min(crop) / min(size)), crop
    elif min(size) < 384 and config.get("crop_pct"):
        share = float(config["crop_pct"])
    plain = not config.get("do_normalize", True)
    return Preprocessing(
        (0.0,) * 3 if plain else tuple(map(float, config.get("image_mean") or IMAGENET_MEAN)),
        (1.0,) * 3 if plain else tuple(map(float, config.get("image_std") or IMAGENET_STD)),
        size if config.get("do_resize", True) else None,
        share,
        _PILLOW.get(config.get("resample", 2), "bilinear"),
    )


def _sides(sides: Any) -> tuple[int, int]:
    """A size as these files write it: a number, or height and width, or the shorter side."""
    if isinstance(sides, Mapping):
        edge = sides.get("shortest_edge", 224)
        return int(sides.get("height", edge)), int(sides.get("width", edge))
    return int(sides), int(sides)
