"""Which learning rates a run could have: `find_rate` with a run's own network, pictures and optimizer."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from cnnatomy.train.assembly import assemble
from cnnatomy.train.batch_sources import single_values_explained
from cnnatomy.train.distributed import join
from cnnatomy.train.engine import check, torch_settings
from cnnatomy.train.finder import RateCurve, find_rate
from cnnatomy.train.finetune import groups
from cnnatomy.train.optimizers import make_optimizer
from cnnatomy.train.reporter import Reporter
from cnnatomy.train.settings import Settings
from cnnatomy.train.trainer import Trainer

STEPS = 100


def measured_rates(settings: Settings, reporter: Reporter) -> RateCurve:
    """Look at the data, settle what is left open, and try learning rates on the network's first weights.

    Raises:
        ArgumentError: a setting can mean nothing, or no rate could be told from another.
        DataError: the pictures cannot be read.
    """
    check(settings)
    with join(settings.run.device) as world, torch_settings(settings.run.threads, world.device):
        plain = replace(settings, run=replace(settings.run, compile=False))
        return _tried(assemble(plain, world, reporter)[0])


def _tried(trainer: Trainer) -> RateCurve:
    recipe, model, feed = trainer.recipe, trainer.model, trainer.feed

    def batches(step: int) -> tuple[Tensor, Tensor]:
        batch = feed.batch(*divmod(step, feed.batches))
        shown = model.preprocess(batch.images)
        return shown, shown if model.goal != "classify" else batch.labels

    def optimizer(copied: nn.Module) -> torch.optim.Optimizer:
        parts = groups(copied, recipe.lr or 1.0, recipe.lr_decay)
        decay, momentum = recipe.weight_decay, recipe.momentum
        return make_optimizer(recipe.optimizer or "adamw", parts, weight_decay=decay, momentum=momentum)

    with single_values_explained(recipe.batch_size or 1):
        return find_rate(model, batches, model.loss, optimizer, steps=STEPS, clip=recipe.clip)
