from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnatomy.data import decode as decoding
from cnnatomy.data import read_pictures
from cnnatomy.data.decode import BadPictureError, decode, strict_pillow
from cnnatomy.data.fit_policies import Bytes, Frame
from cnnatomy.errors import DataError

from .makers import encoded, random_pixels, smooth_pixels

PIXELS = smooth_pixels(24, 20)
PICTURE = Image.fromarray(PIXELS)


def decoded(
    data: bytes, channels: int = 3, size: tuple[int, int] = (24, 20), policy: str = "stretch"
) -> Bytes:
    out = np.zeros((channels, *size), np.uint8)
    with strict_pillow():
        decode(data, Frame(size, channels, policy), out)
    return out.transpose(1, 2, 0).squeeze()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
def test_formats_that_keep_every_pixel(kind: str) -> None:
    np.testing.assert_array_equal(decoded(encoded(PIXELS, kind)), PIXELS)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "GIF"])
def test_formats_that_keep_about_every_pixel(kind: str) -> None:
    off = np.abs(decoded(encoded(PIXELS, kind)).astype(int) - PIXELS)
    assert off.mean() < 8


def test_grey_is_pillows() -> None:
    np.testing.assert_array_equal(decoded(encoded(PIXELS), 1), np.asarray(PICTURE.convert("L")))


def png(header: bytes, rows: bytes) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_sixteen_bits_are_scaled() -> None:
    grey = np.linspace(0, 65535, 480).astype(np.uint16).reshape(24, 20)
    for kind in ("PNG", "TIFF"):
        np.testing.assert_array_equal(decoded(encoded(grey, kind), 1), np.round(grey / 257))
    colours = decoded(encoded(grey, "PNG"))
    np.testing.assert_array_equal(colours[..., 0], np.round(grey / 257))
    np.testing.assert_array_equal(colours[..., 0], colours[..., 2])


def png_of_sixteen_bits(kind: int, channels: int) -> bytes:
    """A PNG as Pillow cannot write it: 16 bits in each of several channels."""
    rows = b"".join(b"\0" + random_pixels(2 * 20 * channels, seed=row).tobytes() for row in range(24))
    return png(struct.pack(">IIBBBBB", 20, 24, 16, kind, 0, 0, 0), rows)


@pytest.mark.parametrize(
    ("data", "sixteen"),
    [
        (png_of_sixteen_bits(2, 3), True),
        (png_of_sixteen_bits(6, 4), True),
        (png_of_sixteen_bits(4, 2), True),
        (encoded(random_pixels(24, 20).astype(np.uint16), "PNG"), True),
        (encoded(random_pixels(24, 20).astype(np.uint16), "TIFF"), True),
        (b"P6 20 24 65535\n" + bytes(2880), True),
        (b"P6 20 24 300\n" + bytes(2880), True),
        (b"P5 20 24 65535\n" + bytes(960), True),
        (b"P6 20 24 255\n" + bytes(1440), False),
        (b"P6 20 24 100\n" + bytes(1440), False),
        *((encoded(PIXELS, kind), False) for kind in ("PNG", "TIFF", "JPEG", "PPM", "WEBP", "BMP", "GIF")),
    ],
)
def test_sixteen_bits_are_noticed(data: bytes, sixteen: bool) -> None:
    out = np.zeros((3, 24, 20), np.uint8)
    assert ("eight" in decode(data, Frame((24, 20), 3), out).conversions) == sixteen


def test_one_bit_is_black_and_white() -> None:
    bits = random_pixels(24, 20) > 127
    np.testing.assert_array_equal(decoded(encoded(Image.fromarray(bits), "PNG"), 1), bits * 255)


def test_palettes_are_looked_up() -> None:
    picture = PICTURE.quantize(16)
    for kind in ("PNG", "GIF", "BMP"):
        np.testing.assert_array_equal(decoded(encoded(picture, kind)), np.asarray(picture.convert("RGB")))


