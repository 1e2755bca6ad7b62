"""A finished run on labelled pictures: `evaluate`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from cnnatomy import checks
from cnnatomy.data import SOURCES, Dataset, Pictures
from cnnatomy.errors import DataError
from cnnatomy.files.printable import counted, listed, shown
from cnnatomy.train.distributed import pick_device
from cnnatomy.train.evaluation import Evaluation
from cnnatomy.train.reconstruction import judged
from cnnatomy.train.reporter import Reporter, together
from cnnatomy.train.run_folder import RunFolder
from cnnatomy.train.run_inputs import IN_MEMORY, load_data
from cnnatomy.train.statistics import commonest


def evaluate(
    run: Path,
    *,
    data: str | None = None,
    weights: str | None = None,
    module: nn.Module | None = None,
    code: str | None = None,
    reporter: Reporter | None = None,
) -> Evaluation:
    """Evaluate a run's model on the test pictures of its own data, or on other data with the same classes.

    Of other data its own test set is judged where it has one (a named source, idx files, a folder with train/
    and test/), else every picture. `weights` asks for the `"best"` or the `"last"` epoch's; `module` and
    `code` are those of `RunFolder.load_model`.

    Raises:
        ArgumentError: there are no such weights.
        CheckpointError: there is no such run, or its weights are damaged.
        DataError: the run's own pictures have changed, so that what was trained on could be tested on; or the
            other data has a class that the model does not know.
    """
    folder, listener = RunFolder(run), together([] if reporter is None else [reporter])
    if data is not None:
        checks.of_kind("data", data, str, "a built-in source or a folder of pictures")
    trained = folder.settings().data
    model, facts = folder.load_model(weights, module=module, code=code)
    if data is None and trained.source == IN_MEMORY:
        what = "the pictures of this run were given in memory, and are gone"
        raise DataError(what, hint="evaluating on other pictures")
    wanted = replace(trained, source=trained.source if data is None else data)
    source = load_data(wanted, model.input_shape, listener)
    own = source.fingerprint == facts.get("fingerprint")
    if data in (None, trained.source) and not own:
        what = f"the pictures of {trained.source} have changed since {run} was trained"
        raise DataError(what, hint="training anew, or evaluating on other pictures")
    if model.goal == "classify" and (strange := [n for n in source.classes if n not in model.classes]):
        what = f"the model of {run} does not know every class of {data}"
        raise DataError(what, expected=listed(model.classes), got=shown(strange[0]))
    tested = own or data in SOURCES or source.divided
    pictures = source.test if tested else _all(source)
    usual = facts.get("training_commonest")
    if model.goal == "classify":
        numbers = torch.tensor([model.classes.index(name) for name in source.classes])
        pictures = replace(pictures, labels=numbers[pictures.labels], classes=model.classes)
        usual = usual or (source.classes[commonest(source.train.labels)] if own else None)
    model = model.to(pick_device(None))
    judgement = judged(model, pictures, source.name, training_commonest=usual, progress=listener.reading)
    evaluation = replace(judgement, part="test" if tested else "", notes=_notes(source))
    listener.finish(evaluation)
    return evaluation


def _notes(source: Dataset) -> tuple[str, ...]:
    """What was changed in the pictures, and how many cannot be read."""
    changed = (source.fitted.sentence(),) if source.fitted.conversions else ()
    if not source.skipped:
        return changed
    first, many = source.skipped[0], counted(len(source.skipped), "picture")
    return *changed, f"{many} left out that cannot be read, the first: {shown(first.path)} {first.reason}"


def _all(source: Dataset) -> Pictures:
    first, then = source.train, source.test
    images, labels = torch.cat([first.images, then.images]), torch.cat([first.labels, then.labels])
    return replace(first, images=images, labels=labels, names=[*first.names, *then.names])
