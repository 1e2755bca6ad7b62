"""A study as an object: which arm is better, by how much, and how sure that is."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from cnnatomy import checks
from cnnatomy.errors import ArgumentError
from cnnatomy.runs.run import Run
from cnnatomy.studies.arms import Arm, arms_of, demand_consent
from cnnatomy.studies.metrics import METRICS
from cnnatomy.studies.paired import Difference, difference
from cnnatomy.studies.study_folder import Design, StudyFolder, next_study
from cnnatomy.studies.study_results import ArmResult, Comparison, compared, differences, read_results
from cnnatomy.studies.study_runs import Told, run_missing
from cnnatomy.studies.verdict import headline, verdict
from cnnatomy.train.atomic_files import write_json, write_whole
from cnnatomy.train.reporter import Reporter
from cnnatomy.train.settings import Settings

MOST_JOBS = 1024


class Study:
    """A comparison of arms over seeds; `compare` makes one, and `Study(folder)` opens one.

    Args:
        path: the study's folder.
        baseline: the arm that the others are compared with; left out, the first.
        metric: by what, one of `cnnatomy.studies.metrics.METRICS`.

    Raises:
        CheckpointError: this is no study's folder, or one of its runs is damaged.

    Example:
        >>> import cnnatomy as ca
        >>> study = ca.compare("digits", model="FC-10", epochs=[1, 2], seeds=2, limit=200)
        >>> [result.arm.name for result in study.results], study.difference("epochs 2", "epochs 1").seeds
        (['epochs 1', 'epochs 2'], 2)
    """

    def __init__(self, path: str | Path, *, baseline: str | None = None, metric: str = "accuracy") -> None:
        self.folder = StudyFolder(checks.path(Path(path).expanduser(), "a study's folder"))
        self.design = self.folder.design()
        check_request(self.design, baseline, metric)
        self.metric = metric
        self._baseline = baseline

    @property
    def path(self) -> Path:
        """The study's folder."""
        return self.folder.path

    @property
    def baseline(self) -> str:
        """The arm that the others are compared with: the one asked for, or the first that has a run."""
        return self._baseline if self._baseline is not None else self.results[0].arm.name

    @cached_property
    def results(self) -> list[ArmResult]:
        """The arms that have a finished run."""
        return read_results(self.design, self.folder)

    @cached_property
    def comparisons(self) -> list[Comparison]:
        """Every other arm beside the baseline."""
        return compared(self.results, self.baseline, self.metric)

    def difference(self, one: str, other: str) -> Difference:
        """How much one arm is above another, over the seeds that both have; p is not corrected.

        Raises:
            ArgumentError: there is no finished run of one of them, or no seed that both have.
        """
        found = {result.arm.name: result for result in self.results}
        for name in (one, other):
            if name not in found:
                expected = f"one of {', '.join(found)}"
                raise ArgumentError("no such arm", expected=expected, got=repr(name))
        paired = differences(found[one], found[other], self.metric)
        if not paired.size:
            raise ArgumentError(f"{one} and {other} have no seed in common")
        return difference(paired)

    def run(self, arm: str, seed: int) -> Run:
        """One of the runs."""
        for one in self.design.arms:
            if one.name == arm:
                return Run(self.folder.run(one, seed).path)
        names = ", ".join(one.name for one in self.design.arms)
        raise ArgumentError("no such arm", expected=f"one of {names}", got=repr(arm))

    def table(self) -> list[dict[str, Any]]:
        """A row an arm: its figures, and how it compares with the baseline."""
        beside = {one.arm: one for one in self.comparisons}
        return [_row(result, beside.get(result.arm.name), self.metric) for result in self.results]

    def write(self) -> Path:
        """Write results.csv, results.json and study.html, and say where the page is."""
        from cnnatomy.studies.study_page import write_page

        write_whole(self.path / "results.csv", _csv(self.results).encode())
        said = {
            "baseline": self.baseline,
            "metric": self.metric,
            "headline": headline(self.comparisons),
            "arms": self.table(),
            "verdicts": [verdict(one) for one in self.comparisons],
        }
        write_json(self.path / "results.json", said)
        return write_page(self, self.path / "study.html")

    def __repr__(self) -> str:
        return f"Study({str(self.path)!r}): {headline(self.comparisons)}"

    def _repr_html_(self) -> str:
        from cnnatomy.studies.study_page import card

        return card(self)


