"""Folders and files that no other user can have written, looked at as ssh looks at its keys.

What is run out of a cache must be the user's own, or the administrator's: of another owner, or writable by a
group or by all, it could be anybody's. On Windows, which has no such owners, folders of users are private.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

_OTHERS = stat.S_IWGRP | stat.S_IWOTH


class NotPrivateError(OSError):
    """Why a folder or a file is not used, in one line."""


def made(folder: Path) -> Path:
    """Make a folder and what is missing above it, for this user alone, whatever the umask is.

    Raises:
        OSError: it cannot be made.
    """
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    for place in reversed(missing):
        place.mkdir(0o700, exist_ok=True)
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is no folder")
    return folder


def private_folder(folder: Path) -> Path:
    """The folder itself, made if it is not there, once nobody else can put anything at its place.

    Raises:
        NotPrivateError: another user owns it or a folder above it, or may write there.
        OSError: it cannot be made.
    """
    real = made(folder).resolve()
    home = Path(os.path.expanduser("~")).resolve()
    for place in (real, *real.parents):
        _demand_private(place, place.stat(), above=place != real)
        if place == home:
            break
    return real


def read_private(path: Path) -> bytes:
    """The content of a regular file that nobody else can have written; of a pipe, nothing is waited for.

    Raises:
        NotPrivateError: it is another kind of file, or another user owns it or may write it.
        OSError: it cannot be read.
    """
    with open(
        os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)), "rb"
    ) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise NotPrivateError(f"{path} is no regular file")
        _demand_private(path, status)
        return file.read()


def _demand_private(path: Path, status: os.stat_result, *, above: bool = False) -> None:
    """Hold an owner and a mode to the rule; above, a sticky folder may be everyone's, as /tmp."""
    if not hasattr(os, "geteuid"):
        return
    if status.st_uid not in (0, os.geteuid()):
        raise NotPrivateError(f"{path} belongs to another user")
    if status.st_mode & _OTHERS and not (above and status.st_mode & stat.S_ISVTX):
        raise NotPrivateError(f"others may write to {path}; chmod go-w {path}")
