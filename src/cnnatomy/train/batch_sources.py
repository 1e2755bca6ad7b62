"""Where the batches of a step come from: pictures in memory, in an order of our own, or a DataLoader."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from cnnatomy import checks
from cnnatomy.data import Pictures
from cnnatomy.data.augment import recipe
from cnnatomy.errors import ArgumentError
from cnnatomy.files.printable import counted
from cnnatomy.train.distributed import World
from cnnatomy.train.mixing import balanced_permutation
from cnnatomy.train.picture_order import permutation, share


class Batch(NamedTuple):
    """One process's part of a step's pictures."""

    images: Tensor
    """Levels 0..255 as float, changed but not preprocessed (B, C, H, W), on the device."""
    labels: Tensor
    """(B,), on the device."""
    weight: float
    """Of this part's mean in the mean over all processes; 0 where nothing was left for this process."""

    @property
    def counted(self) -> int:
        """How many pictures count."""
        return len(self.labels) if self.weight else 0


class Feed(Protocol):
    """The batches of every epoch."""

    pictures: int
    """In an epoch, over all processes."""
    batches: int
    """In an epoch."""

    def batch(self, epoch: int, number: int) -> Batch:
        """Give a batch of an epoch, both from 0; asked for in order, but for a start anywhere."""


def cut(pictures: int, batch: int, processes: int) -> int:
    """In how many batches pictures go, the last of which has at least two for each process.

    What is left over and fewer goes into the batch before: statistics of one picture are none.

    Example:
        >>> cut(96, 32, 1), cut(97, 32, 1), cut(98, 32, 1), cut(1, 32, 1)
        (3, 3, 4, 1)
    """
    whole, rest = divmod(pictures, batch)
    return max(1, whole + (rest >= 2 * processes or (rest > 0 and batch == 1)))


