"""What a report computes of a run: yardsticks, calibration, doubted labels, and what follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cnnatomy.anatomy import Anatomy
from cnnatomy.data import Dataset
from cnnatomy.models.classifier import Classifier
from cnnatomy.report.class_pictures import pairs, samples
from cnnatomy.report.label_doubts import CLEAR, doubts
from cnnatomy.report.next_steps import Figures, next_steps
from cnnatomy.report.page_content import Doubted, Figured
from cnnatomy.report.pixels import png
from cnnatomy.train.batch_evaluation import scores_of
from cnnatomy.train.calibration import calibration, temperature
from cnnatomy.train.evaluation import Evaluation
from cnnatomy.train.linear_model import accuracy_on_pixels
from cnnatomy.train.reporter import Epoch
from cnnatomy.train.settings import Settings

SECONDS = 10.0
"""So long the network may look again at training pictures, and as long at test pictures."""
MOST_PICTURES = 20_000
DRAWN = 12
"""Doubted pictures that are drawn; the others are named."""
NAMED = 1_000


def figured(
    evaluation: Evaluation,
    data: Dataset,
    model: Classifier,
    settings: Settings,
    history: Sequence[Epoch],
    metrics: Mapping[str, Any],
    anatomy: Anatomy,
    *,
    own: bool,
) -> Figured:
    """All that is computed of a run's answers and its pictures.

    Args:
        evaluation: its result.
        data: the pictures that were judged, and where they are its own, those that it was trained on.
        model: its network.
        settings: and `history`, `metrics`: what it was trained by, and how that went.
        anatomy: of the network.
        own: whether the pictures are the run's own data.
    """
    affordable = int(min(MOST_PICTURES, SECONDS / max(metrics.get("seconds_per_picture") or 1e-3, 1e-6)))
    answers = evaluation.answers
    known = None if answers is None else calibration(answers.probability, answers.predicted == answers.labels)
    warmth = _temperature(model, data, affordable) if own and known else None
    linear = accuracy_on_pixels(data.train, data.test) if own and len(data.train) else None
    seed, changes = settings.recipe.seed, settings.recipe.augment or "none"
    doubted = _doubted(model, data, affordable) if own else None
    counts = data.train.labels.bincount(minlength=len(data.classes)).tolist()
    figures = Figures(
        evaluation,
        training=history[-1].accuracy,
        linear=linear,
        calibration=known.error if known else None,
        temperature=warmth,
        doubted=doubted.share if doubted else 0.0,
        greyed=data.fitted.conversions.get("grey", 0),
        supports=tuple(zip(data.classes, counts, strict=True)) if own else (),
        field=_field(anatomy),
        side=max(model.input_shape[1:]),
    )
    yardsticks = [("chance", 1 / len(evaluation.classes))]
    if linear is not None:
        yardsticks.append(("a linear model on pixels", linear))
    return Figured(
        yardsticks=yardsticks,
        calibration=known,
        temperature=warmth,
        doubted=doubted if doubted and doubted.names else None,
        samples=samples(data.train, changes, seed) if own else (),
        changes=changes,
        pairs=pairs(evaluation, data),
        steps=next_steps(figures),
    )


def _temperature(model: Classifier, data: Dataset, most: int) -> float:
    """The temperature that as many of the judged pictures ask for as can be looked at again."""
    step = -(-len(data.test) // most)
    shares = model.probabilities(scores_of(model, data.test.images[::step]))
    return temperature(shares, data.test.labels[::step])


def _doubted(model: Classifier, data: Dataset, most: int) -> Doubted:
    found = doubts(model, data.train, most)
    looked = -(-len(data.train) // -(-len(data.train) // most))
    return Doubted(
        looked,
        sum(one.margin < CLEAR for one in found) / looked,
        [(one, png(data.train.images[one.place])) for one in found[:DRAWN]],
        [(one.name, one.label, one.likely) for one in found[:NAMED]],
    )


def _field(anatomy: Anatomy) -> int | None:
    """The pixels that a unit of the last map would see, were there no border."""
    # What computes nothing, as the features of a network without any, has no field.
    made = [layer for layer in anatomy if layer.operations and len(layer.output_shapes) == 1]
    wide = [layer for layer in made if len(s := layer.output_shapes[0]) == 4 and min(s[2:]) > 1]
    if not wide:
        return None
    sizes = [size for size in wide[-1].field.size if isinstance(size, int)]
    return max(sizes, default=None)
