"""Where picture files lie: a folder or an archive, listed and read the same way, never outside its root."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import Protocol

from cnnatomy.data.decode import MAX_BYTES, BadPictureError, is_picture
from cnnatomy.errors import DataError
from cnnatomy.files.printable import byte_count, shown

_FLAGS = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)  # a pipe is not waited for


class Read(Protocol):
    """What gives the bytes of a file."""

    def __call__(self, most: int | None = None, /) -> bytes:
        """Return all of them, or at least the first `most` where there are so many."""


@dataclass(frozen=True)
class Listing:
    """The files and folders of a source by their names relative to its root, hidden ones left out.

    `others` are files that are there and were not asked for.
    """

    files: Sequence[str]
    folders: Sequence[str]
    others: Sequence[str] = ()


class FileSource(Protocol):
    """A folder or an archive."""

    path: Path

    @property
    def stamp(self) -> Sequence[str]:
        """What changes when a picture changes: the key under which decoded pictures are kept."""

    @property
    def listing(self) -> Listing:
        """What is there; raises DataError if it cannot be listed or must not be read."""

    def open(self, names: Sequence[str]) -> AbstractContextManager[Iterable[tuple[str, Read]]]:
        """Give the wanted files in any order, each with a function that one thread calls for its bytes."""


def is_hidden(name: str) -> bool:
    """Return whether a file or folder is no data: dot files, and the folder that macOS puts into its zips."""
    return name.startswith(".") or name == "__MACOSX"


def stamp_of(path: Path, stat: os.stat_result) -> str:
    """Return a text that changes when the file changes, even if its size and its date are kept."""
    return f"{path}|{stat.st_size}|{stat.st_mtime_ns}|{stat.st_ctime_ns}"


class FolderSource:
    """A folder; links are followed inside it, never out of it."""

    def __init__(self, path: Path, wanted: Callable[[str], bool] = is_picture) -> None:
        self.path = path
        self._root = Path(os.path.realpath(path))
        self._problems: dict[str, str] = {}
        stamps: dict[str, str] = {}
        folders: list[str] = []
        others: list[str] = []
        # Each folder waits with the real paths it was reached through, so that no link leads in a circle.
        waiting: list[tuple[str, tuple[str, ...]]] = [("", (str(self._root),))]
        while waiting:
            folder, trail = waiting.pop()
            for entry in self._scan(folder):
                name = folder + entry.name
                if _is_folder(entry):
                    folders.append(name)
                    waiting.append((f"{name}/", (*trail, self._enter(entry, trail))))
                elif wanted(name):
                    stamps[name] = self._stamp(name, entry)
                else:
                    others.append(name)
        self.listing = Listing(sorted(stamps), sorted(folders), sorted(others))
        self.stamp = [str(self._root), *(stamps[name] for name in self.listing.files)]

    @contextmanager
    def open(self, names: Sequence[str]) -> Iterator[Iterable[tuple[str, Read]]]:
        """Give the wanted files; a file that must not be read says why when it is."""
        yield ((name, partial(self._read, name)) for name in names)

    def _read(self, name: str, most: int | None = None) -> bytes:
        if name in self._problems:
            raise BadPictureError(self._problems[name])
        return read_file(os.path.join(self._root, name), most)

    def _scan(self, folder: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(self._root / folder) as entries:
                return sorted((e for e in entries if not is_hidden(e.name)), key=lambda entry: entry.name)
        except OSError as error:
            raise DataError(f"cannot list {shown(self.path / folder)}: {error.strerror}") from error

    def _enter(self, entry: os.DirEntry[str], trail: Sequence[str]) -> str:
        """Return the real path of a folder; a link may lead neither out of the root nor round in a circle."""
        if not entry.is_symlink():
            return os.path.join(trail[-1], entry.name)
        target = os.path.realpath(entry.path)
        if not self._inside(target):
            raise DataError(f"{shown(entry.path)} is a link that leads out of {shown(self.path)}")
        if any(Path(step).is_relative_to(target) for step in trail):
            raise DataError(f"{shown(entry.path)} is a link that leads back to where it lies")
        return target

    def _stamp(self, name: str, entry: os.DirEntry[str]) -> str:
        """Return the stamp of a file, and note why it must not be read if that is so."""
        try:
            if entry.is_symlink() and not self._inside(os.path.realpath(entry.path)):
                self._problems[name] = f"is a link that leads out of {shown(self.path)}"
            elif not entry.is_file():
                self._problems[name] = "is a link to nothing" if entry.is_symlink() else "is no regular file"
            else:
                return stamp_of(Path(name), entry.stat())
        except OSError as error:
            self._problems[name] = f"cannot be read ({error.strerror})"
        return f"{name}|{self._problems[name]}"

    def _inside(self, target: str) -> bool:
        return Path(target).is_relative_to(self._root)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def read_file(path: str | Path, most: int | None = None) -> bytes:
    """Return the bytes of a picture file, or only the first `most`.

    Raises:
        BadPictureError: it cannot be opened, is no regular file, or is far too large.
    """
    try:
        handle = os.open(path, _FLAGS)
        try:
            status = os.fstat(handle)
            if not S_ISREG(status.st_mode):
                raise BadPictureError("is a folder" if S_ISDIR(status.st_mode) else "is no regular file")
            if status.st_size > MAX_BYTES:
                raise BadPictureError(too_large(status.st_size))
            return os.read(handle, status.st_size if most is None else most)
        finally:
            os.close(handle)
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        raise BadPictureError(f"cannot be read ({getattr(error, 'strerror', error)})") from error


def too_large(size: int) -> str:
    """Return the reason to leave a file of `size` bytes alone."""
    return f"is {byte_count(size)}, more than the {byte_count(MAX_BYTES)} allowed"
