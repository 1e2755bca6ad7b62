"""Which network is trained, from which weights; standard library only."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cnnatomy import checks
from cnnatomy.errors import ArgumentError
from cnnatomy.models.model_catalog import find


@dataclass(frozen=True)
class NetworkSettings:
    """A network, the size of its input, and what it begins with.

    Example:
        >>> NetworkSettings(model="conv3-8 globalavg FC-2", size="48").shape()
        (None, 48, 48)
        >>> NetworkSettings(model="lenet5").shape(), NetworkSettings().shape()
        ((1, 32, 32), (None, None, None))
    """

    model: str | None = None
    """A network: a name of the catalog, notation ("conv3-32 maxpool conv3-64 globalavg FC"), timm:NAME,
    torchvision:NAME, or your own as net.py:Net. None: one that suits the pictures."""
    size: str | None = None
    """Height and width of the pictures the network reads, as 32 or 32x48, or with channels, as 3x32x48.
    None: the network's own, or what suits the pictures, with their channels."""
    pool: str | None = None
    """A pooling in place of every one that has windows or a grid, which stay, as soft or gem(p=3).
    Global poolings are left alone: for those write globalsoft in the network's text.
    None: the network's own."""
    output: str | None = None
    """The network's output layer. None: what suits the classes (for LeNet-5 rbf for digits, else softmax)."""
    weights: str | None = None
    """Weights to begin with: a file, torchvision:NAME, timm:NAME or hf:OWNER/NAME. None: random ones.
    The last layer begins anew where the weights are for other classes."""
    freeze: str | None = None
    """What keeps its weights: the first so many stages, as 3 (-1: all but the last), or names: features.*"""

    def check(self) -> None:
        """Raise an ArgumentError if a value can mean nothing."""
        for name, value in vars(self).items():
            if value is not None:
                checks.of_kind(name, value, str, "a string")
        if self.model is not None:
            find(self.model).output_for(10, self.output)
        self.shape()
        if self.pool is not None:
            from cnnatomy.notation.parse import parse_pooling

            parse_pooling(self.pool)

    def shape(self) -> tuple[int | None, int | None, int | None]:
        """Channels, height and width that the network reads; None for what the pictures decide.

        Raises:
            ArgumentError: the size cannot be read.
        """
        own = find(self.model).input_shape if self.model is not None else None
        if self.size is None:
            return own or (None, None, None)
        if not re.fullmatch(r"[1-9]\d{0,3}(x[1-9]\d{0,3}){0,2}", self.size):
            expected = "such as 32, 32x48 or 3x32x48, with sides of at most 9999"
            raise ArgumentError("size", expected=expected, got=repr(self.size))
        numbers = [int(number) for number in self.size.split("x")]
        *channels, height, width = numbers if len(numbers) > 1 else numbers * 2
        return (channels[0] if channels else own[0] if own else None), height, width
