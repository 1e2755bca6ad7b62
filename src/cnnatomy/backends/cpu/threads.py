"""A small pool of threads for kernels that run without the interpreter's lock.

The caller works too. Threads that call at once do not wait for one another: whoever finds the pool busy runs
its work alone. A forked child starts without the parent's threads and makes its own.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from queue import SimpleQueue

import torch

Job = Callable[[int, int, int], None]
"""job(lo, hi, worker): do units lo .. hi - 1 as worker number `worker`."""


class _Worker(threading.Thread):
    def __init__(self, number: int) -> None:
        super().__init__(name=f"cnnatomy-{number}", daemon=True)
        self.todo: SimpleQueue[tuple[Job, int, int]] = SimpleQueue()
        self.done: SimpleQueue[BaseException | None] = SimpleQueue()
        self.number = number
        self.start()

    def run(self) -> None:
        while True:
            job, lo, hi = self.todo.get()
            try:
                job(lo, hi, self.number)
                self.done.put(None)
            except BaseException as error:  # handed to the caller, who raises it
                self.done.put(error)


class _Pool:
    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Start anew, as a forked child must: it has neither the threads nor the holder of the lock."""
        self.busy = threading.Lock()
        self.workers: list[_Worker] = []


_pool = _Pool()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.forget)


def share(job: Job, units: int, most: int) -> None:
    """Do `units` of work on at most `most` threads, and never more than torch uses."""
    parts = min(most, units, torch.get_num_threads())
    if parts <= 1 or not _pool.busy.acquire(blocking=False):
        job(0, units, 0)
        return
    try:
        while len(_pool.workers) < parts - 1:
            _pool.workers.append(_Worker(len(_pool.workers) + 1))
        cuts = [units * i // parts for i in range(parts + 1)]
        helpers = _pool.workers[: parts - 1]
        for worker, lo, hi in zip(helpers, cuts, cuts[1:], strict=False):
            worker.todo.put((job, lo, hi))
        try:
            job(cuts[-2], cuts[-1], 0)
        finally:
            errors = [worker.done.get() for worker in helpers]
        for error in errors:
            if error is not None:
                raise error
    finally:
        _pool.busy.release()
