"""`cnnatomy pools`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from cnnatomy.cli.argument_parsing import Command, Common, Switch
from cnnatomy.errors import ArgumentError

if TYPE_CHECKING:
    from cnnatomy.cli.pooling_catalog import Place, Pooling
    from cnnatomy.reducers import Reducer
    from cnnatomy.regions import Region

COMMAND = Command(
    "pools",
    {
        "examples": {
            "cnnatomy pools": "all poolings and regions",
            "cnnatomy pools soft": "one of them in full",
            'cnnatomy pools "Lp(p=3.0)" sliding --json': "facts for other programs",
            "cnnatomy pools --gallery page.html": "what each makes of a picture, and where its gradient goes",
            "cnnatomy pools --gallery page.html --picture me.jpg": "on a picture of your own",
        },
    },
)


@dataclass(frozen=True)
class Arguments(Common):
    """What `pools` is told."""

    names: Annotated[
        tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="[NAME ...]", help_behavior_hint="")
    ] = ()
    """Poolings or regions to show in full: names such as soft, or calls such as "Soft(temperature=0.5)".
    Left out: a list of all."""
    gallery: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")] = None
    """Write an HTML page that shows the poolings at work on a picture."""
    picture: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")] = None
    """The picture of the gallery. Left out: one that comes along."""
    json: Switch = False
    """Print the facts as JSON."""
    markdown: Switch = False
    """Print the list of poolings as a table for documentation."""


def main(words: Sequence[str]) -> None:
    """List, explain, or draw."""
    arguments: Arguments = COMMAND.parse(Arguments, words)
    if arguments.picture and not arguments.gallery:
        raise ArgumentError("--picture is for the gallery", hint="--gallery page.html")
    from cnnatomy.cli.pooling_catalog import find

    found = [find(name) for name in arguments.names]
    if arguments.gallery:
        _draw(arguments.gallery.expanduser(), arguments.picture, found)
    elif arguments.json or arguments.markdown:
        print(_as_json(found) if arguments.json else _as_markdown(found))
    else:
        _show(found)


def _facts(found: Sequence[Reducer | type[Region]]) -> tuple[list[Pooling], list[Place]]:
    """What is asked for, or everything."""
    from cnnatomy.cli.pooling_catalog import Place, Pooling, places, poolings

    if not found:
        return poolings(), places()
    reducers = [Pooling.of(one) for one in found if not isinstance(one, type)]
    return reducers, [Place.of(one) for one in found if isinstance(one, type)]


def _show(found: Sequence[Reducer | type[Region]]) -> None:
    from cnnatomy.cli import pooling_catalog_view
    from cnnatomy.cli.console import output

    console, (poolings, places) = output(), _facts(found)
    if found:
        pooling_catalog_view.explain(poolings, places, console)
    else:
        pooling_catalog_view.listing(poolings, places, console)


def _as_json(found: Sequence[Reducer | type[Region]]) -> str:
    poolings, places = _facts(found)
    facts = {"poolings": list(map(asdict, poolings)), "regions": list(map(asdict, places))}
    return json.dumps(facts, indent=2, ensure_ascii=False)


def _as_markdown(found: Sequence[Reducer | type[Region]]) -> str:
    from cnnatomy.cli.pooling_catalog import markdown

    return markdown(_facts(found)[0]).rstrip()


def _draw(page: Path, picture: Path | None, found: Sequence[Reducer | type[Region]]) -> None:
    if page.is_dir() or not page.parent.is_dir():
        raise ArgumentError(f"cannot write {page}", expected="a file in a folder that exists")
    if strange := [one.__name__ for one in found if isinstance(one, type)]:
        what = f"the gallery takes poolings: {strange[0]} is a region"
        raise ArgumentError(what, hint="leaving it out: all regions are drawn")
    from cnnatomy.cli.console import output
    from cnnatomy.report import gallery

    reducers = [one for one in found if not isinstance(one, type)]
    gallery.write(page, picture.expanduser() if picture else None, reducers)
    output().print(f"gallery  {page}", soft_wrap=True, markup=False)
