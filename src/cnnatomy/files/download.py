"""Fetching files: resumed where a transfer broke off, checked by SHA-256."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from cnnatomy.errors import DataError
from cnnatomy.files.locking import locked
from cnnatomy.files.printable import byte_count, shown
from cnnatomy.files.remote import Remote
from cnnatomy.files.transfer_progress import Progress

_BLOCK = 1 << 16
_ATTEMPTS = 5
_TIMEOUT = 30.0  # seconds without a byte
_MOVED = (301, 302, 303, 307, 308)
_SHA256 = re.compile("[0-9a-f]{64}")


class OfflineError(Exception):
    """Why a file could not be fetched, in one line."""


def fetch(remote: Remote, folder: Path, progress: Progress) -> Path:
    """Return the path of `remote` below `folder`, fetched unless it is there.

    What has come so far is kept in a `.part` file, from which the next attempt or the next run goes on.

    Raises:
        OfflineError: the file cannot be reached, or the transfer breaks off again and again.
        DataError: what came is not the file that was asked for, or it cannot be written.
    """
    path = folder / remote.path
    part = path.with_name(path.name + ".part")
    with locked(path) as writable:
        if path.is_file():  # another process may have fetched it while this one waited
            return path
        if not writable:
            raise DataError(
                f"cannot write to {shown(path.parent)}", hint="CNNATOMY_CACHE=<a folder of yours>"
            )
        try:
            for _ in range(_ATTEMPTS):
                if _transfer(remote, part, progress):
                    break
            else:
                raise OfflineError(f"{remote.url} broke off {_ATTEMPTS} times")
            _check(remote, part)
            os.replace(part, path)
        except OSError as error:
            raise DataError(f"cannot write {shown(path)}: {error.strerror or error}") from error
    return path


def describe(url: str, path: str, sha256: str = "") -> Remote:
    """Ask a server for the size of a file that is to come to `path`, and for its SHA-256 if it tells one.

    Hugging Face's hub tells both of a large file before it sends one on to where that is stored.

    Raises:
        OfflineError: the file cannot be reached, or the server does not say how large it is.
    """
    request = urllib.request.Request(url, headers={"User-Agent": "cnnatomy"}, method="HEAD")
    try:
        with _opener.open(request, timeout=_TIMEOUT) as answer:
            headers = answer.headers
    except urllib.error.HTTPError as error:
        with error:
            headers = error.headers
            if "X-Linked-Size" not in headers:
                if error.code in _MOVED and (there := headers.get("Location")):
                    return describe(urllib.parse.urljoin(url, there), path, sha256)
                raise OfflineError(f"{url} answers {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        raise OfflineError(f"{url}: {getattr(error, 'reason', error)}") from error
    size = headers.get("X-Linked-Size") or headers.get("Content-Length") or ""
    if not size.isdecimal():
        raise OfflineError(f"{url} does not say how large it is")
    digest = headers.get("X-Linked-ETag", "").strip('"')
    return Remote(path, url, int(size), digest if _SHA256.fullmatch(digest) else sha256)


class _Still(urllib.request.HTTPRedirectHandler):
    """Leaves it to the caller to go where a server points."""

    def redirect_request(self, *request: object) -> None:
        """Go nowhere."""


_opener = urllib.request.build_opener(_Still)


def _transfer(remote: Remote, part: Path, progress: Progress) -> bool:
    """Bring what is missing of the part; return whether all of it is there."""
    have = part.stat().st_size if part.is_file() else 0
    if have > remote.size:
        part.unlink()
        have = 0
    if have == remote.size:
        return True
    with _ask(remote, have) as answer:
        resumed = answer.status == http.client.PARTIAL_CONTENT
        have = have if resumed else 0
        offered = answer.length
        if offered is not None and have + offered != remote.size:
            raise DataError(
                f"{remote.url} offers another file",
                expected=byte_count(remote.size),
                got=byte_count(have + offered),
            )
        with part.open("ab" if resumed else "wb") as file:
            while have < remote.size and (block := _next_block(answer, remote.size - have)):
                have += file.write(block)
                progress(f"fetching {remote.path}", have, remote.size, "bytes")
    return have == remote.size


def _ask(remote: Remote, have: int) -> http.client.HTTPResponse:
    headers = {"User-Agent": "cnnatomy"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        answer = urllib.request.urlopen(urllib.request.Request(remote.url, headers=headers), timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        raise OfflineError(f"{remote.url} answers {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        raise OfflineError(f"{remote.url}: {getattr(error, 'reason', error)}") from error
    assert isinstance(answer, http.client.HTTPResponse)
    start = answer.headers.get("Content-Range", f"bytes {have}-")
    if answer.status == http.client.PARTIAL_CONTENT and not start.startswith(f"bytes {have}-"):
        answer.close()
        raise OfflineError(f"{remote.url} answers with another part than was asked for")
    return answer


def _next_block(answer: http.client.HTTPResponse, left: int) -> bytes:
    """Return the next bytes; none where the transfer is over or broke off."""
    try:
        return answer.read(min(_BLOCK, left))
    except (OSError, http.client.HTTPException):
        return b""


def _check(remote: Remote, part: Path) -> None:
    with part.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if not digest.startswith(remote.sha256):
        part.unlink()
        raise DataError(
            f"what came from {remote.url} is not the known file; it was removed",
            expected=f"SHA-256 {remote.sha256[:16]}...",
            got=f"{digest[:16]}...",
        )
