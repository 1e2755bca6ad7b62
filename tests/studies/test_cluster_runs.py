"""Studies on a Ray cluster of two workers: same numbers, and a worker that is killed in mid-run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clusters import two_workers

from cnnatomy.errors import ArgumentError
from cnnatomy.runs.cluster import cluster, packed, unpacked
from cnnatomy.studies import Study, cluster_runs, compare
from cnnatomy.studies.cluster_runs import portable
from cnnatomy.train.settings import Settings

__all__ = ["two_workers"]

SMALL: dict[str, Any] = {"model": "conv3-4 maxpool FC", "limit": 100, "epochs": 2}


def demand_equal(one: Study, other: Study) -> None:
    assert [r.arm.name for r in one.results] == [r.arm.name for r in other.results]
    for mine, theirs in zip(one.results, other.results, strict=True):
        for a, b in zip(mine.records, theirs.records, strict=True):
            assert (a.seed, a.accuracy, a.loss) == (b.seed, b.accuracy, b.loss)
            for x, y in zip(a.given, b.given, strict=True):
                assert np.array_equal(x, y)


@pytest.mark.slow
def test_on_a_cluster_the_numbers_are_the_same(two_workers: Any, tmp_path: Path) -> None:
    here = compare("digits", pool=["max", "mean"], seeds=2, study=tmp_path / "here", **SMALL)
    there = compare("digits", pool=["max", "mean"], seeds=2, study=tmp_path / "there", ray=True, **SMALL)
    demand_equal(here, there)
    for path in here.path.glob("runs/*/*/last.safetensors"):
        assert (there.path / path.relative_to(here.path)).read_bytes() == path.read_bytes()


NET = """
import os, time
from pathlib import Path
from torch import nn

STEPS, DIED = Path({steps!r}), Path({died!r})


class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(1024, 10))

    def forward(self, x):
        if self.training:
            with STEPS.open("a") as file:
                file.write(".")
            if DIED.parent.exists() and not DIED.exists() and STEPS.stat().st_size == {at}:
                time.sleep(2)
                DIED.touch()
                os.kill(os.getpid(), 9)
        return super().forward(x)
"""


@pytest.mark.slow
def test_a_worker_that_is_killed_stops_no_study(
    two_workers: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its run goes on from the last checkpoint that came back: fewer steps than twice all."""
    monkeypatch.setattr(cluster_runs, "EVERY", 0.2)
    code, steps, died = tmp_path / "net.py", tmp_path / "steps", tmp_path / "deaths" / "died"
    code.write_text(NET.format(steps=str(steps), died=str(died), at=19))
    own: dict[str, Any] = {"model": f"{code}:Net", "size": "1x32x32", "limit": 100, "batch_size": 20}
    own |= {"epochs": 4, "lr": [0.01], "augment": "none"}
    here = compare("digits", seeds=1, study=tmp_path / "here", **own)
    alone = steps.stat().st_size  # 7 to see how long it takes, 4 epochs of 5
    assert alone == 27
    steps.unlink()
    died.parent.mkdir()
    there = compare("digits", seeds=1, study=tmp_path / "there", ray=True, **own)
    assert died.exists()
    assert steps.stat().st_size == 19 + 7 + 10  # it goes on from the end of the second epoch
    demand_equal(here, there)


@pytest.mark.slow
def test_a_run_that_fails_or_kills_every_worker_stops_no_other(two_workers: Any, tmp_path: Path) -> None:
    code = tmp_path / "net.py"
    code.write_text("import os\n\n\ndef Net():\n    os.kill(os.getpid(), 9)\n")
    arms: dict[str, dict[str, Any]] = {
        "wild": {"model": "FC", "lr": 1e30, "clip": 1e30, "optimizer": "sgd"},
        "deadly": {"model": f"{code}:Net", "size": "1x32x32"},
        "tame": {"model": "FC"},
    }
    heard: dict[str, str | None] = {}
    told = lambda trial, why: heard.update({trial[0].name: why})  # noqa: E731
    study = compare("digits", arms, seeds=1, study=tmp_path / "s", ray=True, told=told, limit=100, epochs=1)
    assert [result.arm.name for result in study.results] == ["tame"]
    assert heard.pop("tame") is None
    assert "workers died" in str(heard.pop("deadly"))
    assert "loss" in str(heard.pop("wild"))
    assert not heard


def test_what_has_changed_is_carried(tmp_path: Path) -> None:
    here, there, seen = tmp_path / "here", tmp_path / "there", dict[str, tuple[int, int]]()
    here.mkdir()
    for name in ("b", "checkpoint.safetensors", ".lock", "metrics.json"):
        (here / name).write_text(name)
    first = packed(here, seen)
    assert list(first) == ["checkpoint.safetensors", "b", "metrics.json"]
    (here / "b").write_text("other")
    assert packed(here, seen) == {"b": b"other"}
    unpacked(first, there)
    unpacked({"b": b"other", "../../out": b"kept in"}, there)
    assert {path.name: path.read_text() for path in there.iterdir()} == {
        "b": "other",
        "checkpoint.safetensors": "checkpoint.safetensors",
        "metrics.json": "metrics.json",
        "out": "kept in",
    }


def test_a_task_gets_settings_that_mean_the_same_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pictures").mkdir()
    told = portable(Settings.of(data="pictures", device="cuda:3"))
    assert (told.data.source, told.run.device) == (str(tmp_path / "pictures"), "cuda")
    assert portable(Settings.of(data="digits")) == Settings.of(data="digits")


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "[::1]:1", "127.0.0.1:99999"])
def test_where_nothing_listens_is_told_at_once(address: str) -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    with pytest.raises(ArgumentError, match="no Ray cluster at"), cluster(address):
        pass


def test_jobs_and_a_cluster_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="Ray decides"):
        compare("digits", pool=["max", "mean"], study=tmp_path / "s", jobs=2, ray=True, **SMALL)
