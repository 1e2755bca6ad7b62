"""`train` takes any pictures and any network, and its run says and does what it should."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

import cnnatomy as ca
from cnnatomy.errors import ArgumentError, CheckpointError, CnnatomyError
from cnnatomy.train import Epoch, Silent, StopTraining

LABELS = torch.arange(90) % 3


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def images(seed: int = 0) -> torch.Tensor:
    """Pictures (90, 3, 12, 12) of numbers, whose brightness tells the class."""
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(90, 3, 12, 12, generator=generator) + LABELS.view(-1, 1, 1, 1)) / 3


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 3),
    )


def trained(*words: Any, **options: Any) -> ca.Run:
    given: dict[str, Any] = {"epochs": 12, "lr": 0.02, "augment": "none", "batch_size": 16} | options
    return ca.train(*words, **given)


def test_tensors_train_ones_own_module_where_it_is() -> None:
    model = net()
    first = model[0]
    assert isinstance(first, nn.Conv2d)
    before = first.weight.detach().clone()
    run = trained((images(), LABELS), model)
    assert run.accuracy == run.evaluation.accuracy > 0.9
    assert run.evaluation.pictures == 18
    assert not torch.equal(first.weight, before)
    with torch.no_grad():
        own = model.eval()(images()[:5]).argmax(1)
    said = [one.ranked[0][0] for one in run.predict(images()[:5])]
    assert [str(int(label)) for label in own] == said
    assert [epoch.epoch for epoch in run.history] == list(range(1, 13))
    assert run.evaluate((images(), LABELS)).pictures == 90
    assert (run.path / "report.html").exists()
    assert "test accuracy" in repr(run)
    assert "<svg" in run._repr_html_()


def test_a_run_is_opened_again_and_asks_for_what_it_cannot_keep() -> None:
    run = trained((images(), LABELS), net(), epochs=2)
    again = ca.Run(run.path, module=net())
    assert again.accuracy == run.accuracy
    torch.testing.assert_close(again.model.eval()(images()[:4]), run.model.eval()(images()[:4]))
    with pytest.raises(ArgumentError, match=r"given as an object.*load_model\(module=Sequential"):
        _ = ca.Run(run.path).model
    with pytest.raises(CnnatomyError, match="given in memory"):
        again.evaluate()
    with pytest.raises(CheckpointError, match="is not a run"):
        ca.Run("nowhere")


class Photos(Dataset[tuple[Any, int]]):
    """Pictures of Pillow, with class names."""

    classes = ("dark", "grey", "light")

    def __len__(self) -> int:
        return len(LABELS)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        from PIL import Image

        cells = (images()[index] * 255).byte().permute(1, 2, 0).numpy()
        return Image.fromarray(cells), int(LABELS[index])


FORMS: dict[str, Any] = {
    "bytes": lambda: ((images() * 255).byte(), LABELS),
    "arrays with channels last": lambda: (images().permute(0, 2, 3, 1).numpy(), LABELS.numpy()),
    "train and test": lambda: ((images(), LABELS), (images(1), LABELS)),
    "three sets": lambda: ((images(), LABELS), (images(1), LABELS), (images(2), LABELS)),
    "a data set": lambda: TensorDataset(images(), LABELS),
    "pictures of Pillow": Photos,
    "a loader and a data set": lambda: (
        DataLoader(TensorDataset(images(), LABELS), batch_size=16, shuffle=True),
        TensorDataset(images(1), LABELS),
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_pictures_come_in_many_forms(form: str) -> None:
    options = {"batch_size": None, "augment": None} if "loader" in form else {}
    run = trained(FORMS[form](), "conv3-8 bn globalavg FC", **options)
    assert run.accuracy > 0.8
    expected = {"train and test": 90, "three sets": 90, "a loader and a data set": 90}.get(form, 18)
    assert run.evaluation.pictures == expected
    names = ("dark", "grey", "light") if form == "pictures of Pillow" else ("0", "1", "2")
    assert run.evaluation.classes == names
    held = run.history[-1].validation_accuracy
    assert (held is not None) == (form == "three sets")


def test_grey_pictures_without_channels() -> None:
    run = trained((np.asarray(images()[:, 0]), LABELS.numpy()), "conv3-8 bn globalavg FC")
    assert run.model.input_shape == (1, 12, 12)


def test_callbacks_hear_and_may_stop() -> None:
    class Enough(Silent):
        def epoch(self, epoch: Epoch) -> None:
            if epoch.epoch == 2:
                raise StopTraining

    assert len(trained((images(), LABELS), net(), callbacks=[Enough()]).history) == 2


def test_a_run_goes_on_from_python() -> None:
    run = trained((images(), LABELS), "conv3-8 bn globalavg FC", epochs=2, run="kept")
    longer = ca.train(data=(images(), LABELS), run="kept", resume=True, epochs=4, restarts=(2.0,))
    assert [len(run.history), len(longer.history)] == [4, 4]


def test_a_run_is_exported(tmp_path: Path) -> None:
    run = trained((images(), LABELS), "conv3-8 bn globalavg FC", epochs=1)
    run.export(tmp_path / "net.pt2")
    assert (tmp_path / "net.pt2").stat().st_size > 0


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: trained(3, net()), "what to train on: expected a folder or another source"),
        (lambda: trained((images(), LABELS[:5]), net()), "as many of each, got 90 pictures, 5 labels"),
        (lambda: trained((images(), LABELS.float()), net()), "labels: expected whole numbers from 0"),
        (lambda: trained((images().long(), LABELS), net()), r"expected bytes \(uint8\), or numbers"),
        (lambda: trained((images() / 0, LABELS), net()), "expected finite numbers"),
        (lambda: trained((images(), LABELS), net(), classes=["a", "b"]), "below the number of classes, 2"),
        (lambda: trained((images()[0], LABELS), net()), "pictures and labels"),
        (lambda: trained(DataLoader(TensorDataset(images(), LABELS)), net()), "leaves nothing to test with"),
        (lambda: trained((images(), LABELS), net(), epoch=3), "there is no setting 'epoch'; try epochs"),
        (lambda: trained((images(), LABELS), 3), "a network: expected its name, notation or an nn.Module"),
        (lambda: trained((images(), LABELS), nn.Linear(4, 3)), "3x12x12|does not|cannot"),
        (lambda: trained((images(), LABELS), net(), resume=True), "resume needs the run to go on with"),
        (lambda: trained((images(), LABELS), net(), callbacks=[3]), "whom to tell: expected a callback"),
        (lambda: trained((images(), LABELS), net(), settings=3), "settings: expected Settings"),
        (lambda: trained((images(), LABELS), net(), freeze="9"), "stages"),
    ],
)
def test_what_cannot_be_meant_is_told_in_a_line(call: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(CnnatomyError, match=said) as caught:
        call()
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "runs").exists()


def test_a_loader_decides_its_own_order() -> None:
    loader = DataLoader(TensorDataset(images(), LABELS), batch_size=16)
    with pytest.raises(ArgumentError, match="balanced is up to the DataLoader"):
        ca.train((loader, TensorDataset(images(), LABELS)), net(), epochs=1, balanced=True)
