"""Studies from end to end: what is trained, what is not trained again, and what comes of it."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import cnnatomy as ca
from cnnatomy.cli import main
from cnnatomy.errors import ArgumentError, CheckpointError
from cnnatomy.studies import Study, compare, job_memory
from cnnatomy.studies.arms import Arm, arms_of
from cnnatomy.studies.study_folder import Design, StudyFolder
from cnnatomy.studies.study_results import compared, differences
from cnnatomy.studies.study_runs import Trial, ended
from cnnatomy.train import RunFolder, Settings
from cnnatomy.train.engine import train

NET = "conv3-4 maxpool FC"
SMALL: dict[str, Any] = {"model": NET, "limit": 100, "epochs": 2}


def counted() -> tuple[Callable[[Trial, str | None], object], list[tuple[str, int, str | None]]]:
    heard: list[tuple[str, int, str | None]] = []
    return lambda trial, failed: heard.append((trial[0].name, trial[1], failed)), heard


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Two poolings, two seeds."""
    return compare("digits", pool=["max", "mean"], seeds=2, study=tmp_path_factory.mktemp("s") / "a", **SMALL)


def test_every_run_is_one_that_train_makes(study: Study, tmp_path: Path) -> None:
    outcome = train(Settings.of(**SMALL, pool="mean", seed=1), RunFolder(tmp_path / "run"))
    assert outcome is not None
    found = study.run("mean", 1)
    assert found.accuracy == outcome.evaluation.accuracy
    answers = outcome.evaluation.answers
    assert answers is not None
    record = next(r for r in study.results[1].records if r.seed == 1)
    assert record.given.predicted.tolist() == answers.predicted.tolist()
    assert record.given.labels.tolist() == answers.labels.tolist()
    weights = "last.safetensors"
    assert (found.path / weights).read_bytes() == (tmp_path / "run" / weights).read_bytes()


def test_arms_are_paired_by_seed_and_picture(study: Study) -> None:
    one, other = study.results
    d = differences(other, one)
    for row, (mine, theirs) in enumerate(zip(other.records, one.records, strict=True)):
        assert mine.seed == theirs.seed
        hits = [(one.given.predicted == one.given.labels).astype(int) for one in (mine, theirs)]
        assert d[row].tolist() == (hits[0] - hits[1]).tolist()
    found = study.difference("mean", "max")
    assert found.mean == pytest.approx(other.mean("accuracy") - one.mean("accuracy"))
    assert compared(study.results, "max")[0].found == found


def test_balanced_scores_count_every_class_alike(study: Study) -> None:
    for result in study.results:
        for record in result.records:
            assert record.scores("balanced").mean() == pytest.approx(record.balanced_accuracy)
            assert record.scores("accuracy").mean() == pytest.approx(record.accuracy)


def test_its_files_say_the_same(study: Study) -> None:
    rows = list(csv.DictReader((study.path / "results.csv").read_text().splitlines()))
    assert [(row["arm"], row["seed"]) for row in rows] == [
        ("max", "0"),
        ("max", "1"),
        ("mean", "0"),
        ("mean", "1"),
    ]
    assert float(rows[3]["accuracy"]) == study.run("mean", 1).accuracy
    said = json.loads((study.path / "results.json").read_text())
    assert said["arms"] == study.table()
    page = (study.path / "study.html").read_text()
    assert "script" not in page.lower()
    assert "http" not in page.replace("http-equiv", "")
    assert "mean" in study._repr_html_()
    assert repr(Study(study.path)) == repr(study)


def test_what_has_been_trained_is_not_trained_again(study: Study) -> None:
    told, heard = counted()
    before = {path: path.stat().st_mtime_ns for path in study.path.glob("runs/*/*/*")}
    grown = compare(
        "digits", pool=["max", "mean", "soft"], seeds=[0, 1, 5], study=study.path, told=told, **SMALL
    )
    assert sorted(heard) == [
        ("max", 5, None),
        ("mean", 5, None),
        ("soft", 0, None),
        ("soft", 1, None),
        ("soft", 5, None),
    ]
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert [len(result.records) for result in grown.results] == [3, 3, 3]
    study.__dict__.pop("results", None)


def test_an_arm_keeps_its_configuration(study: Study) -> None:
    with pytest.raises(ArgumentError, match="arm 'max' of the study has epochs 2, now 3"):
        compare("digits", pool=["max", "mean"], study=study.path, **(SMALL | {"epochs": 3}))
    with pytest.raises(ArgumentError, match="other pictures"):
        compare("digits", pool=["max", "mean"], study=study.path, **(SMALL | {"limit": 90}))


