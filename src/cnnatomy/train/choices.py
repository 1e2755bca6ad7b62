"""What is settled from the data: the network, its input, the changes to pictures, the training, and why.

Each function settles one part and says so in one `Choice`; what was said by the user stays. The figures
behind the rules are in docs/training.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from cnnatomy.errors import ArgumentError
from cnnatomy.files.printable import counted
from cnnatomy.models.families import DEEP_SIDE, are_many, picture_network
from cnnatomy.models.model_catalog import are_digits, find
from cnnatomy.models.model_settings import NetworkSettings
from cnnatomy.train.optimizer_names import OPTIMIZERS
from cnnatomy.train.recipe import Recipe
from cnnatomy.train.reporter import Choice

Size = tuple[int, int]

SMALL = 10_000
"""Fewer training pictures than this are a small set: small batches, and changes to the pictures."""
LENGTH, MUON_LENGTH, MANY_LENGTH = (20, 1_500), (16, 400), (7, 400)
"""Passes over a large set, and steps of a small one at least; muon needs fewer, least of many pictures."""
LENET_LR, FINETUNE_LR = 5e-3, 5e-4
SMOOTHING, MANY_SMOOTHING = 0.1, 0.2
MANY_WARMUP = 0.05
"""Share of the training in which the rate rises where there are many pictures."""
SIDES = (32, 48, 64)
"""Input sides for small pictures: the smallest that holds half of them."""
PHOTO_SIDE = {"cpu": 112, "gpu": 224}
"""Input side for larger pictures: the root of the input's area."""
CELLS = 16
"""Sides of larger inputs are multiples of this: the network's scale."""
SYMMETRIC = 0.6
"""Up to this share, mirrored pictures look like the others (`data.survey.mirror`: digits have 0.92, the
photographs of CIFAR-10 0.51), and with two standard errors more where there are few."""


@dataclass(frozen=True)
class Seen:
    """What the choices need to know of the pictures."""

    classes: Sequence[str]
    pictures: int
    """To train on."""
    channels: int
    mirrored: float
    """0.5: mirrored pictures look like the others; 1: left and right are never exchanged."""
    gpu: bool
    """Whether a GPU computes."""
    family: bool
    """Whether the network is left to us: it suits an optimizer that turns weights which norms follow."""
    seconds: float | None = None
    """How long the training may take, where that was said."""


def settle_input(
    network: NetworkSettings, sizes: Mapping[Size, int], gpu: bool
) -> tuple[NetworkSettings, Choice]:
    """Settle height and width from the sizes of the pictures, before they are decoded."""
    flags = ("--size",)
    _, height, width = network.shape()
    if network.size is not None:
        return network, Choice("input", f"{height}x{width}", "as asked", flags)
    if height is not None:
        return network, Choice("input", f"{height}x{width}", f"what {network.model} reads", flags)
    (height, width), why = _size_for(sizes, gpu)
    return replace(network, size=f"{height}x{width}"), Choice("input", f"{height}x{width}", why, flags)


def _size_for(sizes: Mapping[Size, int], gpu: bool) -> tuple[Size, str]:
    side = _median(sizes, max)
    small = next((one for one in SIDES if side <= one), None)
    if small is not None:
        return (small, small), f"the pictures are up to {side:.0f} cells a side"
    area = PHOTO_SIDE["gpu" if gpu else "cpu"] ** 2
    ratio = min(2.0, max(0.5, _median(sizes, lambda size: size[0] / size[1])))
    height = max(CELLS, CELLS * round(math.sqrt(area * ratio) / CELLS))
    width = max(CELLS, CELLS * round(height / ratio / CELLS))
    return (height, width), f"pictures of about {side:.0f} cells, in their own ratio" + (
        "" if gpu else ", as many as a CPU trains on in good time"
    )


def settle_network(network: NetworkSettings, seen: Seen) -> tuple[NetworkSettings, Choice]:
    """Settle the network, and the channels of its input."""
    flags = ("--model",)
    channels, height, width = network.shape()
    assert height is not None, "settle the input first"
    size = "x".join(map(str, (channels or seen.channels, height, width)))
    if network.model is not None:
        entry = find(network.model)
        said = entry.name if entry.notation else entry.summary
        return replace(network, size=size), Choice("network", said, "as asked", flags)
    if _digit_like(seen) and (height, width) == (32, 32):
        why = "small grey digits"
        return replace(network, model="lenet5", size=size), Choice("network", "lenet5", why, flags)
    text, said = picture_network((height, width or height), seen.pictures, gpu=seen.gpu, seconds=seen.seconds)
    kind = "larger pictures" if max(height, width or 0) > DEEP_SIDE else "small pictures"
    why = f"it learns most in a given time from {kind}"
    return replace(network, model=text, size=size), Choice("network", said, why, flags)


