"""What a user calls pictures becomes files to read, whatever is wrong with it."""

from __future__ import annotations

import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from cnnatomy.data.decode import BadPictureError
from cnnatomy.data.finding import files_of, find

from .makers import class_files, encoded, random_pixels, write_files

FILES = class_files(("cat", "dog"), 3)


def read(source: str | Path) -> dict[str, bytes | str]:
    """What each file of a source holds, or why it cannot be read."""
    found: dict[str, bytes | str] = {}
    for path, reader in list(files_of([find(source)])):
        try:
            found[str(path)] = reader()
        except BadPictureError as error:
            found[str(path)] = str(error)
    return found


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_files(tmp_path / "photos", FILES)
    (tmp_path / "photos/notes.txt").write_text("no picture")
    (tmp_path / "photos/.hidden.png").write_bytes(b"x")
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as packed:
        for name in FILES:
            packed.write(tmp_path / "photos" / name, name)
        packed.write(tmp_path / "photos/notes.txt", "notes.txt")
    with tarfile.open(tmp_path / "all.tgz", "w:gz") as tar:
        tar.add(tmp_path / "photos", "photos")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def under(root: str) -> dict[str, bytes]:
    return {f"{root}/{name}": content for name, content in FILES.items()}


def test_folders_archives_and_patterns_give_the_same_files(here: Path) -> None:
    assert read("photos") == read("photos/") == under("photos")
    assert read("photos/**/*.png") == under("photos")
    assert read("all.zip") == under("all.zip")
    assert read("all.tgz") == under("all.tgz/photos")
    assert [str(path) for path in find("all.zip").paths] == sorted(under("all.zip"))
    assert read("photos/cat/*") == {n: c for n, c in under("photos").items() if "cat" in n}


def test_a_file_is_read_whatever_it_is_called(here: Path) -> None:
    content = encoded(random_pixels(6, 5, 3))
    for name in ("one.png", "picture", "a[1].png", "not utf-8 \udcff.png"):
        Path(name).write_bytes(content)
        assert read(name) == {name: content}
    assert read("photos/notes.txt") == {"photos/notes.txt": b"no picture"}


def test_the_home_folder_is_known(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(here))
    assert read("~/photos") == under(str(here / "photos"))


def test_every_problem_is_a_row(here: Path) -> None:
    (here / "empty").mkdir()
    (here / "loop.png").symlink_to("loop.png")
    os.mkfifo(here / "pipe")
    os.symlink("/etc", here / "photos/cat/away")
    with zipfile.ZipFile("none.zip", "w") as packed:
        packed.writestr("../out.png", b"")
    (here / "cut.tgz").write_bytes((here / "all.tgz").read_bytes()[:-30])
    for source, reason in {
        "gone.png": "cannot be read (No such file or directory)",
        "gone/": "cannot be read (No such file or directory)",
        "gone/*.png": "matches no file",
        "loop.png": "cannot be read (Too many levels of symbolic links)",
        "pipe": "is no regular file",
        "empty": "holds no pictures (.png .jpg .bmp .gif .tif .webp .ppm)",
        "none.zip": "is refused: its member ../out.png leads out of the archive",
        "a\0b.png": "cannot be read (embedded null byte)",
    }.items():
        assert list(read(source).values()) == [reason]
    assert "link that leads out" in str(read("photos"))
    assert "cut off or damaged" in str(read("cut.tgz"))


def test_an_archive_that_ends_early_gives_what_comes_before(here: Path) -> None:
    with tarfile.open("two.tar", "w") as tar:
        tar.add("photos", "photos")
    found = find("two.tar")
    content = (here / "two.tar").read_bytes()
    (here / "two.tar").write_bytes(content[: len(content) // 4])
    *good, (path, last) = list(found.files())
    assert [reader() for _, reader in good] == list(FILES.values())[: len(good)]
    assert path == Path("two.tar")
    with pytest.raises(BadPictureError, match="cut off or damaged"):
        last()