def test_processes_change_no_result(study: Study, tmp_path: Path) -> None:
    other = compare("digits", pool=["max", "mean"], seeds=2, study=tmp_path / "b", jobs=2, **SMALL)
    for mine, theirs in zip(other.results, study.results, strict=False):
        for one, two in zip(mine.records, theirs.records, strict=False):
            assert (one.seed, one.accuracy, one.loss) == (two.seed, two.accuracy, two.loss)
            assert np.array_equal(one.given.predicted, two.given.predicted)


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_run_that_fails_stops_no_other_and_is_tried_again(jobs: int, tmp_path: Path) -> None:
    told, heard = counted()
    arms = {"wild": {"lr": 1e30, "clip": 1e30, "optimizer": "sgd"}, "tame": {}}
    study = compare("digits", arms, seeds=1, study=tmp_path / "s", told=told, jobs=jobs, **SMALL)
    assert [(name, seed) for name, seed, _ in sorted(heard, key=str)] == [("tame", 0), ("wild", 0)]
    assert [bool(failed) for *_, failed in sorted(heard, key=str)] == [False, True]
    assert [result.arm.name for result in study.results] == ["tame"]
    again, heard = counted()
    compare("digits", arms, seeds=1, study=tmp_path / "s", told=again, **SMALL)
    assert [name for name, *_ in heard] == ["wild"]


def test_more_jobs_than_fit_are_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_memory, "own_memory", lambda: 2**20)
    arms = {"a": {"batch_size": 8}, "b": {"batch_size": 64}}
    trials = [(Arm(name, Settings.of(**SMALL, **own)), seed) for name, own in arms.items() for seed in (0, 1)]
    small, large = (2**20 + job_memory.training_memory(arm.seeded(0)) for arm, seed in trials if not seed)
    assert small < large
    for room, jobs in ((2 * large, 2), (2 * large + small, 3), (2 * large + 2 * small, 9)):
        monkeypatch.setattr(job_memory, "free", lambda room=room: room)
        job_memory.demand_room(trials, jobs)
        monkeypatch.setattr(job_memory, "free", lambda room=room: room - 1)
        with pytest.raises(ArgumentError, match=r"runs at once take about .* try --jobs"):
            job_memory.demand_room(trials, jobs)
    monkeypatch.setattr(job_memory, "free", lambda: small - 1)
    with pytest.raises(ArgumentError, match="smaller batch"):
        compare("digits", arms, seeds=1, study=tmp_path / "s", jobs=2, **SMALL)
    assert not list(tmp_path.glob("s/runs/*"))


def test_nothing_trained_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="no run could be trained; wild with seed 0"):
        compare("digits", {"wild": {"lr": 1e30, "clip": 1e30}}, seeds=1, study=tmp_path / "s", **SMALL)


def test_a_design_is_read_back(tmp_path: Path) -> None:
    base = Settings.of(data='a "quoted" \\ folder', limit=50, restarts=(2.0,), model="lenet5")
    arms = (Arm('a "quoted" \\ näme', base.changed(pool="gem(p=3)", ema=0.5)), Arm("b.c", base))
    design = Design(base, arms, (3, 1))
    StudyFolder(tmp_path / "s").write_design(design)
    assert StudyFolder(tmp_path / "s").design() == design


def test_every_combination_has_a_name_of_its_own() -> None:
    arms = arms_of(Settings(), {"pool": ["max", "gem(p=3)"], "balanced": [False, True], "epochs": [None, 3]})
    assert [arm.name for arm in arms][:3] == [
        "max, no balanced, default epochs",
        "max, no balanced, epochs 3",
        "max, balanced, default epochs",
    ]
    assert len({arm.slug for arm in arms}) == 8


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"seeds": 0}, "seeds"),
        ({"seeds": [1, 1]}, "different ones"),
        ({"seeds": [-1]}, "seed"),
        ({"seed": [1, 2]}, "seed is one for all arms"),
        ({"pool": ["max", "max"]}, "share the folder"),
        ({"pool": ["max", "nothing"]}, "nothing"),
        ({"arms": {"a": {"pooling": "max"}}}, "no setting 'pooling'"),
        ({"arms": {"a": {}, "b": {}}}, "one configuration"),
        ({"arms": {}}, "an arm and a seed at least"),
        ({"jobs": 0}, "jobs"),
        ({"metric": "speed"}, "metric"),
        ({"baseline": "none"}, "none"),
    ],
    ids=str,
)
def test_what_can_mean_nothing_is_told(arguments: dict[str, Any], said: str, tmp_path: Path) -> None:
    told: dict[str, Any] = {"seeds": 1, "pool": ["max", "mean"], **SMALL, **arguments}
    if "arms" in arguments:
        del told["pool"]
    with pytest.raises(ArgumentError, match=said):
        compare("digits", study=tmp_path / "s", **told)
    assert not list(tmp_path.glob("s/runs/*"))


