"""Decoded pictures kept between runs: one file for each source and frame, mapped into memory when it is read.

A file is written beside its place and then moved there, so that it is whole or absent; one that is damaged
all the same does not match its checksum, and the pictures are decoded again. All of it may be deleted.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import __version__ as pillow_version
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from cnnatomy.data.album import Album, image_digest
from cnnatomy.data.fit import Frame
from cnnatomy.data.pictures import Skipped
from cnnatomy.files.locking import locked
from cnnatomy.files.places import cache_dir

_VERSION = 2


def cached(stamp: Sequence[str], frame: Frame, build: Callable[[], Album]) -> Album:
    """Return the album that `build` makes, from the cache if the same `stamp` was decoded for the same frame.

    Of several processes that ask at once, one decodes and the others wait for what it kept.
    """
    key = hashlib.sha256(json.dumps([_VERSION, pillow_version, repr(frame), *stamp]).encode()).hexdigest()
    path = cache_dir() / "decoded" / f"{key[:32]}.safetensors"
    with locked(path) as writable:
        album = _read(path) if writable else None
        if album is None:
            album = build()
            album.digest = image_digest(album.images)
            if writable:
                _write(path, album)
    return album


def _read(path: Path) -> Album | None:
    try:
        with safe_open(path, framework="pt") as file:
            images, labels, about = (file.get_tensor(name).numpy() for name in ("images", "labels", "about"))
        known = json.loads(about.tobytes())
        if image_digest(images) != known["digest"]:
            return None
        return Album(
            images=images,
            labels=labels,
            classes=tuple(known["classes"]),
            names=known["names"],
            train=known["train"],
            validation=known["validation"],
            sizes={(h, w): count for h, w, count in known["sizes"]},
            conversions=known["conversions"],
            skipped=tuple(Skipped(*bad) for bad in known["skipped"]),
            notes=tuple(known["notes"]),
            digest=known["digest"],
        )
    except (OSError, SafetensorError, ValueError, KeyError, TypeError):
        return None  # absent or damaged: decode again


def _write(path: Path, album: Album) -> None:
    about = {
        "classes": album.classes,
        "names": list(album.names),
        "train": album.train,
        "validation": album.validation,
        "conversions": dict(album.conversions),
        "sizes": [(*size, count) for size, count in album.sizes.items()],
        "skipped": [(bad.path, bad.reason) for bad in album.skipped],
        "notes": album.notes,
        "digest": album.digest,
    }
    tensors = {
        "images": torch.from_numpy(album.images),
        "labels": torch.from_numpy(album.labels),
        "about": torch.from_numpy(np.frombuffer(bytearray(json.dumps(about).encode()), np.uint8)),
    }
    beside = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        save_file(tensors, beside)
        os.replace(beside, path)
    except (OSError, SafetensorError):
        # A full disk costs the next run its time and this one nothing.
        with contextlib.suppress(OSError):
            beside.unlink()
