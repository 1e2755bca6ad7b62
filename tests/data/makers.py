"""Makers of the pictures, folders, idx files and archives that the tests read."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cnnatomy.data.fit_policies import Bytes


def random_pixels(*shape: int, seed: int = 0) -> Bytes:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def smooth_pixels(height: int, width: int) -> Bytes:
    """A colour gradient, which JPEG and scaling keep nearly as it is."""
    y, x = np.mgrid[0:height, 0:width]
    planes = (255 * y / height, 255 * x / width, 255 * (x + y) / (height + width))
    return np.stack(planes, axis=-1).astype(np.uint8)


def encoded(pixels: NDArray[np.generic] | Image.Image, kind: str = "PNG", **options: object) -> bytes:
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def write_files(root: Path, files: Mapping[str, bytes]) -> Path:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def class_files(
    classes: Sequence[str] = ("cat", "dog"),
    count: int = 5,
    size: tuple[int, int] = (12, 10),
    prefix: str = "",
) -> dict[str, bytes]:
    return {
        f"{prefix}{name}/{i:04}.png": encoded(random_pixels(*size, 3, seed=100 * label + i))
        for label, name in enumerate(classes)
        for i in range(count)
    }


def idx_bytes(array: Bytes, kind: int = 8) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, kind, array.ndim, *array.shape) + array.tobytes()


def write_idx_pair(folder: Path, stem: str, images: Bytes, labels: Bytes, packed: bool = False) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for what, array in ((f"{stem}images-idx3-ubyte", images), (f"{stem}labels-idx1-ubyte", labels)):
        data = idx_bytes(array)
        (folder / (what + ".gz" * packed)).write_bytes(gzip.compress(data) if packed else data)


def write_zip(path: Path, files: Mapping[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def write_tar(path: Path, files: Mapping[str, bytes], mode: str = "") -> Path:
    with tarfile.open(path, f"w:{mode}") as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            archive.addfile(tar_info(name, len(data)), io.BytesIO(data))
    return path


def tar_info(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = size, kind, target
    return info
