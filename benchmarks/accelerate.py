"""What `accelerate` makes of ResNet-50 and VGG-16: one picture of 224x224, evaluated on this machine.

    python -m benchmarks.accelerate

Weights are random; the normalisations' statistics too, so that folding them has something to do. The
networks are those of tests/anatomy/zoo, which must be on the path.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import nn

from benchmarks.harness import device, keep_memory
from cnnatomy.adapt import accelerate


def networks() -> dict[str, nn.Module]:
    """The networks, in evaluation mode."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from anatomy.zoo import resnet50, vgg16

    torch.manual_seed(0)
    made = {"ResNet-50": resnet50(), "VGG-16": vgg16()}
    for net in made.values():
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                assert module.running_mean is not None, "statistics are kept"
                assert module.running_var is not None, "statistics are kept"
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 2)
    return made


def main() -> None:
    """Print what was tried, and the ratio of times."""
    keep_memory()
    print(f"{device()}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    for name, net in networks().items():
        print(f"\n{name}")
        print(accelerate(net.eval(), torch.rand(1, 3, 224, 224), seconds=10.0), flush=True)


if __name__ == "__main__":
    main()
