from __future__ import annotations

import ast
import inspect
import itertools
import subprocess
import sys
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnatomy.errors import ArgumentError
from cnnatomy.train import config as module
from cnnatomy.train.config import PRESETS, RUNTIME, FitConfig, preset
from cnnatomy.train.schedule import WARMUP, one_cycle

DIGITS = list("0123456789")


def test_is_read_without_torch() -> None:
    code = "import sys, cnnatomy.train, cnnatomy.train.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_field_is_documented() -> None:
    (body,) = [
        node.body
        for node in ast.parse(inspect.getsource(module)).body
        if isinstance(node, ast.ClassDef) and node.name == "FitConfig"
    ]
    documented = {
        field.target.id
        for field, text in itertools.pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
    }
    assert documented == {field.name for field in fields(FitConfig)}


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_valid(name: str) -> None:
    preset(name).check()


def test_an_unknown_preset_is_answered_with_the_nearest() -> None:
    with pytest.raises(ArgumentError, match=r"unknown preset 'shrt'.*try short"):
        preset("shrt")


@given(st.integers(2, 100_000))
def test_automatic_values_make_enough_steps_and_passes(pictures: int) -> None:
    settled = FitConfig().resolved(pictures, DIGITS)
    assert settled.epochs is not None
    assert settled.batch_size is not None
    assert settled.batch_size <= pictures
    assert settled.epochs >= 20
    assert settled.epochs * -(-pictures // settled.batch_size) >= 1_500 or pictures >= 10_000


def test_what_was_asked_for_wins_over_automatic_values() -> None:
    asked = FitConfig(output="softmax", epochs=2, batch_size=5, augment="none", lr=0.1)
    assert asked.resolved(100, DIGITS) == asked
    assert FitConfig().resolved(100, ["cat", "dog"]).output == "softmax"
    assert FitConfig().resolved(60_000, DIGITS).augment == "none"
    assert FitConfig().resolved(600, DIGITS).augment == "distortions"


def test_differences_name_what_changes_the_result_and_nothing_else() -> None:
    config = FitConfig()
    assert config.differences(replace(config, lr=0.1)) == ["lr None, now 0.1"]
    for name in RUNTIME:
        other: dict[str, Any] = {name: "other"}
        assert config.differences(replace(config, **other)) == []


def test_json_there_and_back() -> None:
    config = FitConfig(lr=0.1 + 0.2, output="rbf", data_dir="/data")
    assert FitConfig.from_json(config.to_json()) == config


@pytest.mark.parametrize("odd", [{"size": 3}, {"epochs": "x"}, {"validation": "x"}, {"skip_bad": 1}])
def test_what_is_read_back_is_held_to_what_it_can_mean(odd: dict[str, Any]) -> None:
    (name,) = odd
    with pytest.raises(ArgumentError, match=f"{name}: expected"):
        FitConfig.from_json(FitConfig().to_json() | odd)


@given(st.integers(20, 5_000), st.floats(1e-6, 1))
def test_the_rate_rises_to_the_peak_once_and_falls_to_nothing(steps: int, peak: float) -> None:
    rates = [one_cycle(step, steps, peak) for step in range(steps)]
    top = rates.index(max(rates))
    assert rates[:top] == sorted(rates[:top])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert 0.9 * peak < rates[top] <= peak
    assert abs(top + 1 - WARMUP * steps) <= 1
    assert 0 < rates[0] < rates[top]
    assert rates[-1] == pytest.approx(0, abs=1e-12)
