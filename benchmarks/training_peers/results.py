"""One row for each tool and draw: kept in a JSON file, merged with what it holds, shown as a table."""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness import device
from benchmarks.training_peers.peer import Answer


@dataclass(frozen=True)
class Result:
    """What a tool made of a draw.

    Args:
        tool: its name.
        draw: the draw's number, which is also the peers' seed.
        accuracy: share of the test pictures named rightly.
        cpu_s: seconds of user and system time that the whole process tree took.
        wall_s: seconds that passed.
        load: processes that wanted a core in the last minute; above the cores, CPU seconds grow too.
        settings: how it trained.
        versions: of the packages that did it.
        device: the processor, in words.
    """

    tool: str
    draw: int
    accuracy: float
    cpu_s: float
    wall_s: float
    load: float
    settings: str
    versions: Mapping[str, str]
    device: str

    @staticmethod
    def measured(tool: str, draw: int, cpu_s: float, wall_s: float, answer: Answer) -> Result:
        """A row of what was just run here."""
        spent = round(cpu_s, 2), round(wall_s, 2), round(os.getloadavg()[0], 2)
        return Result(tool, draw, answer.accuracy, *spent, answer.settings, answer.versions, device())


def load(path: Path) -> list[Result]:
    """The rows of a file; none if there is no file."""
    if not path.exists():
        return []
    rows: list[dict[str, Any]] = json.loads(path.read_text())
    return [Result(**row) for row in rows]


def merge(kept: Iterable[Result], new: Iterable[Result]) -> list[Result]:
    """All rows, of two for the same tool and draw the newer one."""
    rows = {(row.tool, row.draw): row for row in (*kept, *new)}
    return [rows[key] for key in sorted(rows)]


def save(rows: Iterable[Result], path: Path) -> None:
    """Merge rows into a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    merged = merge(load(path), rows)
    path.write_text(json.dumps([asdict(row) for row in merged], indent=1) + "\n")


def table(rows: Sequence[Result]) -> str:
    """Markdown: each tool's accuracies over its draws, in percent, and the mean of its CPU seconds."""
    tools: dict[str, list[Result]] = {}
    for row in rows:
        tools.setdefault(row.tool, []).append(row)
    lines = [
        "| tool | settings | draws | mean % | min | max | CPU s |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    return "\n".join(lines + [_line(tools[tool]) for tool in sorted(tools, key=lambda t: -_mean(tools[t]))])


def _mean(rows: Sequence[Result]) -> float:
    return statistics.mean(row.accuracy for row in rows)


def _line(rows: Sequence[Result]) -> str:
    found = [row.accuracy for row in rows]
    figures = " | ".join(f"{100 * value:.2f}" for value in (_mean(rows), min(found), max(found)))
    cpu_s = statistics.mean(row.cpu_s for row in rows)
    return f"| {rows[0].tool} | {rows[0].settings} | {len(rows)} | {figures} | {cpu_s:.0f} |"
