"""Ray: a cluster to compute on, and folders that are carried to its machines and back as bytes.

No disk needs to be shared: what a task leaves behind comes back through Ray's own memory.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cnnatomy.errors import ArgumentError
from cnnatomy.train.atomic_files import write_whole

Files = Mapping[str, bytes]
"""The files of a folder by name."""
LAST = ("checkpoint.safetensors", "metrics.json")
"""What says how far a run is, and that it has ended: written when all else is there."""
REACH = 10.0
"""Seconds for a machine to answer."""
CARRIED = ("CNNATOMY_DATA", "CNNATOMY_CACHE")
"""What of the environment tells a task where pictures lie."""


@contextmanager
def cluster(address: str | None = None) -> Iterator[Any]:
    """Ray, connected: to an address, or to one of this machine's processors that ends with the block.

    A Ray that this process has already begun is used as it is, and left running.

    Args:
        address: as `ray.init` takes it: HOST:PORT, or "auto" for the cluster that runs on this machine.

    Raises:
        ArgumentError: Ray is not installed, or there is no cluster at the address.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise ArgumentError("a cluster needs Ray", hint="pip install 'cnnatomy[ray]'") from None
    begun = not ray.is_initialized()
    if begun:
        _demand_reachable(address)
        try:
            quiet: dict[str, Any] = {"logging_level": "error", "log_to_driver": False}
            ray.init(address=address, configure_logging=False, **quiet)
        except (ConnectionError, ValueError, RuntimeError) as error:
            said = " ".join(str(error).split())
            raise ArgumentError(f"no Ray cluster at {address or 'this machine'}", got=said) from error
    try:
        yield ray
    finally:
        if begun:
            ray.shutdown()


def _demand_reachable(address: str | None) -> None:
    """Raise an ArgumentError at once if nothing listens at HOST:PORT: Ray would wait for minutes."""
    host, colon, port = (address or "").rpartition(":")
    if not colon or not port.isdecimal():
        return
    try:
        socket.create_connection((host.rpartition("/")[2].strip("[]"), int(port)), timeout=REACH).close()
    except (OSError, OverflowError) as error:
        raise ArgumentError(f"no Ray cluster at {address}", got=str(error)) from error


def environment() -> dict[str, dict[str, str]]:
    """What a task's surroundings need, as Ray's `runtime_env`."""
    return {"env_vars": {name: os.environ[name] for name in CARRIED if name in os.environ}}


def packed(folder: Path, seen: dict[str, tuple[int, int]] | None = None) -> dict[str, bytes]:
    """The files of a folder; with `seen`, those that changed since, which it then knows.

    The checkpoint is read first: whatever is written meanwhile is then newer, as after a crash, which
    resuming allows for.
    """
    files: dict[str, bytes] = {}
    found = (path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    for path in sorted(found, key=lambda path: (path.name != "checkpoint.safetensors", path.name)):
        status = path.stat()
        mark = (status.st_mtime_ns, status.st_size)
        if seen is None or seen.get(path.name) != mark:
            files[path.name] = path.read_bytes()
        if seen is not None:
            seen[path.name] = mark
    return files


def unpacked(files: Files, folder: Path) -> None:
    """Write files into a folder, each whole, `LAST` last."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in sorted(files, key=lambda name: (name in LAST, name)):
        write_whole(folder / Path(name).name, files[name])
