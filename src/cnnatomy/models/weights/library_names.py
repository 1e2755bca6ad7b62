"""How libraries name the layers of one network: rules that bring every dialect to torchvision's names.

A dialect applies to a state dict in which a name matches its mark, so that its rules never touch the names of
others. What no dialect knows keeps its name; timm's ResNets and DenseNets need none, being torchvision's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from cnnatomy.models.weights.notation_names import inception, residual

Rule = tuple[str, str | Callable[[re.Match[str]], str]]


@dataclass(frozen=True)
class Dialect:
    """The names of one library or time: the mark that gives it away, and how torchvision says them.

    `translate` leads from every given name to torchvision's.
    """

    name: str
    mark: str
    translate: Callable[[Sequence[str]], Mapping[str, str]]

    def spoken(self, names: Iterable[str]) -> bool:
        """Whether these names are in this dialect."""
        return any(re.search(self.mark, name) for name in names)


def by_rules(*rules: Rule) -> Callable[[Sequence[str]], Mapping[str, str]]:
    """Translate names one by one; each rule applies once, in order."""

    def translated(name: str) -> str:
        for pattern, meant in rules:
            name = re.sub(pattern, meant, name, count=1)
        return name

    return lambda names: {name: translated(name) for name in names}


def _inner(match: re.Match[str]) -> str:
    """transformers counts stages, blocks and layers from 0, torchvision stages and layers from 1."""
    stage, block, layer = int(match[1]), match[2], int(match[3])
    return f"layer{stage + 1}.{block}.{'conv' if match[4] == 'convolution' else 'bn'}{layer + 1}."


def _shortcut(match: re.Match[str]) -> str:
    return f"layer{int(match[1]) + 1}.{match[2]}.downsample.{'0' if match[3] == 'convolution' else '1'}."


_BLOCK = r"^encoder\.stages\.(\d+)\.layers\.(\d+)\."
DIALECTS: tuple[Dialect, ...] = (
    Dialect("notation (ResNet)", r"^features\.\d+\.body\.\d+\.", residual),
    Dialect("notation (GoogLeNet)", r"^features\.\d+\.branches\.\d+\.\d+\.", inception),
    Dialect(
        "transformers (ResNet)",
        r"(^|\.)encoder\.stages\.\d+\.layers\.\d+\.(layer\.\d+|shortcut)\.convolution\.",
        by_rules(
            (r"^(timm_model|resnet)\.", ""),
            (r"^embedder\.embedder\.convolution\.", "conv1."),
            (r"^embedder\.embedder\.normalization\.", "bn1."),
            (_BLOCK + r"layer\.(\d+)\.(convolution|normalization)\.", _inner),
            (_BLOCK + r"shortcut\.(convolution|normalization)\.", _shortcut),
            (r"^classifier\.1\.", "fc."),
        ),
    ),
    Dialect(
        "timm (VGG)",
        r"^pre_logits\.fc1\.",
        by_rules(
            (r"^pre_logits\.fc1\.", "classifier.0."),
            (r"^pre_logits\.fc2\.", "classifier.3."),
            (r"^head\.fc\.", "classifier.6."),
        ),
    ),
    Dialect(
        "torchvision before 0.3 (DenseNet)",
        r"\.denselayer\d+\.(norm|conv)\.\d\.",
        by_rules((r"(\.denselayer\d+\.(?:norm|conv))\.(\d)\.", r"\1\2.")),
    ),
)

AUXILIARY = re.compile(r"^(aux\d*|AuxLogits)\.")
"""Classifiers beside the main one, which only training uses; networks come with and without."""
COUNTER = "num_batches_tracked"
"""The batches that a batch norm has seen: files of before torch 0.4.1 lack it; no output depends on it."""


def canonical(names: Iterable[str]) -> tuple[dict[str, str], str | None]:
    """Say every name as torchvision does: {its name: the given name}, and the dialect it was given in.

    Example:
        >>> canonical(["pre_logits.fc1.weight", "features.0.weight"])[0]["classifier.0.weight"]
        'pre_logits.fc1.weight'
    """
    names = list(names)
    spoken = next((dialect for dialect in DIALECTS if dialect.spoken(names)), None)
    if spoken is None:
        return {name: name for name in names}, None
    meant = {said: name for name, said in spoken.translate(names).items()}
    if len(meant) < len(names):  # two of them would be one: another network's names after all
        return {name: name for name in names}, None
    return meant, spoken.name


def unwrapped(names: Iterable[str], ours: Iterable[str]) -> dict[str, str]:
    """Take off the first word that every name has and none of ours: {the rest: the given name}.

    Such words come from wrappers: `module.` from DistributedDataParallel, `_orig_mod.` from torch.compile,
    `model.` from Lightning, `timm_model.` from transformers.

    Example:
        >>> unwrapped(["module.fc.weight", "module.fc.bias"], ["fc.weight", "fc.bias"])
        {'fc.weight': 'module.fc.weight', 'fc.bias': 'module.fc.bias'}
    """
    first = {name.split(".")[0] for name in ours}
    rest: Mapping[str, str] = {name: name for name in names}
    while len(words := {name.split(".")[0] for name in rest}) == 1 and not words & first:
        if not all("." in name for name in rest):
            break
        rest = {name.partition(".")[2]: given for name, given in rest.items()}
    return dict(rest)
