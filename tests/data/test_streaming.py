"""Batches come in order, whole, from threads that stay a few batches ahead and no more."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cnnatomy.data import read_pictures
from cnnatomy.data.fit_policies import Frame
from cnnatomy.data.picture_sources import Read
from cnnatomy.data.streaming import AHEAD, batches

from .makers import encoded, random_pixels, smooth_pixels

FRAME = Frame((12, 10), 3)
GOOD = [encoded(random_pixels(12, 10, 3, seed=seed)) for seed in range(70)]
BAD = {5: b"", 33: b"no picture", 69: GOOD[69][:60]}


def files(contents: list[bytes]) -> Iterator[tuple[Path, Read]]:
    return ((Path(str(i)), reader(content)) for i, content in enumerate(contents))


def reader(content: bytes) -> Read:
    return lambda most=None: content[:most]


@given(st.integers(1, 80), st.integers(1, 4), st.integers(0, 70))
def test_pictures_come_in_order_whatever_the_batches(size: int, threads: int, count: int) -> None:
    some = [BAD.get(i, content) for i, content in enumerate(GOOD[:count])]
    made = list(batches(files(some), FRAME, size=size, threads=threads))
    assert [len(batch.paths) for batch in made] == [min(size, count - at) for at in range(0, count, size)]
    assert [path for batch in made for path in batch.paths] == [Path(str(i)) for i in range(count)]
    problems = [problem for batch in made for problem in batch.problems]
    assert [i for i, problem in enumerate(problems) if problem] == [i for i in BAD if i < count]
    for i, image in enumerate(image for batch in made for image in batch.images):
        wanted = np.zeros((12, 10, 3)) if i in BAD else random_pixels(12, 10, 3, seed=i)
        np.testing.assert_array_equal(image.transpose(1, 2, 0), wanted)


def test_pictures_are_those_of_read_pictures(tmp_path: Path) -> None:
    paths = [tmp_path / f"{i}.jpg" for i in range(4)]
    for i, path in enumerate(paths):
        Image.fromarray(smooth_pixels(40 + 9 * i, 31)).save(path)
    for fit in ("letterbox", "crop", "stretch"):
        (made,) = batches(((p, reader(p.read_bytes())) for p in paths), Frame((12, 10), 1, fit), size=9)
        wanted = read_pictures(paths, size=(12, 10), channels=1, fit=fit)
        np.testing.assert_array_equal(made.images, wanted.numpy())


def test_no_more_than_a_few_batches_are_read_ahead() -> None:
    taken = 0

    def counted() -> Iterator[tuple[Path, Read]]:
        nonlocal taken
        for one in files(GOOD * 10):
            taken += 1
            yield one

    made = batches(counted(), FRAME, size=7)
    for done in range(1, 60):
        next(made)
        assert taken <= 7 * (done + AHEAD)
    made.close()
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("decode")]


def test_a_reader_that_fails_otherwise_is_no_row() -> None:
    def broken(most: int | None = None) -> bytes:
        raise KeyError("a bug")

    with pytest.raises(KeyError, match="a bug"):
        list(batches([(Path("x"), broken)], FRAME, size=2))


def test_streams_may_end_in_any_order() -> None:
    before = list(warnings.filters)
    first, second = (batches(files(GOOD), FRAME, size=3) for _ in range(2))
    next(first)
    next(second)
    first.close()
    second.close()
    assert list(warnings.filters) == before
