"""The call: `train`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from torch import nn

from cnnatomy import checks
from cnnatomy.errors import ArgumentError
from cnnatomy.models import consented, object_text
from cnnatomy.runs.program_pictures import given, is_source
from cnnatomy.runs.progress_bar import reporter
from cnnatomy.runs.run import Run
from cnnatomy.train import engine
from cnnatomy.train.reporter import Reporter
from cnnatomy.train.run_folder import RunFolder, claimed
from cnnatomy.train.run_inputs import IN_MEMORY
from cnnatomy.train.settings import Settings


def train(
    data: Any = "digits",
    model: str | nn.Module | None = None,
    *,
    run: str | Path | None = None,
    classes: Sequence[str] | None = None,
    resume: bool = False,
    settings: Settings | None = None,
    callbacks: Sequence[Reporter] = (),
    progress: bool | None = None,
    **options: Any,
) -> Run:
    """Train a network on pictures, and judge it on pictures that it has not seen.

    What is left out is settled from the data (docs/training.md): the network, its input size, the changes to
    pictures, how long and how. Everything is kept in a folder, which `cnnatomy predict` and `Run` take.

    Args:
        data: a folder or another source; (pictures, labels) as tensors or arrays; a data set or a DataLoader;
            or (train, test) or (train, validation, test) of these.
        model: a name of the catalog, notation, timm:NAME, net.py:Net, or any `nn.Module` that maps float
            pictures (N, C, H, W) to scores (N, K), which is trained where it is. None: one that suits.
        run: the run's folder; left out, the next free runs/DATA-MODEL-NUMBER.
        classes: the names of the classes, where pictures in memory do not say them.
        resume: go on with the run in `run`, with the settings it began with.
        settings: what to begin with, which `options` then change.
        callbacks: whom to tell (`cnnatomy.train.Reporter`).
        progress: whether to show a line an epoch; left out, in terminals and notebooks.
        options: any setting by its name, as epochs=30, lr=0.1, augment="flip+shift(0.1)".

    Returns:
        The run: `.accuracy`, `.model`, `.history`, `.evaluate(...)`, `.predict(...)`, `.export(...)`.

    Raises:
        ArgumentError: an argument can mean nothing; nothing was written.
        DataError: the pictures cannot be read; nothing was written.
        CheckpointError: the folder is taken, or there is nothing to go on with.
        Diverged: the loss became infinite or undefined; the last good checkpoint stays.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> images, labels = torch.rand(60, 1, 8, 8), torch.arange(60) % 2
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
        >>> train((images, labels), net, epochs=2).evaluation.pictures
        12
    """
    if isinstance(data, nn.Module):
        raise ArgumentError(
            "the data come before the network", got="a network first", hint="train(data, model)"
        )
    chosen = _settings(settings, resume, run, model, data, options)
    memory = None if is_source(data) else given(data, classes, chosen.data.test_fraction)
    module = model if isinstance(model, nn.Module) else None
    place = claimed(chosen) if run is None else nullcontext(Path(run).expanduser())
    with place as path, _shown(progress) as listener:
        folder = RunFolder(path)
        outcome = engine.train(
            chosen, folder, resume=resume, callbacks=(*listener, *callbacks), given=memory, model=module
        )
    assert outcome is not None
    return Run.just_made(folder, outcome, module)


def _settings(
    base: Settings | None,
    resume: bool,
    run: str | Path | None,
    model: str | nn.Module | None,
    data: Any,
    options: dict[str, Any],
) -> Settings:
    """The settings that the arguments stand for."""
    if resume:
        if run is None:
            raise ArgumentError("resume needs the run to go on with", hint="run='runs/...'")
        begun = RunFolder(Path(run).expanduser()).settings().changed(**options)
        if begun.network.model is not None and not isinstance(model, nn.Module):
            consented(begun.network.model, model)
        return begun
    chosen = checks.of_kind("settings", base if base is not None else Settings(), Settings, "Settings")
    chosen = chosen.changed(**options)
    if is_source(data):
        chosen = chosen.changed(data=str(Path(data).expanduser()) if str(data).startswith("~") else str(data))
    else:
        chosen = chosen.changed(data=IN_MEMORY)
    if isinstance(model, nn.Module):
        return chosen.changed(model=object_text(model))
    if model is not None:
        return chosen.changed(
            model=checks.of_kind("a network", model, str, "its name, notation or an nn.Module")
        )
    return chosen


@contextmanager
def _shown(progress: bool | None) -> Iterator[list[Reporter]]:
    """A line an epoch, where somebody looks or asks for it."""
    from rich.console import Console

    console = Console(highlight=False, emoji=False)
    wanted = progress if progress is not None else console.is_terminal or console.is_jupyter
    with reporter(console, quiet=not wanted) as listener:
        yield [listener]
