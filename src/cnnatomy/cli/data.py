"""`cnnatomy data`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from cnnatomy.cli.argument_parsing import Command, Common, Switch
from cnnatomy.errors import ArgumentError

if TYPE_CHECKING:
    from rich.console import Console

    from cnnatomy.data.survey.survey_result import Survey

Say = Callable[..., None]
FEW, NAMES, BAR, LABEL = 20, 10, 40, 30
"""Classes that are shown one by one, names that are shown of each kind, and letters of the longest bar and
of the longest class name."""
COMMAND = Command(
    "data",
    {
        "examples": {
            "cnnatomy data ~/pictures": "counts, sizes, colours, duplicates, leaks, broken and odd files",
            "cnnatomy data ~/pictures --page data.html": "as a page, with samples and changed pictures",
            "cnnatomy data photos.zip --json": "an archive, as JSON",
        },
    },
)


@dataclass(frozen=True)
class Arguments(Common):
    """What `data` is told."""

    source: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="DATA")] = tyro.MISSING
    """A built-in source, a folder of pictures with one subfolder a class, an archive or idx files."""
    page: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")] = None
    """Write an HTML page with samples of every class, copies side by side, and changed pictures."""
    augment: Annotated[str, tyro.conf.arg(metavar="CHANGES")] = "photo"
    """The changes that the page shows, as `train --augment` takes them."""
    seed: int = 0
    """Which pictures the page shows, and how they are changed."""
    data_dir: Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="")] = None
    """Folder that holds the built-in sources. Left out: CNNATOMY_DATA's, or the user's cache."""
    json: Switch = False
    """Print what was found as JSON."""


def main(words: Sequence[str]) -> None:
    """Look at pictures, and print what there is."""
    arguments: Arguments = COMMAND.parse(Arguments, words)
    from cnnatomy.data.augment.augmentation_text import check

    check(arguments.augment)
    page = arguments.page.expanduser() if arguments.page else None
    if page and (page.is_dir() or not page.parent.is_dir()):
        raise ArgumentError(f"cannot write {page}", expected="a file in a folder that exists")
    from cnnatomy.cli.console import load_torch, output

    load_torch()
    from cnnatomy.data.survey.survey import survey
    from cnnatomy.runs.progress_bar import reporter

    console = output()
    source = (
        str(Path(arguments.source).expanduser()) if arguments.source.startswith("~") else arguments.source
    )
    with reporter(console, quiet=arguments.json) as listener:
        found, pictures = survey(source, data_dir=arguments.data_dir, progress=listener.reading)
    if page:
        from cnnatomy.report.data_page import write_survey

        write_survey(found, pictures, page, augment=arguments.augment, seed=arguments.seed)
    if arguments.json:
        print(json.dumps(found.to_json(), indent=2, ensure_ascii=False))
        return
    show(found, console)
    if page:
        console.print(f"page  {page}", soft_wrap=True, markup=False)


def show(found: Survey, console: Console) -> None:
    """Print what was found, the counts first."""
    from cnnatomy.data.survey.survey_result import NOT_LOOKED_FOR
    from cnnatomy.files.printable import shown

    def say(line: str, style: str = "") -> None:
        console.print(line, style=style, markup=False, soft_wrap=True)

    def placed(groups: Iterable[Sequence[str]], sign: str) -> list[str]:
        return [sign.join(f"{shown(name)} ({found.places[name][0]})" for name in group) for group in groups]

    first, *others = found.sentences()
    say(f"{shown(found.name)}: {first}", "bold")
    _bars(found, say)
    for line in others:
        say(line)
    for note in found.notes:
        say(f"note: {note}", "yellow")
    _list(say, "on more than one side of the split", placed(found.leaks, " = "), "red")
    _list(say, "in more than one class", placed(found.conflicts, " = "), "red")
    _list(say, "equal pictures", placed(found.exact, " = "), "yellow")
    _list(say, "nearly equal pictures", placed(found.near, " ~ "), "yellow")
    _list(say, "cannot be read", [f"{shown(name)} {why}" for name, why in found.unreadable.items()], "red")
    for what, names in found.odd.items():
        _list(say, what, [shown(name) for name in names], "yellow")
    say(f"not looked for: {NOT_LOOKED_FOR}", "dim")


def _bars(found: Survey, say: Say) -> None:
    """A bar for each class, or for the largest and the smallest of many."""
    from cnnatomy.files.printable import shown

    order: Sequence[int | None] = range(len(found.classes))
    if len(order) > FEW:
        ranked = sorted(range(len(found.classes)), key=lambda place: -found.totals[place])
        order = [*ranked[: FEW // 2], None, *ranked[-FEW // 2 :]]
    labels = [shown(found.classes[place])[:LABEL] for place in order if place is not None]
    width, most = max(map(len, labels)), max(found.totals)
    for place in order:
        if place is None:
            say(f"  ... {len(found.classes) - FEW:,} more")
            continue
        count = found.totals[place]
        bar = "█" * max(1, round(BAR * count / most))
        say(f"  {shown(found.classes[place])[:LABEL]:<{width}}  {count:>7,}  {bar}")


def _list(say: Say, what: str, lines: Sequence[str], style: str) -> None:
    """A heading with a count, and the first names; that there is none is said too."""
    if not lines:
        say(f"{what}: none")
        return
    say(f"{what}: {len(lines):,}", style)
    for line in lines[:NAMES]:
        say(f"  {line}")
    if len(lines) > NAMES:
        say(f"  ... and {len(lines) - NAMES:,} more (--json lists all)")
