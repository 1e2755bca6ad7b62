from __future__ import annotations

import errno
import json
import os
import textwrap
from pathlib import Path

import pytest
import safetensors.torch
import torch
from support import run_apart

from cnnatomy.errors import CheckpointError
from cnnatomy.train.atomic_files import read_tensors, write_json, write_tensors, write_whole
from cnnatomy.train.run_folder import RunFolder

DTYPES = (torch.float64, torch.bfloat16, torch.float32, torch.int64)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_whole(path, b"old")

    def full(_descriptor: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_json_is_for_people(tmp_path: Path) -> None:
    write_json(tmp_path / "file.json", {"name": "größe" * 30, "n": [1, 2]})
    text = (tmp_path / "file.json").read_text(encoding="utf-8")
    assert text == '{\n  "name": "' + "größe" * 30 + '",\n  "n": [1, 2]\n}\n'


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64, torch.bool])
def test_tensors_and_facts_come_back_as_they_were(tmp_path: Path, dtype: torch.dtype) -> None:
    dense = torch.randn(2, 3, 4, 4).to(dtype).contiguous(memory_format=torch.channels_last)
    tensors = {"dense": dense, "scalar": torch.tensor(3.5).to(dtype), "empty": torch.zeros(0, 2).to(dtype)}
    facts = {"step": 3, "loss": 0.1 + 0.2, "nested": [{"a": None}]}
    write_tensors(tmp_path / "file", tensors, facts)
    back, said = read_tensors(tmp_path / "file")
    assert said == facts
    assert back.keys() == tensors.keys()
    assert all(torch.equal(back[name], tensors[name]) and back[name].dtype == dtype for name in tensors)


def test_other_peoples_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "file.safetensors"
    safetensors.torch.save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match="was not written by cnnatomy"):
        read_tensors(path)
    torch.save({"a": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match="is damaged"):
        read_tensors(path)
    with pytest.raises(CheckpointError, match="does not exist"):
        read_tensors(tmp_path / "nothing")


@pytest.mark.parametrize(
    "content", [b"epoch,step\n\xff,1\n", b"epoch,step\nx,1\n", b"epoch\n1\n", b"epoch,step\n1,2\n"]
)
def test_a_damaged_log_is_one_clear_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "log.csv").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"log.csv cannot be read: got \w+Error"):
        RunFolder(tmp_path).log()


def test_a_full_disk_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device") as caught:
        write_whole(tmp_path / "checkpoint", b"new")
    assert caught.value.filename == str(tmp_path / "checkpoint")


def test_what_a_killed_writer_left_is_removed_at_the_next_start(tmp_path: Path) -> None:
    (tmp_path / ".checkpoint.safetensors.4711.tmp").write_bytes(b"half")
    (tmp_path / ".mine").touch()
    with RunFolder(tmp_path).held():
        assert {path.name for path in tmp_path.iterdir()} == {".mine", ".lock"}


def test_a_header_has_one_order_and_its_numbers_their_places(tmp_path: Path) -> None:
    tensors = {name: torch.randn(3, 5).to(dtype) for name, dtype in zip("dacb", DTYPES, strict=True)}
    path = tmp_path / "file"
    write_tensors(path, tensors, {"step": 1})
    content = path.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    assert end % 8 == 0
    assert list(header) == ["__metadata__", *sorted(tensors, key=lambda name: header[name]["data_offsets"])]
    assert list(header["__metadata__"]) == ["facts", "sha256"]
    back = safetensors.torch.load_file(path)
    assert all(torch.equal(back[name], tensors[name]) for name in tensors)


def test_equal_runs_give_equal_files(tmp_path: Path) -> None:
    """One in this process, one in another."""
    script = """
        import pathlib
        from cnnatomy.train import RunFolder, Settings
        from cnnatomy.train.engine import train
        settings = Settings.of(epochs=1, limit=100, model="conv3-4 bn globalavg FC", validation=0.2, ema=0.9)
        train(settings, RunFolder(pathlib.Path({run!r})))
    """
    exec(textwrap.dedent(script.format(run=str(tmp_path / "a"))), {})
    run_apart(script.format(run=str(tmp_path / "b")))
    for which in ("best", "last"):
        first, second = (RunFolder(tmp_path / name).weights(which).read_bytes() for name in "ab")
        assert first == second
