"""Bulk prediction on a Ray cluster of two workers, held to prediction in this process line by line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from clusters import two_workers
from PIL import Image

import cnnatomy as ca
from cnnatomy.cli import main
from cnnatomy.data import load
from cnnatomy.data.finding import find
from cnnatomy.runs import bulk_prediction
from cnnatomy.runs.bulk_prediction import portions, stream_remotely
from cnnatomy.train import stream

__all__ = ["two_workers"]

pytestmark = [
    pytest.mark.filterwarnings(f"ignore::{name}")  # Ray Data warns of itself
    for name in ("DeprecationWarning", "FutureWarning", "UserWarning", "ResourceWarning")
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, and digits as PNG files, two of them broken."""
    folder = tmp_path_factory.mktemp("home")
    ca.train("digits", "FC", epochs=1, limit=200, run=folder / "run")
    test = load("digits", size=(32, 32), channels=1).test
    for i in range(60):
        path = folder / "scans" / f"{i % 3}" / f"{i:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(test.images[i, 0].numpy()).save(path)
    path.write_bytes(path.read_bytes()[:70])
    (folder / "scans" / "none.png").write_text("no picture")
    return folder


@pytest.mark.slow
def test_on_a_cluster_the_lines_are_the_same(
    two_workers: Any, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(home)
    words = ["predict", "run", "scans", "scans/1/01.png", "--batch-size", "4"]
    monkeypatch.setattr(bulk_prediction, "PORTION", 2)  # eight portions for two workers
    assert main([*words, "--csv", "here.csv"]) == 0
    assert main([*words, "--ray", "--csv", "there.csv"]) == 0
    here = (home / "here.csv").read_text()
    assert here.count("\n") == 1 + 62
    assert (home / "there.csv").read_text() == here
    assert "2 of 62 pictures cannot be read" in capsys.readouterr().err


@pytest.mark.slow
def test_a_stream_of_a_cluster_is_a_stream(two_workers: Any, home: Path) -> None:
    here = stream(home / "run", [home / "scans"], top=2, batch_size=8)
    there = stream_remotely(home / "run", [home / "scans"], top=2, batch_size=8)
    assert there.paths == here.paths
    assert list(there) == list(here)


@pytest.mark.parametrize("size", [1, 7, 61, 100])
def test_portions_are_the_pictures_in_their_order(size: int, home: Path) -> None:
    found = [find(home / "scans"), find(home / "scans" / "1" / "01.png"), find(home / "nothing.png")]
    parts = list(portions(found, size))
    every = [path for one in found for path in one.paths]
    assert [path for part in parts for one in part for path in one.paths] == every
    sizes = [sum(len(one.paths) for one in part) for part in parts]
    assert set(sizes[:-1]) <= {size}
    assert 0 < sizes[-1] <= size
    read = [path for part in parts for one in part for path, _ in one.files()]
    assert read == every
