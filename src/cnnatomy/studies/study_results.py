"""What the runs of a study gave: an arm's figures, and its differences from the first arm or another."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnatomy.errors import ArgumentError, CheckpointError
from cnnatomy.studies.arms import Arm
from cnnatomy.studies.metrics import METRICS, Given
from cnnatomy.studies.paired import Difference, difference, holm
from cnnatomy.studies.study_folder import Design, StudyFolder
from cnnatomy.studies.study_runs import ended
from cnnatomy.train.run_folder import RunFolder


@dataclass(frozen=True)
class Record:
    """One run that has ended."""

    seed: int
    accuracy: float
    balanced_accuracy: float
    macro_f1: float
    loss: float | None
    parameters: int
    epochs: int
    seconds: float
    """Of training."""
    picture_seconds: float
    """Of answering a test picture, in the batches that evaluation takes."""
    given: Given
    data: str
    """The fingerprint of the pictures."""
    classes: tuple[str, ...] = ()

    def scores(self, metric: str) -> NDArray[np.float64]:
        """What every test picture adds to a metric, whose mean it is."""
        return METRICS[metric].scores(self.given)


@dataclass(frozen=True)
class ArmResult:
    """An arm, its runs, and its network."""

    arm: Arm
    records: tuple[Record, ...]
    macs: int | None = None
    """Multiply-accumulates of a picture; None: not known."""
    memory: int | None = None
    """Bytes that a forward and a backward pass of one picture hold at once, beside the weights."""

    def values(self, metric: str) -> list[float]:
        """A metric of every run."""
        return [float(record.scores(metric).mean()) for record in self.records]

    def mean(self, metric: str) -> float:
        """The mean of a metric over the seeds."""
        return statistics.fmean(self.values(metric))

    def deviation(self, metric: str) -> float | None:
        """The standard deviation of a metric over the seeds; None with one."""
        return statistics.stdev(self.values(metric)) if len(self.records) > 1 else None

    @property
    def seconds(self) -> float:
        """The median time of training."""
        return statistics.median(record.seconds for record in self.records)

    @property
    def picture_seconds(self) -> float:
        """The median time of answering a test picture."""
        return statistics.median(record.picture_seconds for record in self.records)

    @property
    def parameters(self) -> int:
        """Trainable parameters."""
        return self.records[0].parameters


@dataclass(frozen=True)
class Comparison:
    """An arm beside the one that all are compared with."""

    arm: str
    baseline: str
    metric: str
    found: Difference
    p_here: float | None
    """Corrected for the number of arms; None with one seed."""
    p_alike: float
    """Corrected for the number of arms."""

    @property
    def shown_here(self) -> bool:
        """Whether there is a difference on these test pictures, at 5% over all arms."""
        return self.p_here is not None and self.p_here < 0.05

    @property
    def shown_alike(self) -> bool:
        """Whether there is a difference on pictures like these, at 5% over all arms."""
        return self.p_alike < 0.05


def read_record(run: RunFolder, seed: int) -> Record:
    """Read a run that has ended.

    Raises:
        CheckpointError: something is missing or damaged.
    """
    metrics = run.read_json("metrics.json")
    tensors, data = run.answers()
    try:
        return Record(
            seed,
            float(metrics["accuracy"]),
            float(metrics["balanced_accuracy"]),
            float(metrics["macro_f1"]),
            None if metrics["loss"] is None else float(metrics["loss"]),
            sum(metrics["parameters"].values()),
            int(metrics["epochs"]),
            float(metrics["seconds"]),
            float(metrics["seconds_per_picture"]),
            Given(
                tensors["labels"].numpy().astype(np.int64),
                tensors["predicted"].numpy().astype(np.int64),
                tensors["of_label"].numpy().astype(np.float64),
            ),
            data,
            tuple(row["name"] for row in metrics["classes"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{run.path / 'metrics.json'} is damaged", got=repr(error)) from error


def read_results(design: Design, folder: StudyFolder) -> list[ArmResult]:
    """Read the runs of a study that have ended; arms without any are left out.

    Raises:
        CheckpointError: a run is damaged, or was judged on other pictures than the rest.
    """
    found = []
    for arm in design.arms:
        runs = [(seed, folder.run(arm, seed)) for seed in design.seeds]
        records = tuple(read_record(run, seed) for seed, run in runs if ended(run))
        if records:
            found.append(ArmResult(arm, records, *_costs(folder.run(arm, records[0].seed))))
    sets = {record.data for result in found for record in result.records}
    if len(sets) > 1:
        raise CheckpointError(
            f"the runs of {folder.path} were made of different pictures", hint="a new study"
        )
    return found


def compared(results: Sequence[ArmResult], baseline: str, metric: str = "accuracy") -> list[Comparison]:
    """Every arm beside one of them, over the seeds that both have.

    Raises:
        ArgumentError: there is no finished run of the arm.
    """
    by_name = {result.arm.name: result for result in results}
    if baseline not in by_name:
        raise ArgumentError(f"no finished run of arm {baseline!r}", expected=f"one of {', '.join(by_name)}")
    first = by_name[baseline]
    found = [
        (result.arm.name, difference(paired))
        for result in results
        if result.arm.name != baseline and (paired := differences(result, first, metric)).size
    ]
    alike = holm([one.alike.p for _, one in found])
    some = [one.here.p for _, one in found if one.here is not None]
    here = iter(holm(some))
    return [
        Comparison(name, baseline, metric, one, next(here) if one.here is not None else None, p)
        for (name, one), p in zip(found, alike, strict=True)
    ]


def differences(one: ArmResult, other: ArmResult, metric: str = "accuracy") -> NDArray[np.float64]:
    """What one arm scored more than another, picture by picture: (seeds that both have, pictures)."""
    theirs = {record.seed: record for record in other.records}
    rows = [
        record.scores(metric) - theirs[record.seed].scores(metric)
        for record in one.records
        if record.seed in theirs
    ]
    return np.stack(rows) if rows else np.zeros((0, 0))


def _costs(run: RunFolder) -> tuple[int | None, int | None]:
    """Multiply-accumulates and training memory of a picture, as `anatomy` counts them; none of code."""
    from cnnatomy.anatomy import anatomy

    try:
        model, _ = run.load_model()
    except ArgumentError:  # code of the user's own, which a folder alone must not start
        return None, None
    known: Any = anatomy(model, model.input_shape, training=True)
    return known.macs, known.memory.training if known.memory is not None else None
