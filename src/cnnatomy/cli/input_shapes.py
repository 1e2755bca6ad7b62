"""The shape of a signal, picture or volume as people type it, and how it is read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from cnnatomy.cli.network_argument import read_shape
from cnnatomy.errors import ArgumentError

KINDS = {1: "signal", 2: "picture", 3: "volume"}
COLOURS = (1, 3)
"""Channels that files of pictures have, in their last axis."""


class Map(NamedTuple):
    """Channels, and one to three spatial axes."""

    shape: tuple[int, ...]

    @property
    def words(self) -> str:
        """How the shape was read.

        Example:
            >>> Map((3, 32, 32)).words, Map((1, 7)).words
            ('a picture of 32×32 cells with 3 channels', 'a signal of 7 cells with 1 channel')
        """
        channels, *spatial = self.shape
        kind = KINDS[len(spatial)]
        plural = "channel" if channels == 1 else "channels"
        return f"a {kind} of {'×'.join(map(str, spatial))} cells with {channels} {plural}"


def read_map(text: str, axes: int | None = None) -> Map:
    """Read one number as a signal, two as a picture, and more as channels before two or three axes.

    Args:
        text: sizes joined by x.
        axes: the number of spatial axes, for what can be read in two ways.

    Raises:
        ArgumentError: these are no such sizes, or the last of three looks like the channels.

    Example:
        >>> read_map("7").shape, read_map("7x7").shape, read_map("3x7x7").shape, read_map("3x7", axes=1).shape
        ((1, 7), (1, 7, 7), (3, 7, 7), (3, 7))
        >>> read_map("224x224x3")
        Traceback (most recent call last):
        cnnatomy.errors.ArgumentError: the input: channels come first: expected 3x224x224 for a picture with \
3 channels, got 224x224x3; try --axes 2 if 224 are the channels
    """
    sizes = read_shape(text, "the input")
    if axes is None:
        axes = max(2, len(sizes) - 1) if len(sizes) > 1 else 1
        _demand_one_reading(sizes)
    if axes not in KINDS or len(sizes) not in (axes, axes + 1):
        expected = "one to three axes, such as 7, 7x7, or after the channels, 3x7x7"
        raise ArgumentError("the input", expected=expected, got=repr(text))
    return Map(sizes if len(sizes) > axes else (1, *sizes))


def _demand_one_reading(sizes: Sequence[int]) -> None:
    """Ask where the last of three sizes looks like the channels, or the first of two."""
    if len(sizes) == 2 and sizes[0] == 1:
        expected = f"{sizes[1]} for a signal"
        hint = f"--axes 1 for a signal with 1 channel, --axes 2 for a picture of 1×{sizes[1]} cells"
        raise ArgumentError(
            "the input can be read in two ways", expected=expected, got=f"1x{sizes[1]}", hint=hint
        )
    if len(sizes) == 3 and sizes[-1] in COLOURS and min(sizes[:2]) > max(COLOURS):
        written, meant = ("x".join(map(str, one)) for one in (sizes, (sizes[-1], *sizes[:-1])))
        plural = "channel" if sizes[-1] == 1 else "channels"
        raise ArgumentError(
            "the input: channels come first",
            expected=f"{meant} for a picture with {sizes[-1]} {plural}",
            got=written,
            hint=f"--axes 2 if {sizes[0]} are the channels",
        )
