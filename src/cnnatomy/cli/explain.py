"""`cnnatomy explain`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from cnnatomy import checks
from cnnatomy.cli.argument_parsing import Command, Common, Switch, file_to_write
from cnnatomy.cli.option_synonyms import EXPLAIN
from cnnatomy.cli.size_arguments import place_of, size_of
from cnnatomy.errors import ArgumentError

if TYPE_CHECKING:
    from torch import Tensor

    from cnnatomy.explain import Explanation

COMMAND = Command(
    "explain",
    {
        "examples": {
            'cnnatomy explain max --input "1 3; 2 4" --kernel 2': "a pooling on numbers",
            'cnnatomy explain soft --input "1 2 3; 4 5 6; 7 8 9" --kernel 2 --stride 1 --at 0,1': "another",
            "cnnatomy explain mean --input numbers.txt --kernel 3 --padding 1 --save page.html": "as a page",
            "cnnatomy explain max photo.png --kernel 8 --at 3,4": "on a picture, in grey",
            "cnnatomy explain runs/digits-1 seven.png --layer c3 --at 4,4": "one unit of a trained network",
        },
    },
    EXPLAIN,
)


@dataclass(frozen=True)
class Arguments(Common):
    """What `explain` is told."""

    what: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="WHAT")] = tyro.MISSING
    """A pooling by its name, such as max, or a call such as "Soft(temperature=0.5)"; or the folder of a run,
    with --layer."""
    picture: Annotated[
        tyro.conf.Positional[Path | None], tyro.conf.arg(metavar="[PICTURE]", help_behavior_hint="")
    ] = None
    """A picture in the place of numbers."""
    input: Annotated[str | None, tyro.conf.arg(metavar="NUMBERS", help_behavior_hint="")] = None
    """Numbers, rows parted by ; such as "1 3; 2 4", or a file of them."""
    kernel: Annotated[str, tyro.conf.arg(metavar="SIZE")] = "2"
    """Taps of the window, on both axes or joined by x."""
    stride: Annotated[str | None, tyro.conf.arg(metavar="SIZE", help_behavior_hint="")] = None
    """Cells from one window to the next. Left out: the kernel."""
    padding: Annotated[str, tyro.conf.arg(metavar="PADDING")] = "0"
    """Cells on both sides, before,after, or valid, same, keep or full."""
    dilation: Annotated[str, tyro.conf.arg(metavar="SIZE")] = "1"
    """Cells from one tap to the next."""
    mode: Annotated[str, tyro.conf.arg(metavar="MODE")] = "clip"
    """What is in the padding: clip for nothing, or a mode such as zeros, reflect, edge or wrap."""
    ceil_mode: Switch = False
    """Let a last window overhang."""
    layer: Annotated[str | None, tyro.conf.arg(metavar="LAYER", help_behavior_hint="")] = None
    """The layer of a run's network, by its path."""
    at: Annotated[str | None, tyro.conf.arg(metavar="Y,X", help_behavior_hint="")] = None
    """The output's place on its map. Left out: the first, of a layer the middle one."""
    channel: Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="")] = None
    """The output's channel. Left out: the first."""
    grad: Annotated[str | None, tyro.conf.arg(metavar="NUMBERS", help_behavior_hint="")] = None
    """The gradient of the outputs, given like --input, or one number for all. Left out: 1."""
    seed: Annotated[int, tyro.conf.arg(metavar="INT")] = 0
    """Where a pooling that draws draws from."""
    save: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")] = None
    """Write a page (.html), a picture (.svg) or the record (.json)."""


def main(words: Sequence[str]) -> None:
    """Explain one output, and save the explanation if that is asked for."""
    arguments: Arguments = COMMAND.parse(Arguments, words)
    _check(arguments)
    save = file_to_write(arguments.save) if arguments.save else None
    made = _of_run(arguments) if arguments.layer is not None else _of_pooling(arguments)
    from cnnatomy.cli.console import output

    console = output()
    console.print(made, soft_wrap=True)
    if save is not None:
        console.print(f"saved  {made.save(save)}", soft_wrap=True, markup=False)


