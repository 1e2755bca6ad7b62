"""Files of a run that were altered, digest and all: told in one line, never cast and never waited for."""

from __future__ import annotations

import copy
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from torch import Tensor

import cnnatomy
from cnnatomy.cli.main import main
from cnnatomy.errors import ArgumentError, CheckpointError, CnnatomyError
from cnnatomy.train.atomic_files import read_tensors, write_tensors
from cnnatomy.train.engine import train
from cnnatomy.train.run_folder import RunFolder
from cnnatomy.train.settings import Settings
from cnnatomy.train.stored_values import MODEL, STATE

IMAGES = torch.rand(24, 1, 8, 8, generator=torch.Generator().manual_seed(0))
DATA = (IMAGES, torch.arange(24) % 2)
NETWORK = "conv3-2 globalavg FC"
Tensors = dict[str, Tensor]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "run"
    cnnatomy.train(DATA, NETWORK, run=path, epochs=1, progress=False, device="cpu", threads=1)
    return path


@pytest.fixture
def run(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "run"))


def rewrite(path: Path, change: Callable[[Tensors, dict[str, Any]], object]) -> None:
    """Alter what a file of tensors holds, under a digest of its own."""
    tensors, facts = read_tensors(path)
    change(tensors, facts)
    path.unlink()
    write_tensors(path, tensors, facts)


def resume(run: Path) -> object:
    return cnnatomy.train(DATA, NETWORK, run=run, resume=True, progress=False)


def load(run: Path) -> object:
    return RunFolder(run).load_model()


ODD: list[Any] = [None, 0, -1, True, "", "x", 1e300, [], {}, [[]], [None], ["a", "a"], {"a": [1]}, 10**40]
USES: Mapping[str, tuple[str, Callable[[Path], object]]] = {
    **dict.fromkeys([*MODEL, "mean", "std"], ("last.safetensors", load)),
    **{f"state {name}": ("checkpoint.safetensors", resume) for name in STATE},
}


@pytest.mark.parametrize("fact", USES)
def test_a_fact_that_is_missing_or_odd_is_one_line(whole: Path, tmp_path: Path, fact: str) -> None:
    file, use = USES[fact]
    name = fact.removeprefix("state ")
    for number, value in enumerate(["missing", *ODD] if use is load else ["missing", None, [{}], "x"]):
        folder = Path(shutil.copytree(whole, tmp_path / str(number)))

        def change(_: Tensors, facts: dict[str, Any], value: Any = value) -> None:
            facts[name] = value
            if value == "missing":
                del facts[name]

        rewrite(folder / file, change)
        try:
            use(folder)
        except CnnatomyError as error:
            assert "\n" not in str(error)  # noqa: PT017 (a value may also mean something)
        else:
            assert value != "missing"
            assert (name, type(value)) in {
                ("pool", type(None)),
                ("output", str),
                ("fit", str),
            }


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(st.text(max_size=4), inside, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from([*MODEL, "mean", "std"]), JSON)
@example("input_shape", [1, 10**9, 10**9])
@example("input_shape", [1, 8, 8, 8])
@example("classes", ["\x1b[31m", "\n"])
@example("model", "conv3-999999999 FC")
@example("model", "conv3-2 " * 10_000)
@example("pool", "gem(p=nan)")
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_fact_is_loaded_or_told_in_one_line(
    whole: Path, tmp_path: Path, name: str, value: object
) -> None:
    folder = Path(shutil.copytree(whole, tmp_path / "run", dirs_exist_ok=True))
    rewrite(folder / "last.safetensors", lambda _, facts: facts.update({name: value}))
    try:
        load(folder)
    except CnnatomyError as error:
        assert "\n" not in str(error)  # noqa: PT017 (a value may also mean something)


def each(change: Callable[[Tensor], Tensor]) -> Callable[[Tensors, dict[str, Any]], object]:
    return lambda tensors, _: tensors.update({name: change(tensor) for name, tensor in tensors.items()})


def one_less(tensors: Tensors, _: dict[str, Any]) -> None:
    del tensors[min(tensors)]


