"""What a user calls pictures: files, folders, patterns and archives, listed at once and read when asked."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NoReturn

from cnnatomy.data.archives import open_archive
from cnnatomy.data.decode import KINDS, BadPictureError, is_picture
from cnnatomy.data.picture_sources import FileSource, FolderSource, Read, read_file
from cnnatomy.errors import DataError


@dataclass(frozen=True)
class Found:
    """What one source turned out to be: picture files, those of a folder or an archive, or a problem."""

    paths: Sequence[Path]
    """Where each picture lies; below the archive's path for a picture in an archive."""
    file_source: FileSource | None = None
    names: Sequence[str] = ()
    """What the source calls each of them."""
    problem: str = ""
    """Why there is no picture, as the end of a sentence that begins with the path."""

    def files(self) -> Iterator[tuple[Path, Read]]:
        """Give each picture, with a function that one thread calls for its bytes, and that may complain."""
        if self.problem:
            yield from ((path, _complaint(self.problem)) for path in self.paths)
        elif self.file_source is None:
            yield from ((path, partial(read_file, path)) for path in self.paths)
        else:
            yield from self._members(self.file_source)

    def _members(self, file_source: FileSource) -> Iterator[tuple[Path, Read]]:
        paths = dict(zip(self.names, self.paths, strict=True))
        try:
            with file_source.open(self.names) as members:
                for name, read in members:
                    # An archive may be closed before a thread comes to read, a folder cannot.
                    yield paths[name], read if isinstance(file_source, FolderSource) else _read(read)
        except DataError as error:  # an archive that is damaged further on
            yield file_source.path, _complaint(_reason(error, file_source.path))


def find(source: str | Path) -> Found:
    """Say what a source is: a file, a folder with pictures at any depth, an archive, or a pattern of files.

    A pattern, as in `glob` with `**` for any depth, names files; one that names none is a problem, and so is
    a folder or an archive without pictures. What is named as a picture is taken for one, and only missed, or
    found to be none, when it is read.

    Example:
        >>> find("seven.png").paths
        [PosixPath('seven.png')]
        >>> find("nothing/*.png").problem
        'matches no file'
    """
    name = os.path.expanduser(source)
    path = source if isinstance(source, Path) and str(source) == name else Path(name)
    if glob.has_magic(name) and not os.path.lexists(name):
        files = [Path(one) for one in sorted(glob.glob(name, recursive=True)) if os.path.isfile(one)]
        return Found(files) if files else Found([path], problem="matches no file")
    folder = os.path.isdir(name)
    if is_picture(path.name) or not (folder or os.path.isfile(name)):  # opening a pipe would wait for ever
        return Found([path])
    file_source: FileSource
    try:
        file_source = FolderSource(path) if folder else open_archive(path)
    except DataError as error:
        return Found([path], problem=_reason(error, path)) if folder else Found([path])
    try:
        names = [name for name in file_source.listing.files if is_picture(name)]
    except DataError as error:
        return Found([path], problem=_reason(error, path))
    if not names:
        return Found([path], problem=f"holds no pictures ({KINDS})")
    return Found([path / name for name in names], file_source, names)


def files_of(found: Iterable[Found]) -> Iterator[tuple[Path, Read]]:
    """Give the pictures of several sources, one source after the other."""
    for one in found:
        yield from one.files()


def _reason(error: DataError, path: Path) -> str:
    """An error as the end of a sentence that begins with the path."""
    return str(error).removeprefix(f"{path} ")


def _read(read: Read) -> Read:
    """Read at once, and keep the bytes or the complaint for later."""
    try:
        data = read()
    except BadPictureError as error:
        return _complaint(str(error))
    return lambda most=None: data


def _complaint(reason: str) -> Read:
    """What complains when it is asked for the bytes."""

    def complain(most: int | None = None) -> NoReturn:
        raise BadPictureError(reason)

    return complain
