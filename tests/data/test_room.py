"""Pictures take no memory that the machine does not have: refused before any is taken."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cnnatomy.data import load
from cnnatomy.data.loading import read_pictures
from cnnatomy.data.picture_memory import room
from cnnatomy.errors import DataError
from cnnatomy.files.machine import free_memory

from .makers import class_files, encoded, idx_bytes, random_pixels, write_files


def test_room_is_zeroed_and_ends_with_the_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnnatomy.data.picture_memory.free_memory", lambda: 24)
    assert not room((2, 3, 2, 2), "cats").any()
    with pytest.raises(DataError, match="cats does not fit into memory at 5x1: expected at most 24 bytes"):
        room((5, 1, 5, 1), "cats")


def test_free_memory_is_no_more_than_there_is() -> None:
    lines = Path("/proc/meminfo").read_text().splitlines()
    said = {line.split(":")[0]: int(line.split()[1]) << 10 for line in lines}
    found = free_memory()
    assert found is not None
    assert 0 < found <= said["MemTotal"]


@pytest.mark.parametrize("kind", ["digits", "idx", "folder", "files"])
def test_absurd_sizes_are_refused_before_memory_is_taken(kind: str, tmp_path: Path) -> None:
    write_files(tmp_path / "folder", class_files())
    pixels, labels = random_pixels(40, 8, 8), np.arange(40, dtype=np.uint8) % 2
    idx = {"x-images-idx3-ubyte": idx_bytes(pixels), "x-labels-idx1-ubyte": idx_bytes(labels)}
    write_files(tmp_path / "idx", idx)
    write_files(tmp_path, {"one.png": encoded(random_pixels(8, 8))})
    size = (400_000, 400_000)
    calls: dict[str, Callable[[], object]] = {
        "digits": lambda: load("digits", size=size, channels=1),
        "files": lambda: read_pictures([tmp_path / "one.png"] * 5, size=size, channels=3),
    }
    call = calls.get(kind, lambda: load(tmp_path / kind, size=size, channels=1))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="does not fit into memory at 400000x400000: expected at most"):
            call()
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()
