"""Pooling against its peers: plain torch, eager and compiled, other engines, and a copy of the same bytes.

    python -m benchmarks.pooling                 # everything; rows are saved as they come
    python -m benchmarks.pooling --reducers max soft --dtypes float32 --rounds 11 --no-compile
    python -m benchmarks.pooling --memory --tiny # only the tables of saved bytes and of small tensors

Without --memory and --tiny all three are made: benchmarks/results/pooling.csv, tiny.csv and memory.csv, and a
chart of the first. A candidate whose result differs is refused a time. What draws cannot be compared.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import torch

from benchmarks import memory, tiny
from benchmarks.cases import DIRECTIONS, DTYPES, FEW, LAYOUTS, OURS, WINDOWS, Case, shape_of
from benchmarks.harness import ROUNDS, Row, compare, keep_memory, save, show
from benchmarks.peers import PEERS

RESULTS = Path(__file__).parent / "results"
CHART = Path(__file__).parent.parent / "docs" / "images" / "pooling-speed.png"
SECONDS = 2.0  # for all rounds of one case


def options() -> argparse.ArgumentParser:
    """What can be asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.pooling",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for name, choices in (
        ("reducers", list(PEERS)),
        ("directions", list(DIRECTIONS)),
        ("windows", list(WINDOWS)),
        ("layouts", list(LAYOUTS)),
        ("dtypes", list(DTYPES)),
    ):
        parser.add_argument(f"--{name}", nargs="+", default=choices, choices=choices, metavar=name[:-1])
    parser.add_argument("--shape", nargs="+", type=shape_of, default=["8x64x56x56"], metavar="NxCxHxW")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", choices=["cpu", "wall"], default="cpu")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="at most; at least 5 where a case is slow")
    parser.add_argument(
        "--budget", type=float, default=float("inf"), help="start no case after so many seconds"
    )
    parser.add_argument("--no-compile", dest="compile", action="store_false", help="leave torch.compile out")
    parser.add_argument("--memory", action="store_true", help="bytes saved for backward")
    parser.add_argument("--tiny", action="store_true", help="whole calls on small tensors")
    parser.add_argument("--out", type=Path, default=RESULTS / "pooling.csv")
    parser.add_argument("--plot", type=Path, default=CHART)
    return parser


def cases(settings: argparse.Namespace) -> Iterator[Case]:
    """Every case asked for that makes sense, the whole of one dtype before the next."""
    for dtype, shape, layout, name, window, direction in product(
        settings.dtypes,
        settings.shape,
        settings.layouts,
        settings.reducers,
        settings.windows,
        settings.directions,
    ):
        if not PEERS[name].few or window in FEW:
            yield Case(name, direction, window, shape, dtype, layout)


def speed(settings: argparse.Namespace) -> list[Row]:
    """Time every case, print it, and save the rows so far."""
    rows: list[Row] = []
    started, wanted = time.monotonic(), list(cases(settings))
    for done, case in enumerate(wanted):
        if time.monotonic() - started > settings.budget:
            print(f"\nThe budget is spent: {len(wanted) - done} of {len(wanted)} cases are left out.")
            break
        with case.candidates(settings.compile) as candidates:
            found = compare(str(case), candidates, settings.rounds, settings.clock, SECONDS)
        show(found, OURS, case.title)
        rows += found
        save(rows, settings.out)
    print(f"\n{len(rows)} rows saved to {settings.out}")
    return rows


def chart(rows: list[Row], path: Path) -> None:
    """Draw the rows, if there is something to draw them with."""
    try:
        from benchmarks import plot
    except ImportError:
        print("No chart: matplotlib is not installed.")
        return
    if plot.draw(rows, path):
        print(f"Chart drawn to {path}")


def main() -> int:
    """Make the tables asked for; 1 if a candidate was refused a time."""
    parser = options()
    settings = parser.parse_args()
    if settings.clock == "cpu" and settings.threads > 1:
        parser.error("--clock cpu adds up the time of all threads: take --clock wall")
    torch.set_num_threads(settings.threads)
    keep_memory()
    everything = not (settings.memory or settings.tiny)
    rows: list[Row] = []
    if settings.memory or everything:
        memory.table(settings.reducers, settings.out.with_name("memory.csv"))
    if settings.tiny or everything:
        rows += tiny.table(settings.rounds, settings.clock, settings.out.with_name("tiny.csv"))
    if everything:
        timed = speed(settings)
        chart(timed, settings.plot)
        rows += timed
    refused = [row for row in rows if row.refused]
    for row in refused:
        print(f"refused a time: {row.case}: {row.candidate} {row.note}", file=sys.stderr)
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