def test_a_folder_that_is_no_study_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(CheckpointError, match="already exists"):
        compare("digits", pool=["max", "mean"], study=tmp_path, **SMALL)
    assert [path.name for path in tmp_path.iterdir() if path.name != ".lock"] == ["letter.txt"]
    with pytest.raises(CheckpointError, match="not a study"):
        ca.Study(tmp_path)


@pytest.mark.costly(1)
@pytest.mark.parametrize("damage", ["answers.safetensors", "metrics.json"])
def test_a_damaged_run_is_told(damage: str, tmp_path: Path) -> None:
    study = compare("digits", pool=["max", "mean"], seeds=1, study=tmp_path / "s", **(SMALL | {"epochs": 1}))
    path = study.path / "runs" / "mean" / "seed-0" / damage
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(CheckpointError, match=damage):
        _ = Study(study.path).results


def test_names_from_outside_are_inert(tmp_path: Path) -> None:
    name = "<img src=x onerror=alert(1)>"
    study = compare("digits", {name: {"pool": "max"}, "b": {}}, seeds=1, study=tmp_path / "s", **SMALL)
    assert "<img src=x" not in (study.path / "study.html").read_text()
    assert "<img src=x" not in study._repr_html_()


def test_names_of_classes_and_pictures_are_inert(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("<img src=x onerror=alert(1)>", "plain"):
        folder = tmp_path / "pictures" / name
        folder.mkdir(parents=True)
        for k in range(12):
            levels = rng.integers(0, 256, (16, 16), np.uint8)
            Image.fromarray(levels).save(folder / f"<img src=x onerror=alert({k})>.png")
    arms = {"a": {"model": "FC"}, "b": {"model": "FC-8 FC"}}
    study = compare(tmp_path / "pictures", arms, seeds=1, study=tmp_path / "s", epochs=1)
    page = (study.path / "study.html").read_text()
    assert "onerror" in page
    assert "<img src=x" not in page


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_study_that_was_killed_goes_on_to_the_same_table(number: int, jobs: int, tmp_path: Path) -> None:
    """Twice in the middle; processes of a parent that was killed save their runs and end by themselves."""
    slow = ["--model", NET, "--pool", "max,mean,soft", "--epochs", "12", "--seeds", "2", "--quiet"]
    words = [sys.executable, "-m", "cnnatomy", "compare", "digits", *slow, "--jobs", str(jobs), "--study"]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    subprocess.run([*words, str(whole)], check=True, capture_output=True)
    design = StudyFolder(whole).design()
    for wanted in (1, 3):
        process = subprocess.Popen(
            [*words, str(broken)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        folder = StudyFolder(broken)
        while sum(ended(folder.run(*trial)) for trial in design.trials) < wanted:
            assert process.poll() is None
            time.sleep(0.05)
        os.kill(process.pid, number)
        process.wait()
    subprocess.run([*words, str(broken)], check=True, capture_output=True)
    mine, theirs = Study(broken).table(), Study(whole).table()
    timeless = [[{k: v for k, v in row.items() if k != "seconds"} for row in rows] for rows in (mine, theirs)]
    assert timeless[0] == timeless[1]


def test_a_study_alone_starts_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    net = "from torch import nn\nopen('ran', 'a').close()\n\n\ndef Net():\n"
    net += "    return nn.Sequential(nn.Flatten(), nn.Linear(1024, 10))\n"
    Path("net.py").write_text(net)
    own: dict[str, Any] = {"model": "net.py:Net", "size": "1x32x32", "limit": 60, "epochs": 1}
    study = compare("digits", lr=[0.001, 0.01], seeds=1, study="s", **own)
    assert len(study.results) == 2
    Path("ran").unlink()
    assert len(Study("s").results) == 2
    Study("s").write()
    with pytest.raises(ArgumentError, match="code of your own"):
        compare("digits", {"plain": {"model": "FC"}}, seeds=2, study="s", limit=60, epochs=1)
    Path("arms.toml").write_text('[arms.a]\nmodel = "net.py:Net"\n[arms.b]\nmodel = "FC"\n')
    assert main(["compare", "digits", "--arms", "arms.toml", "--study", "t", "--epochs", "1"]) == 2
    assert main(["compare", "--study", "s", "--seeds", "2"]) == 2
    assert not Path("ran").exists()