def compare(
    data: str | Path = "digits",
    arms: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    seeds: int | Sequence[int] = 3,
    study: str | Path | None = None,
    baseline: str | None = None,
    metric: str = "accuracy",
    jobs: int = 1,
    ray: bool | str = False,
    callbacks: Sequence[Reporter] = (),
    told: Told = lambda trial, failed: None,
    **options: Any,
) -> Study:
    """Train several configurations on the same seeds, pictures and order, and compare them.

    Everything is kept in a folder: what has been trained is not trained again, so that a study that was
    stopped goes on, and one that is asked for more arms or seeds trains only these.

    Args:
        data: a folder or another source of pictures.
        arms: settings by the name of the arm, as {"soft": {"pool": "soft"}}; left out, every combination of
            the options that are lists.
        seeds: how many, from 0 on, or which.
        study: the study's folder; left out, the next free studies/DATA-NUMBER.
        baseline: the arm that the others are compared with; left out, the first.
        metric: accuracy, balanced, macro-f1 or log-loss.
        jobs: runs at once, each in a process of its own; it changes no result.
        ray: train on a Ray cluster instead: True for this machine's processors, or an address, as HOST:PORT.
        callbacks: whom to tell of the steps, where there is one process.
        told: who hears of every run that has ended: (arm, seed), and why it failed if it did.
        options: settings by name; a list of values is one of what is compared: pool=["max", "soft"].

    Raises:
        ArgumentError: an argument can mean nothing, or no run could be trained.
        CheckpointError: the folder is taken, or is a study of something else.
    """
    design = design_of(data, arms, seeds, options)
    said = design.arms
    folder = StudyFolder(Path(study).expanduser() if study is not None else next_study(design.base))
    if folder.exists():
        design = folder.design().grown(design)
    demand_consent(design.arms, said)
    return carry_out(
        design, folder, baseline=baseline, metric=metric, jobs=jobs, ray=ray, callbacks=callbacks, told=told
    )


def design_of(
    data: str | Path,
    arms: Mapping[str, Mapping[str, Any]] | None,
    seeds: int | Sequence[int],
    options: Mapping[str, Any],
) -> Design:
    """What is compared, from arguments."""
    varied = {name: values for name, values in options.items() if isinstance(values, list)}
    fixed = {name: value for name, value in options.items() if name not in varied}
    base = Settings.of(data=str(Path(data).expanduser()) if str(data).startswith("~") else str(data), **fixed)
    base.check()
    if arms is None:
        made = arms_of(base, varied)
    else:
        named = checks.of_kind("arms", arms, Mapping, "settings by the name of the arm")
        made = [
            Arm(f"{name}, {arm.name}" if varied else name, arm.settings)
            for name, values in named.items()
            for arm in arms_of(base.changed(**values), varied)
        ]
    numbers = range(checks.count("seeds", seeds)) if isinstance(seeds, int) else seeds
    return Design(base, tuple(made), tuple(numbers))


def check_request(
    design: Design, baseline: str | None, metric: str, jobs: int = 1, ray: bool | str = False
) -> None:
    """Raise an ArgumentError if there is no such arm or metric, or no such number of jobs."""
    checks.count("jobs", jobs, most=MOST_JOBS)
    checks.of_kind("ray", ray, (bool, str), "True, or the address of a cluster")
    if ray and jobs > 1:
        raise ArgumentError("jobs are processes of this machine, which Ray decides itself", hint="ray alone")
    if metric not in METRICS:
        raise ArgumentError("metric", expected=" or ".join(METRICS), got=repr(metric))
    names = [arm.name for arm in design.arms]
    if baseline is not None and baseline not in names:
        raise ArgumentError("baseline", expected=f"one of {', '.join(names)}", got=repr(baseline))


def carry_out(
    design: Design,
    folder: StudyFolder,
    *,
    baseline: str | None,
    metric: str,
    jobs: int = 1,
    ray: bool | str = False,
    callbacks: Sequence[Reporter] = (),
    told: Told,
) -> Study:
    """Train what is missing, and write what came of it."""
    from cnnatomy.train.reporter import together

    check_request(design, baseline, metric, jobs, ray)
    with folder.held():
        folder.write_design(design)
        failed = run_missing(design, folder, jobs=jobs, ray=ray, told=told, reporter=together(callbacks))
        study = Study(folder.path, baseline=baseline, metric=metric)
        if not study.results:
            (arm, seed), why = next(iter(failed.items()))
            raise ArgumentError(f"no run could be trained; {arm.name} with seed {seed}: {why}")
        study.write()
    return study


def _row(result: ArmResult, beside: Comparison | None, metric: str) -> dict[str, Any]:
    found = beside.found if beside else None
    return {
        "arm": result.arm.name,
        "seeds": len(result.records),
        metric: result.mean(metric),
        "deviation": result.deviation(metric),
        "difference": found.mean if found else None,
        "here": list(found.here[:2]) if found and found.here else None,
        "alike": list(found.alike[:2]) if found else None,
        "p_here": beside.p_here if beside else None,
        "p_alike": beside.p_alike if beside else None,
        "parameters": result.parameters,
        "macs": result.macs,
        "memory": result.memory,
        "seconds": result.seconds,
        "seconds_per_picture": result.picture_seconds,
    }


def _csv(results: Sequence[ArmResult]) -> str:
    """A row a run."""
    quality = ("accuracy", "balanced_accuracy", "macro_f1", "loss")
    columns = (*quality, "parameters", "epochs", "seconds", "picture_seconds")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["arm", "seed", *columns])
    for result in results:
        for record in result.records:
            writer.writerow([result.arm.name, record.seed, *(getattr(record, name) for name in columns)])
    return text.getvalue()
