"""Kernels on disk: found by another process, trusted only where nobody else can have written them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cnnatomy.backends.cpu.runtime import jit

_POOL = """
import torch, cnnatomy
from cnnatomy.backends.cpu.runtime import jit
for kernel in (2, 3):
    y = cnnatomy.pool(torch.arange(36.0).view(1, 1, 6, 6), "max", cnnatomy.Sliding(kernel))
    assert y[0, 0, -1, -1] == 35
print(len(jit.compiled))
"""


def run(cache: Path) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"CNNATOMY_CACHE": str(cache)}
    return subprocess.run(
        [sys.executable, "-c", _POOL], env=env, capture_output=True, text=True, timeout=120, check=True
    )


def test_a_cache_that_cannot_be_written_is_said_once(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    done = run(blocked)
    assert int(done.stdout) == 2
    assert done.stderr.count("set CNNATOMY_CACHE to a folder that can be written") == 1


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of kernels whose machine code is their text and how many were compiled before."""
    compiled: list[str] = []

    def machine_code(text: str) -> bytes:
        compiled.append(text)
        return f"{text} {len(compiled)}".encode()

    monkeypatch.setattr(jit, "machine_code", machine_code)
    monkeypatch.setattr(jit, "_warned", [])
    monkeypatch.setenv("CNNATOMY_CACHE", str(tmp_path / "of" / "mine"))
    return tmp_path / "of" / "mine" / "kernels"


@pytest.fixture
def any_umask() -> Iterator[None]:
    """No bits of new files are masked."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("any_umask")
def test_folders_and_files_of_the_cache_are_the_users_alone(cache: Path) -> None:
    jit.cached("a")
    (kept,) = cache.iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600
    for folder in (cache, cache.parent, cache.parent.parent):
        assert folder.stat().st_mode & 0o777 == 0o700


def test_a_kernel_under_the_name_of_another_is_not_run(cache: Path) -> None:
    jit.cached("a")
    (first,) = cache.iterdir()
    jit.cached("b")
    (second,) = set(cache.iterdir()) - {first}
    os.replace(first, second)
    assert jit.cached("b") == b"b 3"


def test_a_damaged_kernel_is_compiled_anew(cache: Path) -> None:
    assert jit.cached("a") == b"a 1"
    (kept,) = cache.iterdir()
    kept.write_bytes(kept.read_bytes()[:-1])
    assert jit.cached("a") == b"a 2"
    assert jit.cached("a") == b"a 2"


@pytest.mark.usefixtures("cache")
def test_no_home_to_keep_kernels_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CNNATOMY_CACHE", "~nobody-of-this-name/kernels")
    with pytest.warns(RuntimeWarning, match="cannot be kept .*set CNNATOMY_CACHE to a folder"):
        assert jit.cached("a") == b"a 1"


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


SUSPECT: dict[str, tuple[Callable[[Path], object], str]] = {
    "writable by a group": (lambda path: path.chmod(0o620), "others may write to"),
    "writable by all": (lambda path: path.chmod(0o602), "others may write to"),
    "of another owner": (lambda path: os.chown(path, 12345, 12345), "belongs to another user"),
    "a pipe": (pipe, "is no regular file"),
    "a folder": (folder, "is no regular file|Is a directory"),
}


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="owners of files")
@pytest.mark.parametrize("what", SUSPECT)
def test_a_file_that_others_can_have_written_is_not_run_and_that_is_said(cache: Path, what: str) -> None:
    if what == "of another owner" and os.geteuid():
        pytest.skip("only an administrator can give files away")
    change, said = SUSPECT[what]
    assert jit.cached("a") == b"a 1"
    assert jit.cached("a") == b"a 1"
    (kept,) = cache.iterdir()
    change(kept)
    with pytest.warns(RuntimeWarning, match=f"not trusted .*({said})"):
        assert jit.cached("a") == b"a 2"
    if what != "a folder":
        assert jit.cached("a") == b"a 2", "it was written anew, and is trusted"


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="owners of files")
@pytest.mark.parametrize("place", ["kernels", "above"])
@pytest.mark.parametrize("mode", [0o770, 0o707, 0o1777])
def test_a_folder_that_others_can_write_is_not_used_and_that_is_said(
    cache: Path, place: str, mode: int
) -> None:
    jit.cached("a")
    open_to_all = cache if place == "kernels" else cache.parent.parent
    open_to_all.chmod(mode)
    if (place, mode) == ("above", 0o1777):  # as /tmp: only their owners can move what is in it
        assert jit.cached("a") == b"a 1"
        return
    with pytest.warns(RuntimeWarning, match=f"cannot be kept .others may write to {open_to_all}; chmod go-w"):
        assert jit.cached("a") == b"a 2"
    assert jit.cached("b") == b"b 3"
    assert len(list(cache.iterdir())) == 1, "nothing was written"


def test_an_administrators_cache_is_read(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not hasattr(os, "geteuid") or os.geteuid():
        pytest.skip("only an administrator can give files away")
    jit.cached("a")
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert jit.cached("a") == b"a 1"


def test_links_lead_to_where_they_are_looked_at(cache: Path, tmp_path: Path) -> None:
    cache.parent.mkdir(parents=True)
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "open" / "place").mkdir()
    cache.symlink_to(tmp_path / "open" / "place")
    with pytest.warns(RuntimeWarning, match="others may write to .*open;"):
        jit.cached("a")


def test_threads_that_compile_at_once_keep_whole_files(cache: Path) -> None:
    threads = [threading.Thread(target=jit.cached, args=("a",)) for _ in range(8)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(list(cache.iterdir())) == 1
    assert jit.cached("a").startswith(b"a ")
