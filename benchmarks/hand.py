"""Training as it is written by hand in plain torch: what the package's own training is held against.

    python -m benchmarks.hand FOLDER --epochs 1 --out weights.pt   # LeNet-5 on MNIST, with distortions

The network is the package's, since that is not what is compared; order, changes to the pictures, loop,
schedule and optimizer are all here.
"""

from __future__ import annotations

import argparse
import gzip
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cnnatomy.models import build
from cnnatomy.models.classifier import Classifier

Change = Callable[[Tensor], Tensor]
CLIP, DECAY = 5.0, 0.05


def distort(images: Tensor) -> Tensor:
    """Rotate by up to 10 degrees, shift by 6%, scale by 10% and shear by 0.15, all in one sampling."""
    n = len(images)
    angle, shift_y, shift_x, scale, shear = torch.rand(5, n).mul_(2).sub_(1)
    cos, sin = torch.cos(angle * math.radians(10)), torch.sin(angle * math.radians(10))
    turn = torch.stack([cos, -sin, sin, cos], 1).view(n, 2, 2) / (1 + 0.1 * scale).view(n, 1, 1)
    turn[:, :, 1] += turn[:, :, 0] * 0.15 * shear.view(n, 1)
    theta = torch.cat([turn, 0.12 * torch.stack([shift_x, shift_y], 1).view(n, 2, 1)], 2)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)


def flip_shift(images: Tensor) -> Tensor:
    """Mirror every second picture, and shift each by up to 10% of its side over its mirrored edges."""
    n, channels, height, width = images.shape
    k = round(height / 10)
    padded = F.pad(images, (k, k, k, k), mode="reflect")
    rows = torch.randint(2 * k + 1, (n, 1)) + torch.arange(height)
    columns = torch.randint(2 * k + 1, (n, 1)) + torch.arange(width)
    columns = torch.where(torch.rand(n, 1) < 0.5, columns.flip(1), columns)
    index = (rows[:, :, None] * (width + 2 * k) + columns[:, None, :]).view(n, 1, -1)
    return padded.flatten(2).gather(2, index.expand(n, channels, -1)).view(images.shape)


class Loop:
    """A network in training: AdamW, one cycle of the learning rate, clipped gradients.

    Args:
        model: the network.
        images: uint8 (N, C, H, W).
        labels: int64 (N,).
        change: what becomes of a batch of pictures before the network sees it.
        batch: pictures in a step.
        lr: the peak of the learning rate.
        epochs: passes over the pictures.
    """

    def __init__(
        self,
        model: Classifier,
        images: Tensor,
        labels: Tensor,
        change: Change,
        batch: int,
        lr: float,
        epochs: int,
    ) -> None:
        self.model, self.images, self.labels, self.change = model.train(), images, labels, change
        self.batch, self.lr, self.number = batch, lr, 0
        self.batches = math.ceil(len(images) / batch)
        self.steps = epochs * self.batches
        self.order = torch.arange(0)
        weights, others = (
            [p for p in model.parameters() if (p.dim() > 1) is dense] for dense in (True, False)
        )
        groups = [{"params": weights, "weight_decay": DECAY}, {"params": others, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=lr, fused=True)

    def step(self) -> Tensor:
        """Train on the next batch, and give its loss."""
        place = self.number % self.batches
        if place == 0:
            self.order = torch.randperm(len(self.images))
        chosen = self.order[place * self.batch : (place + 1) * self.batch]
        self.number += 1
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr * cycle(self.number / self.steps)
        self.optimizer.zero_grad()
        shown = self.model.preprocess(self.change(self.images[chosen].float()))
        loss = self.model.loss(self.model(shown), self.labels[chosen])
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.model.parameters(), CLIP)
        self.optimizer.step()
        return loss.detach()


def cycle(done: float, rise: float = 0.15) -> float:
    """The share of the peak where so much is done: up from 4% and down to 0, each along half a cosine."""
    if done < rise:
        return 0.04 + 0.96 * (1 - math.cos(math.pi * done / rise)) / 2
    return (1 + math.cos(math.pi * min(1.0, (done - rise) / (1 - rise)))) / 2


def read(folder: Path, part: str) -> tuple[Tensor, Tensor]:
    """MNIST's pictures (N, 1, 32, 32), framed by 2 cells of 0 as LeNet-5 reads them, and labels."""
    bodies = [
        np.frombuffer(
            gzip.decompress((folder / f"{part}-{name}-ubyte.gz").read_bytes()), np.uint8, offset=offset
        )
        for name, offset in (("images-idx3", 16), ("labels-idx1", 8))
    ]
    images, labels = (torch.from_numpy(body.copy()) for body in bodies)
    return F.pad(images.view(-1, 1, 28, 28), (2, 2, 2, 2)), labels.long()


def accuracy(model: Classifier, images: Tensor, labels: Tensor, batch: int = 1000) -> float:
    """The share of pictures named rightly."""
    model.eval()
    with torch.inference_mode():
        scores = torch.cat([model(model.preprocess(part)) for part in torch.split(images, batch)])
    return (scores.argmax(1) == labels).double().mean().item()


def main() -> None:
    """Train LeNet-5 on MNIST, save its weights, and print its accuracy."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hand", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    told = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = build("lenet5", classes=list("0123456789"), output="rbf", input_size=(1, 32, 32))
    loop = Loop(model, *read(told.folder, "train"), distort, batch=64, lr=5e-3, epochs=told.epochs)
    losses = torch.stack([loop.step() for _ in range(loop.steps)])
    torch.save(model.state_dict(), told.out)
    found = accuracy(model, *read(told.folder, "t10k"))
    print(f"accuracy {found:.4f}, loss of the last 100 steps {losses[-100:].mean():.4f}")


if __name__ == "__main__":
    main()
