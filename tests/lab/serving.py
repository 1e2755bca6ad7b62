"""The lab as its users start it, in a process of its own; and plain requests to it."""

from __future__ import annotations

import http.client
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode


@contextmanager
def lab(*words: str) -> Iterator[tuple[int, str, subprocess.Popen[str]]]:
    """Start it on a free port: its port, the address that it prints, and its process."""
    command = [sys.executable, "-m", "cnnatomy", "lab", "--no-browser", "--port", "0", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.search(r"(http://\S+?:(\d+)/\S*)", line)
            assert found, line
            yield int(found[2]), found[1], process
        finally:
            process.terminate()


def get(
    port: int, path: str, query: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """The status and the text of an answer."""
    return request(port, "GET", f"{path}?{urlencode(query)}" if query else path, headers=headers)


def request(
    port: int, method: str, target: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, target, body, dict(headers or {}))
        answer = connection.getresponse()
        return answer.status, answer.read().decode("utf-8", "replace")
    finally:
        connection.close()


def family(process: int) -> Sequence[int]:
    """A process and those that it started."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text("ascii").split()
    return [process, *(one for child in children for one in family(int(child)))]


def memory(process: int) -> int:
    """Bytes that a process and those that it started hold."""
    sizes = (Path(f"/proc/{one}/statm").read_text("ascii").split()[1] for one in family(process))
    return sum(int(size) for size in sizes) * 4096
