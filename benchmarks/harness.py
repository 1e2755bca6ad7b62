"""Compare ways of computing the same thing, side by side in one run.

Every candidate is first held against the first one's result: a wrong candidate is refused a time. Then all
run in turn, round after round, every second round in the opposite order, so that a slow spell of the machine
falls on all alike. A turn is so many calls as last some milliseconds, timed as one; as many calls before it
are not timed, since a processor's caches take several to forget the candidate before: times are those of
data in the caches, if they hold it; `in_turn` makes a candidate whose data they do not hold. What counts is
the ratio of medians within a run, never a time by itself.
"""

from __future__ import annotations

import csv
import ctypes
import math
import platform
import statistics
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from importlib import metadata
from itertools import cycle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cnnatomy.backends.cpu.runtime.huge_pages import prefer_large

ROUNDS, LEAST_ROUNDS = 31, 5
GROUND = 1 << 29
"""Bytes that `keep_memory` takes at once, on large pages: what is made later finds its place there."""

TURN = 1e7
"""Nanoseconds that a turn should last; one call if that takes longer."""

MOST_CALLS = 1000

UNCACHED = 1 << 27
"""Bytes that the caches of one core do not hold."""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h

TOLERANCE = {
    torch.float64: (1e-9, 1e-10),
    torch.float32: (1e-4, 1e-5),
    torch.float16: (1e-2, 5e-3),
    torch.bfloat16: (5e-2, 3e-2),
}
"""How far two results may lie apart: in relation to each value, and to the largest of all.

Plain formulations round every intermediate result to the dtype, hence the width in the shorter ones.
"""


@dataclass(frozen=True)
class Candidate:
    """One way to compute a thing.

    Args:
        name: what the row is called.
        run: compute it once.
        check: False for what computes another thing, such as a copy.
        calls: run at least so often for one time, which is then divided.
        note: what a reader of the row must know.
    """

    name: str
    run: Callable[[], Any]
    check: bool = True
    calls: int = 1
    note: str = ""

    def time(self, now: Callable[[], int]) -> float:
        """Nanoseconds of one run."""
        run, calls = self.run, range(self.calls)
        start = now()
        for _ in calls:
            run()
        return (now() - start) / self.calls

    def turn(self, now: Callable[[], int]) -> Candidate:
        """This with as many calls as make a turn."""
        self.time(now)
        enough = min(MOST_CALLS, math.ceil(TURN / max(self.time(now), 1)))
        return replace(self, calls=max(self.calls, enough))


@dataclass(frozen=True)
class Row:
    """One candidate's times in one case, in milliseconds (NaN if it was refused one), and its machine."""

    case: str
    candidate: str
    median_ms: float
    low_ms: float  # 10 % of rounds were faster
    high_ms: float  # 10 % of rounds were slower
    rounds: int
    threads: int
    clock: str
    device: str
    python: str
    torch: str
    llvm: str
    onnxruntime: str
    note: str

    @property
    def refused(self) -> bool:
        """True if this candidate failed, or its result differed."""
        return self.rounds == 0


