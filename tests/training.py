"""A training in a line, as tests call it, and what trainings on the same pictures share."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from torch import Tensor

from cnnatomy.data.fit_policies import Frame
from cnnatomy.data.survey.duplicates import Duplicates, find_duplicates
from cnnatomy.train import Evaluation, Reporter, RunFolder, Settings, run_inputs
from cnnatomy.train.engine import train

_LARGE = 1 << 24
_stack = Frame.stack
_compared: dict[Any, Duplicates] = {}
_stacked: dict[Any, NDArray[np.uint8]] = {}


def fit(
    settings: Settings, run: Path, *, resume: bool = False, reporter: Reporter | None = None
) -> Evaluation:
    """Train as settings say in a folder, and give the evaluation."""
    callbacks = [reporter] if reporter is not None else []
    outcome = train(settings, RunFolder(run), resume=resume, callbacks=callbacks)
    assert outcome is not None
    return outcome.evaluation


@pytest.fixture(autouse=True, scope="module")
def prepared_once() -> Iterator[None]:
    """Scale the digits and look for equal ones once in a process: of a small training that is most."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_inputs, "find_duplicates", _compare)
        patch.setattr(Frame, "stack", _scale)
        yield


def _compare(images: Tensor, *, near: bool = True) -> Duplicates:
    key = near, _digest(images.contiguous().numpy())
    if key not in _compared:
        _compared[key] = find_duplicates(images, near=near)
    return _compared[key]


def _scale(frame: Frame, pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    key = frame, _digest(pictures)
    if key not in _stacked:
        found = _stack(frame, pictures)
        if found.nbytes > _LARGE:
            return found
        _stacked[key] = found
    return _stacked[key].copy()


def _digest(pixels: NDArray[np.uint8]) -> tuple[Any, ...]:
    return pixels.shape, pixels.dtype.str, blake2b(np.ascontiguousarray(pixels).data).digest()
