from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from cnnatomy.data import Dataset, load
from cnnatomy.data.cache import cached
from cnnatomy.data.decode import Decoded, decode
from cnnatomy.data.decoded import DecodedSet
from cnnatomy.data.fit_policies import Bytes, Frame
from cnnatomy.files.cache_folders import cache_dir

from .makers import class_files, encoded, random_pixels, write_files, write_tar, write_zip


def read(source: Path, **options: object) -> Dataset:
    return load(source, **{"size": (12, 10), "channels": 3, **options})  # type: ignore[arg-type]


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How many pictures were decoded so far."""
    seen: list[int] = []

    def counted(data: bytes, frame: Frame, out: Bytes) -> Decoded:
        seen.append(len(data))
        return decode(data, frame, out)

    monkeypatch.setattr("cnnatomy.data.threaded_decoding.decode", counted)
    return lambda: len(seen)


def same(a: Dataset, b: Dataset) -> bool:
    parts = ((a.train, b.train), (a.test, b.test))
    return (
        all(torch.equal(x.images, y.images) and torch.equal(x.labels, y.labels) for x, y in parts)
        and all(list(x.names) == list(y.names) and x.classes == y.classes for x, y in parts)
        and (a.fitted, a.skipped, a.notes, a.fingerprint) == (b.fitted, b.skipped, b.notes, b.fingerprint)
    )


@pytest.mark.parametrize("kind", ["folder", "zip", "tar"])
def test_the_second_time_nothing_is_decoded(tmp_path: Path, decoded: Callable[[], int], kind: str) -> None:
    files = class_files(prefix="train/") | class_files(count=2, prefix="test/") | {"train/cat/bad.png": b"?"}
    writer = {"folder": write_files, "zip": write_zip, "tar": write_tar}[kind]
    root = writer(tmp_path / "set", files)
    first = read(root, skip_bad=True)
    assert decoded() == 15
    again = read(root, skip_bad=True)
    assert decoded() == 15
    assert same(first, again)


def test_other_frames_and_changed_pictures_are_decoded(tmp_path: Path, decoded: Callable[[], int]) -> None:
    root = write_files(tmp_path / "set", class_files(count=3))
    read(root)
    read(root, seed=1, test_fraction=0.5)
    assert decoded() == 6, "another split needs no decoding"
    read(root, fit="crop")
    read(root, channels=1)
    assert decoded() == 18
    path = root / "cat" / "0000.png"
    before = path.stat()
    data = bytearray(path.read_bytes())
    path.write_bytes(encoded(255 - random_pixels(12, 10, 3)).ljust(len(data))[: len(data)])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    read(root, skip_bad=True)
    assert decoded() == 24, "a change that keeps size and date must be noticed"
    (root / "cat" / "0001.png").unlink()
    assert read(root, skip_bad=True).fitted.count == 5


def test_two_folders_with_the_same_names_are_two_sets(tmp_path: Path) -> None:
    one = write_files(tmp_path / "one", class_files())
    two = write_files(
        tmp_path / "two", {name: encoded(random_pixels(12, 10, 3, seed=9)) for name in class_files()}
    )
    assert read(one).fingerprint != read(two).fingerprint


@pytest.mark.parametrize("damage", ["byte", "cut", "empty", "text"])
def test_a_damaged_cache_is_built_again(
    tmp_path: Path, cache: Path, decoded: Callable[[], int], damage: str
) -> None:
    root = write_files(tmp_path / "set", class_files(count=3))
    first = read(root)
    (file,) = cache.glob("decoded/*.safetensors")
    whole = file.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    file.unlink()  # not in place: what the first load gave is still mapped
    file.write_bytes(
        {"byte": bytes(flipped), "cut": whole[:-1], "empty": b"", "text": b"hello, world"}[damage]
    )
    assert same(read(root), first)
    assert decoded() == 12
    assert same(read(root), first)
    assert decoded() == 12


def test_nothing_is_left_half_written(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        Path(str(arguments[1])).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cnnatomy.data.cache.save_file", full)
    assert read(write_files(tmp_path / "set", class_files())).fitted.count == 10
    assert [path.suffix for path in (cache / "decoded").iterdir()] == [".lock"]


def test_what_a_killed_writer_left_goes_when_the_file_is_written_again(tmp_path: Path, cache: Path) -> None:
    root = write_files(tmp_path / "set", class_files(count=3))
    read(root)
    (file,) = cache.glob("decoded/*.safetensors")
    file.with_name(f"{file.name}.0123abcd").write_bytes(b"half")
    other = file.with_name(f"{'0' * 32}.safetensors.0123abcd")  # another process may be writing it
    other.write_bytes(b"half")
    file.unlink()
    read(root)
    assert {one.name for one in file.parent.iterdir()} == {file.name, f"{file.name}.lock", other.name}


def test_without_a_place_for_the_cache_it_works_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("CNNATOMY_CACHE", str(tmp_path / "file" / "below"))
    assert read(write_files(tmp_path / "set", class_files())).fitted.count == 10


def test_cached_pictures_are_mapped_and_not_copied(tmp_path: Path) -> None:
    files = class_files(count=30, prefix="train/") | class_files(prefix="test/")
    root = write_files(tmp_path / "set", files)
    read(root)
    data = read(root)
    assert data.train.images.data_ptr() + data.train.images.numel() == data.test.images.data_ptr()


def test_processes_that_ask_at_once_decode_once(tmp_path: Path) -> None:
    root = write_files(tmp_path / "set", class_files(count=60))
    program = (
        "import sys; from cnnatomy.data import load; seen = []\n"
        "data = load(sys.argv[1], size=(12, 10), channels=3, progress=lambda *told: seen.append(told))\n"
        "print(len(seen) > 0, data.fingerprint)"
    )
    runs = [
        subprocess.Popen([sys.executable, "-c", program, str(root)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    told = [run.communicate()[0].split() for run in runs]
    assert sorted(busy for busy, _ in told) == ["False", "True"]
    assert len({fingerprint for _, fingerprint in told}) == 1


def test_the_place_of_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cache_dir() == tmp_path / "cache"
    monkeypatch.delenv("CNNATOMY_CACHE")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    places = {
        "linux": tmp_path / ".cache" / "cnnatomy",
        "darwin": tmp_path / "Library" / "Caches" / "cnnatomy",
        "win32": tmp_path / "AppData" / "Local" / "cnnatomy" / "cache",
    }
    for platform, place in places.items():
        monkeypatch.setattr(sys, "platform", platform)
        assert cache_dir() == place
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_dir() == tmp_path / "xdg" / "cnnatomy"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/place")  # invalid, says the XDG specification: ignored
    with pytest.warns(RuntimeWarning, match="XDG_CACHE_HOME=relative/place is ignored"):
        assert cache_dir() == tmp_path / ".cache" / "cnnatomy"


def test_an_album_is_kept_whole(tmp_path: Path) -> None:
    frame = Frame((3, 4), 1)

    def build() -> DecodedSet:
        return DecodedSet(
            random_pixels(5, 1, 3, 4),
            np.arange(5) % 2,
            ("a", "b"),
            ["v", "w", "x", "y", "\udcff"],
            3,
            {(9, 9): 5},
            {"grey": 2},
            1,
        )

    first, again = (cached(["key"], frame, build) for _ in range(2))
    assert (first.images == again.images).all()
    assert (first.classes, list(first.names), first.train, dict(first.sizes)) == (
        again.classes,
        list(again.names),
        again.train,
        dict(again.sizes),
    )
    assert (dict(first.conversions), first.validation) == (dict(again.conversions), again.validation)
