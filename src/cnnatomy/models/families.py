"""The network that is taken where none is named: one family in notation, scaled to the pictures.

Small residual networks after He et al. (2015), section 4.2, that pool before each residual block rather than
after it: of the shapes compared at equal time on a processor, these learned most (docs/training.md).
"""

from __future__ import annotations

DEEP_SIDE = 64
"""Longest side that the network for small pictures is meant for; larger ones go through a coarser stem."""
FEW, MANY = 500, 20_000
"""Fewer training pictures make the network narrower; on a GPU, more make it wider."""
WIDTHS = {"narrow": 24, "usual": 32, "wide": 64}
"""Maps of the first block; each of the two after it has twice as many."""


def picture_network(size: tuple[int, int], pictures: int, *, gpu: bool = False) -> tuple[str, str]:
    """Write the network for pictures of a size, and say in words what it is.

    Example:
        >>> text, said = picture_network((32, 32), pictures=2_000)
        >>> text
        'conv3-32 bn maxpool res(conv3-32 bn conv3-32 bn) conv3-64 bn maxpool res(conv3-64 bn conv3-64 bn) \
conv3-128 bn maxpool res(conv3-128 bn conv3-128 bn) globalavg FC'
        >>> said
        'a small residual network of 32 to 128 maps'
    """
    width = WIDTHS["narrow" if pictures < FEW else "wide" if gpu and pictures > MANY else "usual"]
    blocks = [f"res(conv3-{n} bn conv3-{n} bn)" for n in (width, 2 * width, 4 * width)]
    downs = [f"conv3-{n} bn maxpool" for n in (width, 2 * width, 4 * width)]
    if max(size) > DEEP_SIDE:
        downs[0] = f"conv5-{width // 2} s2 bn {downs[0]}"
    body = " ".join(f"{down} {block}" for down, block in zip(downs, blocks, strict=True))
    return f"{body} globalavg FC", f"a small residual network of {width} to {4 * width} maps"
