"""Whether so many runs fit into this machine's memory at once, before any of them begins."""

from __future__ import annotations

from collections.abc import Sequence

from cnnatomy.anatomy.present.number_text import stored
from cnnatomy.errors import ArgumentError
from cnnatomy.files.machine import own_memory
from cnnatomy.studies.arms import Arm
from cnnatomy.train.assembly import assemble
from cnnatomy.train.distributed import join
from cnnatomy.train.footprint import footprint, free
from cnnatomy.train.reporter import Silent
from cnnatomy.train.settings import Settings


def demand_room(left: Sequence[tuple[Arm, int]], jobs: int) -> None:
    """Raise an ArgumentError if the hungriest runs do not fit into the free memory side by side.

    A job is counted as what this process holds, which has read the same pictures, and what its network takes
    to train (`train.footprint`).
    """
    room = free()
    if room is None:
        return
    seeds = dict(left)
    takes = {arm: training_memory(arm.seeded(seed)) for arm, seed in seeds.items()}
    base = own_memory() or 0
    hungriest = sorted((takes[arm] + base for arm, _ in left), reverse=True)[:jobs]
    if sum(hungriest) > room:
        fitting = max(n for n in range(len(hungriest)) if sum(hungriest[:n]) <= room)
        what = f"{jobs} runs at once take about {stored(sum(hungriest))} of memory"
        hint = f"--jobs {fitting}" if fitting else "a smaller batch size, or a smaller network"
        raise ArgumentError(what, expected=f"at most the {stored(room)} that are free", hint=hint)


def training_memory(settings: Settings) -> int:
    """Bytes that training takes: weights, gradients, optimizer, a batch on its way; 0 where nothing tells."""
    with join(settings.run.device) as world:
        trainer, material = assemble(settings, world, Silent())
    recipe, model = material.settings.recipe, trainer.model
    how = {"batch": recipe.batch_size or 1, "optimizer": recipe.optimizer or "momentum"}
    try:
        return footprint(model, model.input_shape, **how).total  # type: ignore[arg-type]
    except ArgumentError:  # code of the user's own whose pass cannot be recorded
        return 0
