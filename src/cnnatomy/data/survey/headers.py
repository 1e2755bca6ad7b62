"""What picture files say of themselves at their beginning, without decoding one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from cnnatomy.data.cache import Arrays, Facts, kept
from cnnatomy.data.classes import arrange
from cnnatomy.data.colours import has_sixteen_bits, is_grey
from cnnatomy.data.decode import BadPictureError, opened, suffix
from cnnatomy.data.fit_policies import Size
from cnnatomy.data.orientation import turn_of
from cnnatomy.data.picture_sources import FileSource, Read
from cnnatomy.data.pictures import Progress, silent
from cnnatomy.data.threaded_decoding import each_file
from cnnatomy.data.uniform import Uniform
from cnnatomy.files.printable import shown

_BEGINNING = 1 << 18  # bytes that hold the header of nearly every file
_IMAGE_WIDTH, _IMAGE_LENGTH = 256, 257  # tags of TIFF
_JPEG, _TIFF = (".jpg", ".jpeg", ".jpe", ".jfif"), (".tif", ".tiff")
_SUFFIXES = {
    **{"JPEG": _JPEG, "MPO": _JPEG, "PNG": (".png",), "BMP": (".bmp", ".dib"), "DIB": (".bmp", ".dib")},
    **{"GIF": (".gif",), "TIFF": _TIFF, "WEBP": (".webp",), "JPEG2000": (".jp2",), "AVIF": (".avif",)},
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
}


class Header(NamedTuple):
    """The upright `size` (height, width) of a picture, and its `kind` and `mode` as Pillow names them.

    `several`: it has more than one frame, of which the first counts. `alpha`: something may be transparent.
    """

    size: Size
    kind: str
    mode: str
    alpha: bool
    sixteen: bool
    several: bool


@dataclass(frozen=True)
class Headers:
    """The headers of the pictures of a source by file, or why one cannot be opened.

    `count` is how many pictures there are, of which `files` may be a sample; a set of pictures that are all
    alike and no files has none, and says its `uniform` shape.
    """

    count: int | None
    files: Mapping[str, Header | str]
    uniform: Uniform | None = None

    @property
    def sizes(self) -> Counter[Size]:
        """How many pictures have which upright size (height, width)."""
        if self.uniform:
            return Counter({self.uniform.size: self.count or 1})
        return Counter(header.size for _, header in self._good())

    @property
    def coloured(self) -> bool:
        """Whether any picture may have colours: it has room for them."""
        if self.uniform:
            return self.uniform.channels == 3
        return any(not is_grey(header.mode) for _, header in self._good())

    @property
    def unreadable(self) -> dict[str, str]:
        """The files that cannot be opened, and why."""
        return {name: header for name, header in self.files.items() if isinstance(header, str)}

    def named(self, wanted: Callable[[Header], object]) -> list[str]:
        """The names of the files whose header is as wanted."""
        return [name for name, header in self._good() if wanted(header)]

    def misnamed(self) -> dict[str, str]:
        """The files whose suffix belongs to another kind of picture, and which kind each is."""
        return {
            name: header.kind for name, header in self._good() if suffix(name) not in _SUFFIXES[header.kind]
        }

    def _good(self) -> Iterator[tuple[str, Header]]:
        return ((name, header) for name, header in self.files.items() if isinstance(header, Header))


def read_headers(
    source: FileSource | Uniform, *, sample: int | None = None, progress: Progress = silent
) -> Headers:
    """Return the headers of all pictures of a source, or of `sample` of them evenly spaced.

    Raises:
        DataError: what `arrange` raises: no pictures, no classes.
    """
    if isinstance(source, Uniform):
        return Headers(source.total, {}, source)
    names = arrange(source.listing, source.path).names
    wanted = _evenly(names, sample) if sample else names
    what = f"looking at {shown(source.path.name)}"

    def look() -> dict[str, Header | str]:
        with source.open(wanted) as files:
            found = each_file(files, _read_header, lambda done: progress(what, done, len(wanted), "pictures"))
        return {name: found[name] for name in wanted}

    found = kept("headers", [str(sample), *source.stamp], look, _pack, _unpack)
    return Headers(len(names), found)


def _evenly(names: Sequence[str], sample: int) -> list[str]:
    count = min(sample, len(names))
    return [names[i * len(names) // count] for i in range(count)]


def _read_header(name: str, read: Read) -> Header:
    data = read(_BEGINNING)
    try:
        return header_of(data)
    except BadPictureError:
        if len(data) < _BEGINNING:
            raise
        return header_of(read())  # some kinds keep what we want at their end


def header_of(data: bytes) -> Header:
    """Return the header of a picture file, of which the beginning may be enough.

    Raises:
        BadPictureError: it cannot be opened.
    """
    with opened(data) as image:
        kind = image.format or ""
        return Header(
            size=_upright(image, data),
            kind=kind,
            mode=image.mode,
            alpha=image.has_transparency_data,
            sixteen=has_sixteen_bits(image),
            several=kind != "MPO" and bool(getattr(image, "is_animated", False)),
        )


def _upright(image: Image.Image, data: bytes) -> Size:
    width, height = image.size
    if isinstance(image, TiffImageFile):  # some versions of Pillow have turned its size already, some not
        width, height = image.tag_v2[_IMAGE_WIDTH], image.tag_v2[_IMAGE_LENGTH]
    # Asked for its orientation, a PNG that does not say it early would be decoded to its end.
    silent = image.format == "PNG" and "exif" not in image.info and b"eXIf" not in data
    return (width, height) if not silent and turn_of(image).swap else (height, width)


def _pack(found: Mapping[str, Header | str]) -> tuple[Arrays, Facts]:
    return {}, {"names": list(found), "headers": list(found.values())}


def _unpack(arrays: Arrays, facts: Facts) -> dict[str, Header | str]:
    headers = map(_header, facts["headers"])
    return dict(zip(facts["names"], headers, strict=True))


def _header(said: Any) -> Header | str:
    if isinstance(said, str):
        return said
    size, *others = said
    return Header((size[0], size[1]), *others)
