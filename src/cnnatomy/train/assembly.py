"""From settings to a trainer before its first step: pictures, network, and where its batches come from."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from cnnatomy.errors import ArgumentError
from cnnatomy.models import adopt, build
from cnnatomy.models.classifier import Classifier
from cnnatomy.models.weights import load_into
from cnnatomy.train.batch_sources import LoaderFeed, PictureFeed
from cnnatomy.train.distributed import World
from cnnatomy.train.finetune import freeze
from cnnatomy.train.mixing import class_weights
from cnnatomy.train.picture_order import derive
from cnnatomy.train.recipe import Recipe
from cnnatomy.train.reporter import Reporter
from cnnatomy.train.run_inputs import Given, Material, prepare
from cnnatomy.train.settings import Settings
from cnnatomy.train.trainer import Trainer, Watched


def assemble(
    settings: Settings,
    world: World,
    reporter: Reporter,
    *,
    given: Given | None = None,
    module: nn.Module | None = None,
    fresh: bool = True,
) -> tuple[Trainer, Material]:
    """Make a trainer, and give what it works with.

    Args:
        settings: what is None is settled from the pictures.
        world: the processes that train together.
        told: who hears of the reading.
        given: pictures in memory, in place of the settings' source.
        module: a network, in place of the settings' own.
        fresh: load the weights to begin with; a resumed run has its own.

    Raises:
        ArgumentError: what was asked for does not fit together, or not the pictures.
        DataError: the pictures cannot be read.
    """
    material = prepare(settings, world, reporter, given)
    material = replace(material, settings=_settle_run(material.settings, world))
    return _trainer(material, world, module, fresh=fresh)


def _settle_run(settings: Settings, world: World) -> Settings:
    """Mixed precision where a GPU has bfloat16; plain float32 elsewhere, where it is faster."""
    if settings.run.precision is not None:
        return settings
    mixed = world.device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return replace(settings, run=replace(settings.run, precision="bfloat16" if mixed else "float32"))


def _trainer(
    material: Material, world: World, module: nn.Module | None, *, fresh: bool
) -> tuple[Trainer, Material]:
    """The network with its weights, where its batches come from, and the trainer."""
    settings, data, kept = material.settings, material.data, material.division.kept
    recipe, notes = settings.recipe, list(material.notes)
    torch.manual_seed(derive(recipe.seed, "weights"))
    model = _model(material, module)
    if model.goal == "map":
        raise _neither(model)
    notes += getattr(model, "notes", ())
    if module is None or data.train.images.dtype == torch.uint8:  # else they are as the module wants them
        model.adapt(data.train.images[kept])
    if fresh and settings.network.weights is not None:
        report = load_into(model, settings.network.weights, settings.network.model or "")
        notes.append(f"weights {report.line()}")
    if settings.network.freeze is not None:
        freeze(model, settings.network.freeze)
    model.to(world.device)
    _demand_cross_entropy(recipe, model)
    if recipe.class_weights:
        counts = data.train.labels[kept].bincount(minlength=len(data.classes))
        model.class_weights = class_weights(counts).to(world.device)
    if material.loader is not None:
        feed: LoaderFeed | PictureFeed = LoaderFeed(material.loader, world)
    else:
        augment, size = recipe.augment or "none", recipe.batch_size or 1
        feed = PictureFeed(data.train, kept, size, augment, recipe.balanced, recipe.seed, world)
    watched = Watched(material.division.validation, data.test if settings.run.watch_test else None)
    return Trainer(recipe, settings.run, model, feed, watched, world), replace(material, notes=notes)


def _model(material: Material, module: nn.Module | None) -> Classifier:
    network, data = material.settings.network, material.data
    shape = tuple(data.train.images.shape[1:])
    if module is None:
        assert network.model is not None, "settle the network first"
        options = {"output": network.output, "input_size": shape, "pool": network.pool}
        return build(network.model, classes=data.classes, **options)  # type: ignore[arg-type]
    return adopt(module, classes=data.classes, input_size=shape)


def _demand_cross_entropy(recipe: Recipe, model: Classifier) -> None:
    """Shares of classes as targets, and weights of classes, have a meaning in the cross-entropy alone."""
    for name in ("mixup", "cutmix", "class_weights"):
        own = getattr(model, "has_own_loss", False)
        if getattr(recipe, name) and (own or model.output != "softmax"):
            got = "a loss of the network's own" if own else f"output {model.output}"
            hint = f"leaving out {name}" if own else f"output softmax, or leaving out {name}"
            raise ArgumentError(f"{name} needs the cross-entropy", got=got, hint=hint)


def _neither(model: Classifier) -> ArgumentError:
    """What is said of a network whose output there is nothing to hold against."""
    got = "maps of " + "x".join(map(str, getattr(model, "shape", ())))
    expected = f"scores of classes, or pictures of {'x'.join(map(str, model.input_shape))}"
    hint = "globalavg FC at its end for classes, conv3-channels for pictures"
    return ArgumentError("this network gives nothing to train on", expected=expected, got=got, hint=hint)
