"""Files that are not like the others, and that their owner may not know of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from cnnatomy.data.colours import is_grey
from cnnatomy.data.decode import is_picture
from cnnatomy.data.picture_sources import FileSource, Listing
from cnnatomy.data.survey.headers import Header, Headers
from cnnatomy.data.uniform import Uniform
from cnnatomy.files.printable import written

TINY, LONG = 8, 4
"""Shorter sides below this many cells, and ratios above this, are odd."""


def odd_files(
    source: FileSource | Uniform, headers: Headers, classes: Sequence[str]
) -> Mapping[str, tuple[str, ...]]:
    """Return the names of what is odd in a source, by what is odd about it; only what is there."""
    found = {
        "named like another kind of picture": [
            f"{name} is {kind}" for name, kind in headers.misnamed().items()
        ],
        f"less than {TINY} cells high or wide": headers.named(lambda header: min(header.size) < TINY),
        f"more than {LONG} times as long as wide": headers.named(_is_long),
        "more than one frame, of which the first counts": headers.named(lambda header: header.several),
        "with transparency, which shows white": headers.named(lambda header: header.alpha),
        "16 bits a value, brought to 8": headers.named(lambda header: header.sixteen),
        "in the colours of print (CMYK)": headers.named(lambda header: header.mode == "CMYK"),
        "classes alike but for capitals": _twins(classes),
    }
    if headers.coloured:
        found["grey among coloured ones"] = headers.named(lambda header: is_grey(header.mode))
    if not isinstance(source, Uniform):
        found["no picture by its name, in a class folder"] = _not_pictures(source.listing, classes)
    return {what: tuple(map(written, names)) for what, names in found.items() if names}


def _is_long(header: Header) -> bool:
    return max(header.size) > LONG * min(header.size)


def _twins(classes: Sequence[str]) -> list[str]:
    alike: dict[str, list[str]] = {}
    for name in classes:
        alike.setdefault(name.casefold().strip(), []).append(name)
    return [" = ".join(names) for names in alike.values() if len(names) > 1]


def _not_pictures(listing: Listing, classes: Sequence[str]) -> list[str]:
    wanted = set(classes)
    names = (name for name in (*listing.files, *listing.others) if not is_picture(name))
    return [name for name in names if wanted.intersection(PurePosixPath(name).parts[:-1])]
