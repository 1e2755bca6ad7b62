"""A study as a page: who is ahead and how sure that is, what it costs, and where the arms disagree."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from markupsafe import Markup

from cnnatomy.errors import CnnatomyError
from cnnatomy.files.text import duration, percent
from cnnatomy.report.chart import chart
from cnnatomy.report.dots import Point, Row, intervals, plane, short
from cnnatomy.report.gather import png
from cnnatomy.report.page import Curve
from cnnatomy.report.render import template
from cnnatomy.studies.verdict import CONFIDENCE, chance, headline, points, span, verdict
from cnnatomy.train.files import write_whole
from cnnatomy.train.material import load_data
from cnnatomy.train.reporter import Silent

if TYPE_CHECKING:
    from cnnatomy.studies.results import ArmResult, Comparison
    from cnnatomy.studies.study import Study

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
        points=points,
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
    return [_row(result, beside.get(result.arm.name)) for result in study.results]


def _row(result: ArmResult, one: Comparison | None) -> dict[str, str]:
    told = {
        "arm": result.arm.name,
        "seeds": str(len(result.records)),
        "accuracy": percent(result.mean, 2),
        "deviation": "-" if result.deviation is None else f"{100 * result.deviation:.2f}",
        "difference": points(one.found.mean) if one else "",
        "here": span(one.found.here) if one else "",
        "p": chance(one.p_here) if one else "",
        "alike": span(one.found.alike) if one else "",
        "p ": chance(one.p_alike) if one else "",
    }
    costs = {
        "parameters": f"{result.parameters:,}",
        "MACs": "-" if result.macs is None else short(result.macs),
        "memory": "-" if result.memory is None else f"{short(result.memory)}B",
        "training": duration(result.seconds),
    }
    return told | costs


def figures(study: Study) -> list[tuple[str, Markup]]:
    """The drawings, each with what to read from it."""
    base = study.baseline
    apart = [
        Row(one.arm, 100 * one.found.mean, _span(one.found.here), _span(one.found.alike))
        for one in study.comparisons
    ]
    each = [
        Row(r.arm.name, 100 * r.mean, values=[100 * one.accuracy for one in r.records]) for r in study.results
    ]
    costs = [Point(r.arm.name, float(r.macs), 100 * r.mean) for r in study.results if r.macs]
    return [
        (
            f"Difference from {base} in points, with other seeds. Thick: on these test pictures. "
            "Thin: on pictures like these.",
            intervals(f"Difference from {base}", f"points of {study.metric} beside {base}", apart, zero=True),
        ),
        (
            "Accuracy of every run, and their means.",
            intervals("Accuracy", "test accuracy, %", each),
        ),
        (
            "Accuracy and cost; the line joins the arms that none beats at the same cost or less.",
            plane("Accuracy and cost", "multiply-accumulates of a picture", "accuracy, %", costs),
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
    labels = result.records[0].labels
    hits = np.mean([record.hits for record in result.records], axis=0)
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
    shares = np.stack([np.mean([r.hits for r in result.records], axis=0) for result in results])
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


def _span(interval: Any) -> tuple[float, float] | None:
    return (100 * interval.low, 100 * interval.high) if interval else None
