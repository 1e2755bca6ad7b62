"""Archives read where they lie, nothing unpacked to disk: .zip, and .tar plain or by gzip, bzip2 or xz."""

from __future__ import annotations

import bz2
import gzip
import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import IO, NoReturn, cast

from cnnatomy.data.decode import MAX_BYTES, BadPictureError
from cnnatomy.data.picture_sources import FileSource, Listing, Read, stamp_of, too_large
from cnnatomy.data.unpack_limits import Bounded, Contents
from cnnatomy.errors import DataError
from cnnatomy.files.printable import shown

_DAMAGE = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, OSError, UnicodeError, OverflowError, NotImplementedError),
)
_ZIP, _GZIP, _BZIP2, _XZ = (b"PK\x03\x04", b"PK\x05\x06"), b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00"


def open_archive(path: Path) -> FileSource:
    """Return the files of an archive, told by its content; its name does not matter.

    Raises:
        DataError: it cannot be read, or is no archive.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for ever
            raise DataError(f"{shown(path)} is no regular file", expected="a folder or an archive")
        with path.open("rb") as file:
            magic = file.read(tarfile.BLOCKSIZE)
    except OSError as error:
        raise DataError(f"cannot read {shown(path)}: {error.strerror or error}") from error
    if magic.startswith(_ZIP):
        return ZipSource(path)
    if magic.startswith((_GZIP, _BZIP2, _XZ)) or magic[257:262] == b"ustar":
        return TarSource(path)
    raise DataError(
        f"{shown(path)} is neither a folder nor an archive",
        expected="a folder, .zip, .tar, .tar.gz, .tar.bz2, .tar.xz or idx files",
        got=f"a file that begins with {magic[:8]!r}" if magic else "an empty file",
    )


@contextmanager
def _guarded(path: Path) -> Iterator[None]:
    """Say in one line that an archive is damaged, however its reader fails."""
    try:
        yield
    except _DAMAGE as error:
        raise DataError(f"{shown(path)} is cut off or damaged ({shown(str(error))})") from error


class ZipSource:
    """A .zip archive."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stamp = [stamp_of(path.resolve(), path.stat())]

    @cached_property
    def _contents(self) -> Contents:
        contents = Contents(self.path)
        with self._opened() as archive:
            for info in archive.infolist():
                mode = stat.S_IFMT(info.external_attr >> 16)  # zero where the packer knows no Unix modes
                kinds = {0: "file", stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "link"}
                kind = "folder" if info.is_dir() else kinds.get(mode, "device")
                contents.add(info.filename, info.file_size, kind)
        return contents

    @property
    def listing(self) -> Listing:
        """The members; raises DataError if one must not be trusted."""
        return self._contents.listing()

    @contextmanager
    def open(self, names: Sequence[str]) -> Iterator[Iterable[tuple[str, Read]]]:
        """Give the wanted members; `zipfile` lets several threads read."""
        with self._opened() as archive:
            yield ((name, partial(self._read, archive, self._contents.members[name])) for name in names)

    def _opened(self) -> zipfile.ZipFile:
        with _guarded(self.path):
            return zipfile.ZipFile(self.path)

    def _read(self, archive: zipfile.ZipFile, member: str, most: int | None = None) -> bytes:
        info = archive.getinfo(member)
        if info.file_size > MAX_BYTES:
            raise BadPictureError(too_large(info.file_size))
        try:
            with archive.open(info) as file:
                return file.read(-1 if most is None else most)
        except RuntimeError as error:  # zipfile's way to say: encrypted, or packed by a method it lacks
            raise BadPictureError(f"cannot be unpacked ({error})") from error
        except _DAMAGE as error:
            raise BadPictureError(f"is damaged in the archive ({error})") from error


class TarSource:
    """A .tar archive, plain or packed, read front to back: packed ones can be read in no other order."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stamp = [stamp_of(path.resolve(), path.stat())]

    @cached_property
    def _contents(self) -> Contents:
        contents = Contents(self.path)
        for info, _ in self._members():
            kind = "file" if info.isreg() else "folder" if info.isdir() else "device"
            contents.add(info.name, info.size, "link" if info.issym() or info.islnk() else kind)
        return contents

    @property
    def listing(self) -> Listing:
        """The members; raises DataError if one must not be trusted."""
        return self._contents.listing()

    @contextmanager
    def open(self, names: Sequence[str]) -> Iterator[Iterable[tuple[str, Read]]]:
        """Give the wanted members in the order of the archive."""
        with closing(self._wanted(names)) as members:
            yield members

    def _wanted(self, names: Sequence[str]) -> Generator[tuple[str, Read]]:
        wanted = {self._contents.members[name]: name for name in names}
        for info, archive in self._members():
            if (name := wanted.get(info.name)) is None:
                continue
            if info.size > MAX_BYTES:
                yield name, partial(_complain, too_large(info.size))
            elif (file := archive.extractfile(info)) is not None:
                yield name, partial(_whole, file.read())

    def _members(self) -> Iterator[tuple[tarfile.TarInfo, tarfile.TarFile]]:
        with ExitStack() as stack:
            stack.enter_context(_guarded(self.path))
            raw = stack.enter_context(self.path.open("rb"))
            stream = Bounded(stack.enter_context(_unpacked(raw)), self.path)
            archive = stack.enter_context(tarfile.open(fileobj=cast("IO[bytes]", stream), mode="r:"))
            while (info := archive.next()) is not None:
                yield info, archive
                archive.members.clear()  # type: ignore[attr-defined] # or every header seen would be kept
            if stream.last != bytes(tarfile.BLOCKSIZE):
                raise tarfile.ReadError("its end mark is missing")  # tarfile takes any cut for the end
            while stream.read(1 << 16):  # to the very end, where a packer keeps its checksum
                pass


def _whole(data: bytes, most: int | None = None) -> bytes:
    return data


def _complain(reason: str, most: int | None = None) -> NoReturn:
    raise BadPictureError(reason)


def _unpacked(raw: IO[bytes]) -> IO[bytes]:
    magic = raw.read(len(_XZ))
    raw.seek(0)
    if magic.startswith(_GZIP):
        return cast("IO[bytes]", gzip.GzipFile(fileobj=raw))
    if magic.startswith(_BZIP2):
        return bz2.BZ2File(raw)
    return lzma.LZMAFile(raw) if magic == _XZ else raw