def settle_recipe(recipe: Recipe, network: NetworkSettings, seen: Seen) -> tuple[Recipe, list[Choice]]:
    """Settle the changes to pictures, and the training.

    Raises:
        ArgumentError: there is no picture to train on.
    """
    if seen.pictures < 1:
        raise ArgumentError("no picture is left to train on", hint="a smaller validation or test_fraction")
    augment, why = _augmentation(recipe, network, seen)
    lenet, small = network.model == "lenet5", seen.pictures < SMALL
    name = recipe.optimizer or ("muon" if seen.family and not lenet else "adamw")
    _, height, width = network.shape()
    size = (height or 0, width or height or 0)
    many = name == "muon" and seen.family and are_many(size, seen.pictures)
    usual = OPTIMIZERS[name].lr
    if name == "adamw":
        usual = FINETUNE_LR if network.weights else LENET_LR if lenet else usual
    batch = min(recipe.batch_size or (128 if many else 32 if small and name != "muon" else 64), seen.pictures)
    decay = OPTIMIZERS[name].weight_decay if recipe.weight_decay is None else recipe.weight_decay
    smoothing = MANY_SMOOTHING if many else 0.0 if lenet else SMOOTHING
    brief = many and recipe.schedule == "one-cycle" and recipe.warmup is None
    epochs = recipe.epochs
    if epochs is None and recipe.time is None:
        passes, steps = MANY_LENGTH if many else MUON_LENGTH if name == "muon" else LENGTH
        epochs = max(passes, math.ceil(steps / math.ceil(seen.pictures / batch)))
    settled = replace(
        recipe,
        augment=augment,
        batch_size=batch,
        epochs=epochs,
        optimizer=name,
        lr=recipe.lr or usual,
        weight_decay=decay,
        warmup=MANY_WARMUP if brief else recipe.warmup,
        smoothing=smoothing if recipe.smoothing is None else recipe.smoothing,
    )
    return settled, [Choice("changes", augment, why, ("--augment",)), _training(settled)]


def _augmentation(recipe: Recipe, network: NetworkSettings, seen: Seen) -> tuple[str, str]:
    if recipe.augment is not None:
        return recipe.augment, "as asked"
    if network.model == "lenet5" or _single_letters(seen.classes):
        if seen.pictures >= SMALL:
            return "none", f"{counted(seen.pictures, 'picture')} show enough"
        return "distortions", "letters and digits lean, and must not be mirrored"
    if seen.mirrored > SYMMETRIC + 1 / math.sqrt(seen.pictures):
        return (
            "shift(0.1)+reflect",
            f"left and right differ: {seen.mirrored:.0%} can be told from their mirror image",
        )
    return "photo", "mirrored pictures look like the others"


def _training(recipe: Recipe) -> Choice:
    length = f"for {recipe.time}" if recipe.time else counted(recipe.epochs or 0, "epoch")
    parts = [
        f"{recipe.optimizer} at {recipe.lr:g}, {recipe.schedule}, {length} in batches of {recipe.batch_size}",
        f"smoothing {recipe.smoothing:g}" if recipe.smoothing else "",
    ]
    flags = ("--optimizer", "--lr", "--epochs", "--batch-size")
    return Choice("training", ", ".join(filter(None, parts)), "", flags)


def _digit_like(seen: Seen) -> bool:
    return seen.channels == 1 and are_digits(seen.classes)


def _single_letters(classes: Sequence[str]) -> bool:
    return all(len(name) == 1 for name in classes)


def _median(counts: Mapping[Size, int], of: Callable[[Size], float]) -> float:
    """The median of a figure of sizes that came so many times each."""
    half, passed = sum(counts.values()) / 2, 0
    values = sorted((of(size), count) for size, count in counts.items())
    for value, count in values:
        passed += count
        if passed >= half:
            return value
    return values[-1][0]
