"""Labelled pictures, ready for a network: what every source ends in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from cnnatomy.data.dataset_view import dataset_html, dataset_lines, pictures_line
from cnnatomy.data.fit_summary import FitReport
from cnnatomy.files.transfer_progress import Progress as Progress
from cnnatomy.files.transfer_progress import silent as silent


@dataclass(frozen=True)
class Skipped:
    """A picture that was left out, and why."""

    path: str
    reason: str


@dataclass(frozen=True, repr=False)
class Pictures:
    """Labelled pictures of one size, decoded, in memory or mapped from the cache: not to be written to.

    `images` is uint8 (N, C, H, W), `labels` int64 (N,) with values below `len(classes)`; `names` says where
    each came from, such as "digits#17" or "train/cat/0001.png".
    """

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    names: Sequence[str]

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return pictures_line(self)


@dataclass(frozen=True, repr=False)
class Dataset:
    """A training set and a test set with the same classes, and a validation set where the source has one.

    `fitted` says what was done to the pictures, `skipped` which ones were left out, `notes` what else a
    reader of figures should know, and `fingerprint` is a SHA-256 of the pictures, the labels, the classes and
    the split: two data sets with the same fingerprint train the same network.
    """

    name: str
    train: Pictures
    test: Pictures
    fitted: FitReport
    skipped: tuple[Skipped, ...]
    notes: tuple[str, ...]
    fingerprint: str
    validation: Pictures | None = None
    divided: bool = False
    """Whether the source itself says which pictures are its test set."""

    def __repr__(self) -> str:
        return "\n  ".join(dataset_lines(self))

    def _repr_html_(self) -> str:
        return dataset_html(self)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the labels."""
        return self.train.classes
