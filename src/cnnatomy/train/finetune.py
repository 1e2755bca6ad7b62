"""Fine-tuning any network: freezing, a learning rate for each depth, a new head.

A network's *stages* are its blocks, as registered, from one change of resolution to the next: VGG-16 has
five and a classifier, ResNet-50 a stem, four stages and a classifier.
"""

from __future__ import annotations

import fnmatch
import math
import re
from collections.abc import Iterator
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from cnnatomy import checks
from cnnatomy.checks import whole_number
from cnnatomy.errors import ArgumentError
from cnnatomy.models.notated import Network
from cnnatomy.models.weights.head import fresh_head
from cnnatomy.nn import Conv1d, Conv2d, Conv3d
from cnnatomy.notation.vocabulary import LARGEST

CHAINS = (nn.Sequential, nn.ModuleList)
"""Containers whose members come one after another."""
_OURS = (Conv1d, Conv2d, Conv3d)
"""Convolutions with more rules and modes of padding than torch's."""


def stages(model: nn.Module) -> list[list[str]]:
    """Group the network's blocks that have parameters by depth: for each stage the paths of its blocks.

    Chains (`Sequential`, `ModuleList`) are opened, and so is a part beside others that holds more than half
    of all parameters; other parts are blocks. A stage begins with the block that has a stride or a scale,
    after a pooling or resizing without parameters, and with the first dense layer after other layers.

    Example:
        >>> stages(nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 8, 3),
        ...                      nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10)))
        [['0'], ['3'], ['6']]
    """
    half = sum(p.numel() for p in checks.module(model).parameters()) / 2
    found: list[list[str]] = []
    fresh, dense = True, False
    for path, block in _blocks(model, "", half):
        resizes = any(map(_resizes, block.modules()))
        if next(block.parameters(), None) is None:
            fresh |= resizes or _is_grid(block)
            continue
        is_dense = isinstance(block, nn.Linear)
        if fresh or resizes or (is_dense and not dense):
            found.append([])
        found[-1].append(path)
        fresh, dense = False, is_dense
    return found


def freeze(model: nn.Module, what: str | int) -> list[str]:
    """Keep part of a network as it is: its parameters get no gradients, its batch norms no new statistics.

    Batch norms all of whose parameters are frozen normalise by the statistics that they have, whatever
    `train()` says.

    Args:
        what: the first so many `stages` (-1: all but the last), or a pattern of parameters' names
            such as `"features.*"`; several go with commas between them.

    Returns:
        The names of the parameters that are now frozen.

    Raises:
        ArgumentError: the pattern is no parameter's name, or there are no so many stages.

    Example:
        >>> network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8, 10))
        >>> freeze(network, 1)
        ['0.weight', '0.bias', '1.weight', '1.bias']
        >>> [name for name, p in network.named_parameters() if p.requires_grad]
        ['3.weight', '3.bias']
    """
    chosen = _chosen(model, what)
    for name, parameter in model.named_parameters():
        if name in chosen:
            parameter.requires_grad_(False)
    _settle_norms(model)
    return chosen


def unfreeze(model: nn.Module, what: str | int = "*") -> list[str]:
    """Let part of a network learn again, all of it if nothing is said; the arguments are those of `freeze`.

    For gradual unfreezing, call it with fewer stages left frozen each time, from the head backwards:
    `unfreeze(model)`, then `freeze(model, n)` with a smaller n. An optimizer goes on with parameters that it
    was given, so give it all of them at the start.

    Example:
        >>> network = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
        >>> _ = freeze(network, "*")
        >>> unfreeze(network, "2.*")
        ['2.weight', '2.bias']
    """
    chosen = _chosen(model, what)
    for name, parameter in model.named_parameters():
        if name in chosen:
            parameter.requires_grad_(True)
    _settle_norms(model)
    return chosen


def groups(model: nn.Module, lr: float, decay: float = 1.0) -> list[dict[str, Any]]:
    """Group the parameters that learn by stage, with a rate for each: lr * decay^d, d stages before the last.

    Source: Howard and Ruder (2018), "Universal language model fine-tuning for text classification", section
    3.2, "discriminative fine-tuning", where the decay is 1 / 2.6.

    Args:
        lr: the last stage's, usually the head's.
        decay: what a stage's rate is of that of the stage after it, above 0 and at most 1.

    Returns:
        What optimizers take: for each stage that learns its `params`, its `lr` and its `name`.

    Raises:
        ArgumentError: a rate is out of range, or nothing learns.

    Example:
        >>> network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(8, 10))
        >>> [(group["name"], group["lr"]) for group in groups(network, lr=0.1, decay=0.5)]
        [('0', 0.05), ('2', 0.1)]
    """
    checks.real("lr", lr, "a number > 0", lambda n: 0 < n < math.inf)
    checks.real("lr_decay", decay, "a number above 0 and at most 1", lambda n: 0 < n <= 1)
    found = stages(model)
    place = {path: depth for depth, paths in enumerate(found) for path in paths}
    members: dict[int, list[nn.Parameter]] = {}
    depth = 0
    for name, parameter in model.named_parameters():
        # A parameter that lies in no block, such as a class token, goes with the block before it.
        depth = next((place[path] for path in _prefixes(name) if path in place), depth)
        if parameter.requires_grad:
            members.setdefault(depth, []).append(parameter)
    if not members:
        raise ArgumentError("nothing is left to train", hint="freezing less")
    last = max(0, len(found) - 1)
    return [
        {"params": members[d], "lr": lr * decay ** (last - d), "name": _stage_name(found[d] if found else [])}
        for d in sorted(members)
    ]


