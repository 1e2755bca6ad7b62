"""The process that works: it reads questions on its input and writes answers, one at a time.

A frame is one line of JSON, then as many bytes as the line says. Kernels are compiled here, pictures decoded
and networks run; whoever asks ends this process when it takes too long or has grown.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, BinaryIO


def write(stream: BinaryIO, head: dict[str, Any], body: bytes) -> None:
    """Write one frame."""
    stream.write(json.dumps({**head, "size": len(body)}).encode() + b"\n" + body)
    stream.flush()


def read(stream: BinaryIO) -> tuple[dict[str, Any], bytes] | None:
    """Read one frame; None at the end."""
    line = stream.readline()
    if not line:
        return None
    head = json.loads(line)
    return head, stream.read(head["size"])


def memory() -> int:
    """Bytes that this process holds; 0 where the platform does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        return 0


def computed(process: int) -> float:
    """Seconds that a process has computed; where the platform does not say, those that have passed."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text("ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, AttributeError):
        return time.monotonic()


def main() -> None:
    """Answer until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which ends this
    questions, answers = sys.stdin.buffer, os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints is no answer
    run = sys.argv[1] if len(sys.argv) > 1 else None
    import torch

    torch.set_num_threads(1)
    from cnnatomy.lab import answering

    answering.begin(Path(run) if run else None)
    write(answers, {"memory": memory()}, b"")
    while frame := read(questions):
        head, body = frame
        made = answering.answer(head["path"], head["query"], body)
        about = {"type": made.type, "status": made.status, "name": made.name, "memory": memory()}
        write(answers, about, made.body)


if __name__ == "__main__":
    main()