def keep_memory() -> bool:
    """Have the C library keep freed memory, and some from the start, where it is glibc; False elsewhere.

    Otherwise it hands memory back, and one candidate's freed result makes the next one fault its pages in
    anew, or not, by chance. What is kept begins as large pages, where a system gives them: later some results
    would lie on large pages and others on small ones, by chance as well.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return False
    done = [mallopt(option, 1 << 30) for option in (_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD)]
    ground = torch.empty(GROUND, dtype=torch.uint8)
    prefer_large(ground)
    ground.zero_()
    return all(done)


def in_turn(make: Callable[[], Callable[[], Any]], nbytes: int) -> Callable[[], None]:
    """Runs on data of their own, of `nbytes` each, made so often that no cache holds them all; one a call.

    Each has run once, which may have taken longer. Results are kept until their run comes round again: nor do
    they lie in the caches.
    """
    runs = [make() for _ in range(max(1, math.ceil(UNCACHED / nbytes)))]
    turns, held = cycle(runs), deque[Any]((run() for run in runs), maxlen=len(runs))
    return lambda: held.append(next(turns)())


def compare(
    case: str,
    candidates: Sequence[Candidate],
    rounds: int = ROUNDS,
    clock: str = "wall",
    seconds: float = math.inf,
) -> list[Row]:
    """Check, then time, all candidates.

    Args:
        case: what the rows are about.
        candidates: the first one's result is the truth for the others.
        rounds: how often each is timed.
        clock: "wall", or "cpu" for the process's time on one thread.
        seconds: take fewer rounds than asked for, but five, where they would last longer than this.
    """
    now = time.perf_counter_ns if clock == "wall" else time.process_time_ns
    refusals = check(candidates)
    timed = [one.turn(now) for one in candidates if one.name not in refusals]
    if seconds < math.inf:
        a_round = 2e-9 * sum(one.time(now) * one.calls for one in timed)
        rounds = min(rounds, max(LEAST_ROUNDS, int(seconds / max(a_round, 1e-9))))
    spent: dict[str, list[float]] = {one.name: [] for one in timed}
    for turn in range(rounds):
        for one in timed if turn % 2 else reversed(timed):
            one.time(now)  # untimed: wakes its own threads and fills the caches
            spent[one.name].append(one.time(now))
    notes = {one.name: refusals.get(one.name, one.note) for one in candidates}
    return [row(case, name, spent.get(name, []), clock, note) for name, note in notes.items()]


def check(candidates: Sequence[Candidate]) -> dict[str, str]:
    """Run every candidate, and hold its result against the first one's: why some are refused, by name."""
    refusals: dict[str, str] = {}
    truth: tuple[str, list[Tensor]] | None = None
    for one in candidates:
        try:
            found = one.run()
        except Exception as error:  # what a compiler or a runtime cannot do is a result as well
            refusals[one.name] = f"fails: {type(error).__name__}: {error}".splitlines()[0][:200]
            continue
        if not one.check:
            continue
        if truth is None:
            truth = one.name, _tensors(found)
        elif far := _apart(_tensors(found), truth[1]):
            refusals[one.name] = f"differs from {truth[0]}: {far}"
    return refusals


def _apart(found: list[Tensor], truth: list[Tensor]) -> str:
    """How results differ, if by more than their dtype allows."""
    if len(found) != len(truth):
        return f"{len(found)} results instead of {len(truth)}"
    for ours, theirs in zip(found, truth, strict=True):
        relative, share = TOLERANCE.get(theirs.dtype, (0.0, 0.0))
        finite = theirs.detach()[theirs.isfinite()].abs()
        absolute = share * finite.max().item() if finite.numel() else 0.0
        try:
            torch.testing.assert_close(ours, theirs, rtol=relative, atol=absolute, check_stride=False)
        except AssertionError as error:
            return "; ".join(line for line in str(error).splitlines() if line)
    return ""


def _tensors(result: Any) -> list[Tensor]:
    entries = result if isinstance(result, tuple | list) else [result]
    return [entry if isinstance(entry, Tensor) else torch.as_tensor(entry) for entry in entries]


def row(case: str, name: str, times: list[float], clock: str, note: str) -> Row:
    """The quantiles of times in nanoseconds, none if it was refused one, with what they were measured on."""
    low = median = high = math.nan
    if times:
        ms = [t / 1e6 for t in times]
        tenths = statistics.quantiles(ms * 2 if len(ms) == 1 else ms, n=10, method="inclusive")
        low, median, high = (round(tenths[i], 6) for i in (0, 4, 8))
    machine = (torch.get_num_threads(), clock, device(), platform.python_version(), torch.__version__)
    return Row(case, name, median, low, high, len(times), *machine, _llvm(), _version("onnxruntime"), note)


def _llvm() -> str:
    import llvmlite.binding

    return ".".join(map(str, llvmlite.binding.llvm_version_info))


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


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


def load(path: Path) -> list[Row]:
    """Read rows back."""
    kinds: dict[object, Callable[[str], Any]] = {"str": str, "int": int, "float": float}
    with path.open(newline="") as file:
        return [
            Row(**{field.name: kinds[field.type](line[field.name]) for field in fields(Row)})
            for line in csv.DictReader(file)
        ]


def show(rows: Sequence[Row], ours: str, title: str = "") -> None:
    """Print each candidate's median, and how many times ours is faster."""
    base = next(row.median_ms for row in rows if row.candidate == ours)
    print(f"\n{title or rows[0].case}")
    for row in rows:
        spread = f"{row.low_ms:.4f} .. {row.high_ms:.4f}"
        ratio = row.median_ms / base
        times = "no time" if row.refused else f"{row.median_ms:10.4f} ms   ({spread:>22})   {ratio:7.2f} x"
        print(f"  {row.candidate:24} {times}" + (f"   {row.note}" if row.note else ""), flush=True)
