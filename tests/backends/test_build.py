"""Kernels on disk: found by another process, and what happens where nothing can be kept."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_POOL = """
import torch, cnnatomy
from cnnatomy.backends.cpu import build
for kernel in (2, 3):
    y = cnnatomy.pool(torch.arange(36.0).view(1, 1, 6, 6), cnnatomy.Sliding(kernel), "max")
    assert y[0, 0, -1, -1] == 35
print(len(build.compiled))
"""


def run(cache: Path) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"CNNATOMY_CACHE": str(cache)}
    return subprocess.run(
        [sys.executable, "-c", _POOL], env=env, capture_output=True, text=True, timeout=120, check=True
    )


def test_a_second_process_compiles_nothing(tmp_path: Path) -> None:
    assert [int(run(tmp_path).stdout), int(run(tmp_path).stdout)] == [2, 0]


def test_a_cache_that_cannot_be_written_is_said_once(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    done = run(blocked)
    assert int(done.stdout) == 2
    assert done.stderr.count("set CNNATOMY_CACHE to a folder that can be written") == 1


def test_a_damaged_kernel_is_compiled_anew(tmp_path: Path) -> None:
    run(tmp_path)
    for kept in tmp_path.rglob("*.o"):
        kept.write_bytes(kept.read_bytes()[:-100])
    assert int(run(tmp_path).stdout) == 2
