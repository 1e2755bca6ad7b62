"""Pictures that a program has at hand, as tensors, data sets or loaders, made a training and a test set."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from cnnatomy import checks
from cnnatomy.data import Dataset, FitReport, Pictures
from cnnatomy.data.decoded import split
from cnnatomy.errors import ArgumentError
from cnnatomy.train.batch_sources import levels, pair
from cnnatomy.train.run_inputs import Given

FORMS = (
    "a folder or another source; (pictures, labels) as tensors or arrays; a data set or a DataLoader; "
    "or (train, test) or (train, validation, test) of these"
)
LOOKED_AT = 20
"""Batches of a loader that are read before training, to learn the pictures' mean and deviation."""


def is_source(data: object) -> bool:
    """Whether this names pictures that are read from a file or a folder."""
    return hasattr(data, "__fspath__") or isinstance(data, str)


def given(data: Any, classes: Sequence[str] | None, test_fraction: float) -> Given:
    """Make sets of what a caller has; one set alone gives a share of each class for the test.

    Pictures are (N, C, H, W), (N, H, W) or, from arrays, (N, H, W, C); bytes are levels, and of numbers 1.0
    is white. Labels are whole numbers from 0.

    Raises:
        ArgumentError: these are no pictures with labels, or a loader brings no test set.
    """
    if isinstance(data, Dataset):
        return Given(data)
    parts = _parts(data)
    loader = parts[0] if isinstance(parts[0], DataLoader) else None
    if loader is not None and len(parts) == 1:
        what = "a DataLoader alone leaves nothing to test with"
        raise ArgumentError(what, expected="data=(train, test)", got="one loader")
    sets = read_sets(data, classes)
    return Given(_dataset(_split(sets[0], test_fraction) if len(sets) == 1 else sets), loader)


def read_sets(data: Any, classes: Sequence[str] | None) -> list[Pictures]:
    """Read every set that a caller has; of a loader to train on, the first batches.

    Raises:
        ArgumentError: these are no pictures with labels.
    """
    if isinstance(data, Dataset):
        return [one for one in (data.train, data.validation, data.test) if one is not None]
    parts = _parts(data)
    read = [_read(part, first=index == 0 and len(parts) > 1) for index, part in enumerate(parts)]
    names = classes or _classes(parts[0], read)
    kinds = ("train", "test") if len(read) < 3 else ("train", "validation", "test")
    return [
        _pictures(images, labels, names, f"{kind}#")
        for (images, labels), kind in zip(read, kinds, strict=False)
    ]


def _parts(data: Any) -> list[Any]:
    """One set, or two or three of them."""
    if isinstance(data, tuple | list) and not _is_pair(data):
        if 1 <= len(data) <= 3:
            return list(data)
        raise ArgumentError("what to train on", expected=FORMS, got=f"{len(data)} things")
    return [data]


def _is_pair(data: Sequence[Any]) -> bool:
    return len(data) == 2 and all(isinstance(one, Tensor | np.ndarray) for one in data)


def _read(part: Any, *, first: bool) -> tuple[Tensor, Tensor]:
    """The pictures as levels (N, C, H, W) and labels (N,); of a loader to train on, the first ones."""
    if isinstance(part, tuple | list) and _is_pair(part):
        return _images(part[0]), _labels(part[1])
    if isinstance(part, DataLoader):
        batches = [pair(batch) for batch in islice(part, LOOKED_AT if first else None)]
        if batches:
            images, labels = (torch.cat(column) for column in zip(*batches, strict=True))
            return _images(images), _labels(labels)
    elif hasattr(part, "__len__") and hasattr(part, "__getitem__") and len(part):
        items = [_item(part[index]) for index in range(len(part))]
        shapes = {image.shape for image, _ in items}
        if len(shapes) > 1:
            got = f"{len(shapes)} sizes, {tuple(min(shapes))} to {tuple(max(shapes))}"
            hint = "resizing in the data set, or a DataLoader with a collate_fn"
            raise ArgumentError("the pictures of the data set", expected="one size", got=got, hint=hint)
        images = torch.stack([image for image, _ in items])
        return _images(images), _labels(torch.tensor([label for _, label in items]))
    raise ArgumentError("what to train on", expected=FORMS, got=checks.shown(part))


