"""Write docs/studies.md from the results of the ready studies in docs/studies/NAME.json.

cnnatomy study kernels && cp studies/kernels/claims.json docs/studies/kernels.json
python scripts/studies_page.py
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cnnatomy.files.printable import counted
from cnnatomy.studies.metrics import METRICS
from cnnatomy.studies.ready import NAMES, Ready, load

DOCS = Path(__file__).parent.parent / "docs"
ACCURACY = METRICS["accuracy"]
HEAD = """# Ready studies: what lectures and papers claim, measured

`cnnatomy study` lists claims about convolutional networks that everybody has heard; `cnnatomy study NAME`
trains what it takes to judge one, as [`compare`](compare.md) does, and says whether it *held*, was
*refuted*, or was *not shown*: whether the 95% interval for other seeds and pictures like these lies above
the claim's margin, below it, or on both sides. `--full` takes all pictures and more epochs, `--seeds 8`
adds seeds to a study that is there.

What follows is the quick form of each, on one thread of a small machine. A small network after a few epochs
on a part of the pictures says little about a large one on all of them: a claim that is not shown here may
well hold there. The pictures of CIFAR-10 were JPEG copies. This page is written by
`scripts/studies_page.py` from the files in `docs/studies`.
"""


def page() -> str:
    """The whole page."""
    measured = (section(load(name), results(name)) for name in NAMES if path(name).exists())
    return "\n".join(
        [HEAD, *measured, *unmeasured([load(name) for name in NAMES if not path(name).exists()])]
    )


def path(name: str) -> Path:
    """Where the results of a study lie."""
    return DOCS / "studies" / f"{name}.json"


def results(name: str) -> dict[str, Any]:
    """The results of a study."""
    told: dict[str, Any] = json.loads(path(name).read_text("utf-8"))
    return told


def section(ready: Ready, told: dict[str, Any]) -> str:
    """A study: what is compared, what came of it, and what that says of the claims."""
    limit = told["data"]["limit"]
    some = f"{limit:,} training pictures" if limit else "all training pictures"
    how = (
        f"`{told['command']}`: {some} of {told['data']['source']}, {counted(told['epochs'], 'epoch')}, "
        f"{counted(len(told['seeds']), 'seed')}, {told['test_pictures']:,} test pictures."
    )
    parts = [f"## {ready.title}", f"{ready.text} {how}", arms(told["arms"])]
    if told["shifted"]:
        parts.append(shifts(told["shifted"]))
    return "\n\n".join([*parts, claims(told["claims"])]) + "\n"


def unmeasured(left: Sequence[Ready]) -> list[str]:
    """The studies whose results are not here, with the commands that would make them."""
    if not left:
        return []
    lines = (f"- `cnnatomy study {one.name}`: {' '.join(claim.says for claim in one.claims)}" for one in left)
    return ["\n".join(["## Not measured here", "", *lines, ""])]


def arms(rows: list[dict[str, Any]]) -> str:
    """A row an arm."""
    table = [
        (
            row["arm"],
            ACCURACY.value(row["accuracy"]),
            f"{100 * row['deviation']:.2f}",
            f"{row['parameters']:,}",
            f"{row['macs']:,}",
        )
        for row in rows
    ]
    return markdown(("arm", "accuracy", "± over seeds", "parameters", "MACs"), table)


def shifts(told: dict[str, dict[str, dict[str, float]]]) -> str:
    """A row an arm: accuracy, and how far the logits move, against the shift."""
    amounts = list(next(iter(told.values())))
    table = [
        (name, *(f"{100 * row[a]['accuracy']:.1f}% ({row[a]['logits']:.2f})" for a in amounts))
        for name, row in told.items()
    ]
    note = "Accuracy against the shift; in brackets how far the logits move, in their standard deviations:"
    return f"{note}\n\n{markdown(('arm', *(f'{a} px' for a in amounts)), table)}"


def claims(found: list[dict[str, Any]]) -> str:
    """A line a claim."""
    return "\n".join(
        f"- **{one['verdict']}**: {one['says']} ({one['source']}) {one['line']}." for one in found
    )


def markdown(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A table, numbers to the right."""
    lines = [head, ("---", *("---:" for _ in head[1:])), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


if __name__ == "__main__":
    (DOCS / "studies.md").write_text(page(), "utf-8")
