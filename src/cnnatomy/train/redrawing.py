"""Pictures drawn anew by a trained encoder-decoder: `redraw`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from cnnatomy import checks
from cnnatomy.data.finding import find
from cnnatomy.errors import ArgumentError
from cnnatomy.train.batch_evaluation import evaluating
from cnnatomy.train.distributed import pick_device
from cnnatomy.train.prediction import BATCH, decoded, named
from cnnatomy.train.run_folder import RunFolder


class Redrawn(NamedTuple):
    """A picture, and where it was drawn anew, or why it could not be read."""

    path: Path
    file: Path | None
    error: str | None
    conversions: tuple[str, ...]
    """What changed its values before the network saw it, of `cnnatomy.data.colours.CONVERSIONS`."""


def redraw(
    run: Path, pictures: Sequence[str | Path], folder: str | Path, *, weights: str | None = None
) -> list[Redrawn]:
    """Let a run's encoder-decoder draw pictures anew, as PNG files in a folder.

    Raises:
        ArgumentError: there is no picture, the network gives no pictures, or there are no such weights.
        CheckpointError: there is no such run, or its weights are damaged.
    """
    found = [find(path) for path in named(pictures, "redraw")]
    folder = checks.path(folder, "where to write")
    model, facts = RunFolder(run).load_model(weights)
    if model.goal != "reconstruct":
        raise ArgumentError(f"the network of {run} gives no pictures", hint="predict without --out")
    model, done = model.to(pick_device(None)), list[Redrawn]()
    with closing(decoded(model, found, facts["fit"], BATCH)) as ready, evaluating(model) as device:
        for batch in ready:
            images = torch.from_numpy(batch.images).to(device)
            drawn = model.restored(model(model.preprocess(images))).cpu()
            known = zip(batch.paths, batch.problems, batch.conversions, drawn, strict=True)
            for path, problem, changed, one in known:
                file = folder / f"{len(done):04}-{path.stem}.png"
                if problem is None:
                    folder.mkdir(parents=True, exist_ok=True)
                    encode(one, file)
                done.append(Redrawn(path, file if problem is None else None, problem, changed))
    return done


def encode(picture: Tensor, file: Path) -> None:
    """Write a uint8 picture (C, H, W) of 1 or 3 channels as PNG."""
    from PIL import Image

    cells = picture.permute(1, 2, 0).numpy()
    Image.fromarray(cells[:, :, 0] if cells.shape[2] == 1 else cells).save(file)
