"""Training and evaluation mode, put back afterwards as they were."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from torch import nn

M = TypeVar("M", bound=nn.Module)


@contextmanager
def modes_kept(net: M) -> Iterator[M]:
    """Leave every module of a network in the mode that it had: `train` would give all of them one mode."""
    modes = [(one, one.training) for one in net.modules()]
    try:
        yield net
    finally:
        for one, mode in modes:
            one.training = mode


@contextmanager
def evaluating(net: M) -> Iterator[M]:
    """A network in evaluation mode, every module of it; afterwards each in the mode that it had.

    Example:
        >>> net = nn.Sequential(nn.Dropout().eval(), nn.Dropout())
        >>> with evaluating(net):
        ...     net[1].training
        False
        >>> net[0].training, net[1].training
        (False, True)
    """
    with modes_kept(net):
        net.eval()
        yield net