def _check(arguments: Arguments) -> None:
    """Raise an ArgumentError where options mean nothing, or nothing together."""
    if arguments.save is not None and arguments.save.suffix not in (".html", ".svg", ".json"):
        raise ArgumentError(
            "--save", expected="a name that ends in .html, .svg or .json", got=str(arguments.save)
        )
    if arguments.layer is None and Path(arguments.what).expanduser().is_dir():
        raise ArgumentError(
            "which layer of the run", expected="--layer", hint="cnnatomy inspect " + arguments.what
        )
    given = [name for name in ("picture", "input") if getattr(arguments, name) is not None]
    if len(given) != 1:
        got = "both" if given else "neither"
        raise ArgumentError("what is explained on", expected="a picture or --input", got=got)
    if arguments.layer is not None and arguments.input is not None:
        raise ArgumentError("--input is for poolings", hint="a picture for the network")
    if arguments.channel is not None:
        checks.count("--channel", arguments.channel, least=0)


def _of_pooling(arguments: Arguments) -> Explanation:
    from cnnatomy.cli.pooling_catalog import find
    from cnnatomy.explain import explain
    from cnnatomy.ops import pool
    from cnnatomy.reducers import Reducer
    from cnnatomy.regions import Sliding

    what = find(arguments.what)
    if not isinstance(what, Reducer):
        raise ArgumentError("this is no pooling", got=arguments.what, hint="max")
    if beside := what.takes:
        raise ArgumentError(f"{what.name} pooling also takes {beside[0]}", hint="cnnatomy.explain in Python")
    x = numbers("--input", arguments.input) if arguments.input is not None else _grey(arguments.picture)
    kernel, dilation = size_of("--kernel", arguments.kernel), size_of("--dilation", arguments.dilation)
    stride = None if arguments.stride is None else size_of("--stride", arguments.stride)
    from cnnatomy.cli.solve import read_padding

    region = Sliding(kernel, stride, read_padding(arguments.padding), dilation, arguments.ceil_mode)
    at = place_of("--at", arguments.at)
    if at is not None and len(at) != x.dim():
        raise ArgumentError("--at", expected=f"{x.dim()} numbers", got=arguments.at)
    options: dict[str, Any] = {"region": region, "reducer": what, "training": True, "seed": arguments.seed}
    return explain(
        pool,
        x,
        at,
        _gradient(arguments.grad),
        channel=arguments.channel,
        padding_mode=arguments.mode,
        **options,
    )


def _of_run(arguments: Arguments) -> Explanation:
    from cnnatomy.data import read_pictures
    from cnnatomy.explain import explain
    from cnnatomy.train.run_folder import RunFolder

    assert arguments.picture is not None, "checked above"
    model, facts = RunFolder(Path(arguments.what).expanduser()).load_model()
    channels, height, width = model.input_shape
    pictures = read_pictures([arguments.picture], size=(height, width), channels=channels, fit=facts["fit"])
    at, grad = place_of("--at", arguments.at), _gradient(arguments.grad)
    return explain(
        model, model.preprocess(pictures), at, grad, channel=arguments.channel, layer=arguments.layer
    )


def _grey(picture: Path | None) -> Tensor:
    """A picture in its own size, in grey from 0 to 1."""
    assert picture is not None, "checked above"
    import torch
    from PIL import Image

    from cnnatomy.data import read_pictures

    path = picture.expanduser()
    try:
        with Image.open(path) as opened:
            size = opened.size[::-1]
    except (OSError, ValueError):
        size = (1, 1)  # the reader below says what is wrong with it
    pixels = read_pictures([path], size=size, channels=1, fit="stretch")
    return pixels[0, 0].to(torch.float32) / 255


def _gradient(text: str | None) -> Any:
    if text is None:
        return None
    grad = numbers("--grad", text)
    return float(grad) if grad.numel() == 1 else grad


def numbers(name: str, text: str) -> Tensor:
    """Rows of numbers, written out or in a file.

    Example:
        >>> numbers("--input", "1 3; 2 4").tolist()
        [[1.0, 3.0], [2.0, 4.0]]
    """
    from cnnatomy.explain.typed import rows

    path = Path(text).expanduser()
    if not re.search(r"[;\s]", text) and path.is_file():
        text = path.read_text("utf-8", "replace")
    return rows(name, text)
