"""Draw the rows of the comparison: how many times as long torch takes.

python -m benchmarks.plot benchmarks/results/pooling.csv --layout NHWC --out speed.png
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

from benchmarks.cases import COMPILED, DIRECTIONS, EAGER, OURS, WINDOWS, Case
from benchmarks.harness import Row, load

SERIES = {EAGER: ("o", "#1f6fb4"), COMPILED: ("D", "#e07b00")}

Ratios = dict[tuple[str, Case], float]
"""By the peer's name and the case, how many times as long it takes."""


def ratios(rows: Sequence[Row]) -> Ratios:
    """The ratios of medians to ours; nothing for a candidate refused a time."""
    timed = {(row.candidate, Case.read(row.case)): row.median_ms for row in rows if not row.refused}
    return {
        (name, case): ms / timed[OURS, case]
        for (name, case), ms in timed.items()
        if name in SERIES and (OURS, case) in timed
    }


def draw(rows: Sequence[Row], path: Path, layout: str | None = None, dtype: str | None = None) -> bool:
    """Draw one shape, layout and dtype, the first row's if not told; False if there is no ratio of them."""
    found = _chosen(rows, layout, dtype)
    if not found:
        return False
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    cases = [case for _, case in found]
    names = list(dict.fromkeys(case.reducer for case in cases))
    windows = [window for window in WINDOWS if any(case.window == window for case in cases)]
    directions = [way for way in DIRECTIONS if any(case.direction == way for case in cases)]
    size = (2.0 + 2.4 * len(windows), 1.6 + (0.6 + 0.21 * len(names)) * len(directions))
    grid = (len(directions), len(windows))
    figure, axes = plt.subplots(
        *grid, figsize=size, sharex=True, sharey=True, squeeze=False, layout="constrained"
    )
    for y, direction in enumerate(directions):
        for x, window in enumerate(windows):
            here = {
                (name, case.reducer): ratio
                for (name, case), ratio in found.items()
                if (case.direction, case.window) == (direction, window)
            }
            _panel(axes[y, x], here, names)
            axes[y, x].set_title(f"{direction} {window}", fontsize=9)
    _frame(figure, axes[0, 0], names, list(found.values()))
    figure.suptitle(_title(rows[0], cases[0]), fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
    plt.close(figure)
    return True


def _chosen(rows: Sequence[Row], layout: str | None, dtype: str | None) -> Ratios:
    """The ratios that one chart shows."""
    found = ratios(rows)
    first = next((case for _, case in found), None)
    if first is None:
        return {}
    kept = (first.shape, layout or first.layout, dtype or first.dtype)
    return {
        (name, case): ratio
        for (name, case), ratio in found.items()
        if (case.shape, case.layout, case.dtype) == kept
    }


def _panel(axis: Any, here: dict[tuple[str, str], float], names: Sequence[str]) -> None:
    """One window in one direction: for each reducer a mark on a line for each peer."""
    axis.axvspan(1e-9, 1, color="0.92", zorder=0)
    axis.axvline(1, color="0.3", linewidth=1, zorder=1)
    for series, (marker, colour) in SERIES.items():
        points = [(ratio, names.index(name)) for (kind, name), ratio in here.items() if kind == series]
        if points:
            x, y = zip(*points, strict=True)
            axis.scatter(x, y, s=22, marker=marker, color=colour, label=series, zorder=3)
    axis.tick_params(labelsize=8)
    axis.grid(color="0.85", linewidth=0.5)
    axis.set_axisbelow(True)


def _frame(figure: Any, axis: Any, names: Sequence[str], ratios: Sequence[float]) -> None:
    """What all panels share: names, scale and legend."""
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(len(names) - 0.4, -0.6)
    axis.set_xscale("log")
    low, high = min(0.5, *ratios) / 1.3, max(2.0, *ratios) * 1.3
    ticks = [10**power * digit for power in range(-3, 5) for digit in (1, 3)]
    shown = [tick for tick in ticks if low <= tick <= high]
    axis.set_xticks(shown, [f"{tick:g}" for tick in shown])
    axis.minorticks_off()
    axis.set_xlim(low, high)
    marks = {mark.get_label(): mark for panel in figure.axes for mark in panel.collections}
    figure.legend(marks.values(), marks.keys(), loc="outside lower center", ncols=len(marks), fontsize=9)


def _title(row: Row, case: Case) -> str:
    threads = "one thread" if row.threads == 1 else f"{row.threads} threads"
    where = f"{case.shape} {case.dtype} {case.layout}, {threads}"
    what = f"How many times as long torch takes as {OURS} ({where})"
    return f"{what}\n{row.device}, torch {row.torch}, LLVM {row.llvm}; grey: {OURS} is slower"


def main() -> None:
    """Draw saved rows."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.plot",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("rows", type=Path)
    parser.add_argument("--layout")
    parser.add_argument("--dtype")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    if not draw(load(given.rows), given.out, given.layout, given.dtype):
        parser.error("there are no such rows with a time of ours and of torch")


if __name__ == "__main__":
    main()