def test_what_is_transparent_shows_white() -> None:
    alpha = np.zeros((24, 20), np.uint8)
    alpha[:12] = 255
    alpha[20:] = 128
    rgba = encoded(np.dstack([PIXELS, alpha]))
    expected = np.round(255 + (PIXELS - 255.0) * alpha[..., None] / 255)
    np.testing.assert_allclose(decoded(rgba).astype(float), expected, atol=1)
    grey_alpha = encoded(Image.fromarray(np.dstack([PIXELS[..., 0], alpha])), "PNG")
    np.testing.assert_allclose(decoded(grey_alpha, 1).astype(float), expected[..., 0], atol=1)


@pytest.mark.parametrize("mode", ["P", "L", "RGB"])
def test_a_transparent_colour_shows_white(mode: str) -> None:
    picture = PICTURE.quantize(16) if mode == "P" else PICTURE.convert(mode)
    key = picture.getpixel((3, 5))
    data = encoded(picture, "PNG", transparency=key)
    found, plain = decoded(data), np.asarray(picture.convert("RGB"))
    where = (np.asarray(picture) == key).reshape(24, 20, -1).all(2)
    assert where.any()
    assert (found[where] == 255).all()
    np.testing.assert_array_equal(found[~where], plain[~where])


def test_cmyk_is_converted() -> None:
    picture = PICTURE.convert("CMYK")
    off = np.abs(
        decoded(encoded(picture, "JPEG", quality=95)).astype(int) - np.asarray(picture.convert("RGB"))
    )
    assert off.mean() < 4
    assert decoded(encoded(picture, "TIFF"), 1).shape == (24, 20)


