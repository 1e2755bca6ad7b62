"""The network that is taken where none is named: two families in notation, scaled to the pictures.

Small residual networks after He et al. (2015), section 4.2, that pool before each residual block rather than
after it: of the shapes compared at equal time on a processor, these learned most from few pictures. From many
small ones, networks without residuals learned more that widen at once and pool before they normalise, after
Jordan (2024), "94% on CIFAR-10 in 3.29 seconds on a single GPU", arXiv:2404.00498 (docs/training.md).
"""

from __future__ import annotations

DEEP_SIDE = 64
"""Longest side that the network for small pictures is meant for; larger ones go through a coarser stem."""
FEW, MANY = 500, 20_000
"""Fewer training pictures make the network narrower; more of them, if small, take the other family."""
WIDTHS = {"narrow": 24, "usual": 32, "patient": 48, "wide": 64}
"""Maps of the first block; the next have two and four times as many, in the other family both four times."""


PATIENT = 0.04
"""Seconds for each of many small pictures, from which a wider network learns more on a processor."""


def picture_network(
    size: tuple[int, int], pictures: int, *, gpu: bool = False, seconds: float | None = None
) -> tuple[str, str]:
    """Write the network for pictures of a size, and say in words what it is.

    Args:
        size: the height and the width of its input.
        pictures: how many there are to train on.
        gpu: whether a GPU computes.
        seconds: how long the training may take; None: as long as it usually does.

    Example:
        >>> text, said = picture_network((32, 32), pictures=2_000)
        >>> text
        'conv3-32 bn maxpool res(conv3-32 bn conv3-32 bn) conv3-64 bn maxpool res(conv3-64 bn conv3-64 bn) \
conv3-128 bn maxpool res(conv3-128 bn conv3-128 bn) globalavg FC'
        >>> said
        'a small residual network of 32 to 128 maps'
        >>> picture_network((32, 32), pictures=50_000)[1]
        'a convolutional network of 32 to 128 maps'
        >>> picture_network((32, 32), pictures=50_000, seconds=3600)[1]
        'a convolutional network of 48 to 192 maps'
    """
    many = are_many(size, pictures)
    width = WIDTHS["narrow" if pictures < FEW else "wide" if gpu and pictures > MANY else "usual"]
    if many and not gpu and (seconds or 0) >= PATIENT * pictures:
        width = WIDTHS["patient"]
    if many:
        return _broad(width), f"a convolutional network of {width} to {4 * width} maps"
    blocks = [f"res(conv3-{n} bn conv3-{n} bn)" for n in (width, 2 * width, 4 * width)]
    downs = [f"conv3-{n} bn maxpool" for n in (width, 2 * width, 4 * width)]
    if max(size) > DEEP_SIDE:
        downs[0] = f"conv5-{width // 2} s2 bn {downs[0]}"
    body = " ".join(f"{down} {block}" for down, block in zip(downs, blocks, strict=True))
    return f"{body} globalavg FC", f"a small residual network of {width} to {4 * width} maps"


def are_many(size: tuple[int, int], pictures: int) -> bool:
    """Whether these are many small pictures, for which the other family is taken.

    Example:
        >>> are_many((32, 32), 50_000), are_many((32, 32), 2_000), are_many((112, 112), 50_000)
        (True, False, False)
    """
    return pictures > MANY and max(size) <= DEEP_SIDE


def _broad(width: int) -> str:
    """Three groups that halve the map and look once more; the second and third are four times as wide."""
    groups = [f"conv3-{n} nobias linear maxpool bn relu conv3-{n} bn" for n in (width, 4 * width, 4 * width)]
    return f"conv3-{3 * width // 4} bn {' '.join(groups)} globalavg FC"
