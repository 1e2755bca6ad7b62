"""`cnnatomy lab`."""

from __future__ import annotations

import webbrowser
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import tyro

from cnnatomy.cli.argument_parsing import Command, Common, Switch
from cnnatomy.cli.option_synonyms import LAB
from cnnatomy.errors import ArgumentError

COMMAND = Command(
    "lab",
    {
        "examples": {
            "cnnatomy lab": "numbers, pictures and networks in the browser",
            "cnnatomy lab runs/digits-1": "and what a trained network makes of a picture",
            "cnnatomy lab --host 0.0.0.0 --no-browser": "from elsewhere, by the address that is printed",
        },
    },
    LAB,
)


@dataclass(frozen=True)
class Arguments(Common):
    """What `lab` is told."""

    run: Annotated[
        tyro.conf.Positional[Path | None], tyro.conf.arg(metavar="[RUN]", help_behavior_hint="")
    ] = None
    """The folder of a trained run."""
    port: Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="")] = None
    """The port. Left out: 8642, or the next that is free."""
    host: Annotated[str | None, tyro.conf.arg(metavar="ADDRESS", help_behavior_hint="")] = None
    """Serve others too, on this address of the machine; who knows the printed address gets in. Left out: this
    machine alone."""
    no_browser: Switch = False
    """Print the address, and open no browser."""


def main(words: Sequence[str]) -> None:
    """Serve the lab until Ctrl-C."""
    told: Arguments = COMMAND.parse(Arguments, words)
    if told.port is not None and not 0 <= told.port <= 65535:
        raise ArgumentError("--port", expected="0 .. 65535", got=str(told.port))
    if missing := [name for name in ("starlette", "uvicorn") if find_spec(name) is None]:
        raise ArgumentError(f"the lab needs {' and '.join(missing)}", hint="pip install 'cnnatomy[lab]'")
    from cnnatomy.cli.console import output
    from cnnatomy.lab.server import serve

    def ready(address: str) -> None:
        output().print(f"lab    {address}   (Ctrl-C stops it)", soft_wrap=True, markup=False, highlight=False)
        if not told.no_browser:
            webbrowser.open(address)

    run = told.run.expanduser() if told.run else None
    if run is not None and not run.is_dir():
        raise ArgumentError("there is no such run", expected="the folder of a run", got=str(run))
    serve(run, host=told.host, port=told.port, ready=ready)