def parts_of(pictures: int, parts: int) -> Sequence[slice]:
    """A batch in so many parts of nearly one size, or in fewer, so that each has two pictures at least.

    Example:
        >>> parts_of(7, 3), parts_of(1, 2)
        ([slice(0, 2, None), slice(2, 4, None), slice(4, 7, None)], [slice(0, 1, None)])
    """
    parts = max(1, min(parts, pictures // 2))
    return [slice(*ends) for ends in pairwise(pictures * part // parts for part in range(parts + 1))]


@contextmanager
def single_values_explained(pictures: int) -> Iterator[None]:
    """Say in one line that a norm has one value to normalise, where that many pictures pass a network.

    Raises:
        ArgumentError: it has.
    """
    try:
        yield
    except ValueError as error:
        if not str(error).startswith("Expected more than 1 "):  # torch's batch and instance norms
            raise
        what = "a norm of the network has a single value of a channel to normalise"
        got = f"maps of one cell and {counted(pictures, 'picture')} at once"
        hint = "a batch_size of at least 2 for each process, or larger pictures"
        raise ArgumentError(what, expected="several", got=got, hint=hint) from error


class PictureFeed:
    """Pictures in memory, shuffled anew each epoch: a function of seed and epoch, without state.

    Args:
        pictures: all of them.
        kept: the indices of those to train on.
        batch: pictures in a step, over all processes.
        augment: the changes, as `cnnatomy.data.augment.recipe` reads them.
        balanced: draw every class equally often.
    """

    def __init__(
        self,
        pictures: Pictures,
        kept: Tensor,
        batch: int,
        augment: str,
        balanced: bool,
        seed: int,
        world: World,
    ) -> None:
        self._all, self._kept, self._size, self._seed, self._world = pictures, kept, batch, seed, world
        self._vary = recipe(augment)
        self._balanced = balanced
        self.pictures = len(kept)
        self.batches = cut(len(kept), batch, world.size)
        self._epoch, self._order = -1, kept

    def batch(self, epoch: int, number: int) -> Batch:
        """Give a batch of an epoch."""
        if epoch != self._epoch:
            self._epoch, self._order = epoch, self._shuffled(epoch)
        last = number == self.batches - 1
        chosen = self._order[number * self._size : None if last else (number + 1) * self._size]
        mine, weight = share(chosen, self._world.rank, self._world.size)
        images = self._all.images[mine].to(self._world.device).float()
        images = self._vary(images, mine, seed=self._seed, epoch=epoch)
        return Batch(images, self._all.labels[mine].to(self._world.device), weight)

    def _shuffled(self, epoch: int) -> Tensor:
        if self._balanced:
            return self._kept[balanced_permutation(self._seed, epoch, self._all.labels[self._kept])]
        return self._kept[permutation(self._seed, epoch, len(self._kept))]


class LoaderFeed:
    """Batches as a `torch.utils.data.DataLoader` gives them: its order, its changes, its processes.

    A run that goes on within an epoch asks for the batches before again, and leaves them aside. A lone
    picture at the end joins the batch before it, as in `cut`.

    Raises:
        ArgumentError: the loader does not know its length, or has no batch.
    """

    def __init__(self, loader: Any, world: World) -> None:
        self._loader, self._world = loader, world
        try:
            self.batches = len(loader)
        except TypeError:
            what = "the DataLoader does not know how many batches it has"
            raise ArgumentError(what, hint="a dataset with a length, or __len__ on the loader") from None
        if not self.batches:
            raise ArgumentError("the DataLoader is empty", expected="at least one batch")
        known: Any = getattr(loader, "dataset", None)
        size = getattr(loader, "batch_size", None)
        self.pictures = len(known) if hasattr(known, "__len__") else self.batches * (size or 1)
        if self.batches > 1 and _ends_in_one(loader):
            self.batches -= 1
        self._place = (-1, 0)
        self._iterator: Iterator[Any] = iter(())

    def batch(self, epoch: int, number: int) -> Batch:
        """Give a batch of an epoch."""
        if self._place[0] != epoch or self._place[1] > number:
            self._place, self._iterator = (epoch, 0), iter(self._loader)
        for _ in range(self._place[1], number + 1):
            images, labels = self._next()
        self._place = (epoch, number + 1)
        if number == self.batches - 1 and len(self._loader) > self.batches:
            lone = self._next()
            images, labels = torch.cat([images, lone[0]]), torch.cat([labels, lone[1]])
        device = self._world.device
        return Batch(levels(images.to(device)), labels.to(device).long(), 1.0)

    def _next(self) -> tuple[Tensor, Tensor]:
        for given in self._iterator:
            return pair(given)
        raise ArgumentError("the DataLoader ended too soon", expected=f"{len(self._loader):,} batches")


def _ends_in_one(loader: Any) -> bool:
    """Whether the last batch of a loader is a single picture, as far as it can be known beforehand."""
    sampler, size = getattr(loader, "sampler", None), getattr(loader, "batch_size", None)
    known = isinstance(size, int) and size > 1 and hasattr(sampler, "__len__")
    return known and not loader.drop_last and len(sampler) % size == 1  # type: ignore[arg-type, operator]


def pair(given: object) -> tuple[Tensor, Tensor]:
    """The pictures and labels of what a loader or a data set gave.

    Raises:
        ArgumentError: these are no pictures and labels.
    """
    if isinstance(given, Mapping):
        names = (("image", "images", "pixel_values", "x"), ("label", "labels", "target", "y"))
        given = [next((given[name] for name in some if name in given), None) for some in names]
    if isinstance(given, list | tuple) and len(given) >= 2:
        images, labels = given[0], given[1]
        if (
            isinstance(images, Tensor)
            and isinstance(labels, Tensor)
            and images.dim() == 4
            and labels.dim() == 1
        ):
            return images, labels
    expected = "pictures (B, C, H, W) and labels (B,), as tensors, in a pair or under image and label"
    raise ArgumentError("what the loader gives", expected=expected, got=checks.shown(given))


def levels(images: Tensor) -> Tensor:
    """Pictures as levels: bytes as they are, numbers times 255, so that 1.0 is white.

    Example:
        >>> levels(torch.tensor([0.0, 0.5, 1.0])), levels(torch.tensor([0, 255], dtype=torch.uint8))
        (tensor([  0.0000, 127.5000, 255.0000]), tensor([  0., 255.]))
    """
    return images.float() if images.dtype == torch.uint8 else images.float() * 255
