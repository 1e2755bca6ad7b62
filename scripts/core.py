"""Run the core of the tests on another torch: `make core TORCH_PYTHON=PYTHON`.

PYTHON is the interpreter of an environment that has the torch in question, pytest, hypothesis, NumPy and
llvmlite. The package is taken from this folder. What needs any other extra is left out.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
CORE = ["tests/geometry", "tests/regions", "tests/reducers", "tests/backends", "tests/ops", "tests/nn"]


def main(python: str) -> int:
    """Say which torch it is, and run the tests; the exit code is pytest's."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    said = "import torch; print('torch', torch.__version__)"
    subprocess.run([python, "-c", said], env=environment, check=True)
    tests = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *CORE]
    return subprocess.run(tests, cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python scripts/core.py PYTHON")
    sys.exit(main(sys.argv[1]))
