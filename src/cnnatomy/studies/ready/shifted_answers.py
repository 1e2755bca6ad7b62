"""What the networks of a study answer to test pictures that are shifted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from cnnatomy.data.shifting import shifted
from cnnatomy.train.batch_evaluation import scores_of
from cnnatomy.train.reporter import Silent
from cnnatomy.train.run_inputs import load_data

if TYPE_CHECKING:
    from cnnatomy.models.classifier import Classifier
    from cnnatomy.studies.study import Study
    from cnnatomy.studies.study_results import ArmResult


@dataclass(frozen=True)
class Shifted:
    """An arm's answers to shifted pictures."""

    scores: Mapping[tuple[int, int], NDArray[np.float64]]
    """By seed and pixels, for every picture the share of the four directions that got its label."""
    logits: Mapping[tuple[int, int], float]
    """By seed and pixels, the root mean square of how far the logits are from those of the pictures as they
    are, in standard deviations of these."""

    def to_json(self) -> dict[str, Any]:
        """The means over the seeds, by pixels."""
        amounts = sorted({amount for _, amount in self.scores})

        def mean(values: Mapping[tuple[int, int], Any], amount: int) -> float:
            return float(np.mean([value for (_, of), value in values.items() if of == amount]))

        return {
            str(amount): {"accuracy": mean(self.scores, amount), "logits": mean(self.logits, amount)}
            for amount in amounts
        }


def shifted_answers(study: Study, result: ArmResult, amounts: Sequence[int], pictures: int) -> Shifted:
    """Answer some test pictures, the same for every arm, shifted by each of the amounts."""
    scores: dict[tuple[int, int], NDArray[np.float64]] = {}
    logits: dict[tuple[int, int], float] = {}
    for record in result.records:
        run = study.folder.run(result.arm, record.seed)
        model, _ = run.load_model()
        settings = run.settings()
        test = load_data(settings.data, settings.network.shape(), Silent()).test
        some = np.sort(np.random.default_rng(0).permutation(len(test))[:pictures])
        images, labels = test.images[some], test.labels[some]
        plain = scores_of(model, images)
        for amount in amounts:
            hits, far = _moved(model, images, labels, plain, amount)
            scores[record.seed, amount], logits[record.seed, amount] = hits, far
    return Shifted(scores, logits)


def _moved(
    model: Classifier, images: torch.Tensor, labels: torch.Tensor, plain: torch.Tensor, amount: int
) -> tuple[NDArray[np.float64], float]:
    copies = shifted(images, amount) if amount else [images]
    answers = torch.stack([scores_of(model, one) for one in copies]).double()
    hits = (answers.argmax(2) == labels).double().mean(0)
    far = (answers - plain).square().mean().sqrt() / plain.double().std()
    return hits.numpy(), float(far)
