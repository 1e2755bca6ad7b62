from __future__ import annotations

import gzip
import io
import lzma
import random
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from cnnatomy.data import Dataset, load, unpack_limits
from cnnatomy.errors import DataError

from .makers import class_files, tar_info, write_files, write_tar, write_zip

FILES = class_files(("cat", "dog"), 20)
WRITERS: dict[str, Callable[[Path], Path]] = {
    "zip": lambda path: write_zip(path, FILES),
    "tar": lambda path: write_tar(path, FILES),
    "gz": lambda path: write_tar(path, FILES, "gz"),
    "bz2": lambda path: write_tar(path, FILES, "bz2"),
    "xz": lambda path: write_tar(path, FILES, "xz"),
}


def read(source: Path, **options: object) -> Dataset:
    return load(source, **{"size": (12, 10), "channels": 3, **options})  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", WRITERS)
def test_an_archive_gives_what_its_folder_gives(tmp_path: Path, kind: str) -> None:
    folder = read(write_files(tmp_path / "folder", FILES))
    data = read(WRITERS[kind](tmp_path / "pets.any"))
    assert torch.equal(data.train.images, folder.train.images)
    assert data.train.names == folder.train.names
    assert data.fingerprint == folder.fingerprint
    assert data.name == "pets.any"


def test_the_order_of_the_members_does_not_matter(tmp_path: Path) -> None:
    names = list(FILES)
    random.Random(3).shuffle(names)
    shuffled = read(write_tar(tmp_path / "a.tar.gz", {name: FILES[name] for name in names}, "gz"))
    assert shuffled.fingerprint == read(write_tar(tmp_path / "b.tar", FILES)).fingerprint


@pytest.mark.parametrize("kind", WRITERS)
def test_a_cut_or_damaged_archive_is_never_a_smaller_data_set(tmp_path: Path, kind: str) -> None:
    whole = WRITERS[kind](tmp_path / "whole").read_bytes()
    path = tmp_path / "cut"
    # At the edges of members a plain tar looks whole: its end mark must be there.
    for size in (
        0,
        10,
        300,
        len(whole) // 3,
        len(whole) // 2 // 512 * 512,
        len(whole) - 1 if kind != "tar" else 1024,
    ):
        path.write_bytes(whole[:size])
        with pytest.raises(DataError) as caught:
            read(path)
        assert "cut off or damaged" in str(caught.value) or "neither a folder" in str(caught.value)
        assert str(caught.value).isprintable()


