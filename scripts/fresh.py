"""Use the built wheel as a new user would: in a new environment with nothing but what it depends on.

python scripts/fresh.py dist
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
MOST = 2 * 2**20
"""Bytes that the wheel may have."""

WORKS = (
    "train digits --epochs 2 --run trained",
    "evaluate trained",
    "inspect resnet50",
    "window 3x224x224 --kernel 7 --stride 2 --padding 3",
    "explain max --input '1 3; 2 4' --kernel 2",
    "look trained",
)
MISSING = {
    "export trained net.onnx": "cnnatomy[onnx]",
    "lab": "cnnatomy[lab]",
    "train digits --run logged --epochs 1 --log tensorboard": "cnnatomy[tensorboard]",
}
"""What needs an extra, and what is said where it is not installed."""


def wheel_of(folder: Path) -> Path:
    """Return the newest wheel, after a look at what it holds."""
    wheel = max(folder.glob("*.whl"), key=lambda path: path.stat().st_mtime)
    size = wheel.stat().st_size
    if size > MOST:
        raise SystemExit(f"{wheel.name} has {size} bytes: at most {MOST}")
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if not name.startswith(("cnnatomy/", "cnnatomy-"))]
    if names:
        raise SystemExit(f"{wheel.name} holds more than the package: {names[:5]}")
    return wheel


def said(command: str, python: Path, home: Path) -> tuple[int, str]:
    """Run a command of the package, and return its exit code and all that it said."""
    tool = python.with_name("cnnatomy")
    done = subprocess.run(  # noqa: PLW1510 (what it said is judged by the caller)
        f"{tool} {command}",
        shell=True,
        cwd=home,
        env={**os.environ, "HOME": str(home)},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    return done.returncode, done.stdout


def main() -> None:
    """Install the wheel into a new environment, and try it there."""
    parser = argparse.ArgumentParser(description="Use the built wheel as a new user would.")
    parser.add_argument("folder", type=Path)
    wheel = wheel_of(parser.parse_args().folder)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        subprocess.run([sys.executable, "-m", "venv", home / "venv"], check=True)
        python = home / "venv" / "bin" / "python"
        pins = ROOT / "constraints.txt"
        subprocess.run([python, "-m", "pip", "install", "--quiet", "-c", pins, wheel.absolute()], check=True)
        for command in WORKS:
            start = time.perf_counter()
            code, text = said(command, python, home)
            print(f"{time.perf_counter() - start:6.1f} s  cnnatomy {command}", flush=True)
            if code:
                raise SystemExit(text)
        for command, extra in MISSING.items():
            code, text = said(command, python, home)
            print(f"   {extra:24} is asked for by cnnatomy {command}", flush=True)
            if code != 2 or extra not in text or len(text.strip().splitlines()) > 3:
                raise SystemExit(f"exit code {code}: {text}")


if __name__ == "__main__":
    main()
