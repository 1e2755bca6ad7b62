"""A training in a line, as tests call it."""

from __future__ import annotations

from pathlib import Path

from cnnatomy.train import Evaluation, Reporter, RunFolder, Settings, train


def fit(
    settings: Settings, run: Path, *, resume: bool = False, reporter: Reporter | None = None
) -> Evaluation:
    """Train as settings say in a folder, and give the evaluation."""
    callbacks = [reporter] if reporter is not None else []
    outcome = train(settings, RunFolder(run), resume=resume, callbacks=callbacks)
    assert outcome is not None
    return outcome.evaluation
