"""Networks in notation train through the command line, are resumed, judged and used, as LeNet-5 is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from training import fit

from cnnatomy.cli import main
from cnnatomy.errors import ArgumentError
from cnnatomy.models import build
from cnnatomy.models.notated import Network
from cnnatomy.train import Interrupted, RunFolder, Settings, evaluate, predict
from cnnatomy.train.reconstruction import Reconstruction
from cnnatomy.train.redrawing import redraw

SMALL = "conv3-8 bn maxpool conv3-16 bn maxpool globalavg FC"
THERE_AND_BACK = "conv3-8 maxpool:a conv3-8 unpool:a conv3-channels"


def config(model: str, **options: object) -> Settings:
    given = {"size": "16", "epochs": 2, "augment": "none"} | options
    return Settings.of(model=model, **given)


def test_a_text_trains_and_its_run_is_whole(tmp_path: Path) -> None:
    result = fit(config(SMALL, pool="soft", epochs=4, lr=0.01, smoothing=0.1), tmp_path / "run")
    assert result.accuracy > 0.5
    stored = RunFolder(tmp_path / "run").settings()
    known = stored.network
    assert (known.model, known.size, known.pool) == (SMALL, "1x16x16", "soft")
    model, facts = RunFolder(tmp_path / "run").load_model()
    assert isinstance(model, Network)
    assert "Soft" in str(model.features[3])
    assert model.mean.tolist() == pytest.approx(facts["mean"])
    assert evaluate(tmp_path / "run").accuracy == result.accuracy


def test_pictures_are_standardised_by_the_training_set(tmp_path: Path) -> None:
    fit(config("globalavg FC", epochs=1), tmp_path / "run")
    model, _ = RunFolder(tmp_path / "run").load_model()
    from cnnatomy.data import load

    images = load("digits", size=(16, 16), channels=1).train.images
    seen = model.preprocess(images)
    assert seen.mean().item() == pytest.approx(0, abs=1e-4)
    assert seen.std().item() == pytest.approx(1, abs=1e-3)


def test_a_stopped_run_ends_as_one_that_was_not(tmp_path: Path) -> None:
    from cnnatomy.train.reporter import Epoch, Silent

    class Stop(Silent):
        def epoch(self, epoch: Epoch) -> None:
            import os
            import signal

            os.kill(os.getpid(), signal.SIGINT)

    whole = fit(config(SMALL), tmp_path / "whole")
    with pytest.raises(Interrupted):
        fit(config(SMALL), tmp_path / "stopped", reporter=Stop())
    stored = RunFolder(tmp_path / "stopped").settings()
    assert fit(stored, tmp_path / "stopped", resume=True).loss == whole.loss
    first, second = (RunFolder(tmp_path / name).load_model()[0].state_dict() for name in ("whole", "stopped"))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_an_encoder_decoder_gives_pictures_back(tmp_path: Path) -> None:
    result = fit(config(THERE_AND_BACK, epochs=4), tmp_path / "run")
    assert isinstance(result, Reconstruction)
    assert result.explained > 0.5
    assert evaluate(tmp_path / "run").loss == pytest.approx(result.loss, rel=1e-6)  # threads round sums apart
    picture = tmp_path / "seven.png"
    Image.new("L", (20, 20), 200).save(picture)
    with pytest.raises(ArgumentError, match="gives pictures, not classes"):
        predict(tmp_path / "run", [picture])
    ((_, file, *_),) = redraw(tmp_path / "run", [picture], tmp_path / "out")
    assert file is not None
    with Image.open(file) as drawn:
        assert drawn.size == (16, 16)


def test_the_command_line_trains_evaluates_and_predicts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["--size", "16", "--epochs", "1", "--augment", "none", "--quiet"]
    assert main(["train", "digits", "--model", SMALL, "--pool", "gem(p=2)", *words]) == 0
    run = capsys.readouterr().out.strip()
    assert run == "runs/digits-conv3-8-bn-maxpool-conv3-16-bn-maxpool-g-1"
    assert main(["evaluate", run, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pictures"] == 359
    assert (
        main(["train", "digits", "--model", THERE_AND_BACK, "--pool", "soft", *words, "--run", "back"]) == 0
    )
    assert main(["evaluate", "back"]) == 0
    assert "of the variance" in capsys.readouterr().out
    assert main(["train", "digits", "--model", "conv3-8 maxpol"]) == 2
    said = capsys.readouterr().err.splitlines()
    assert [line.strip() for line in said[1:]] == ["conv3-8 maxpol", "^^^^^^"]
    assert not list(tmp_path.glob("runs/*maxpol*"))


def test_what_weights_were_loaded_is_said_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["train", "digits", "--model", "globalavg FC-8 FC", "--size", "8", "--epochs", "1"]
    head = "classifier.2.weight, classifier.2.bias"
    for classes, loaded, said in ((10, 4, "the head included"), (3, 2, f"the head begins anew: {head}")):
        network = build("globalavg FC-8 FC", classes=classes, input_size=(1, 8, 8))
        torch.save(network.state_dict(), f"{classes}.pth")
        assert main([*words, "--weights", f"{classes}.pth", "--run", f"run{classes}"]) == 0
        line = f"note      weights {classes}.pth: {loaded} tensors matched by name, 0 missing; {said}"
        assert line in capsys.readouterr().out.splitlines()


def test_maps_that_nothing_is_held_against_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"expected scores.*got maps of 4x16x16; try globalavg FC"):
        fit(config("conv3-8 conv3-4"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("options", "said"), [
    ({"size": "0"}, "size"), ({"size": "axb"}, "size"), ({"pool": "sotf"}, "try 'soft'"),
    ({"freeze": 1.5}, "freeze: expected a string, got 1.5"),
])  # fmt: skip
def test_what_means_nothing_is_told_before_anything_is_written(
    options: dict[str, object], said: str, tmp_path: Path
) -> None:
    with pytest.raises(ArgumentError, match=said):
        fit(config(SMALL, **options), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize("pool", [None, "soft"])
@pytest.mark.parametrize(("model", "least"), [
    ("conv3-16*2 maxpool conv3-32*2 maxpool conv3-64*3 maxpool [FC-128 dropout]*2 FC soft-max", 0.9),
    ("conv3-16 maxpool:a conv3-32 maxpool:b conv3-32 unpool:b conv3-16 unpool:a conv3-channels", 0.8),
])  # fmt: skip
def test_vgg_and_encoder_decoder_learn_the_digits(
    model: str, least: float, pool: str | None, tmp_path: Path
) -> None:
    assert fit(config(model, epochs=20, pool=pool), tmp_path / "run").accuracy >= least
