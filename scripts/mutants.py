"""Change the code in small ways, one at a time, and see whether its tests notice.

    python scripts/mutants.py                          # 20 mutants of every part
    python scripts/mutants.py geometry --count 50 --seed 3

cosmic-ray (https://cosmic-ray.readthedocs.io) makes the mutants, in a copy of the tree. They are sampled by a
seed, and judged by the tests that stand beside the part below. Survivors are printed as diffs; the exit code
is 1 where fewer than `LEAST` of a part were noticed.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from cosmic_ray.commands import init
from cosmic_ray.mutating import mutate_and_test
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import MutationSpec

ROOT = Path(__file__).parents[1]
LEAST = 0.9
"""The share of mutants that the tests of a part have to notice."""
TIMEOUT = 900
"""Seconds; a mutant whose tests take longer is taken to be noticed, since it hangs."""
SRC = "src/cnnatomy"
COPIED = ("src", "tests", "docs", "conftest.py", "pyproject.toml", "README.md", "CONTRIBUTING.md")


class Part(NamedTuple):
    """A part of the package, and what pytest is told to judge it, the quickest tests first."""

    code: str
    tests: tuple[str, ...]


PARTS = {
    "geometry": Part("geometry", (f"{SRC}/geometry", "tests/geometry")),
    "regions": Part("regions", (f"{SRC}/regions", "tests/regions", "tests/geometry/test_axis_table.py")),
    "notation": Part("notation", (f"{SRC}/notation", "tests/notation", "docs/notation.md")),
    "costs": Part("anatomy/costs", (f"{SRC}/anatomy/costs", "tests/anatomy/test_costs.py")),
    "field": Part(
        "anatomy/field",
        (
            *("--all-combinations", f"{SRC}/anatomy/field"),
            *(f"tests/anatomy/test_field{end}.py" for end in ("s", "_operators", "_laws")),
        ),
    ),
    "train": Part("train", (f"{SRC}/train", "tests/train")),
    "data": Part("data", (f"{SRC}/data", "tests/data")),
}


def sampled(code: Path, count: int, seed: int) -> list[MutationSpec]:
    """So many mutants: places are drawn first, then one of the changes that can be made there."""
    with tempfile.TemporaryDirectory() as folder, use_db(f"{folder}/mutants", WorkDB.Mode.create) as known:
        init(sorted(code.rglob("*.py")), known, {})
        mutants = [mutation for item in known.work_items for mutation in item.mutations]
    places: dict[tuple[str, tuple[int, int]], list[MutationSpec]] = {}
    idle = {path: set(_idle(ast.parse(path.read_text("utf-8")))) for path in {m.module_path for m in mutants}}
    for mutant in sorted(mutants, key=lambda m: (str(m.module_path), m.operator_name, m.occurrence)):
        if mutant.start_pos[0] not in idle[mutant.module_path]:
            places.setdefault((str(mutant.module_path), mutant.start_pos), []).append(mutant)
    draw = random.Random(seed)
    drawn = draw.sample(sorted(places), min(count, len(places)))
    return [draw.choice(places[place]) for place in drawn]


def _idle(tree: ast.AST) -> Iterator[int]:
    """Lines of annotations and of imports for them, which nothing runs."""
    for node in ast.walk(tree):
        notes: list[ast.AST | None] = []
        if isinstance(node, ast.FunctionDef):
            notes = [node.returns]
        elif isinstance(node, ast.arg | ast.AnnAssign):
            notes = [node.annotation]
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            notes = [node]
        for note in notes:
            if isinstance(note, ast.expr | ast.stmt) and any(
                isinstance(n, ast.BinOp) for n in ast.walk(note)
            ):
                yield from range(note.lineno, (note.end_lineno or note.lineno) + 1)


def judged(part: Part, count: int, seed: int, tree: Path) -> tuple[int, list[str]]:
    """How many mutants of a part were tried, and the diffs of those that its tests did not notice."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *part.tests]
    plain = subprocess.run(command, capture_output=True, text=True, check=False)
    if plain.returncode:
        raise SystemExit(f"the tests of {part.code} fail as they are:\n{plain.stdout[-2000:]}")
    mutants = sampled(tree / SRC / part.code, count, seed)
    unnoticed = []
    for number, mutant in enumerate(mutants, 1):
        result = mutate_and_test([mutant], shlex.join(command), TIMEOUT)
        if not result.is_killed:
            unnoticed.append(result.diff or "")
        where = f"{mutant.module_path.relative_to(tree)}:{mutant.start_pos[0]}"
        said = "noticed" if result.is_killed else "NOT NOTICED"
        print(f"{number}/{len(mutants)} {where} {mutant.operator_name}: {said}", flush=True)
    return len(mutants), unnoticed


def main() -> int:
    """Judge the parts that are asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; left out: all")
    parser.add_argument("--count", type=int, default=20, help="mutants of every part (default: 20)")
    parser.add_argument("--seed", type=int, default=0, help="of the sample (default: 0)")
    told = parser.parse_args()
    if unknown := set(told.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; try {', '.join(PARTS)}")
    lines, enough = [], True
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder).resolve()
        for name in COPIED:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, tree / name)
        os.chdir(tree)
        os.environ["PYTHONPATH"] = str(tree / "src")  # the copy, not the package that is installed
        for name in told.parts or PARTS:
            tried, unnoticed = judged(PARTS[name], told.count, told.seed, tree)
            noticed = tried - len(unnoticed)
            enough &= noticed >= LEAST * tried
            lines += [*unnoticed, f"{name}: {noticed} of {tried} noticed ({noticed / max(tried, 1):.0%})"]
    print("\n".join(lines))
    return 0 if enough else 1


if __name__ == "__main__":
    sys.exit(main())
