"""What is trained on: the settings of the data, standard library only, so that help is quick."""

from __future__ import annotations

from dataclasses import dataclass

from cnnatomy import checks


@dataclass(frozen=True)
class DataSettings:
    """Which pictures, how they are fitted, and how they are split.

    Example:
        >>> DataSettings("digits", validation=0.1).check()
        >>> DataSettings("digits", validation=2).check()
        Traceback (most recent call last):
        cnnatomy.errors.ArgumentError: validation: expected a number from 0 to below 1, got 2
    """

    source: str = "digits"
    """A built-in source, a folder of pictures with one subfolder for each class, an archive or idx files."""
    fit: str = "letterbox"
    """How pictures are brought to the network's input size: letterbox, crop or stretch."""
    skip_bad: bool = False
    """Leave out pictures that cannot be read, and list them, instead of stopping."""
    test_fraction: float = 0.2
    """Share of the pictures kept for testing, where the data brings no test set of its own."""
    validation: float = 0.0
    """Share of the training pictures held out to choose the best epoch, where there is no val/ folder.
    0: train on all, keep the last epoch."""
    limit: int | None = None
    """Train on so many pictures at most, drawn evenly from the classes. None: on all."""
    train_fraction: float = 1.0
    """Share of the training pictures that is used, drawn from every class: what does more data bring?"""
    data_dir: str | None = None
    """Folder that holds the built-in sources. None: the environment's CNNATOMY_DATA, or the user's cache."""

    def check(self) -> None:
        """Raise an ArgumentError if a value can mean nothing."""
        checks.of_kind("data", self.source, str, "a built-in source or a folder of pictures")
        checks.of_kind("fit", self.fit, str, "letterbox, crop or stretch")
        checks.of_kind("skip_bad", self.skip_bad, bool, "True or False")
        checks.real("test_fraction", self.test_fraction, "a number between 0 and 1", lambda n: 0 < n < 1)
        checks.real("validation", self.validation, "a number from 0 to below 1", lambda n: 0 <= n < 1)
        checks.real("train_fraction", self.train_fraction, "above 0 and at most 1", lambda n: 0 < n <= 1)
        if self.limit is not None:
            checks.count("limit", self.limit, least=2)
        if self.data_dir is not None:
            checks.of_kind("data_dir", self.data_dir, str, "a folder")
