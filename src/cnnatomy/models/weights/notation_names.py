"""How networks in notation name what torchvision calls `layer2.0.conv1` or `inception3a.branch2.0.conv`.

Their modules are counted through: `features.4.body.0` is the first convolution of the block at place 4. Which
block of which stage that is follows from the order of the blocks, and from where shortcuts project.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

_PLACE = re.compile(r"^features\.(\d+)\.(?:body|branches|shortcut)\.")
_INCEPTIONS = ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")
_HEAD = r"^classifier\.\d+\."
Layers = dict[str, str]


def residual(names: Sequence[str]) -> dict[str, str]:
    """Call every tensor of a ResNet as torchvision does: {the given name: torchvision's}.

    A stage begins with a block whose shortcut projects, but the first stage with the first block anyway.

    Example:
        >>> names = [f"features.{n}.weight" for n in ("0", "4.body.3", "6.body.0", "6.shortcut.0")]
        >>> list(residual(names).values())
        ['conv1.weight', 'layer1.0.conv2.weight', 'layer2.0.conv1.weight', 'layer2.0.downsample.0.weight']
    """
    layers: Layers = {"features.0": "conv1", "features.1": "bn1"}
    stage, block = 1, -1
    for number, place in enumerate(_places(names)):
        projects = any(name.startswith(f"features.{place}.shortcut.") for name in names)
        stage, block = (stage + 1, 0) if projects and number else (stage, block + 1)
        path = f"layer{stage}.{block}"
        layers |= {f"features.{place}.shortcut.{i}": f"{path}.downsample.{i}" for i in (0, 1)}
        for k, (conv, norm) in enumerate(_pairs(), 1):  # convolution, norm, ReLU, and so on
            layers |= {f"features.{place}.body.{conv}": f"{path}.conv{k}"}
            layers |= {f"features.{place}.body.{norm}": f"{path}.bn{k}"}
    return {name: _called(name, layers) for name in names}


def inception(names: Sequence[str]) -> dict[str, str]:
    """Call every tensor of a GoogLeNet with batch norms as torchvision does.

    Example:
        >>> names = [f"features.{n}.weight" for n in ("4", "11.branches.0.0", "11.branches.1.3")]
        >>> list(inception(names).values())
        ['conv2.conv.weight', 'inception3a.branch1.conv.weight', 'inception3a.branch2.1.conv.weight']
    """
    layers: Layers = {}
    for k, place in enumerate((0, 4, 7), 1):
        layers |= {f"features.{place}": f"conv{k}.conv", f"features.{place + 1}": f"conv{k}.bn"}
    for place, called in zip(_places(names), _INCEPTIONS, strict=False):
        for branch in range(4):
            first = 1 if branch == 3 else 0  # the last begins with a pooling
            for k, (conv, norm) in enumerate(_pairs()):
                inner = "" if branch == 0 else f".{k + first}"
                theirs = f"inception{called}.branch{branch + 1}{inner}"
                layers |= {f"features.{place}.branches.{branch}.{conv + first}": f"{theirs}.conv"}
                layers |= {f"features.{place}.branches.{branch}.{norm + first}": f"{theirs}.bn"}
                if branch == 0:
                    break
    return {name: _called(name, layers) for name in names}


def _places(names: Sequence[str]) -> list[int]:
    """Where the blocks stand among the features, in order, whatever the order of the names."""
    return sorted({int(found[1]) for name in names if (found := _PLACE.match(name))})


def _pairs() -> Iterator[tuple[int, int]]:
    """Where convolutions and their norms stand in a chain of convolution, norm and ReLU."""
    return ((3 * k, 3 * k + 1) for k in range(3))


def _called(name: str, layers: Layers) -> str:
    path, _, leaf = name.rpartition(".")
    return f"{layers[path]}.{leaf}" if path in layers else re.sub(_HEAD, "fc.", name)
