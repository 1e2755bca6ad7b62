"""fastai's xresnet18 from scratch at 32 pixels, with its one-cycle policy and its augmentation."""

from __future__ import annotations

from fastai.callback.core import Callback, CancelValidException
from fastai.callback.schedule import Learner
from fastai.data.transforms import Normalize
from fastai.metrics import accuracy
from fastai.torch_core import set_seed
from fastai.vision.augment import Resize, aug_transforms
from fastai.vision.core import imagenet_stats
from fastai.vision.data import ImageDataLoaders
from fastai.vision.models.xresnet import xresnet18

from benchmarks.training_peers.peer import Answer, Job, main

EPOCHS, LR = 6, 3e-3


class TestOnce(Callback):  # type: ignore[misc]
    """Leave out the look at the test pictures after every epoch, which chooses nothing here."""

    def before_validate(self) -> None:
        raise CancelValidException


def run(job: Job) -> Answer:
    """Train with its own optimizer (Adam), batch (64) and loss."""
    set_seed(job.seed, reproducible=True)
    loaders = ImageDataLoaders.from_folder(
        job.folder,
        train="train",
        valid="test",
        item_tfms=Resize(32),
        batch_tfms=[*aug_transforms(), Normalize.from_stats(*imagenet_stats)],
        num_workers=0,
        device="cpu",
    )
    learner = Learner(loaders, xresnet18(n_out=loaders.c), metrics=accuracy)
    with learner.no_bar(), learner.added_cbs(TestOnce()):
        learner.fit_one_cycle(job.epochs, LR)
    with learner.no_bar():
        _, hits = learner.validate()
    return Answer(float(hits), f"xresnet18, 32 px, {job.epochs} epochs, one cycle {LR:g}")


if __name__ == "__main__":
    main(run, EPOCHS, "fastai", "torch")
