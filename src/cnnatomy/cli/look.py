"""`cnnatomy look`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from cnnatomy.cli.argument_parsing import CODE, Command, Common, file_to_write
from cnnatomy.cli.option_synonyms import LOOK

COMMAND = Command(
    "look",
    {
        "examples": {
            "cnnatomy look runs/digits-1": "on the test pictures of its own data",
            "cnnatomy look runs/digits-1 --picture seven.png": "at a picture of yours",
            "cnnatomy look runs/digits-1 --data mnist": "on other pictures",
        },
        "code and data": CODE,
    },
    LOOK,
)


@dataclass(frozen=True)
class Arguments(Common):
    """What `look` is told."""

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")] = tyro.MISSING
    """The run's folder."""
    data: Annotated[str | None, tyro.conf.arg(metavar="DATA", help_behavior_hint="")] = None
    """Other pictures: a built-in source, a folder or an archive. Left out: the run's own."""
    picture: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")] = None
    """The picture whose maps and heat are shown. Left out: one of the data's."""
    page: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")] = None
    """The file to write. Left out: look.html in the run's folder."""
    seed: Annotated[int, tyro.conf.arg(metavar="INT")] = 0
    """Draws the pictures that are looked at, and begins the maximised ones."""
    model: Annotated[str | None, tyro.conf.arg(metavar="CODE", help_behavior_hint="")] = None
    """The network again, as net.py:Net, of a run that trained your own code: a folder alone starts none."""


def main(words: Sequence[str]) -> None:
    """Look at a run, and say where the page is."""
    arguments: Arguments = COMMAND.parse(Arguments, words)
    page = file_to_write(arguments.page) if arguments.page else None
    data = str(Path(arguments.data).expanduser()) if arguments.data else None
    from cnnatomy.cli.console import complaints, load_torch, output

    load_torch()
    from cnnatomy.explain.looks import look

    with complaints().status("looking at the network ..."):
        made = look(
            arguments.run,
            data,
            picture=arguments.picture,
            page=page,
            seed=arguments.seed,
            code=arguments.model,
        )
    output().print(f"page   {made}", soft_wrap=True, markup=False)
