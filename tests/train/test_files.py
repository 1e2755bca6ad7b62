from __future__ import annotations

import os
from pathlib import Path

import pytest
import safetensors.torch
import torch

from cnnatomy.errors import CheckpointError
from cnnatomy.train.files import read_tensors, write_json, write_tensors, write_whole
from cnnatomy.train.run import RunFolder


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
