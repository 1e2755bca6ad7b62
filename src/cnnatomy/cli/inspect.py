"""`cnnatomy inspect`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from cnnatomy.anatomy.present.columns import COLUMNS, column
from cnnatomy.cli.argument_parsing import CODE, Command, Switch
from cnnatomy.cli.network_argument import MODELS, Network
from cnnatomy.errors import ArgumentError

if TYPE_CHECKING:
    from torch import nn

    from cnnatomy.anatomy import Anatomy
    from cnnatomy.anatomy.present import Choice

COMMAND = Command(
    "inspect",
    {
        "examples": {
            "cnnatomy inspect lenet5": "its layers on the input it was made for",
            "cnnatomy inspect lenet5 --output softmax --classes 26": "as it would be for 26 classes",
            "cnnatomy inspect torchvision:resnet50 --input 3x224x224 --depth 2": "stages and blocks",
            "cnnatomy inspect net.py:Net --input 3x64x64 --sort macs": "what costs most in one of your own",
            "cnnatomy inspect lenet5 --columns path,field,jump,start": "what its layers see",
            "cnnatomy inspect lenet5 --format html --out lenet5.html": "as a page with its graph",
            "cnnatomy inspect vgg16 --optimizer adam --batch-size 64": "will training it fit?",
        },
        "models": MODELS,
        "code and data": CODE,
    },
)
_COLUMNS = f"Of {', '.join(COLUMNS)}; joined by commas. Left out: those that fit."


@dataclass(frozen=True)
class Arguments(Network):
    """What `inspect` is told."""

    format: Literal["table", "markdown", "csv", "json", "html"] = "table"
    """How to print it; html is a page with the graph, costs and receptive fields."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")] = None
    """Write it to a file in place of the terminal."""
    depth: Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="")] = None
    """The deepest level of modules that has rows of its own. Left out: all."""
    columns: Annotated[str | None, tyro.conf.arg(metavar="NAMES", help_behavior_hint="", help=_COLUMNS)] = (
        None
    )
    sort: Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="")] = None
    """A column to sort by, the largest first. Left out: the order in which the layers run."""
    operations: Switch = False
    """A row for every operator."""
    reading: Literal["exact", "local"] = "exact"
    """Receptive fields as they are, or with reductions over whole maps (such as squeeze-excite) set aside."""
    training: bool = True
    """Measure also what training keeps and holds at most."""
    optimizer: Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="")] = None
    """Say what training with it takes, and whether that fits: sgd, momentum, adam, adamw, muon, ..."""
    batch_size: int = 1
    """Inputs at a time, with --optimizer."""
    explain_macs: Switch = False
    """Say which number other tools give for the multiply-accumulates, and why."""
    picture: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")] = None
    """The picture of the page. Left out: one that comes along."""
    effective: Switch = False
    """On the page, show also effective receptive fields: needs weights, and takes a while."""


def main(words: Sequence[str]) -> None:
    """Inspect a network."""
    arguments: Arguments = COMMAND.parse(Arguments, words)
    _check(arguments)
    model = arguments.load()
    if arguments.optimizer is not None:
        _fits(arguments, model)
        return
    known = arguments.measure(model, training=arguments.training)
    if arguments.explain_macs:
        _explain(known)
    elif arguments.format == "html":
        _page(arguments, model, known)
    elif arguments.format == "table" and arguments.out is None:
        from cnnatomy.cli.console import output

        output().print(known.show(**_choice(arguments)))
    else:
        _put(_text(arguments, known), arguments.out)


def _check(arguments: Arguments) -> None:
    """Find fault before anything is loaded."""
    arguments.check()
    if arguments.format == "html" and arguments.out is None:
        raise ArgumentError("a page needs a file", hint="--out page.html")
    for name in ("picture", "effective"):
        if getattr(arguments, name) and arguments.format != "html":
            raise ArgumentError(f"--{name} is for the page", hint="--format html --out page.html")
    if arguments.out is not None and (
        arguments.out.is_dir() or not arguments.out.expanduser().parent.is_dir()
    ):
        raise ArgumentError(f"cannot write {arguments.out}", expected="a file in a folder that exists")
    if arguments.depth is not None and arguments.depth < 0:
        raise ArgumentError("--depth", expected="a whole number >= 0", got=str(arguments.depth))
    for name in [*(arguments.columns or "").split(","), arguments.sort or ""]:
        if name.strip():
            column(name.strip())


def _choice(arguments: Arguments) -> Choice:
    columns = arguments.columns
    return {
        "columns": [name.strip() for name in columns.split(",") if name.strip()] if columns else None,
        "depth": arguments.depth,
        "sort": arguments.sort,
        "operations": arguments.operations,
        "reading": arguments.reading,
    }


def _text(arguments: Arguments, known: Anatomy) -> str:
    choice = _choice(arguments)
    if arguments.format == "json":
        return known.to_json()
    if arguments.format == "csv":
        return known.to_csv(**choice)
    if arguments.format == "markdown":
        return known.to_markdown(**choice)
    from rich.console import Console

    from cnnatomy.cli.console import UNSEEN_WIDTH

    console = Console(width=UNSEEN_WIDTH, no_color=True, highlight=False, emoji=False)
    with console.capture() as taken:
        console.print(known.show(**choice))
    return taken.get()


def _put(text: str, file: Path | None) -> None:
    if file is None:
        print(text.rstrip())
        return
    from cnnatomy.train.atomic_files import write_whole

    write_whole(file.expanduser(), text.encode("utf-8"))


def _page(arguments: Arguments, model: nn.Module, known: Anatomy) -> None:
    from cnnatomy.cli.console import output
    from cnnatomy.report import anatomy_page

    assert arguments.out is not None
    effective = None
    if arguments.effective:
        from cnnatomy.anatomy.ask.effective import effective as effective_fields

        effective = effective_fields(model, known)
    picture = arguments.picture.expanduser() if arguments.picture else None
    page = anatomy_page.write(
        arguments.out.expanduser(), known, picture=picture, depth=arguments.depth, effective=effective
    )
    output().print(f"page  {page}", soft_wrap=True, markup=False)


def _fits(arguments: Arguments, model: nn.Module) -> None:
    import torch

    from cnnatomy.cli.console import output
    from cnnatomy.train.footprint import footprint, free

    given = arguments.given(model)
    dtype = getattr(torch, arguments.dtype) if arguments.dtype else None
    size, name = arguments.batch_size, arguments.optimizer or ""
    found = footprint(model, given, batch=size, optimizer=name, dtype=dtype)
    output().print(found.line(free()), soft_wrap=True, markup=False, highlight=False)


def _explain(known: Anatomy) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from cnnatomy.anatomy import explain_macs
    from cnnatomy.anatomy.present.number_text import counted, exact
    from cnnatomy.cli.console import output

    console = output()
    console.print(f"{known.model}: {exact(known.macs)} multiply-accumulates", style="bold", markup=False)
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="dim")
    table.add_column("tool", no_wrap=True)
    table.add_column("says", justify="right", no_wrap=True)
    table.add_column("why", overflow="fold")
    for one in explain_macs(known):
        table.add_row(one.tool, counted(one.macs), Text(one.why))
    console.print(table)
