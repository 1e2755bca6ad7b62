"""`cnnatomy train` beside its peers: folders of 5 CIFAR-10 classes, 400 training and 400 test pictures each.

    python -m benchmarks.training_peers --peers-python ~/peers/bin/python
    python -m benchmarks.training_peers --tools cnnatomy --cnnatomy "--time 35s" --draws 1 2
    python -m benchmarks.training_peers --tools          # only the table of the rows so far

Everybody trains from scratch, on one thread, and is judged on the same test pictures by the last weights.
Every draw has classes and pictures of its own. Peers need an environment with timm, fastai, ultralytics,
scikit-learn and scikit-image. Rows are saved as they come, in place of older ones for the same tool and draw.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from benchmarks.training_peers import draws, results
from benchmarks.training_peers.tools import OURS, RUNNERS, Tool, ours, peer

ARCHIVE = "cifar10-jpeg.tar.xz"
RESULTS = Path(__file__).parents[1] / "results" / "training_peers.json"


def options() -> argparse.ArgumentParser:
    """What can be asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.training_peers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    every = [OURS, *RUNNERS]
    parser.add_argument(
        "--tools", nargs="*", default=every, choices=every, metavar="TOOL", help=", ".join(every)
    )
    parser.add_argument("--draws", nargs="+", type=int, default=[1, 2, 3, 4, 5], metavar="NUMBER")
    parser.add_argument(
        "--cnnatomy",
        action="append",
        default=[],
        metavar="ARGUMENTS",
        help='once more with these, as "--time 35s"',
    )
    parser.add_argument("--peers-python", type=Path, help="the interpreter of the peers' environment")
    home = Path(os.environ.get("CNNATOMY_DATA", "."))
    parser.add_argument(
        "--archive", type=Path, default=home / ARCHIVE, help="CIFAR-10 as PART/CLASS/NAME.jpg"
    )
    parser.add_argument("--out", type=Path, default=RESULTS)
    return parser


def chosen(told: argparse.Namespace) -> list[Tool]:
    """The tools to run."""
    mine = [ours(), *map(ours, told.cnnatomy)] if OURS in told.tools else []
    return [*mine, *(peer(name, told.peers_python.absolute()) for name in told.tools if name != OURS)]


def main(words: Sequence[str] | None = None) -> None:
    """Run the tools in turn on one draw after the other."""
    parser = options()
    told = parser.parse_args(words)
    if told.peers_python is None and set(told.tools) - {OURS}:
        parser.error("the peers need --peers-python, or leave them out: --tools cnnatomy")
    tools = chosen(told)
    pictures = draws.read(told.archive) if tools else {}
    for number in told.draws if tools else []:
        draw = draws.draw(pictures, number)
        for tool in tools:
            row = tool.run(draw)
            results.save([row], told.out)
            print(
                f"{row.tool}, draw {number}: {100 * row.accuracy:.2f}% in {row.cpu_s:.0f} CPU s", flush=True
            )
    print(results.table(results.load(told.out)))


if __name__ == "__main__":
    main()
