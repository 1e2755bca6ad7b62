"""Compare ways of computing the same thing, side by side in one run.

Every candidate is first held against the first one's result: a wrong candidate is refused a time. Then all
run in turn, round after round, every second round in the opposite order, so that a slow spell of the machine
falls on all alike; just before it is timed, each runs once untimed. What counts is the ratio of medians
within a run, never a time by itself.
"""

from __future__ import annotations

import csv
import ctypes
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

ROUNDS = 31
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h


class ParityError(AssertionError):
    """A candidate's result is wrong, so its speed means nothing."""


@dataclass(frozen=True)
class Candidate:
    """One way to compute a thing; `check` is False for a yardstick, such as a copy, that computes another."""

    name: str
    run: Callable[[], Any]
    check: bool = True


@dataclass(frozen=True)
class Row:
    """One candidate's times in one case, in milliseconds, and its machine."""

    case: str
    candidate: str
    median_ms: float
    low_ms: float  # 10 % of rounds were faster
    high_ms: float  # 10 % of rounds were slower
    rounds: int
    threads: int
    device: str
    python: str
    torch: str
    llvm: str


def keep_memory() -> bool:
    """Have the C library keep freed memory instead of handing it back, where it is glibc; False elsewhere.

    Otherwise one candidate's freed result makes the next one fault its pages in anew, or not, by chance.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return False
    done = [mallopt(option, 1 << 30) for option in (_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD)]
    return all(done)


def compare(
    case: str, candidates: Sequence[Candidate], rounds: int = ROUNDS, clock: str = "wall"
) -> list[Row]:
    """Check, then time, all candidates; `clock` is "wall", or "cpu" for the process's time on one thread.

    Raises:
        ParityError: a candidate's result differs from the first one's.
    """
    check(case, candidates)
    now = time.perf_counter_ns if clock == "wall" else time.process_time_ns
    spent: list[list[int]] = [[] for _ in candidates]
    for turn in range(rounds):
        order = range(len(candidates)) if turn % 2 else range(len(candidates) - 1, -1, -1)
        for i in order:
            candidates[i].run()  # untimed: wakes its own threads, and its neighbour's go to sleep
            start = now()
            candidates[i].run()
            spent[i].append(now() - start)
    return [_row(case, one.name, times) for one, times in zip(candidates, spent, strict=True)]


def check(case: str, candidates: Sequence[Candidate]) -> None:
    """Hold every candidate's result against the first one's."""
    checked = [one for one in candidates if one.check]
    truth = _tensors(checked[0].run())
    for one in checked[1:]:
        for ours, theirs in zip(_tensors(one.run()), truth, strict=True):
            try:
                torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5, check_stride=False)
            except AssertionError as error:
                raise ParityError(f"{case}: {one.name} is not {checked[0].name}: {error}") from error


def _tensors(result: Any) -> list[Tensor]:
    entries = result if isinstance(result, tuple | list) else [result]
    return [entry if isinstance(entry, Tensor) else torch.as_tensor(entry) for entry in entries]


def _row(case: str, name: str, times: list[int]) -> Row:
    import llvmlite.binding

    tenths = statistics.quantiles([t / 1e6 for t in times], n=10)
    return Row(
        case,
        name,
        round(tenths[4], 4),
        round(tenths[0], 4),
        round(tenths[8], 4),
        len(times),
        torch.get_num_threads(),
        device(),
        platform.python_version(),
        torch.__version__,
        ".".join(map(str, llvmlite.binding.llvm_version_info)),
    )


def device() -> str:
    """The processor, in words."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def save(rows: Sequence[Row], path: Path) -> None:
    """Write rows as CSV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([field.name for field in fields(Row)])
        writer.writerows([[getattr(row, field.name) for field in fields(Row)] for row in rows])


def show(rows: Sequence[Row], ours: str) -> None:
    """Print each candidate's median, and how many times ours is faster."""
    base = next(row.median_ms for row in rows if row.candidate == ours)
    print(f"\n{rows[0].case}")
    for row in rows:
        spread = f"{row.low_ms:.3f} .. {row.high_ms:.3f}"
        ratio = row.median_ms / base
        print(f"  {row.candidate:28} {row.median_ms:9.3f} ms   ({spread:>18})   {ratio:6.2f} x")
