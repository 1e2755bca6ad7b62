"""Share a kernel's work among threads.

A kernel most often follows one of torch's own operators, whose OpenMP threads are still awake and waiting:
it joins that same team, where torch's OpenMP can be found. Elsewhere, and in a forked child, whose parent's
team is gone, a small pool of Python threads does the work: kernels run without the interpreter's lock.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import torch

from cnnatomy.backends.cpu.runtime.jit import Kernel


def share(kernel: Kernel, pointers: Sequence[int], scratch: int, units: int, team: int) -> None:
    """Do all units on a team of threads; the last pointer is scratch, of so many bytes for each thread."""
    if team <= 1:
        kernel.run(*pointers, 0, units)
    elif (omp := _openmp()) is not None and not _pool.forked:
        job = (ctypes.c_int64 * (len(pointers) + 5))(*pointers, 0, units, scratch, omp.number, omp.count)
        omp.parallel(kernel.shared, ctypes.addressof(job), team, 0)
    else:
        _pool.share(kernel, pointers, scratch, units, team)


class _OpenMP:
    """GNU OpenMP's entry points."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self.parallel = library.GOMP_parallel
        self.parallel.restype = None
        self.parallel.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
        address = [ctypes.cast(getattr(library, name), ctypes.c_void_p).value for name in _ASK]
        self.number, self.count = (int(found or 0) for found in address)


_ASK = ("omp_get_thread_num", "omp_get_num_threads")


@lru_cache(maxsize=1)
def _openmp() -> _OpenMP | None:
    """The OpenMP that torch has loaded, if it is of the kind that can be joined."""
    for path in sorted((Path(torch.__file__).parent / "lib").glob("libgomp*.so*")):
        try:
            return _OpenMP(ctypes.CDLL(str(path)))
        except (OSError, AttributeError):
            continue
    return None


class _Worker(threading.Thread):
    """Runs shares of work that it is handed, one after another."""

    def __init__(self, number: int) -> None:
        super().__init__(name=f"cnnatomy-{number}", daemon=True)
        self.todo: SimpleQueue[tuple[Any, list[int]]] = SimpleQueue()
        self.done: SimpleQueue[None] = SimpleQueue()
        self.start()

    def run(self) -> None:
        """Wait, work, answer."""
        while True:
            kernel, arguments = self.todo.get()
            kernel(*arguments)
            self.done.put(None)


def _outlast(workers: Sequence[_Worker]) -> None:
    """Wait for all, whatever interrupts: they write to tensors that the caller would free."""
    interruption: BaseException | None = None
    for worker in workers:
        answered = False
        while not answered:
            try:
                worker.done.get()
                answered = True
            except BaseException as error:
                interruption = error
    if interruption is not None:
        raise interruption


class _Pool:
    """Python threads; whoever finds them busy works alone, so that nobody waits for anybody."""

    def __init__(self) -> None:
        self.forked = False
        self.empty()

    def empty(self) -> None:
        """Have no threads yet."""
        self.busy = threading.Lock()
        self.workers: list[_Worker] = []

    def after_fork(self) -> None:
        """A child has neither its parent's threads nor the holder of the lock."""
        self.forked = True
        self.empty()

    def share(self, kernel: Kernel, pointers: Sequence[int], scratch: int, units: int, team: int) -> None:
        """Do all units, the caller its share too."""
        if not self.busy.acquire(blocking=False):
            kernel.run(*pointers, 0, units)
            return
        *shared, base = pointers
        cuts = [units * i // team for i in range(team + 1)]
        started: list[_Worker] = []
        try:
            while len(self.workers) < team - 1:
                self.workers.append(_Worker(len(self.workers) + 1))
            for i, worker in enumerate(self.workers[: team - 1], start=1):
                started.append(worker)
                worker.todo.put((kernel.run, [*shared, base + i * scratch, cuts[i], cuts[i + 1]]))
            kernel.run(*shared, base, cuts[0], cuts[1])
        finally:
            _outlast(started)
            self.busy.release()


_pool = _Pool()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.after_fork)
