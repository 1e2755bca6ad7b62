"""`cnnatomy compare` on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from cnnatomy.cli import main
from cnnatomy.studies import Study

SMALL = ["--model", "conv3-4 maxpool FC", "--limit", "100", "--epochs", "1"]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_study_says_what_it_will_do_does_it_and_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["compare", "digits", *SMALL, "--pool", "max,gem(p=3)", "--seeds", "2"]
    assert main([*words, "--dry-run"]) == 0
    planned = capsys.readouterr().out
    assert "4 runs; about" in planned
    assert not Path("studies").exists()
    assert main(words) == 0
    printed = capsys.readouterr().out
    study = Study("studies/digits-1")
    for record in study.results[1].records:
        assert f"gem(p=3), seed {record.seed}: test accuracy {100 * record.accuracy:.2f}%" in printed
    assert "no arm differs" in printed or "beside max" in printed
    assert main(["compare", "--study", "studies/digits-1", "--seeds", "3", "--quiet"]) == 0
    assert capsys.readouterr().out == "studies/digits-1\n"
    assert [len(result.records) for result in Study("studies/digits-1").results] == [3, 3]
    assert main(["compare", "--study", "studies/digits-1"]) == 0
    assert "6 runs, 6 of them done" in capsys.readouterr().out


def test_arms_written_down_and_switches(capsys: pytest.CaptureFixture[str]) -> None:
    Path("arms.toml").write_text(
        '[base.data]\nsource = "digits"\nlimit = 100\n[base.recipe]\nepochs = 1\n'
        '[arms.small]\nmodel = "conv3-4 maxpool FC"\n[arms.flat]\nmodel = "FC"\nbalanced = true\n'
    )
    assert main(["compare", "--arms", "arms.toml", "--seeds", "3,7", "--quiet", "--baseline", "flat"]) == 0
    study = Study("studies/digits-1", baseline="flat")
    assert study.design.seeds == (3, 7)
    assert [arm.settings.recipe.balanced for arm in study.design.arms] == [False, True]
    assert [one.arm for one in study.comparisons] == ["small"]


@pytest.mark.costly(6)
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--pool", "max,nothing"], "nothing"),
        (["--pool", "max", "--pool", "max"], "share the folder"),
        (["--pool", "max,mean", "--seeds", "none"], "--seeds: expected a number"),
        (["--pool", "max,mean", "--seeds", "0"], "--seeds: expected from 1"),
        (["--pool", "max,mean", "--seeds", "1,1"], "different ones"),
        (["--pool", "max,mean", "--seed", "1,2"], "seed is one for all arms"),
        (["--epochs", "1,two"], "--epochs: expected a whole number"),
        (["--epochs", "1,0"], "epochs"),
        (["--pool", "max,mean", "--jobs", "0"], "jobs"),
        (["--pool", "max,mean", "--metric", "speed"], "metric"),
        (["--pool", "max,mean", "--baseline", "soft"], "baseline"),
        (["--arms", "none.toml"], "none.toml"),
        (["--arms", "bad.toml"], "no table [arm]"),
        (["--arms", "seeded.toml"], "seed is one for all arms"),
        (["--pools", "max,mean"], "unknown option --pools"),
        (["--study", "letter.txt"], "already exists"),
        (["--study", "broken"], "study.toml cannot be read"),
        (["--limit", "50,100"], "limit is one for all arms"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_is_wrong_is_one_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str], place: Path
) -> None:
    Path("bad.toml").write_text("[arm.a]\npool = 'max'\n")
    Path("seeded.toml").write_text("[arms.a]\nseed = 3\n")
    Path("letter.txt").write_text("dear")
    Path("broken").mkdir()
    Path("broken/study.toml").write_text("[study]\nseeds = 3\n")
    before = sorted(place.rglob("*"))
    defaults = [] if any(word in ("--epochs", "--limit") for word in words) else SMALL
    assert main(["compare", "digits", *defaults, *words]) == 2
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1
    assert said in printed.err
    assert sorted(place.rglob("*")) == before
