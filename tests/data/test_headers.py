from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnatomy.data.builtin import file_source_of
from cnnatomy.data.decode import BadPictureError
from cnnatomy.data.loading import open_any
from cnnatomy.data.survey import headers as module
from cnnatomy.data.survey.headers import Header, header_of, read_headers

from .makers import class_files, encoded, random_pixels, write_files, write_idx_pair, write_tar, write_zip

COLOUR, GREY = random_pixels(12, 10, 3), random_pixels(12, 10)


@pytest.mark.parametrize(
    ("pixels", "kind", "mode"),
    [
        (COLOUR, "PNG", "RGB"),
        (COLOUR, "JPEG", "RGB"),
        (GREY, "JPEG", "L"),
        (COLOUR, "WEBP", "RGB"),
        (COLOUR, "BMP", "RGB"),
        (COLOUR, "GIF", "P"),
        (COLOUR, "TIFF", "RGB"),
        (GREY, "PPM", "L"),
    ],
)
def test_a_header_says_size_kind_and_mode(
    pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], kind: str, mode: str
) -> None:
    assert header_of(encoded(pixels, kind)) == Header((12, 10), kind, mode, False, False, False)


def test_transparency_bits_and_frames() -> None:
    assert header_of(encoded(np.dstack([COLOUR, GREY]))).alpha
    assert header_of(encoded(Image.fromarray(GREY), "PNG", transparency=7)).alpha
    assert header_of(encoded(GREY.astype(np.uint16))).sixteen
    frames = [Image.fromarray(random_pixels(12, 10, 3, seed=seed)) for seed in range(2)]
    for kind in ("GIF", "WEBP", "TIFF", "PNG"):
        assert header_of(encoded(frames[0], kind, save_all=True, append_images=frames[1:])).several
    assert not header_of(encoded(frames[0], "MPO", save_all=True, append_images=frames[1:])).several


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_size_is_upright(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned = (10, 12) if orientation >= 5 else (12, 10)
    assert header_of(encoded(COLOUR, kind, exif=exif)).size == turned


def test_a_png_that_says_its_orientation_at_its_end() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(COLOUR)
    chunk = b"eXIf" + exif.tobytes()[6:]
    late = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    end = data.index(b"IEND") - 4
    assert header_of(data[:end] + late + data[end:]).size == (10, 12)


@pytest.mark.parametrize("data", [b"", b"text", encoded(COLOUR)[:20], b"\x89PNG\r\n\x1a\n"])
def test_what_cannot_be_opened_has_a_reason(data: bytes) -> None:
    with pytest.raises(BadPictureError):
        header_of(data)


def test_the_beginning_of_a_file_is_enough_or_all_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A JPEG and a PNG say what they are early, a TIFF at its end: with 200 bytes read, all are known."""
    monkeypatch.setattr(module, "_BEGINNING", 200)
    detail = random_pixels(40, 30, 3)
    files = {f"{name}/a.{kind}": encoded(detail, kind) for name in "ab" for kind in ("png", "tiff", "webp")}
    for file_source in (
        file_source_of(write_files(tmp_path / "folder", files)),
        file_source_of(write_zip(tmp_path / "a.zip", files)),
        file_source_of(write_tar(tmp_path / "a.tar", files)),
    ):
        found = read_headers(file_source)
        assert set(found.sizes.items()) == {((40, 30), 6)}


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How many headers were read so far."""
    seen: list[int] = []

    def counted(data: bytes) -> Header:
        seen.append(len(data))
        return header_of(data)

    monkeypatch.setattr(module, "header_of", counted)
    return lambda: len(seen)


def test_headers_are_kept_until_a_file_changes(tmp_path: Path, opened: Callable[[], int]) -> None:
    root = write_files(tmp_path / "set", class_files(count=8) | {"cat/bad.png": b"text"})
    first = read_headers(file_source_of(root))
    assert opened() == 17
    assert read_headers(file_source_of(root)) == first
    assert opened() == 17
    assert read_headers(file_source_of(root), sample=4) != first
    before = opened()
    (root / "dog" / "0000.png").write_bytes(encoded(random_pixels(30, 40, 3)))
    assert read_headers(file_source_of(root)).sizes == {(12, 10): 15, (30, 40): 1}
    assert opened() > before
    assert list(first.unreadable) == ["cat/bad.png"]
    assert first.count == 17


def test_a_damaged_cache_is_built_again(tmp_path: Path, cache: Path) -> None:
    root = write_files(tmp_path / "set", class_files())
    first = read_headers(file_source_of(root))
    (file,) = cache.glob("headers/*.safetensors")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    assert read_headers(file_source_of(root)) == first


def test_a_sample_is_evenly_spaced(tmp_path: Path) -> None:
    root = write_files(tmp_path / "set", class_files(count=50))
    found = read_headers(file_source_of(root), sample=10)
    assert list(found.files) == [f"{name}/{i:04}.png" for name in ("cat", "dog") for i in range(0, 50, 10)]
    assert (found.count, len(read_headers(file_source_of(root), sample=1000).files)) == (100, 100)


def test_suffixes_that_lie_are_found(tmp_path: Path) -> None:
    jpeg = encoded(COLOUR, "JPEG")
    files = class_files() | {"cat/a.png": jpeg, "cat/b.JPEG": jpeg, "dog/c.jpg": encoded(COLOUR, "GIF")}
    assert read_headers(file_source_of(write_files(tmp_path / "set", files))).misnamed() == {
        "cat/a.png": "JPEG",
        "dog/c.jpg": "GIF",
    }


def test_sets_without_files_say_what_their_pictures_are(tmp_path: Path) -> None:
    digits = read_headers(open_any("digits").pictures)
    assert (digits.count, dict(digits.sizes), digits.coloured) == (1797, {(8, 8): 1797}, False)
    write_idx_pair(tmp_path, "", random_pixels(6, 5, 4), (np.arange(6) % 2).astype(np.uint8), packed=True)
    idx = read_headers(open_any(tmp_path).pictures)
    assert (idx.count, dict(idx.sizes), idx.coloured, idx.files) == (6, {(5, 4): 6}, False, {})


def test_colours_are_judged_by_mode(tmp_path: Path) -> None:
    grey = {f"{name}/{i}.png": encoded(GREY) for name in "ab" for i in range(2)}
    assert not read_headers(file_source_of(write_files(tmp_path / "grey", grey))).coloured
    assert read_headers(
        file_source_of(write_files(tmp_path / "one", grey | {"a/c.png": encoded(COLOUR)}))
    ).coloured


def test_progress_ends_at_the_total(tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    root = write_files(tmp_path / "set", class_files(count=40))
    read_headers(file_source_of(root), progress=lambda what, done, total, unit: seen.append((done, total)))
    assert seen[-1] == (80, 80)
