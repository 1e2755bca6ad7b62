"""The state of a run, and one step of it. All that is random is a function of the seed and the step."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from cnnatomy.data import Pictures
from cnnatomy.errors import ArgumentError, CnnatomyError
from cnnatomy.files.transfer_progress import Progress, silent
from cnnatomy.models.classifier import Classifier
from cnnatomy.train.batch_sources import Batch, Feed, parts_of, single_values_explained
from cnnatomy.train.budget import Budget
from cnnatomy.train.distributed import World
from cnnatomy.train.finetune import groups
from cnnatomy.train.mixing import mix, targets
from cnnatomy.train.optimizer_names import OPTIMIZERS
from cnnatomy.train.optimizers import load_state_tensors, make_optimizer, state_tensors
from cnnatomy.train.picture_order import derive
from cnnatomy.train.recipe import Recipe, seconds
from cnnatomy.train.reconstruction import measured
from cnnatomy.train.reporter import Epoch, Tick
from cnnatomy.train.schedules import rate
from cnnatomy.train.settings import RunSettings
from cnnatomy.train.stopping import is_over
from cnnatomy.train.weight_averages import Average


class Diverged(CnnatomyError):
    """The loss or its gradient is no longer a finite number."""


class Watched(NamedTuple):
    """The pictures that are measured after every epoch. Only those for validation choose anything."""

    validation: Pictures | None
    test: Pictures | None


class Trainer:
    """A model in training: makes steps, ends epochs, gives and takes all that a checkpoint holds.

    Args:
        recipe: with every value settled that the data decides (`train.choices`).
        run: how to compute.
        model: on the device of the world.
        feed: where the batches come from.
        watched: what to measure after every epoch.
        world: the processes that train together.
    """

    def __init__(
        self, recipe: Recipe, run: RunSettings, model: Classifier, feed: Feed, watched: Watched, world: World
    ) -> None:
        assert recipe.optimizer is not None, "settle the recipe first"
        assert recipe.lr is not None
        self.recipe, self.feed, self.watched, self.world, self.model = recipe, feed, watched, world, model
        self.run, self.compiled = run, run.compile
        model.smoothing = recipe.smoothing or 0.0
        self.average = Average(model, recipe.ema) if recipe.ema else None
        self.network: Any = world.wrap(torch.compile(model) if run.compile else model)  # type: ignore[arg-type]
        self.optimizer = make_optimizer(
            recipe.optimizer,
            groups(model, recipe.lr, recipe.lr_decay) if recipe.lr_decay < 1 else _one_group(model),
            lr=recipe.lr,
            weight_decay=recipe.weight_decay,
            momentum=recipe.momentum,
        )
        self.precision = getattr(torch, run.precision or "float32")
        self.scaler = torch.amp.GradScaler(world.device.type, enabled=self.precision == torch.float16)
        self.budget = budget_of(recipe, feed.batches)
        self.step = 0
        self.sums = torch.zeros(4, device=world.device)  # of this epoch: loss, hits, pictures, gradient norms
        self.history: list[Epoch] = []
        self.seconds = self.epoch_seconds = 0.0

    @property
    def place(self) -> tuple[int, int]:
        """The epoch that the next step belongs to and its number there, both from 0."""
        return divmod(self.step, self.feed.batches)

    @property
    def steps(self) -> int | None:
        """Of the whole run; None where it goes by time."""
        return None if self.budget.timed else int(self.budget.total)

    @property
    def used(self) -> float:
        """How much of the budget has been used: steps, or seconds as the first process counts them."""
        return self.world.agree(self.seconds) if self.budget.timed else self.step

    @property
    def ended(self) -> bool:
        """Whether the budget or the patience has run out."""
        if self.recipe.patience is not None and self.history and self.place[1] == 0:
            figures = [e.validation_accuracy for e in self.history if e.validation_accuracy is not None]
            if is_over(figures, self.recipe.patience):
                return True
        return self.budget.ended(self.used)

    def advance(self) -> None:
        """Make one step."""
        began, (epoch, number) = time.perf_counter(), self.place
        batch = self.feed.batch(epoch, number)
        self.world.seed(derive(self.recipe.seed, "step", self.step, self.world.rank))  # dropout and its kin
        share = self.rate_now()
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * share
        self.optimizer.zero_grad()
        loss, hits = self._backward(batch)
        self.scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.average is not None:
            self.average.update()
        if self.scaler.is_enabled():  # a step that overflowed was left out, with a smaller scale for the next
            norm = norm.nan_to_num(0.0, 0.0, 0.0)
        count = batch.counted
        hits = hits if count else torch.zeros_like(loss)
        self.sums += torch.stack([loss * count, hits.float(), torch.full_like(loss, count), norm.float()])
        self.step += 1
        self._spend(time.perf_counter() - began)

    def _backward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Add up the gradients of a batch, in parts if the recipe says so; give its mean loss and hits."""
        images, target = batch.images, self._target(batch)
        whole = len(images)
        loss = hits = torch.zeros((), device=images.device)
        for part in parts_of(whole, self.recipe.accumulate):
            with (
                self._alone(part.stop < whole),
                single_values_explained(part.stop - part.start),
                torch.autocast(images.device.type, self.precision, enabled=self.precision != torch.float32),
            ):
                shown = self.model.preprocess(images[part])
                scores = self.network(shown)
                wanted = shown if target is None else target[part]
                mean = self.model.loss(scores.float(), wanted)
                share = len(shown) / whole
            torch.autograd.backward(self.scaler.scale(mean * (share * batch.weight)))
            right = shown if target is None else batch.labels[part]
            loss = loss + mean.detach() * share
            hits = hits + self.model.hits(scores.detach().float(), right)
        return loss, hits

    def _target(self, batch: Batch) -> Tensor | None:
        """Labels, mixed targets after mixing the pictures in place, or None: the pictures themselves."""
        if self.model.goal != "classify":
            return None
        if not (self.recipe.mixup or self.recipe.cutmix):
            return batch.labels
        images, target = mix(
            batch.images,
            targets(batch.labels, len(self.model.classes)),
            mixup=self.recipe.mixup,
            cutmix=self.recipe.cutmix,
            seed=self.recipe.seed,
            step=self.step,
            rank=self.world.rank,
        )
        batch.images.copy_(images)
        return target

    def _alone(self, more: bool) -> AbstractContextManager[Any]:
        """Where several processes add up parts, they exchange gradients after the last."""
        held: AbstractContextManager[Any] = nullcontext()
        return self.network.no_sync() if more and self.world.size > 1 else held

    def rate_now(self) -> float:
        """The learning rate of the next step as a share of the peak."""
        used = self.used + (not self.budget.timed)
        return rate(self.recipe.schedule, self.budget.share(used), warmup=self.recipe.warmup)

    def tick(self) -> Tick:
        """Say where the run stands.

        Raises:
            Diverged: a loss or a gradient of this epoch was not finite.
        """
        self.demand_finite(self.sums)
        loss, hits, count, _ = self.sums.tolist()
        epoch, number = self.place
        speed = number * self.feed.pictures / self.feed.batches / self.epoch_seconds
        done = 1 - self.budget.left(self.used)
        left = self.budget.total - self.used
        left = left if self.budget.timed else left * self.epoch_seconds / number
        return Tick(self.step, epoch + 1, loss / count, hits / count, speed, max(0.0, left), done)

    def end_epoch(self, progress: Progress = silent) -> Epoch:
        """Close the epoch whose last step was just made, and look at the pictures that are watched."""
        totals = self.world.total(self.sums.clone())
        self.demand_finite(totals)
        loss, hits, count, _ = totals.tolist()
        speed, began = count / self.epoch_seconds, time.perf_counter()
        with self.result() as model:
            validation, test = (
                measured(model, part, progress) if part else (None, None) for part in self.watched
            )
        self._spend(time.perf_counter() - began)
        lr = max(group["lr"] for group in self.optimizer.param_groups)
        epoch = math.ceil(self.step / self.feed.batches)
        figures = (loss / count, hits / count, *validation, *test, speed, self.seconds)
        self.history.append(Epoch(epoch, self.step, lr, *figures))
        self.sums.zero_()
        self.epoch_seconds = 0.0
        return self.history[-1]

    @contextmanager
    def result(self) -> Iterator[Classifier]:
        """The model as it is judged and kept: with averaged weights for as long, if the recipe has them."""
        with self.average.applied() if self.average is not None else nullcontext():
            yield self.model

    @property
    def best(self) -> bool:
        """Whether the epoch just ended is the best so far: by validation accuracy, or else by its loss."""
        scores = [-e.loss if e.validation_accuracy is None else e.validation_accuracy for e in self.history]
        return scores[-1] > max(scores[:-1], default=-math.inf)

    def demand_finite(self, sums: Tensor) -> None:
        """Raise Diverged unless every sum is a finite number."""
        if not sums.isfinite().all():
            what = f"training diverged before step {self.step}"
            usual = OPTIMIZERS[self.recipe.optimizer or ""].lr
            lower = min((self.recipe.lr or usual) / 10, usual)
            hint = f"a lower lr than {self.recipe.lr:g}, such as {lower:g}, or --find-lr"
            raise Diverged(what, expected="a finite loss and gradient", got="nan or inf", hint=hint)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Give everything that resuming needs; all processes must ask together.

        Raises:
            Diverged: a loss, a gradient or a weight is not finite, so the weights are not worth keeping.
        """
        sums = self.world.total(self.sums.clone())
        weights = [t for t in self.model.state_dict().values() if t.is_floating_point()]
        self.demand_finite(torch.cat([sums, torch.stack([t.sum().to(sums) for t in weights])]))
        tensors = {f"model/{name}": tensor for name, tensor in self.model.state_dict().items()}
        tensors |= state_tensors(self.optimizer, self.model.named_parameters())
        if self.average is not None:
            tensors |= self.average.state()
        facts = {
            "step": self.step,
            "seconds": self.seconds,
            "epoch_seconds": self.epoch_seconds,
            "history": [asdict(epoch) for epoch in self.history],
            "model": self.model.facts(),
            "scaler": self.scaler.state_dict(),
        }
        return tensors | {"sums": sums}, facts

    def restore(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Take back what `state` gave; the next step is then the one that would have followed."""
        prefix = "model/"
        weights = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
        self.model.load_state_dict(weights)
        self.model.recall(facts.get("model", {}))
        if self.average is not None:
            self.average.restore(tensors)
        own = {name: tensor for name, tensor in tensors.items() if name.startswith("optimizer")}
        load_state_tensors(self.optimizer, self.model.named_parameters(), own)
        self.step, self.seconds, self.epoch_seconds = facts["step"], facts["seconds"], facts["epoch_seconds"]
        self.history = [Epoch(**row) for row in facts["history"]]
        if self.scaler.is_enabled():
            self.scaler.load_state_dict(facts["scaler"])
        if self.world.first:  # the sums were totals: they must be counted once
            self.sums.copy_(tensors["sums"])

    def _spend(self, seconds: float) -> None:
        self.seconds += seconds
        self.epoch_seconds += seconds


def budget_of(recipe: Recipe, batches: int) -> Budget:
    """How long a recipe is where an epoch has so many batches.

    Example:
        >>> budget_of(Recipe(epochs=3), 100).total, budget_of(Recipe(time="10m"), 100).total
        (300, 600.0)
    """
    if recipe.time is not None:
        return Budget(seconds(recipe.time), True, tuple(recipe.restarts))
    assert recipe.epochs is not None, "settle the recipe first"
    return Budget(recipe.epochs * batches, False, tuple(mark * batches for mark in recipe.restarts))


def _one_group(model: nn.Module) -> list[dict[str, Any]]:
    """All that learns in one group: a fused optimizer steps it at once."""
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not learning:
        raise ArgumentError("nothing is left to train", hint="freezing less")
    return [{"params": learning}]
