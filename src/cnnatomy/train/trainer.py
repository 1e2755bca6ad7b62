"""The state of a run, and one step of it. All that is random is a function of the seed and the step."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import torch
from torch import Tensor, nn

from cnnatomy.data import Dataset, Pictures
from cnnatomy.data.augment import recipe
from cnnatomy.errors import ArgumentError, CnnatomyError
from cnnatomy.models import build
from cnnatomy.models.classifier import Classifier
from cnnatomy.train.config import FitConfig
from cnnatomy.train.finetune import freeze, groups
from cnnatomy.train.order import derive, hold_out, permutation, share
from cnnatomy.train.reconstruction import measured
from cnnatomy.train.reporter import Epoch, Tick
from cnnatomy.train.schedule import one_cycle
from cnnatomy.train.world import World


class Diverged(CnnatomyError):
    """The loss or its gradient is no longer a finite number."""


class Trainer:
    """A model in training: makes steps, ends epochs, gives and takes all that a checkpoint holds.

    Args:
        config: with every automatic value settled (`FitConfig.resolved`).
        data: what to train on, and what to watch.
        world: the processes that train together.
    """

    def __init__(self, config: FitConfig, data: Dataset, world: World) -> None:
        assert config.batch_size is not None, "settle the configuration first"
        assert config.epochs is not None
        self.config, self.world, self.test, self.train = config, world, data.test, data.train
        self.kept, held = hold_out(len(data.train), config.validation, config.seed)
        self.validation = _take(data.train, held)
        self.vary = recipe(config.augment or "none")
        torch.manual_seed(derive(config.seed, "weights"))
        shape = tuple(data.train.images.shape[1:])
        self.model = build(
            config.model, classes=data.classes, output=config.output, input=shape, pool=config.pool
        ).to(world.device)
        if self.model.goal == "map":
            raise _neither(self.model)
        self.model.adapt(data.train.images[self.kept])
        self.model.smoothing = config.smoothing
        if config.freeze is not None:
            freeze(self.model, config.freeze)
        self.network = world.wrap(self.model)
        self.peak, self.batch = config.lr or 0.0, config.batch_size
        parts = groups(self.model, self.peak, config.lr_decay)
        self.optimizer = torch.optim.AdamW(
            [part | {"peak": part["lr"]} for part in parts], weight_decay=config.weight_decay, fused=True
        )
        self.batches = math.ceil(len(self.kept) / self.batch)
        self.steps = self.batches * config.epochs
        self.step = 0
        self.sums = torch.zeros(4, device=world.device)  # of this epoch: loss, hits, pictures, gradient norms
        self.history: list[Epoch] = []
        self.seconds = self.epoch_seconds = 0.0
        self._order = permutation(config.seed, 0, len(self.kept))

    @property
    def place(self) -> tuple[int, int]:
        """The epoch that the next step belongs to and its number there, both from 0."""
        return divmod(self.step, self.batches)

    def advance(self) -> None:
        """Make one step."""
        began, (epoch, number) = time.perf_counter(), self.place
        if number == 0:
            self._order = permutation(self.config.seed, epoch, len(self.kept))
        batch = self.kept[self._order[number * self.batch : (number + 1) * self.batch]]
        mine, weight = share(batch, self.world.rank, self.world.size)
        torch.manual_seed(
            derive(self.config.seed, "step", self.step, self.world.rank)
        )  # for dropout and its kin
        images = self._images(mine, epoch)
        labels = self.train.labels[mine].to(self.world.device)
        for group in self.optimizer.param_groups:
            group["lr"] = one_cycle(self.step, self.steps, group["peak"])
        self.optimizer.zero_grad()
        scores = self.network(images)
        target = labels if self.model.goal == "classify" else images
        loss = self.model.loss(scores, target)
        torch.autograd.backward(loss * weight)
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
        self.optimizer.step()
        count = len(mine) if weight else 0
        hits = self.model.hits(scores.detach(), target) if weight else 0 * norm
        self.sums += torch.stack([loss.detach() * count, hits, torch.full_like(norm, count), norm])
        self.step += 1
        self._spend(time.perf_counter() - began)

    def tick(self) -> Tick:
        """Say where the run stands.

        Raises:
            Diverged: a loss or a gradient of this epoch was not finite.
        """
        self.demand_finite(self.sums)
        loss, hits, count, _ = self.sums.tolist()
        number = self.place[1]
        speed = number * self.batch / self.epoch_seconds
        left = (self.steps - self.step) * self.epoch_seconds / number
        return Tick(self.step, self.place[0] + 1, loss / count, hits / count, speed, left)

    def end_epoch(self) -> Epoch:
        """Close the epoch whose last step was just made, and look at the validation and test pictures."""
        totals = self.world.total(self.sums.clone())
        self.demand_finite(totals)
        loss, hits, count, _ = totals.tolist()
        speed, began = len(self.kept) / self.epoch_seconds, time.perf_counter()
        validation = measured(self.model, self.validation)[1] if len(self.validation) else None
        test_loss, test_accuracy = measured(self.model, self.test)
        self._spend(time.perf_counter() - began)
        lr = one_cycle(self.step - 1, self.steps, self.peak)
        figures = (loss / count, hits / count, validation, test_loss, test_accuracy, speed, self.seconds)
        self.history.append(Epoch(self.place[0], self.step, lr, *figures))
        self.sums.zero_()
        self.epoch_seconds = 0.0
        return self.history[-1]

    @property
    def best(self) -> bool:
        """Whether the epoch just ended is the best so far: by validation accuracy, or else by its loss."""
        watched = [epoch.validation_accuracy for epoch in self.history]
        scores = [-e.loss if v is None else v for e, v in zip(self.history, watched, strict=True)]
        return scores[-1] > max(scores[:-1], default=-math.inf)

    def demand_finite(self, sums: Tensor) -> None:
        """Raise Diverged unless every sum is a finite number."""
        if not sums.isfinite().all():
            what = f"training diverged before step {self.step}"
            hint = f"a lower lr than {self.peak:g}, such as {self.peak / 10:g}"
            raise Diverged(what, expected="a finite loss and gradient", got="nan or inf", hint=hint)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Give everything that resuming needs; all processes must ask together.

        Raises:
            Diverged: a loss or a gradient of this epoch was not finite, so the weights are not worth keeping.
        """
        sums = self.world.total(self.sums.clone())
        self.demand_finite(sums)
        tensors = {f"model/{name}": tensor for name, tensor in self.model.state_dict().items()}
        for name, parameter in self.model.named_parameters():
            for key, tensor in self.optimizer.state[parameter].items():
                tensors[f"optimizer/{key}/{name}"] = tensor
        facts = {
            "step": self.step,
            "seconds": self.seconds,
            "epoch_seconds": self.epoch_seconds,
            "history": [asdict(epoch) for epoch in self.history],
            "model": self.model.facts(),
        }
        return tensors | {"sums": sums}, facts

    def restore(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Take back what `state` gave; the next step is then the one that would have followed."""
        prefix = "model/"
        self.model.load_state_dict(
            {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
        )
        self.model.recall(facts.get("model", {}))
        for name, parameter in self.model.named_parameters():
            keys = [key for key in ("step", "exp_avg", "exp_avg_sq") if f"optimizer/{key}/{name}" in tensors]
            self.optimizer.state[parameter] = {
                key: _like(parameter, tensors[f"optimizer/{key}/{name}"]) for key in keys
            }
        self.step, self.seconds, self.epoch_seconds = facts["step"], facts["seconds"], facts["epoch_seconds"]
        self.history = [Epoch(**row) for row in facts["history"]]
        if self.world.first:  # the sums were totals: they must be counted once
            self.sums.copy_(tensors["sums"])
        self._order = permutation(self.config.seed, self.place[0], len(self.kept))

    def _images(self, indices: Tensor, epoch: int) -> Tensor:
        images = self.train.images[indices].to(self.world.device).float()
        images = self.vary(images, indices, seed=self.config.seed, epoch=epoch)
        return self.model.preprocess(images)

    def _spend(self, seconds: float) -> None:
        self.seconds += seconds
        self.epoch_seconds += seconds


def _neither(model: Classifier) -> ArgumentError:
    """What is said of a network whose output there is nothing to hold against."""
    got = "maps of " + "x".join(map(str, getattr(model, "shape", ())))
    expected = f"scores of classes, or pictures of {'x'.join(map(str, model.input_shape))}"
    hint = "globalavg FC at its end for classes, conv3-channels for pictures"
    return ArgumentError("this network gives nothing to train on", expected=expected, got=got, hint=hint)


def _take(pictures: Pictures, indices: Tensor) -> Pictures:
    names = [pictures.names[i] for i in indices.tolist()]
    return replace(pictures, images=pictures.images[indices], labels=pictures.labels[indices], names=names)


def _like(parameter: Tensor, saved: Tensor) -> Tensor:
    """Copy a saved tensor into the parameter's layout, which fused optimizers rely on."""
    if saved.shape != parameter.shape:
        return saved.to(parameter.device)
    return torch.empty_like(parameter, requires_grad=False).copy_(saved)
