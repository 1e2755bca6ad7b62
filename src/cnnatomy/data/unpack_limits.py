"""What keeps a file that came from anywhere from doing harm: bounds on what it unpacks to, and trusted names.

Refused by name: members of an archive that lead out of it (absolute, `..`), links, devices, names used twice,
anything that would unpack to more than 1 GiB and more than 200 times its size, and more than 25,000 members
that hold next to nothing, each of which takes time.
"""

from __future__ import annotations

import re
import tarfile
from pathlib import Path, PurePosixPath
from typing import IO, NoReturn

from cnnatomy.data.decode import MAX_BYTES
from cnnatomy.data.picture_sources import Listing, is_hidden
from cnnatomy.errors import DataError
from cnnatomy.files.printable import byte_count, shown

# Deflate cannot exceed 1032:1, and pictures stay far below this ratio.
_MOST_RATIO, _ALWAYS_ALLOWED = 200, 1 << 30
# The smallest picture there can be has some 35 bytes; 21,841 classes are the most that data sets have.
_LEAST_BYTES, _MEMBERS_ALLOWED = 32, 25_000


def allowed_size(path: Path) -> int:
    """Return how many bytes a packed file may unpack to."""
    return max(_ALWAYS_ALLOWED, _MOST_RATIO * path.stat().st_size)


class Contents:
    """The members of an archive, by tidy names; those that must not be trusted are refused."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.members: dict[str, str] = {}  # tidy name -> name in the archive
        self._folders: set[str] = set()
        self._left = allowed_size(path)
        self._packed, self._bytes, self._count = path.stat().st_size, 0, 0

    def add(self, member: str, size: int, kind: str) -> None:
        """Take note of a member: a "file", a "folder", or a kind that is refused.

        Raises:
            DataError: the member leads out, is no file or folder, is there twice, or is too much.
        """
        tidy = member.replace("\\", "/")
        if tidy.startswith("/") or ".." in tidy.split("/") or re.match(r"[A-Za-z]:", tidy):
            self._refuse(member, "leads out of the archive")
        if kind not in ("file", "folder"):
            self._refuse(member, f"is a {kind}")
        self._left -= tarfile.BLOCKSIZE + size
        if self._left < 0:
            allowed = byte_count(allowed_size(self.path))
            self._refuse(member, f"brings the content over the {allowed} allowed for an archive of its size")
        self._bytes, self._count = self._bytes + size, self._count + 1
        if self._count > _MEMBERS_ALLOWED + min(self._bytes, self._packed) // _LEAST_BYTES:
            held = byte_count(min(self._bytes, self._packed))
            what = f"{shown(self.path)} is refused: its first {self._count:,} members hold {held} in all"
            raise DataError(what, expected=f"{_LEAST_BYTES} bytes for each beyond {_MEMBERS_ALLOWED:,}")
        name = str(PurePosixPath(tidy))
        if any(map(is_hidden, PurePosixPath(name).parts)):
            return
        if kind == "folder":
            self._folders.add(name)
        elif name in self.members:
            self._refuse(member, "is there twice")
        else:
            self.members[name] = member

    def listing(self) -> Listing:
        """Return the files and folders, those that are only named as part of a path included."""
        parents = {str(parent) for name in self.members for parent in PurePosixPath(name).parents}
        return Listing(sorted(self.members), sorted((self._folders | parents) - {"."}))

    def _refuse(self, member: str, why: str) -> NoReturn:
        raise DataError(f"{shown(self.path)} is refused: its member {shown(member)} {why}")


class Bounded:
    """The unpacked stream of an archive, which ends in an error where a bomb would go on."""

    def __init__(self, stream: IO[bytes], path: Path) -> None:
        self._stream, self._path, self._allowed = stream, path, allowed_size(path)
        self.last = b""

    def read(self, size: int) -> bytes:
        """Return the next bytes and keep them as `last`."""
        if size > MAX_BYTES + tarfile.BLOCKSIZE:
            raise DataError(f"{shown(self._path)} is refused: it has a header of {byte_count(size)}")
        self.last = self._stream.read(size)
        self._check(self._stream.tell())
        return self.last

    def seek(self, position: int) -> int:
        """Go to a position."""
        self._check(position)
        return self._stream.seek(position)

    def tell(self) -> int:
        """Return the position."""
        return self._stream.tell()

    def _check(self, position: int) -> None:
        if position > self._allowed:
            allowed = byte_count(self._allowed)
            raise DataError(f"{shown(self._path)} is refused: it unpacks to more than the {allowed} allowed")
