"""A training as an object: its result, its network, its history, and what can be done with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from cnnatomy import checks
from cnnatomy.data import Dataset
from cnnatomy.errors import ArgumentError, CheckpointError
from cnnatomy.files.printable import duration, percent
from cnnatomy.runs.program_pictures import is_source, read_sets
from cnnatomy.train.engine import Outcome
from cnnatomy.train.evaluation import Evaluation
from cnnatomy.train.inference import evaluate
from cnnatomy.train.prediction import Prediction, predict, rank
from cnnatomy.train.reconstruction import judged
from cnnatomy.train.reporter import Epoch
from cnnatomy.train.run_folder import RunFolder
from cnnatomy.train.settings import Settings

if TYPE_CHECKING:
    from cnnatomy.export import Written
    from cnnatomy.models.classifier import Classifier


class Run:
    """A finished training; `cnnatomy.train` gives one, and `Run(folder)` opens one.

    Args:
        path: the run's folder.
        module: the network that takes the weights, where the run was given an object or code.

    Raises:
        CheckpointError: there is no finished run in this folder.

    Example:
        >>> import cnnatomy as ca
        >>> run = ca.train("digits", "lenet5", epochs=1)
        >>> ca.Run(run.path).accuracy == run.accuracy
        True
    """

    def __init__(self, path: str | Path, *, module: nn.Module | None = None) -> None:
        self._folder = RunFolder(Path(path).expanduser())
        self._module = module
        self._data: Dataset | None = None
        if not self._folder.read_json("metrics.json"):
            self._folder.settings()  # says that it is no run, if so
            what = f"the run in {self._folder.path} has not ended"
            raise CheckpointError(what, hint="cnnatomy train --resume --run " + str(self._folder.path))

    @classmethod
    def just_made(cls, folder: RunFolder, outcome: Outcome, module: nn.Module | None) -> Run:
        """The run that has just ended, with what is in memory of it, and its page written."""
        from cnnatomy import report

        run = cls(folder.path, module=module)
        run._data = outcome.data
        run.__dict__ |= {"evaluation": outcome.evaluation, "model": outcome.model}
        if outcome.model.goal == "classify":
            report.write(folder.path, outcome.evaluation, pictures=outcome.data, model=outcome.model)
        return run

    @property
    def path(self) -> Path:
        """The run's folder."""
        return self._folder.path

    @cached_property
    def settings(self) -> Settings:
        """What was trained on what, and how, every automatic value settled."""
        return self._folder.settings()

    @property
    def metrics(self) -> dict[str, Any]:
        """The result on the test pictures, and how it was made, as metrics.json says."""
        return self._folder.read_json("metrics.json")

    @property
    def accuracy(self) -> float:
        """The share of test pictures that got their label; of an encoder-decoder, the variance explained."""
        metrics = self.metrics
        return float(metrics.get("accuracy", metrics.get("explained")))  # type: ignore[arg-type]

    @property
    def history(self) -> list[Epoch]:
        """The epochs, one after the other."""
        return self._folder.log()

    @cached_property
    def model(self) -> Classifier:
        """The trained network, in evaluation mode."""
        return self._folder.load_model(module=self._module)[0]

    @cached_property
    def evaluation(self) -> Evaluation:
        """How well the network does on the test pictures, in full."""
        return self.evaluate()

    @cached_property
    def report(self) -> Path:
        """The run's page, which is written if it is not there."""
        from cnnatomy import report

        page = self.path / "report.html"
        return page if page.exists() else report.write(self.path, self.evaluation, pictures=self._data)

    def evaluate(self, data: Any = None) -> Evaluation:
        """Judge the network on its own test pictures, or on other pictures with the same classes.

        Args:
            data: a folder or another source, or pictures in memory as `train` takes them, all of which are
                judged unless they come in sets; left out, the run's own.
        """
        if data is None and self._data is not None:
            return judged(self.model, self._data.test, self._data.name)
        if data is None or is_source(data):
            return evaluate(self.path, data=None if data is None else str(data), module=self._module)
        return self._judge_memory(data)

    def predict(self, what: Any, *, top: int | None = None) -> list[Prediction]:
        """Say what the network sees in pictures: files, folders or archives, or a tensor (N, C, H, W).

        Raises:
            ArgumentError: there is no picture, or a tensor has another shape than the network's input.
        """
        if isinstance(what, Tensor):
            return self._predict_tensor(what, top)
        sources = [what] if is_source(what) else list(checks.of_kind("pictures", what, Sequence, "paths"))
        return predict(self.path, sources, top=top, module=self._module)

    def export(self, path: str | Path, **options: Any) -> Written:
        """Write the network as ONNX (.onnx) or for torch.export (.pt2), from bytes to probabilities."""
        from cnnatomy.export import export_run

        return export_run(self.path, Path(path), module=self._module, **options)

    def _judge_memory(self, data: Any) -> Evaluation:
        """Judge pictures in memory: the last of several sets, or all of one."""
        sets = read_sets(data, self.model.classes)
        shape = tuple(sets[-1].images.shape[1:])
        if shape != tuple(self.model.input_shape):
            raise ArgumentError("pictures", expected=f"shape {self.model.input_shape}", got=f"shape {shape}")
        return replace(judged(self.model, sets[-1], "pictures"), part="test" if len(sets) > 1 else "")

    def _predict_tensor(self, images: Tensor, top: int | None) -> list[Prediction]:
        from cnnatomy.train.batch_sources import levels

        shape = tuple(self.model.input_shape)
        images = images[None] if images.dim() == len(shape) else images
        if tuple(images.shape[1:]) != shape:
            expected = f"(N, {', '.join(map(str, shape))})"
            raise ArgumentError("pictures", expected=expected, got=f"shape {tuple(images.shape)}")
        ranked = rank(self.model, levels(images), top)
        return [Prediction(Path(f"#{number}"), ranks) for number, ranks in enumerate(ranked)]

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}): {self._said()}"

    def _repr_html_(self) -> str:
        from cnnatomy.report.run_card import run_card

        return run_card(self.path, self._said(), self.history)

    def _said(self) -> str:
        last = self.history[-1]
        return (
            f"test accuracy {percent(self.accuracy, 2)} after {last.epoch} epochs in {duration(last.seconds)}"
        )
