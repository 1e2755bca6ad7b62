"""A study as a page: who is ahead and how sure that is, what it costs, and where the arms disagree."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from markupsafe import Markup

from cnnatomy.errors import CnnatomyError
from cnnatomy.files.printable import duration, percent
from cnnatomy.report.chart import chart
from cnnatomy.report.dots import Point, Row, intervals, plane, short
from cnnatomy.report.page_content import Curve
from cnnatomy.report.pixels import png
from cnnatomy.report.render import template
from cnnatomy.studies.metrics import METRICS
from cnnatomy.studies.verdict import CONFIDENCE, chance, headline, span, verdict
from cnnatomy.train.atomic_files import write_whole
from cnnatomy.train.reporter import Silent
from cnnatomy.train.run_inputs import load_data

if TYPE_CHECKING:
    from cnnatomy.studies.paired import Interval
    from cnnatomy.studies.study import Study
    from cnnatomy.studies.study_results import ArmResult, Comparison

DISPUTED = 14
"""Pictures that are shown on which two arms disagree most."""
CURVES = 3
"""Arms whose learning curves are drawn: the baseline and those that differ most from it."""


class Disputed(NamedTuple):
    """A test picture that the arms answer differently."""

    picture: bytes
    name: str
    label: str
    answers: Sequence[tuple[str, str]]
    """Each arm, and how many of its seeds are right."""


def write_page(study: Study, path: Path) -> Path:
    """Write the page to a file, whole or not at all."""
    page = template("study.html.j2").render(
        study=study,
        headline=headline(study.comparisons),
        confidence=CONFIDENCE,
        verdicts=[verdict(one) for one in study.comparisons],
        rows=rows(study),
        figures=figures(study),
        classes=by_class(study),
        curves=learning_curves(study),
        disputed=disputed(study),
        percent=percent,
        metric=METRICS[study.metric],
        points=METRICS["accuracy"].change,
        chart=chart,
    )
    write_whole(path, page.encode("utf-8"))
    return path


def card(study: Study) -> str:
    """A study in a notebook: the headline, the intervals and the table."""
    return template("study_card.html.j2").render(
        study=study, headline=headline(study.comparisons), rows=rows(study), figures=figures(study)[:1]
    )


def rows(study: Study) -> list[dict[str, str]]:
    """The table, a row an arm, as text."""
    beside = {one.arm: one for one in study.comparisons}
    return [_row(result, beside.get(result.arm.name), study.metric) for result in study.results]


def _row(result: ArmResult, one: Comparison | None, by: str) -> dict[str, str]:
    metric, deviation = METRICS[by], result.deviation(by)
    told = {
        "arm": result.arm.name,
        "seeds": str(len(result.records)),
        "value": metric.value(result.mean(by)),
        "deviation": "-" if deviation is None else f"{metric.factor * deviation:.{metric.digits}f}",
        "difference": metric.change(one.found.mean) if one else "",
        "here": span(one.found.here, metric) if one else "",
        "p": chance(one.p_here) if one else "",
        "alike": span(one.found.alike, metric) if one else "",
        "p ": chance(one.p_alike) if one else "",
    }
    costs = {
        "parameters": f"{result.parameters:,}",
        "MACs": "-" if result.macs is None else short(result.macs),
        "memory": "-" if result.memory is None else f"{short(result.memory)}B",
        "training": duration(result.seconds),
        "a picture": f"{1000 * result.picture_seconds:.3g} ms",
    }
    return told | costs


def figures(study: Study) -> list[tuple[str, Markup]]:
    """The drawings, each with what to read from it."""
    base, by = study.baseline, study.metric
    scale, unit = METRICS[by].factor, METRICS[by].unit

    def span(found: Interval | None) -> tuple[float, float] | None:
        return (scale * found.low, scale * found.high) if found else None

    apart = [
        Row(one.arm, scale * one.found.mean, span(one.found.here), span(one.found.alike))
        for one in study.comparisons
    ]
    each = [
        Row(r.arm.name, scale * r.mean(by), values=[scale * value for value in r.values(by)])
        for r in study.results
    ]
    costs = [Point(r.arm.name, float(r.macs), scale * r.mean(by)) for r in study.results if r.macs]
    axis, name = f"{by}, {'%' if unit == 'points' else unit}", by.capitalize()
    return [
        (
            f"Difference from {base} in {unit}, with other seeds. Thick: on these test pictures. "
            "Thin: on pictures like these.",
            intervals(f"Difference from {base}", f"{unit} of {by} beside {base}", apart, zero=True),
        ),
        (
            f"{name} of every run, and their means.",
            intervals(name, f"test {axis}", each),
        ),
        (
            f"{name} and cost; the line joins the arms that none beats at the same cost or less.",
            plane(
                f"{name} and cost",
                "multiply-accumulates of a picture",
                axis,
                costs,
                less=by == "log-loss",
            ),
        ),
    ]


def by_class(study: Study) -> dict[str, list[tuple[str, float]]]:
    """For every class the recall of the baseline, and by how much that of each arm differs (0..1)."""
    results = study.results
    base = next(result for result in results if result.arm.name == study.baseline)
    recalls = {result.arm.name: _recalls(result, len(results[0].records[0].classes)) for result in results}
    ordered = [base, *(result for result in results if result is not base)]
    return {
        name: [
            (
                result.arm.name,
                float(recalls[result.arm.name][k] - (0 if result is base else recalls[base.arm.name][k])),
            )
            for result in ordered
        ]
        for k, name in enumerate(results[0].records[0].classes)
    }


def _recalls(result: ArmResult, classes: int) -> Any:
    """The mean recall of each class over the seeds; not a number where no test picture has it."""
    labels = result.records[0].given.labels
    hits = np.mean([record.given.hits for record in result.records], axis=0)
    counts = np.bincount(labels, minlength=classes)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.bincount(labels, weights=hits, minlength=classes) / counts


def learning_curves(study: Study) -> list[Curve]:
    """The training loss of the baseline and of the arms furthest from it, the mean over the seeds."""
    far = sorted(study.comparisons, key=lambda one: -abs(one.found.mean))
    wanted = [study.baseline, *(one.arm for one in far)][:CURVES]
    curves = []
    for result in study.results:
        if result.arm.name in wanted:
            logs = [[e.loss for e in study.folder.run(result.arm, r.seed).log()] for r in result.records]
            curves.append(
                Curve(result.arm.name, [float(np.mean(losses)) for losses in zip(*logs, strict=False)])
            )
    return curves


def disputed(study: Study) -> list[Disputed]:
    """The test pictures on which the share of right seeds differs most between arms, if they can be read."""
    results = study.results
    shares = np.stack([np.mean([r.given.hits for r in result.records], axis=0) for result in results])
    gap = shares.max(0) - shares.min(0)
    order = [int(i) for i in np.argsort(-gap, kind="stable")[:DISPUTED] if gap[i] > 0]
    run = study.folder.run(results[0].arm, results[0].records[0].seed)
    settings = run.settings()
    try:
        test = load_data(settings.data, settings.network.shape(), Silent()).test
    except CnnatomyError:
        return []  # the pictures have gone, which the page can do without
    return [
        Disputed(
            png(test.images[i]),
            test.names[i],
            test.classes[int(test.labels[i])],
            [
                (
                    result.arm.name,
                    f"{round(shares[k, i] * len(result.records))} of {len(result.records)} right",
                )
                for k, result in enumerate(results)
            ],
        )
        for i in order
    ]
