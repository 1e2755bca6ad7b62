"""`cnnatomy predict`."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from cnnatomy import checks
from cnnatomy.checks import MOST, MOST_BATCH, MOST_THREADS
from cnnatomy.cli.argument_parsing import (
    CODE,
    Cluster,
    Command,
    Common,
    Switch,
    file_to_write,
    ray_of,
    with_cluster,
)
from cnnatomy.cli.option_synonyms import PREDICT
from cnnatomy.errors import ArgumentError, DataError

if TYPE_CHECKING:
    from cnnatomy.train.prediction import Stream

LIST = "-"
COMMAND = Command(
    "predict",
    {
        "examples": {
            "cnnatomy predict runs/digits-1 seven.png": "what is it?",
            "cnnatomy predict runs/digits-1 scans/ more.zip": "a folder and an archive",
            "cnnatomy predict runs/digits-1 'scans/**/*.png' --top 1": "the likeliest class of each",
            "cnnatomy predict runs/digits-1 scans/ --csv scans.csv": "for a spreadsheet",
            "cnnatomy predict runs/digits-1 many/ --ray --shards answers/": "on all processors, to Parquet",
            "cnnatomy predict runs/digits-1 - --json < list.txt": "of a list of files, as JSON",
        },
        "code and data": CODE,
    },
    PREDICT,
)


@dataclass(frozen=True)
class Arguments(Common):
    """What `predict` is told."""

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")] = tyro.MISSING
    """The run's folder."""
    pictures: Annotated[
        tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="PICTURE ...", help_behavior_hint="")
    ] = tyro.MISSING
    """Pictures of any size: files, folders, archives, patterns in quotes, or - for a list of them, one a
    line, on the standard input."""
    top: int = 3
    """How many classes to show for each picture, the likeliest first."""
    csv: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")] = None
    """Write the predictions as CSV, a row a picture, to this file; - for the standard output."""
    json: Switch = False
    """Print the predictions as JSON."""
    batch_size: int = 64
    """How many pictures to score at a time; a few batches are in memory."""
    device: Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="")] = None
    """Where to compute: cpu, cuda, cuda:1, mps. Left out: a CUDA device if there is one, else the CPU."""
    threads: Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="")] = None
    """How many threads read pictures, and how many compute on a CPU. Left out: as many as suit."""
    weights: Annotated[str | None, tyro.conf.arg(metavar="WHICH", help_behavior_hint="")] = None
    """The best or the last epoch's weights. Left out: best if pictures were held out, else last."""
    model: Annotated[str | None, tyro.conf.arg(metavar="CODE", help_behavior_hint="")] = None
    """The network again, as net.py:Net, of a run that trained your own code: a folder alone starts none."""
    null: Annotated[Switch, tyro.conf.arg(aliases=["-0"])] = False
    """The names of the list end in zero bytes, as find -print0 writes them, not in lines."""
    ray: Cluster = None
    """Predict on a Ray cluster: that of an address, as HOST:PORT or auto; without one, this machine."""
    shards: Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="")] = None
    """Write the predictions into this new folder, in files of 100,000 pictures."""
    shard_kind: Annotated[str, tyro.conf.arg(metavar="NAME")] = "parquet"
    """What kind of files: parquet or csv."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="")] = None
    """Where an encoder-decoder's pictures go."""


def main(words: Sequence[str]) -> None:
    """Predict, and print a table, CSV or JSON, batch by batch."""
    arguments: Arguments = COMMAND.parse(Arguments, with_cluster(words))
    _check(arguments)
    file = _csv_file(arguments.csv) if arguments.csv and str(arguments.csv) != LIST else None
    run, sources = arguments.run.expanduser(), list(_sources(arguments))
    if arguments.out:
        _redraw(run, sources, arguments.out.expanduser(), arguments.weights)
        return
    from cnnatomy.cli.console import literal, load_torch, output

    load_torch()
    from cnnatomy.cli.predictions import say_unread, write

    if arguments.shards is None:
        style = "json" if arguments.json else "csv" if arguments.csv else "table"
        write(_stream(run, sources, arguments), style, arguments.top, file)
        return
    from cnnatomy.cli.shards import demand_writable, write_shards

    folder = demand_writable(arguments.shards, arguments.shard_kind)
    done, bad = write_shards(_stream(run, sources, arguments), folder, arguments.shard_kind, arguments.top)
    output().print(f"{done:,} pictures in {literal(str(folder))}", markup=False, soft_wrap=True)
    say_unread(bad, done)


def _stream(run: Path, sources: Sequence[str], arguments: Arguments) -> Stream:
    """The predictions on their way, made here or on a cluster."""
    how: dict[str, Any] = {
        name: getattr(arguments, name) for name in ("top", "batch_size", "threads", "weights")
    }
    if ray := ray_of(arguments.ray):
        from cnnatomy.runs.bulk_prediction import stream_remotely

        return stream_remotely(run, sources, address=ray if isinstance(ray, str) else None, **how)
    from cnnatomy.train import stream

    return stream(run, sources, on=arguments.device, code=arguments.model, **how)


def _check(arguments: Arguments) -> None:
    """Raise an ArgumentError where options mean nothing, or nothing together."""
    for name, most in (("top", MOST), ("batch_size", MOST_BATCH), ("threads", MOST_THREADS)):
        value = getattr(arguments, name)
        if value is not None:
            checks.count(f"--{name.replace('_', '-')}", value, most=most)
    given = [f"--{name}" for name in ("csv", "json", "shards", "out") if getattr(arguments, name)]
    if len(given) > 1:
        raise ArgumentError(f"{given[0]} and {given[1]} exclude each other", hint="one of them")
    if arguments.ray and (arguments.device or arguments.model or arguments.out):
        what = "workers choose their devices, and take the networks of runs alone"
        raise ArgumentError(what, hint="--ray without --device, --model and --out")
    if arguments.null and LIST not in arguments.pictures:
        raise ArgumentError("-0 is for a list on the standard input", hint="- as a picture")


def _csv_file(path: Path) -> Path:
    """The file to write, which must not be a picture: the option may have taken one for its value."""
    from cnnatomy.data.decode import is_picture

    if is_picture(path.name):
        raise ArgumentError("--csv", expected="a file to write", got=f"the name of a picture, {path}")
    return file_to_write(path)


def _sources(arguments: Arguments) -> Iterator[str]:
    """What the words name, with the list on the standard input in the place of its sign."""
    for name in arguments.pictures:
        if name != LIST:
            yield name
            continue
        lines = sys.stdin.buffer.read().split(b"\0" if arguments.null else b"\n")
        names = [os.fsdecode(line if arguments.null else line.rstrip(b"\r")) for line in lines]
        if not any(names):
            raise ArgumentError("nothing to predict", expected="names of pictures on the standard input")
        yield from filter(None, names)


def _redraw(run: Path, sources: Sequence[str], folder: Path, weights: str | None) -> None:
    from cnnatomy.cli.console import complaints, literal
    from cnnatomy.cli.predictions import say_changes
    from cnnatomy.files.printable import shown
    from cnnatomy.train.redrawing import redraw

    done = redraw(run, sources, folder, weights=weights)
    bad = [f"{shown(one.path)} {one.error}" for one in done if one.error]
    if len(bad) == len(done):
        raise DataError(bad[0])
    for one in done:
        if one.file:
            print(one.file)
    say_changes(Counter(name for one in done for name in one.conversions), len(done) - len(bad))
    for line in bad:
        complaints().print(literal(line), style="red", markup=False, soft_wrap=True)