WRONG: dict[str, tuple[Callable[[Tensors, dict[str, Any]], object], str]] = {
    "int8": (each(lambda one: one.to(torch.int8)), "expected float32, got int8"),
    "complex": (each(lambda one: one.to(torch.complex64)), "expected float32, got complex64"),
    "float64": (each(lambda one: one.double()), "expected float32, got float64"),
    "float16": (each(lambda one: one.half()), "expected float32, got float16"),
    "8 bits": (each(lambda one: one.to(torch.float8_e4m3fn)), "expected float32, got float8_e4m3fn"),
    "no number": (each(lambda one: torch.full_like(one, float("nan"))), "expected numbers, got NaN"),
    "a shape": (each(lambda one: one[None]), "size mismatch|expected \\(|must match"),
    "one less": (one_less, "Missing key|nothing"),
    "one more": (lambda tensors, _: tensors.update({"model/x\n": torch.ones(2)}), "Unexpected key"),
}


@pytest.mark.parametrize("what", WRONG)
@pytest.mark.parametrize("file", ["last", "checkpoint"])
def test_tensors_of_another_kind_are_refused_and_not_cast(run: Path, what: str, file: str) -> None:
    change, said = WRONG[what]
    rewrite(run / f"{file}.safetensors", change)
    with pytest.raises(CheckpointError, match=said) as caught:
        (load if file == "last" else resume)(run)
    assert "\n" not in str(caught.value)


def test_an_ended_run_is_not_judged_with_weights_of_another_kind(run: Path) -> None:
    rewrite(run / "last.safetensors", WRONG["int8"][0])
    with pytest.raises(CheckpointError, match="expected float32, got int8"):
        resume(run)


def test_momentum_of_another_shape_is_refused(run: Path) -> None:
    def change(tensors: Tensors, _: dict[str, Any]) -> None:
        for name in tensors:
            if name.startswith("optimizer/exp_avg/"):
                tensors[name] = torch.ones(3, 3, 3)

    rewrite(run / "checkpoint.safetensors", change)
    with pytest.raises(CheckpointError, match=r"the optimizer's optimizer/exp_avg/.* got \(3, 3, 3\)"):
        resume(run)


FILES = ("run.toml", "log.csv", "plan.json", "metrics.json", "last.safetensors", "checkpoint.safetensors")
CONTENTS = {
    "empty": b"",
    "bytes": bytes(range(256)),
    "deep": b"[" * 100_000,
    "deep tables": b'{"a":' * 100_000,
    "a large number": b'{"a": ' + b"9" * 5000 + b"}",
    "null": b"null",
    "a list": b"[1]",
    "a table": b"{}",
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_anything_is_used_as_none_or_told_in_one_line(
    whole: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for label, content in CONTENTS.items():
        folder = Path(shutil.copytree(whole, tmp_path / label))
        (folder / name).write_bytes(content)
        demand_line(folder, tmp_path, capsys)
    for label, make in (("pipe", os.mkfifo), ("folder", Path.mkdir)):
        folder = Path(shutil.copytree(whole, tmp_path / label))
        (folder / name).unlink()
        make(folder / name)
        demand_line(folder, tmp_path, capsys)


def demand_line(folder: Path, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every command that takes a run ends in one line, or does what it is told."""
    uses: list[Callable[[], object]] = [
        lambda: RunFolder(folder).load_model(),
        lambda: resume(folder),
        lambda: cnnatomy.runs.Run(folder).metrics,
        lambda: cnnatomy.runs.Run(folder).history,
    ]
    for use in uses:
        try:
            use()
        except (CnnatomyError, OSError) as error:
            assert "\n" not in str(error)  # noqa: PT017 (a file may also be left unused)
    assert main(["predict", str(folder), str(place / "none.png")]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1


def test_facts_that_are_no_table_are_told(run: Path) -> None:
    tensors, _ = read_tensors(run / "last.safetensors")
    for facts in ([1], None, "x"):
        write_tensors(run / "last.safetensors", tensors, facts)  # type: ignore[arg-type]
        with pytest.raises(CnnatomyError, match="expected a table"):
            load(run)


def test_a_device_that_computes_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="device meta computes nothing"):
        train(Settings.of(device="meta"), RunFolder(tmp_path / "run"))


def test_what_was_not_altered_still_loads(run: Path) -> None:
    model, facts = RunFolder(run).load_model()
    again = copy.deepcopy(facts)
    rewrite(run / "last.safetensors", lambda *_: None)
    assert RunFolder(run).load_model()[1] == json.loads(json.dumps(again))
    assert model(model.preprocess(torch.zeros(1, 1, 8, 8, dtype=torch.uint8))).isfinite().all()