def replace_head(model: nn.Module, classes: int) -> nn.Module:
    """Put a fresh last layer for so many classes in the place of the old one, and return it.

    It is the same kind of layer, reads the same features and has the same dtype and device, and learns even
    where the old one was frozen.

    Raises:
        ArgumentError: there is no such layer, or these are no classes or too many.

    Example:
        >>> network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(8, 1000))
        >>> replace_head(network, 10)
        Linear(in_features=8, out_features=10, bias=True)
    """
    whole_number("classes", classes, least=1, most=LARGEST)
    path = fresh_head(checks.module(model), classes)
    if isinstance(model, Network) and model.goal == "classify":
        model.classes = tuple(map(str, range(classes)))
    if isinstance(model, Network):
        model.shape = (classes, *model.shape[1:])
    return model.get_submodule(path)


def _blocks(part: nn.Module, path: str, half: float) -> Iterator[tuple[str, nn.Module]]:
    """The blocks of a network in order: chains are opened, and what holds most of the parameters."""
    for name, child in part.named_children():
        where = f"{path}.{name}" if path else name
        heavy = not isinstance(part, CHAINS) and sum(p.numel() for p in child.parameters()) > half
        if (isinstance(child, CHAINS) or heavy) and next(child.children(), None) is not None:
            yield from _blocks(child, where, half)
        else:
            yield where, child


def _resizes(layer: nn.Module) -> bool:
    """Whether a layer has more or fewer outputs than inputs along an axis."""
    factors = [getattr(layer, name, 1) for name in ("stride", "scale_factor", "upscale_factor")]
    if type(layer).__module__.startswith("cnnatomy.nn."):
        factors.append(getattr(getattr(layer, "region", None), "stride", 1))
    numbers = [n for one in factors for n in (one if isinstance(one, tuple | list) else (one,))]
    return any(isinstance(n, int | float) and n != 1 for n in numbers)


def _is_grid(layer: nn.Module) -> bool:
    """Whether this is adaptive, global or pyramid pooling: its region has no stride."""
    region = getattr(layer, "region", None)
    sized = hasattr(layer, "output_size") and not hasattr(layer, "scale_factor")
    return sized or (region is not None and not hasattr(region, "stride"))


def _chosen(model: nn.Module, what: str | int) -> list[str]:
    names = [name for name, _ in checks.module(model).named_parameters()]
    if isinstance(what, str) and re.fullmatch(r"-?\d+", what):
        what = int(what)
    if isinstance(what, int) and not isinstance(what, bool):
        found = stages(model)
        count = what if what >= 0 else len(found) + what
        if not 0 <= count <= len(found):
            raise ArgumentError("stages", expected=f"at most the network's {len(found)}", got=str(what))
        # What is registered before the last of these stages ends lies no deeper.
        blocks = [path for paths in found[:count] for path in paths]
        return [name for name in names if any(path in blocks for path in _prefixes(name))]
    chosen = []
    expected = "so many stages, or names such as 'features.*'"
    for pattern in map(str.strip, checks.of_kind("what to freeze", what, str, expected).split(",")):
        fit = [n for n in names if fnmatch.fnmatchcase(n, pattern) or n.startswith(f"{pattern}.")]
        if not fit:
            expected = f"a pattern such as {names[0]!r}" if names else "a network that has parameters"
            raise ArgumentError(f"no parameter is called {pattern!r}", expected=expected)
        chosen += fit
    return [name for name in names if name in set(chosen)]


def _settle_norms(model: nn.Module) -> None:
    """Make norms keep their statistics where none of their parameters learns, and only there."""
    for layer in model.modules():
        if not isinstance(layer, _NormBase) or layer.running_mean is None:
            continue
        hooks = layer._forward_pre_hooks
        for number in [number for number, hook in hooks.items() if hook is _keep_statistics]:
            del hooks[number]
        own = list(layer.parameters(recurse=False))
        if own and not any(p.requires_grad for p in own):
            layer.register_forward_pre_hook(_keep_statistics)


def _keep_statistics(layer: nn.Module, _: object) -> None:
    """Before every pass: `train()` may have been called on the whole network."""
    layer.training = False


def _prefixes(name: str) -> Iterator[str]:
    """The paths of the modules that hold a parameter, the innermost first."""
    while name := name.rpartition(".")[0]:
        yield name


def _stage_name(paths: list[str]) -> str:
    return " .. ".join(paths[:1] + paths[1:][-1:])
