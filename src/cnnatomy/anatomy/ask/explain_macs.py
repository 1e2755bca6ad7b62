"""Why other tools print other numbers."""

from __future__ import annotations

from typing import NamedTuple

from cnnatomy.anatomy.ask.counters import COUNTERS
from cnnatomy.anatomy.ask.counters.seen import Seen
from cnnatomy.anatomy.result import Anatomy
from cnnatomy.errors import ArgumentError


class Peer(NamedTuple):
    """What another tool would print."""

    tool: str
    macs: int
    """Multiply-accumulates by its rules; a tool that prints FLOPs prints twice as many."""
    why: str
    """What makes it differ from ours, with the numbers; "the same" if nothing does."""


def explain_macs(anatomy: Anatomy) -> list[Peer]:
    """What torchinfo, fvcore, thop, ptflops and FlopCounterMode would count for a network, and why.

    Each as run on the CPU, the network in evaluation mode, FlopCounterMode without gradients.

    Args:
        anatomy: a whole one, with its recorded pass.

    Raises:
        ArgumentError: the anatomy is partial, has operators that nobody counts, or was read from a file.

    Example:
        >>> import torch
        >>> from cnnatomy.anatomy import anatomy
        >>> for peer in explain_macs(anatomy(torch.nn.ConvTranspose2d(1, 1, 2, 2, bias=False), (1, 4, 4))):
        ...     print(peer.tool, peer.macs, peer.why)
        torchinfo 256 +192 transposed convolutions at their output's pixels
        fvcore 64 the same
        thop 256 +192 transposed convolutions at their output's pixels
        ptflops 64 the same
        FlopCounterMode 64 the same
    """
    if anatomy.macs is None or anatomy.graph is None:
        what = (
            "no total to compare with" if anatomy.graph is not None else "an anatomy without its operations"
        )
        raise ArgumentError(what, expected="an anatomy that is whole, and measured here", got=anatomy.reason)
    seen = Seen(anatomy, anatomy.graph, anatomy.macs)
    found = []
    for tool, parts in COUNTERS.items():
        differences = [(count, why) for count, why in parts(seen) if count]
        why = "; ".join(f"{count:+,} {text}" for count, text in differences) or "the same"
        found.append(Peer(tool, anatomy.macs + sum(count for count, _ in differences), why))
    return found
