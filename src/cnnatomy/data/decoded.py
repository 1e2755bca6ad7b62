"""From the pictures of a source, in its own order, to a training set and a test set."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from cnnatomy.data.fit_policies import Bytes, Frame, Size
from cnnatomy.data.fit_summary import FitReport
from cnnatomy.data.pictures import Dataset, Pictures, Skipped
from cnnatomy.errors import DataError
from cnnatomy.files.printable import written

Labels = NDArray[np.int64]


@dataclass
class DecodedSet:
    """Every picture of a source, decoded and fitted, in the order of the source.

    The first `train` pictures are the training set, the next `validation` the validation set and the others
    the test set; None: not split yet, and no validation set. `conversions` counts the pictures whose values
    were changed, by what was done (`colours.CONVERSIONS`).
    `digest` is the SHA-256 of `images`; empty: not known yet.
    """

    images: Bytes  # (N, C, H, W)
    labels: Labels  # (N,)
    classes: tuple[str, ...]
    names: Sequence[str]
    train: int | None
    sizes: Mapping[Size, int]
    conversions: Mapping[str, int] = field(default_factory=dict)
    validation: int | None = None
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()
    digest: str = ""


def split(names: Sequence[str], labels: Labels, test_fraction: float, seed: int) -> tuple[Labels, Labels]:
    """Return the indices of the training set and of the test set, each in ascending order.

    Stratified: every class gives `test_fraction` of its pictures, rounded, but at least one and not all.
    Which ones is drawn from the hash of (seed, name), so that the same pictures split the same way on every
    machine and with every version, and new pictures move few of the old ones. A class of one picture trains.

    Example:
        >>> names, labels = [f"cats/{i}.png" for i in range(5)], np.zeros(5, np.int64)
        >>> [part.tolist() for part in split(names, labels, 0.2, seed=0)]
        [[0, 2, 3, 4], [1]]
    """
    ticket = np.array([_ticket(seed, name) for name in names], np.uint64)
    test = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        wanted = min(max(1, round(test_fraction * len(members))), len(members) - 1)
        test[members[np.argsort(ticket[members], kind="stable")[:wanted]]] = True
    return np.flatnonzero(~test), np.flatnonzero(test)


def _ticket(seed: int, name: str) -> int:
    text = f"{seed}/{name}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest())


def to_dataset(decoded: DecodedSet, name: str, frame: Frame, *, seed: int, test_fraction: float) -> Dataset:
    """Split decoded pictures where they are not split yet, and seal them with a fingerprint.

    Raises:
        DataError: the training set or the test set would be empty.
    """
    parts = _parts(decoded, seed, test_fraction)
    for part, indices in parts.items():
        if not len(indices):
            raise DataError(
                f"{name} leaves no picture for the {part} set", got=f"{len(decoded.labels):,} in all"
            )
    return Dataset(
        name=name,
        train=_take(decoded, parts["training"]),
        validation=_take(decoded, parts["validation"]) if "validation" in parts else None,
        test=_take(decoded, parts["test"]),
        fitted=FitReport(frame.policy, frame.size, dict(decoded.sizes), dict(decoded.conversions)),
        skipped=tuple(Skipped(written(bad.path), bad.reason) for bad in decoded.skipped),
        notes=decoded.notes,
        fingerprint=_fingerprint(decoded, list(parts.values())),
        divided=decoded.train is not None,
    )


def _parts(decoded: DecodedSet, seed: int, test_fraction: float) -> dict[str, Labels]:
    """Return the indices of each set; a validation set is there only where the source has one."""
    if decoded.train is None:
        train, test = split(decoded.names, decoded.labels, test_fraction, seed)
        return {"training": train, "test": test}
    bounds = [decoded.train, decoded.train + (decoded.validation or 0)]
    train, validation, test = np.split(np.arange(len(decoded.labels)), bounds)
    held = {} if decoded.validation is None else {"validation": validation}
    return {"training": train, **held, "test": test}


def _take(decoded: DecodedSet, indices: Labels) -> Pictures:
    # A contiguous part stays a view, so that pictures mapped from the cache are not copied into memory.
    first, last = int(indices[0]), int(indices[-1])
    part = slice(first, last + 1) if last + 1 - first == len(indices) else indices
    return Pictures(
        images=torch.from_numpy(decoded.images[part]),
        labels=torch.from_numpy(decoded.labels[part].astype(np.int64)),
        classes=decoded.classes,
        names=tuple(written(decoded.names[i]) for i in indices),
    )


def image_digest(images: Bytes) -> str:
    """Return the SHA-256 of pictures, their shape included."""
    digest = hashlib.sha256(repr(images.shape).encode())
    digest.update(np.ascontiguousarray(images).data)
    return digest.hexdigest()


def _fingerprint(decoded: DecodedSet, parts: Sequence[Labels]) -> str:
    digest = hashlib.sha256((decoded.digest or image_digest(decoded.images)).encode())
    digest.update(json.dumps(decoded.classes).encode())
    for part in (decoded.labels, *parts):
        digest.update(np.ascontiguousarray(part, dtype="<i8").data)
    if decoded.train is not None:  # parts that follow each other do not say by themselves where each begins
        digest.update(json.dumps([len(part) for part in parts]).encode())
    return digest.hexdigest()