def _item(item: Any) -> tuple[Tensor, int]:
    """A picture (C, H, W) and its label, of a tensor, an array or a picture of Pillow."""
    if not isinstance(item, tuple | list) or len(item) < 2:
        raise ArgumentError("an item of the data set", expected="(picture, label)", got=checks.shown(item))
    image, label = item[0], item[1]
    if not isinstance(image, Tensor):
        array = np.asarray(image)
        image = torch.from_numpy(array.copy())
        image = image.permute(2, 0, 1) if image.dim() == 3 else image
    if image.dim() not in (2, 3):
        raise ArgumentError("a picture of the data set", expected="(C, H, W)", got=str(tuple(image.shape)))
    return image, int(label)


def _images(images: Tensor | np.ndarray[Any, Any]) -> Tensor:
    """Pictures as levels: bytes as they are, numbers times 255."""
    if isinstance(images, np.ndarray):
        images = torch.from_numpy(np.ascontiguousarray(images))
        if images.dim() == 4 and images.shape[-1] in (1, 3, 4) and images.shape[1] not in (1, 3, 4):
            images = images.permute(0, 3, 1, 2)
    images = images[:, None] if images.dim() == 3 else images
    if images.dim() != 4 or not len(images):
        expected = "(N, C, H, W), one picture at least"
        raise ArgumentError("pictures", expected=expected, got=f"shape {tuple(images.shape)}")
    if images.dtype == torch.uint8:
        return images.contiguous()
    if not images.is_floating_point():
        got = str(images.dtype).removeprefix("torch.")
        raise ArgumentError("pictures", expected="bytes (uint8), or numbers of which 1.0 is white", got=got)
    if not images.isfinite().all():
        raise ArgumentError("pictures", expected="finite numbers", got="nan or inf among them")
    return levels(images).contiguous()


def _labels(labels: Tensor | np.ndarray[Any, Any]) -> Tensor:
    labels = torch.as_tensor(labels)
    whole = not labels.is_floating_point() and labels.dtype != torch.bool and labels.dim() == 1
    if not whole or (len(labels) and labels.min() < 0):
        got = f"{str(labels.dtype).removeprefix('torch.')} of shape {tuple(labels.shape)}"
        raise ArgumentError("labels", expected="whole numbers from 0, one for each picture", got=got)
    return labels.long()


def _classes(part: Any, read: Sequence[tuple[Tensor, Tensor]]) -> tuple[str, ...]:
    """The data set's own names, or numbers."""
    known = getattr(getattr(part, "dataset", part), "classes", None)
    if known:
        return tuple(map(str, known))
    most = max(int(labels.max()) for _, labels in read)
    return tuple(map(str, range(max(2, most + 1))))


def _pictures(images: Tensor, labels: Tensor, classes: Sequence[str], name: str) -> Pictures:
    if len(images) != len(labels):
        got = f"{len(images):,} pictures, {len(labels):,} labels"
        raise ArgumentError("pictures and labels", expected="as many of each", got=got)
    if int(labels.max()) >= len(classes):
        got = f"label {int(labels.max())}"
        raise ArgumentError("labels", expected=f"below the number of classes, {len(classes)}", got=got)
    return Pictures(images, labels, tuple(classes), [f"{name}{i}" for i in range(len(labels))])


def _split(whole: Pictures, fraction: float) -> list[Pictures]:
    from cnnatomy.train.division import take

    train, test = split(whole.names, whole.labels.numpy(), fraction, 0)
    if not len(test):
        raise ArgumentError("no picture is left to test with", hint="data=(train, test)")
    return [take(whole, torch.from_numpy(part)) for part in (train, test)]


def _dataset(sets: Sequence[Pictures]) -> Dataset:
    shapes = [tuple(part.images.shape[1:]) for part in sets]
    if len(set(shapes)) > 1:
        raise ArgumentError("the sets", expected="pictures of one shape", got=" and ".join(map(str, shapes)))
    digest = hashlib.sha256()
    for part in sets:
        digest.update(str((part.images.shape, part.images.dtype)).encode())
        digest.update(part.images.numpy().tobytes())
        digest.update(part.labels.numpy().tobytes())
    height, width = shapes[0][1:]
    count = sum(map(len, sets))
    return Dataset(
        name="pictures",
        train=sets[0],
        validation=sets[1] if len(sets) == 3 else None,
        test=sets[-1],
        fitted=FitReport("letterbox", (height, width), {(height, width): count}),
        skipped=(),
        notes=(),
        fingerprint=digest.hexdigest(),
    )
