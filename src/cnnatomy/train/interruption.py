"""Stopping in good order: a signal asks, the run stops between two steps."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any


class Interrupted(KeyboardInterrupt):
    """Training was asked to stop; everything up to `step` is saved, and the run can be resumed.

    Example:
        >>> print(Interrupted(Path("runs/digits"), 120, 1530))
        stopped after step 120 of 1,530; all of it is saved in runs/digits, resume to go on
    """

    def __init__(self, run: Path, step: int, steps: int | None) -> None:
        self.run, self.step, self.steps = run, step, steps
        super().__init__(f"stopped after {self.place}; all of it is saved in {run}, resume to go on")

    @property
    def place(self) -> str:
        """Where it stopped, in words."""
        return f"step {self.step:,}" + (f" of {self.steps:,}" if self.steps else "")


SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Ctrl-C, what batch systems send, and a terminal that is gone (not on Windows)."""


class Flag:
    """Raised by a signal."""

    raised = False


@contextmanager
def listen() -> Iterator[Flag]:
    """Turn the first of `SIGNALS` into a flag; a second one acts at once, as it would have before.

    What is ignored stays ignored: `nohup` keeps a run from hearing that its terminal is gone.
    """
    flag = Flag()
    before: dict[int, Any] = {}

    def handle(number: int, _frame: FrameType | None) -> None:
        flag.raised = True
        signal.signal(number, before[number])

    if threading.current_thread() is threading.main_thread():
        caught = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
        before = {number: signal.signal(number, handle) for number in caught}
    try:
        yield flag
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