def test_a_tar_cut_between_members_is_noticed(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", FILES)
    with tarfile.open(path) as archive:
        offset = archive.getmembers()[30].offset
    path.write_bytes(path.read_bytes()[:offset])
    with pytest.raises(DataError, match="its end mark is missing"):
        read(path)


def test_a_bad_picture_in_an_archive(tmp_path: Path) -> None:
    for writer in (write_zip, write_tar):
        path = writer(tmp_path / "a", FILES | {"cat/bad.png": b"text"})
        with pytest.raises(DataError, match=r"cat/bad.png is no picture of a known type"):
            read(path)
        assert [bad.path for bad in read(path, skip_bad=True).skipped] == ["cat/bad.png"]


def test_a_member_that_does_not_match_its_checksum(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, picture in FILES.items():
            archive.writestr(name, picture)
        offset = archive.getinfo("cat/0003.png").header_offset
    data = bytearray(path.read_bytes())
    data[offset + 100] ^= 1
    path.write_bytes(data)
    found = read(path, skip_bad=True).skipped
    assert [bad.path for bad in found] == ["cat/0003.png"]
    assert "Bad CRC-32" in found[0].reason


def test_an_encrypted_member(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", FILES)
    data = bytearray(path.read_bytes())
    for magic, at in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        data[data.index(magic) + at] |= 1
    path.write_bytes(data)
    assert "encrypted" in read(path, skip_bad=True).skipped[0].reason


EVIL_NAMES = [
    "../evil.png",
    "cat/../../evil.png",
    "/etc/evil.png",
    "..\\evil.png",
    "C:/evil.png",
    "\\evil.png",
    "a/..",
]


@pytest.mark.parametrize("name", EVIL_NAMES)
def test_members_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    for writer in (write_zip, write_tar):
        path = writer(tmp_path / "evil", FILES | {name: b"x"})
        with pytest.raises(DataError) as caught:
            read(path, skip_bad=True)
        shown = name.replace("\\", "\\\\") if "\\" in name and writer is None else name
        assert str(caught.value) == f"{path} is refused: its member {shown} leads out of the archive"


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        (tarfile.SYMTYPE, "link"),
        (tarfile.LNKTYPE, "link"),
        (tarfile.CHRTYPE, "device"),
        (tarfile.BLKTYPE, "device"),
        (tarfile.FIFOTYPE, "device"),
    ],
)
def test_links_and_devices_in_a_tar_are_refused(tmp_path: Path, kind: bytes, what: str) -> None:
    path = write_tar(tmp_path / "a.tar", FILES)
    with tarfile.open(path, "a") as archive:
        archive.addfile(tar_info("cat/evil.png", kind=kind, target="../../etc/passwd"))
    with pytest.raises(DataError, match=f"its member cat/evil.png is a {what}"):
        read(path)


@pytest.mark.parametrize(("mode", "what"), [(stat.S_IFLNK, "link"), (stat.S_IFCHR, "device")])
def test_links_and_devices_in_a_zip_are_refused(tmp_path: Path, mode: int, what: str) -> None:
    path = write_zip(tmp_path / "a.zip", FILES)
    with zipfile.ZipFile(path, "a") as archive:
        info = zipfile.ZipInfo("cat/evil.png")
        info.external_attr = (mode | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(DataError, match=f"its member cat/evil.png is a {what}"):
        read(path)


def test_a_name_used_twice_is_refused(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", FILES)
    with tarfile.open(path, "a") as archive:
        archive.addfile(tar_info("./cat/0000.png", 1), io.BytesIO(b"x"))
    with pytest.raises(DataError, match=r"its member ./cat/0000.png is there twice"):
        read(path)


def test_what_macos_adds_is_no_class(tmp_path: Path) -> None:
    path = write_zip(
        tmp_path / "a.zip", FILES | {"__MACOSX/cat/._0000.png": b"x", ".DS_Store": b"x", "cat/._1.png": b"x"}
    )
    assert read(path).classes == ("cat", "dog")


def test_names_with_backslashes_are_folders(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {name.replace("/", "\\"): data for name, data in FILES.items()})
    assert read(path).classes == ("cat", "dog")


def test_a_bomb_of_many_bytes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack_limits, "_ALWAYS_ALLOWED", 1 << 20)
    bomb = FILES | {"zeros.dat": bytes(16 << 20)}
    for writer in (write_zip, lambda path, files: write_tar(path, files, "xz")):
        path = writer(tmp_path / "bomb", bomb)
        assert path.stat().st_size < 200_000
        with pytest.raises(
            DataError, match=r"its member zeros.dat brings the content over the [\d.]+ MiB allowed"
        ):
            read(path)


def test_a_bomb_of_endless_headers_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack_limits, "_ALWAYS_ALLOWED", 1 << 20)
    header = tar_info("cat/a.png").tobuf()
    path = tmp_path / "bomb"
    path.write_bytes(lzma.compress(header * 3_000))
    with pytest.raises(DataError, match="refused"):
        read(path)


@pytest.mark.parametrize("kind", ["zip", "tar", "gz", "xz"])
def test_members_of_nothing_are_refused_before_all_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(unpack_limits, "_MEMBERS_ALLOWED", 200)
    nothing = {f"cat/{number}.png": b"" for number in range(500)}
    path = tmp_path / "many"
    write_zip(path, nothing) if kind == "zip" else write_tar(path, nothing, "" if kind == "tar" else kind)
    seen: list[str] = []
    add = unpack_limits.Contents.add

    def noted(contents: unpack_limits.Contents, member: str, size: int, kind: str) -> None:
        seen.append(member)
        add(contents, member, size, kind)

    monkeypatch.setattr(unpack_limits.Contents, "add", noted)
    with pytest.raises(
        DataError, match=r"first 201 members hold 0 bytes in all: expected 32 bytes for each beyond 200"
    ):
        read(path)
    assert len(seen) == 201


def test_any_number_of_pictures_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack_limits, "_MEMBERS_ALLOWED", 0)
    assert read(write_zip(tmp_path / "zip", FILES)).fitted.count == 40
    assert read(write_tar(tmp_path / "tar", FILES, "gz")).fitted.count == 40


def test_a_header_of_a_gigabyte_is_refused(tmp_path: Path) -> None:
    header = bytearray(tar_info("x", kind=tarfile.XHDTYPE).tobuf())
    header[124:136] = b"%011o\0" % (1 << 30)
    header[148:156] = b"        "
    header[148:156] = b"%06o\0 " % sum(header)
    path = tmp_path / "bomb.tar"
    path.write_bytes(gzip.compress(bytes(header) + bytes(1 << 20)))
    with pytest.raises(DataError, match=r"refused: it has a header of 1\.0 GiB"):
        read(path)


def test_a_zip_that_lies_about_a_size(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", FILES)
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02") + 24
    data[at : at + 4] = struct.pack("<I", 3)
    path.write_bytes(data)
    assert len(read(path, skip_bad=True).skipped) == 1


def test_a_gzip_file_that_is_no_tar(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(b"just a text" * 1000))
    with pytest.raises(DataError, match="is cut off or damaged"):
        read(path)


@pytest.mark.parametrize("kind", WRITERS)
def test_damage_anywhere_is_a_data_set_or_one_line(tmp_path: Path, kind: str) -> None:
    whole = WRITERS[kind](tmp_path / "whole").read_bytes()
    rng = random.Random(11)
    for i in range(60):
        data = bytearray(whole)
        # Half of the damage where the structure is: the first header, or the directory at the end.
        for at in (
            rng.randrange(len(data)),
            *(rng.choice((n, -n)) for n in [rng.randrange(1, 300)] * (i % 2)),
        ):
            data[at] = rng.randrange(256)
        path = tmp_path / f"{i}"
        path.write_bytes(data)
        try:
            assert read(path, skip_bad=True).fitted.count <= 40
        except DataError as error:
            assert str(error).isprintable()  # noqa: PT017
