"""What was read from pictures kept between runs: one file for each source and what was asked of it.

A file is written beside its place and then moved there, so that it is whole or absent; one that is damaged
all the same does not match its checksum, and the pictures are read again. All of it may be deleted. Arrays
are mapped into memory when they are read.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import __version__ as pillow_version
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from cnnatomy.data.decoded import DecodedSet, image_digest
from cnnatomy.data.fit_policies import Frame
from cnnatomy.data.pictures import Skipped
from cnnatomy.files.cache_folders import cache_dir
from cnnatomy.files.locking import locked

_VERSION = 2
Arrays = Mapping[str, NDArray[Any]]
Facts = Mapping[str, Any]
Thing = TypeVar("Thing")


def cached(stamp: Sequence[str], frame: Frame, build: Callable[[], DecodedSet]) -> DecodedSet:
    """Return what `build` decodes, from the cache if `stamp` was decoded for the same frame."""

    def sealed() -> DecodedSet:
        decoded = build()
        decoded.digest = image_digest(decoded.images)
        return decoded

    return kept("decoded", [repr(frame), *stamp], sealed, _pack, _unpack)


def kept(
    folder: str,
    key: Sequence[str],
    build: Callable[[], Thing],
    pack: Callable[[Thing], tuple[Arrays, Facts]],
    unpack: Callable[[Arrays, Facts], Thing],
) -> Thing:
    """Return what `build` makes, from `folder` of the cache if it was kept there under the same key.

    `pack` turns it into arrays and facts for JSON, and `unpack` turns them back, raising ValueError where an
    array is damaged. Of several processes that ask at once, one builds and the others wait for what it kept.
    """
    name = hashlib.sha256(json.dumps([_VERSION, pillow_version, *key]).encode()).hexdigest()
    path = cache_dir() / folder / f"{name[:32]}.safetensors"
    with locked(path) as writable:
        if writable and (found := _read(path)):
            with contextlib.suppress(ValueError, KeyError, TypeError):  # damaged: build again
                return unpack(*found)
        thing = build()
        if writable:
            _write(path, *pack(thing))
    return thing


def _pack(decoded: DecodedSet) -> tuple[Arrays, Facts]:
    facts = {
        "classes": decoded.classes,
        "names": list(decoded.names),
        "train": decoded.train,
        "validation": decoded.validation,
        "conversions": dict(decoded.conversions),
        "sizes": [(*size, count) for size, count in decoded.sizes.items()],
        "skipped": [(bad.path, bad.reason) for bad in decoded.skipped],
        "notes": decoded.notes,
        "digest": decoded.digest,
    }
    return {"images": decoded.images, "labels": decoded.labels}, facts


def _unpack(arrays: Arrays, facts: Facts) -> DecodedSet:
    if image_digest(arrays["images"]) != facts["digest"]:
        raise ValueError("the pictures are not those that were kept")
    return DecodedSet(
        images=arrays["images"],
        labels=arrays["labels"],
        classes=tuple(facts["classes"]),
        names=facts["names"],
        train=facts["train"],
        validation=facts["validation"],
        sizes={(h, w): count for h, w, count in facts["sizes"]},
        conversions=facts["conversions"],
        skipped=tuple(Skipped(*bad) for bad in facts["skipped"]),
        notes=tuple(facts["notes"]),
        digest=facts["digest"],
    )


def _read(path: Path) -> tuple[Arrays, Facts] | None:
    """Return what a file holds; None where it is absent or its facts are damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            arrays = {name: file.get_tensor(name).numpy() for name in file.keys()}  # noqa: SIM118 (no mapping)
            said = arrays.pop("facts").tobytes()
            if hashlib.sha256(said).hexdigest() != (file.metadata() or {}).get("facts"):
                return None
        return arrays, json.loads(said)
    except (OSError, SafetensorError, ValueError, KeyError):
        return None


def _write(path: Path, arrays: Arrays, facts: Facts) -> None:
    said = json.dumps(facts).encode()
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    tensors["facts"] = torch.from_numpy(np.frombuffer(bytearray(said), np.uint8))
    beside = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        for unfinished in path.parent.glob(f"{path.name}.{'[0-9a-f]' * 8}"):  # of writers that were killed
            unfinished.unlink()
        save_file(tensors, beside, {"facts": hashlib.sha256(said).hexdigest()})
        os.replace(beside, path)
    except (OSError, SafetensorError):
        # A full disk costs the next run its time and this one nothing.
        with contextlib.suppress(OSError):
            beside.unlink()
