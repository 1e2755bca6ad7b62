"""Settings travel in parts, and mean the same as flags, keywords and a file."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnatomy.cli.options import GROUPS, documentation
from cnnatomy.errors import ArgumentError
from cnnatomy.files.toml import read_toml, to_toml
from cnnatomy.train.recipe import seconds
from cnnatomy.train.settings import HOMES, PARTS, PRESETS, RUNTIME, Settings, kind_of, preset

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


def test_are_read_without_torch() -> None:
    code = "import sys, cnnatomy.train, cnnatomy.cli.options; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("part", PARTS)
def test_every_setting_is_documented(part: str) -> None:
    assert set(documentation(kind_of(part))) == {member.name for member in fields(kind_of(part))}


def test_every_setting_is_a_flag_but_the_source() -> None:
    flags = [name for names in GROUPS.values() for name in names]
    assert sorted(flags) == sorted(HOMES.keys() - {"data"})


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_valid(name: str) -> None:
    preset(name).check()


def test_an_unknown_preset_is_answered_with_the_nearest() -> None:
    with pytest.raises(ArgumentError, match=r"unknown preset.*try 'short'"):
        preset("shrt")


def test_differences_name_what_changes_the_result_and_nothing_else() -> None:
    settings = Settings()
    assert settings.differences(settings.changed(lr=0.1, seed=3)) == ["lr None, now 0.1", "seed 0, now 3"]
    for name in RUNTIME:
        assert settings.differences(settings.changed(**{name: "other"})) == []


def test_an_unknown_setting_is_answered_with_the_nearest() -> None:
    with pytest.raises(ArgumentError, match="there is no setting 'epoch'; try epochs"):
        Settings.of(epoch=3)
    with pytest.raises(ArgumentError, match=r"there is no setting in \[recipe\] 'batch'; try batch_size"):
        Settings.from_json({"recipe": {"batch": 3}})
    with pytest.raises(ArgumentError, match=r"\[recipe\]: expected a table, got 3"):
        Settings.from_json({"recipe": 3})


def test_a_file_there_and_back(tmp_path: Path) -> None:
    settings = Settings.of(
        lr=0.1 + 0.2,
        model='a "quoted"\n\\name\x7f',
        data="dátá",
        restarts=[3.0, 4.5],
        log=("wandb",),
        balanced=True,
    )
    path = tmp_path / "run.toml"
    path.write_text(to_toml(settings.to_json()), "utf-8")
    tables = read_toml(path)
    assert "epochs" not in tables["recipe"], "what is left open is left out"
    flat = {name: value for part in tables.values() for name, value in part.items()}
    assert flat["lr"] == 0.1 + 0.2
    tables["network"]["model"] = "lenet5"
    read = Settings.from_json(tables)
    assert read == settings.changed(model="lenet5")


@given(
    st.dictionaries(
        st.sampled_from("abc"),
        st.one_of(
            TEXT,
            st.integers(),
            st.floats(allow_nan=False, allow_infinity=False),
            st.booleans(),
            st.lists(TEXT, max_size=3),
        ),
        min_size=1,
    )
)
def test_any_plain_values_survive_a_file(table: dict[str, Any]) -> None:
    import tomllib

    assert tomllib.loads(to_toml({"t": table}))["t"] == table


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"size": 3}, "size: expected a string, got 3"),
        ({"epochs": "x"}, "epochs: expected a whole number >= 1"),
        ({"epochs": 5, "time": "10m"}, "epochs and time are two ways to say how long"),
        ({"time": "soon"}, "time: expected such as 90s, 10m or 1h30m, got 'soon'"),
        ({"time": "0s"}, "time"),
        ({"validation": "x"}, "validation: expected"),
        ({"skip_bad": 1}, "skip_bad: expected True or False"),
        ({"optimizer": "adan"}, "unknown optimizer.*try 'adam'"),
        ({"optimizer": "gd", "momentum": 0.5}, "gd takes no momentum"),
        ({"schedule": "cosin"}, "unknown schedule.*try 'cosine'"),
        ({"augment": "flip+rotat(3)"}, "rotat"),
        ({"mixup": -1}, "mixup: expected a number >= 0"),
        ({"ema": 1.0}, "ema: expected a number from 0 to below 1"),
        ({"warmup": 1.0}, "warmup"),
        ({"patience": 0}, "patience"),
        ({"accumulate": 0}, "accumulate"),
        ({"restarts": (5.0, 3.0)}, "restarts: expected rising numbers > 0"),
        ({"limit": 1}, "limit: expected a whole number >= 2"),
        ({"train_fraction": 0.0}, "train_fraction"),
        ({"tta": "flop"}, "unknown test-time averaging.*try 'flip'"),
        ({"precision": "float8"}, "unknown precision"),
        ({"log": ("wandd",)}, "unknown logger.*try 'wandb'"),
        ({"lr_decay": 0.0}, "lr_decay"),
        ({"size": "32x"}, "size: expected such as 32"),
    ],
)
def test_what_means_nothing_is_refused_in_a_line(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ArgumentError, match=said) as caught:
        Settings.of(**values).check()
    assert "\n" not in str(caught.value)


@given(st.integers(0, 99), st.integers(0, 99), st.integers(0, 99))
def test_times_are_read_as_they_are_said(hours: int, minutes: int, rest: int) -> None:
    if total := hours * 3600 + minutes * 60 + rest:
        assert seconds(f"{hours}h{minutes}m{rest}s") == total
