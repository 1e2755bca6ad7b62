from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from training import fit

from cnnatomy.data import load
from cnnatomy.errors import ArgumentError, CheckpointError, DataError
from cnnatomy.train import Evaluation, Settings, evaluate, predict
from cnnatomy.train.atomic_files import read_tensors, write_tensors

CONFIG = Settings.of(epochs=4, batch_size=64, threads=1, augment="none")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Evaluation]:
    run = tmp_path_factory.mktemp("runs") / "digits"
    return run, fit(CONFIG, run)


def save_digits(folder: Path, count: int) -> list[Path]:
    """Write test digits as PNG files, one subfolder for each class."""
    test = load("digits", size=(32, 32), channels=1).test
    paths = []
    for i in range(count):
        path = folder / test.classes[test.labels[i]] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(test.images[i, 0].numpy()).save(path)
        paths.append(path)
    return paths


def test_evaluating_a_run_again_gives_what_training_gave(trained: tuple[Path, Evaluation]) -> None:
    run, before = trained
    after = evaluate(run)
    assert torch.equal(after.confusion, before.confusion)
    assert (after.loss, after.mistakes, after.parameters) == (before.loss, before.mistakes, before.parameters)
    assert evaluate(run, data="digits").mistakes == before.mistakes


def test_every_picture_of_another_folder_is_evaluated(
    trained: tuple[Path, Evaluation], tmp_path: Path
) -> None:
    run, before = trained
    save_digits(tmp_path / "others", 100)
    result = evaluate(run, data=str(tmp_path / "others"))
    assert result.pictures == 100
    wrong = {mistake.index for mistake in before.mistakes if mistake.index < 100}
    assert len(result.mistakes) == len(wrong)


def test_folders_with_unknown_classes_are_refused(trained: tuple[Path, Evaluation], tmp_path: Path) -> None:
    save_digits(tmp_path, 30)
    (tmp_path / "7").rename(tmp_path / "seven")
    with pytest.raises(DataError, match=r"does not know every class.*got seven"):
        evaluate(trained[0], data=str(tmp_path))


def test_pictures_that_changed_since_training_are_refused(
    trained: tuple[Path, Evaluation], tmp_path: Path
) -> None:
    (tmp_path / "run.toml").write_bytes((trained[0] / "run.toml").read_bytes())
    tensors, facts = read_tensors(trained[0] / "last.safetensors")
    write_tensors(tmp_path / "last.safetensors", tensors, facts | {"fingerprint": "another"})
    with pytest.raises(DataError, match="have changed since"):
        evaluate(tmp_path)


def test_predictions_rank_every_class(trained: tuple[Path, Evaluation], tmp_path: Path) -> None:
    paths = save_digits(tmp_path, 50)
    predictions = predict(trained[0], paths)
    assert [prediction.path for prediction in predictions] == paths
    for prediction in predictions:
        names, probabilities = zip(*prediction.ranked, strict=True)
        assert sorted(names) == list("0123456789")
        assert list(probabilities) == sorted(probabilities, reverse=True)
        assert sum(probabilities) == pytest.approx(1, abs=1e-5)
    wrong = {mistake.index for mistake in trained[1].mistakes}
    for index, (path, prediction) in enumerate(zip(paths, predictions, strict=True)):
        assert (prediction.ranked[0][0] == path.parent.name) == (index not in wrong)


def test_nothing_to_predict_and_nothing_to_predict_with(
    trained: tuple[Path, Evaluation], tmp_path: Path
) -> None:
    with pytest.raises(ArgumentError, match="nothing to predict"):
        predict(trained[0], [])
    with pytest.raises(CheckpointError, match="is not a run"):
        predict(tmp_path, [tmp_path / "a.png"])
    (gone,) = predict(trained[0], [tmp_path / "gone.png"])
    assert (gone.path, gone.ranked) == (tmp_path / "gone.png", ())
    assert gone.error is not None


def test_weights_of_another_shape_are_refused(trained: tuple[Path, Evaluation], tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_bytes((trained[0] / "run.toml").read_bytes())
    tensors, facts = read_tensors(trained[0] / "last.safetensors")
    write_tensors(tmp_path / "last.safetensors", tensors | {"c1.bias": torch.zeros(7)}, facts)
    with pytest.raises(CheckpointError, match="do not fit the model") as caught:
        evaluate(tmp_path)
    assert "\n" not in str(caught.value)
    del tensors["c1.bias"]
    write_tensors(tmp_path / "last.safetensors", tensors, facts)
    with pytest.raises(CheckpointError, match=r"c1\.bias"):
        evaluate(tmp_path)


@pytest.mark.parametrize("output", [None, "rbf", "softmax"])
def test_a_folder_of_pictures_is_learnt(tmp_path: Path, output: str | None) -> None:
    for name, side in (("dark", 0), ("light", 255)):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for i in range(10):
            picture = Image.new("RGB", (40 + i, 30), (abs(side - 8 * i),) * 3)
            picture.save(tmp_path / "pictures" / name / f"{i}.png")
    settings = CONFIG.changed(data=str(tmp_path / "pictures"), model="lenet5", output=output)
    config = settings.changed(epochs=30, fit="stretch")
    result = fit(config, tmp_path / "run")
    assert result.classes == ("dark", "light")
    assert result.accuracy == 1
    assert predict(tmp_path / "run", [tmp_path / "pictures" / "dark" / "3.png"])[0].ranked[0][0] == "dark"