def held(upright: Bytes, orientation: int) -> Bytes:
    """How a camera held another way stores an upright picture (EXIF, tag 274)."""
    turned = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright),
        7: np.rot90(upright.transpose(1, 0, 2), 2),
        8: np.rot90(upright, -1),
    }
    return np.ascontiguousarray(turned[orientation])


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_exif_orientation_is_honoured(orientation: int, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright = np.zeros((40, 60, 3), np.uint8)
    upright[:20, :30, 0], upright[20:, 30:, 2] = 255, 255
    data = encoded(held(upright, orientation), kind, exif=exif)
    off = np.abs(decoded(data, 3, (40, 60), "crop").astype(int) - upright)
    assert off.mean() < 5


@pytest.mark.parametrize("size", [(35, 32), (32, 33), (27, 30), (90, 61), (20, 71)])
@pytest.mark.parametrize("policy", ["letterbox", "crop", "stretch"])
def test_held_in_any_way_a_picture_is_the_same(size: tuple[int, int], policy: str) -> None:
    upright = random_pixels(*size, 3)
    expected = decoded(encoded(upright), 3, (32, 32), policy).astype(int)
    for orientation in range(2, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        found = decoded(encoded(held(upright, orientation), exif=exif), 3, (32, 32), policy)
        # Scaling rounds and clips between its two passes; a shift by one cell would make 80 of these pixels.
        assert np.abs(found - expected).mean() < 1


@pytest.mark.parametrize("policy", ["letterbox", "crop", "stretch"])
@pytest.mark.parametrize("side", [32, 150])
@pytest.mark.parametrize(
    ("orientation", "kind"), [(1, "JPEG"), (3, "JPEG"), (6, "MPO"), (7, "JPEG"), (8, "JPEG")]
)
def test_decoding_a_jpeg_small_changes_next_to_nothing(
    policy: str, orientation: int, kind: str, side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    detail = Image.fromarray(random_pixels(80, 107, 3)).resize((1603, 1201), Image.Resampling.BICUBIC)
    data = encoded(detail, kind, quality=95, exif=exif)
    quick = decoded(data, 3, (side, side), policy)
    monkeypatch.setattr(Image.Image, "draft", lambda *arguments: None)
    monkeypatch.setattr("PIL.JpegImagePlugin.JpegImageFile.draft", lambda *arguments: None)
    slow = decoded(data, 3, (side, side), policy)
    off = np.abs(quick.astype(int) - slow).mean()
    assert 0 < off < slow.std() / 40


def test_the_first_frame_of_an_animation() -> None:
    frames = [Image.fromarray(np.full((24, 20, 3), value, np.uint8)) for value in (40, 200)]
    for kind in ("GIF", "WEBP", "TIFF"):
        options: dict[str, object] = {"lossless": True} if kind == "WEBP" else {}
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        assert (decoded(data) == 40).all()


def png_header(width: int, height: int) -> bytes:
    """A PNG that announces any size, with next to no data."""
    return png(struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0), bytes(1000))


PNG, JPEG = encoded(PIXELS), encoded(PIXELS, "JPEG")
FLOATS = encoded(Image.fromarray(np.linspace(-1, 1, 480, dtype=np.float32).reshape(24, 20)), "TIFF")
BAD = {
    "empty": (b"", "is empty (zero bytes)"),
    "text": (b"these are not the pixels", "is no picture of a known type: it begins with b'these ar'"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is no picture of a known type"),
    "cut png": (PNG[: len(PNG) // 2], "is cut off or damaged"),
    "cut jpeg": (JPEG[: len(JPEG) // 2], "is cut off or damaged"),
    "cut header": (PNG[:20], "is "),
    "flipped bit": (PNG[:60] + bytes([PNG[60] ^ 8]) + PNG[61:], "is cut off or damaged"),
    "bomb": (png_header(100_000, 100_000), "has more than the 89,478,485 pixels allowed"),
    "half a bomb": (png_header(10_000, 10_000), "has more than the 89,478,485 pixels allowed"),
    "floats": (FLOATS, "has pixels -1.0..1.0: neither 8 nor 16 bits"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_pictures_give_one_plain_reason(name: str) -> None:
    data, reason = BAD[name]
    with pytest.raises(BadPictureError) as caught:
        decoded(data)
    assert str(caught.value).startswith(reason)
    assert "\n" not in str(caught.value)


def test_a_bomb_is_refused_even_where_the_program_lifted_pillows_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    with pytest.raises(BadPictureError, match="has 100,000,000 pixels"):
        decoded(png_header(10_000, 10_000))


def test_huge_files_are_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "MAX_BYTES", 100)
    with pytest.raises(BadPictureError, match=r"is [\d.]+ .*, more than the 100 bytes allowed"):
        decoded(PNG)


def test_a_warning_of_pillow_is_a_reason() -> None:
    file = io.BytesIO()
    PICTURE.convert("P").save(file, "PNG")
    with strict_pillow(), pytest.raises(UserWarning):
        warnings.warn_explicit(
            "Corrupt EXIF data", UserWarning, "TiffImagePlugin.py", 1, module="PIL.TiffImagePlugin"
        )


def outcome(data: bytes) -> str:
    try:
        return f"a picture of {decoded(data).shape}"
    except BadPictureError as error:
        return str(error)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"])
def test_damage_anywhere_is_a_picture_or_a_reason(kind: str) -> None:
    whole = encoded(PIXELS, kind)
    rng = np.random.default_rng(7)
    for _ in range(150):
        data = bytearray(whole)
        for at in rng.integers(0, len(data), 4):
            data[at] = rng.integers(256)
        reason = outcome(bytes(data[: rng.integers(1, len(data) + 1)]))
        assert reason.isprintable()


def test_read_pictures_keeps_the_order(tmp_path: Path) -> None:
    paths = []
    for i in range(50):
        paths.append(tmp_path / f"{i}.png")
        paths[-1].write_bytes(encoded(np.full((6, 4), 5 * i, np.uint8)))
    found = read_pictures(paths, size=(6, 4), channels=1)
    assert found.shape == (50, 1, 6, 4)
    assert found[:, 0, 0, 0].tolist() == [5 * i for i in range(50)]
    assert read_pictures([], size=(6, 4), channels=3).shape == (0, 3, 6, 4)


def test_read_pictures_names_the_first_bad_one(tmp_path: Path) -> None:
    (tmp_path / "good.png").write_bytes(PNG)
    (tmp_path / "bad.png").write_bytes(b"text")
    with pytest.raises(DataError, match=r"bad.png is no picture of a known type"):
        read_pictures([tmp_path / "good.png", tmp_path / "bad.png"], size=(8, 8), channels=3)
    with pytest.raises(DataError, match="is a folder"):
        read_pictures([tmp_path], size=(8, 8), channels=3)
    with pytest.raises(DataError, match=r"cannot be read \(No such file"):
        read_pictures([tmp_path / "none.png"], size=(8, 8), channels=3)
