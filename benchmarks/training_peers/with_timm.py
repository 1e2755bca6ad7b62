"""timm's resnet10t from scratch at 32 pixels, put together from its parts as its users do."""

from __future__ import annotations

import timm
import torch
from timm.data import create_dataset, create_loader
from timm.loss import LabelSmoothingCrossEntropy
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2
from timm.utils import random_seed

from benchmarks.training_peers.peer import Answer, Job, main

EPOCHS, BATCH, LR, DECAY, SMOOTHING = 12, 64, 2e-3, 0.05, 0.1
SCALE = (0.5, 1.0)
"""Share of the picture's area that a random crop keeps: of so few pixels a crop to 8% leaves nothing."""


def run(job: Job) -> Answer:
    """Train with AdamW and a cosine after one epoch of warm-up."""
    random_seed(job.seed)
    loaders = {
        part: create_loader(
            create_dataset("", root=str(job.folder), split=part),
            input_size=(3, 32, 32),
            batch_size=BATCH,
            is_training=part == "train",
            scale=SCALE,
            num_workers=0,
            crop_pct=1.0,
            use_prefetcher=False,
            device=torch.device("cpu"),
        )
        for part in ("train", "test")
    }
    model = timm.create_model("resnet10t", num_classes=len(list(job.train.iterdir())))
    optimizer = create_optimizer_v2(model, opt="adamw", lr=LR, weight_decay=DECAY)
    steps = len(loaders["train"])
    schedule, _ = create_scheduler_v2(
        optimizer,
        num_epochs=job.epochs,
        warmup_epochs=1,
        step_on_epochs=False,
        updates_per_epoch=steps,
    )
    loss_of = LabelSmoothingCrossEntropy(SMOOTHING)
    for epoch in range(job.epochs):
        model.train()
        for step, (images, labels) in enumerate(loaders["train"]):
            schedule.step_update(epoch * steps + step)
            optimizer.zero_grad()
            loss_of(model(images), labels).backward()
            optimizer.step()
    model.eval()
    with torch.inference_mode():
        hits = [(model(images).argmax(1) == labels).float() for images, labels in loaders["test"]]
    return Answer(torch.cat(hits).mean().item(), f"resnet10t, 32 px, {job.epochs} epochs, AdamW {LR:g}")


if __name__ == "__main__":
    main(run, EPOCHS, "timm", "torch")
