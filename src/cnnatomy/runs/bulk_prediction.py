"""Predictions for any number of pictures on a Ray cluster, by Ray Data: the same as `train.stream` gives.

Every task reads some pictures where they lie, so that their paths must be the same on all machines. The run
itself is carried to them, and the predictions come back in the order of the pictures.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

from cnnatomy.data.finding import Found, find
from cnnatomy.runs.cluster import Files, cluster, environment, packed, unpacked
from cnnatomy.train.distributed import pick_device
from cnnatomy.train.prediction import BATCH, Prediction, Stream, classifier_of, named, predictions_of
from cnnatomy.train.run_folder import RunFolder

PORTION = 16
"""Batches that a task predicts."""
MOST_BLOCKS = 1000
_NEEDED = frozenset({"run.toml", "log.csv", "best.safetensors", "last.safetensors"})
"""What of a run predicting takes."""


class How(TypedDict):
    """How a worker predicts, as `train.predictions_of` takes it."""

    top: int | None
    batch_size: int
    threads: int


class Task(NamedTuple):
    """What a worker needs to begin."""

    files: Files
    weights: str | None
    how: How
    place: Path
    """The folder that relative paths begin at."""


class Worker:
    """What predicts on a machine: the run is unpacked and its network loaded once."""

    def __init__(self, files: Files, weights: str | None, how: How, place: Path) -> None:
        with suppress(OSError):  # where it is not there, absolute paths may be
            os.chdir(place)
        with tempfile.TemporaryDirectory(prefix="cnnatomy-") as run:
            unpacked(files, Path(run))
            model, facts = RunFolder(Path(run)).load_model(weights)
        self.model, self.fit, self.how = model.to(pick_device(None)), facts["fit"], how

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Predict a portion."""
        return {"predictions": list(predictions_of(self.model, row["portion"], self.fit, **self.how))}


def stream_remotely(
    run: Path,
    sources: Sequence[str | Path],
    *,
    address: str | None = None,
    top: int | None = None,
    batch_size: int = BATCH,
    threads: int | None = None,
    weights: str | None = None,
) -> Stream:
    """Predict on a cluster what `train.stream` predicts here, to the same numbers.

    Args:
        run: the run's folder.
        sources: pictures, folders and archives of pictures, and patterns.
        address: the cluster's, as HOST:PORT; left out, this machine's processors.
        top: how many classes to give for each picture; left out, all.
        batch_size: how many pictures to score at a time.
        threads: the processors of each worker; left out, 1.
        weights: the `"best"` or the `"last"` epoch's.

    Raises:
        ArgumentError: Ray is not installed, there is no such cluster, or what `train.stream` says.
        CheckpointError: there is no such run, or its weights are damaged.
    """
    found = [find(source) for source in named(sources, "predict")]
    how: How = {"top": top, "batch_size": batch_size, "threads": threads or 1}
    model, fit = classifier_of(run, weights)
    here = predictions_of(model, found, fit, **how)
    files = {name: content for name, content in packed(run).items() if name in _NEEDED}
    parts = list(portions(found, PORTION * batch_size))
    return replace(here, predictions=_predicted(parts, Task(files, weights, how, Path.cwd()), address))


def portions(found: Sequence[Found], size: int) -> Iterator[list[Found]]:
    """The pictures of several sources in parts of so many.

    Example:
        >>> some = Found([Path(name) for name in "abc"])
        >>> [[len(one.paths) for one in part] for part in portions([some, some], 2)]
        [[2], [1, 1], [2]]
    """
    part: list[Found] = []
    room = size
    for one in found:
        at = 0
        while at < len(one.paths):
            end = at + room
            part.append(replace(one, paths=one.paths[at:end], names=one.names[at:end]))
            room -= len(part[-1].paths)
            at = end
            if not room:
                yield part
                part, room = [], size
    if part:
        yield part


def _predicted(parts: list[list[Found]], task: Task, address: str | None) -> Iterator[list[Prediction]]:
    """The predictions, portion by portion, while the cluster works."""
    with cluster(address) as ray:
        from ray import data

        context = data.DataContext.get_current()
        context.execution_options.preserve_order = True
        context.enable_progress_bars = False
        has = ray.cluster_resources()
        gpus, cpus = int(has.get("GPU", 0)), int(has.get("CPU", 1))
        rows = data.from_items(
            [{"portion": part} for part in parts], override_num_blocks=min(len(parts), MOST_BLOCKS)
        )
        worker: Any = Worker  # Ray makes one on each machine and calls it
        made = rows.map(
            worker,
            fn_constructor_args=task,
            num_cpus=task.how["threads"],
            num_gpus=1 if gpus else 0,
            concurrency=max(1, min(gpus or cpus // task.how["threads"], len(parts))),
            runtime_env=environment(),
        )
        for row in made.iter_rows():
            yield row["predictions"]
