"""`cnnatomy export`: what it writes, says and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from cnnatomy.cli import main
from cnnatomy.errors import ArgumentError
from cnnatomy.export import Deployed, export_run
from cnnatomy.export.written import beside, compared
from cnnatomy.models import build
from cnnatomy.train import Settings
from cnnatomy.train.reconstruction import redrawn
from cnnatomy.train.run_folder import RunFolder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has learned little."""
    folder = tmp_path_factory.mktemp("runs") / "digits"
    assert main(["train", "digits", "--epochs", "1", "--run", str(folder)]) == 0
    return folder


def bytes_of(model: torch.nn.Module, count: int = 3) -> torch.Tensor:
    shape = (count, *model.input_shape)  # type: ignore[misc]
    return torch.randint(256, shape, generator=torch.Generator().manual_seed(7)).to(torch.uint8)


def test_an_onnx_file_gives_the_scores_of_the_run(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxscript")
    ort = pytest.importorskip("onnxruntime")
    path = tmp_path / "digits.onnx"
    assert main(["export", str(trained), str(path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["size"] == path.stat().st_size
    assert told["opset"] == 18
    assert (told["inputs"], told["outputs"]) == (["pictures"], ["scores", "probabilities"])
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map
    model, facts = RunFolder(trained).load_model()
    assert json.loads(metadata["classes"]) == list(model.classes)
    preprocessing = json.loads(metadata["preprocessing"])
    assert preprocessing["size"] == [32, 32]
    assert preprocessing["fit"] == facts["fit"]
    pictures = bytes_of(model)
    scores, shares = session.run(None, {"pictures": pictures.numpy()})
    with torch.no_grad():
        truth = model(model.preprocess(pictures))
        mean, std = (torch.tensor(preprocessing[name]).view(1, -1, 1, 1) for name in ("mean", "std"))
        by_hand = model((pictures.float() / 255 - mean) / std)
    np.testing.assert_allclose(scores, truth, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(by_hand, truth, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(shares.sum(1), 1, rtol=1e-5)
    assert list(tmp_path.iterdir()) == [path]


def test_a_program_gives_the_scores_of_the_run(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "digits.pt2"
    assert main(["export", str(trained), str(path)]) == 0
    printed = capsys.readouterr().out
    assert "torch.export" in printed
    assert "output  scores, probabilities\n" in printed
    extra = {"classes": "", "preprocessing": ""}
    program = torch.export.load(path, extra_files=extra)
    assert not any("cnnatomy" in str(node.target) for node in program.graph.nodes)
    signature = program.graph_signature
    assert (signature.user_inputs, signature.user_outputs) == (("pictures",), ("scores", "probabilities"))
    model, _ = RunFolder(trained).load_model()
    assert json.loads(extra["classes"]) == list(model.classes)
    pictures = bytes_of(model)
    with torch.no_grad():
        for found, wanted in zip(program.module()(pictures), Deployed(model)(pictures), strict=True):
            torch.testing.assert_close(found, wanted)


def test_an_encoder_decoder_gives_levels(tmp_path: Path) -> None:
    torch.manual_seed(0)  # of some weights every unit of so small a network is dead
    text = "maxpool:a conv3-1 unpool:a conv3-channels"
    model = build(text, classes=10, input_size=(1, 8, 8))
    model.recall({"mean": [0.3], "std": [0.2]})
    run, config = RunFolder(tmp_path / "run"), Settings.of(model=text, size="1x8x8")
    run.create(config)
    run.write_model("last", model, config, 1, {})
    written = export_run(run.path, tmp_path / "a.pt2")
    assert written.outputs == ("levels",)
    assert "classes" not in written.metadata
    pictures = bytes_of(model)
    (levels,) = torch.export.load(tmp_path / "a.pt2").module()(pictures)
    drawn = redrawn(model, pictures)
    assert levels.round().equal(drawn.float())
    assert drawn.float().std() > 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere", "a.onnx"], "is not a run"),
        (["nowhere", "a.txt"], "names no format"),
        (["nowhere", "no/where/a.onnx"], "cannot write"),
        (["nowhere"], "FILE is missing"),
    ],
)
def test_mistakes_are_one_line(
    words: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["export", *words]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert len(told.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_missing_extra_says_what_to_install(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("cnnatomy.export.onnx_writer.find_spec", lambda name: None)
    assert main(["export", str(trained), str(tmp_path / "a.onnx")]) == 2
    assert "pip install 'cnnatomy[onnx]'" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_file_is_whole_or_what_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("old")

    def fail() -> None:
        with beside(path) as place:
            place.write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    with beside(path) as place:
        place.write_text("new")
    assert path.read_text() == "new"


def test_results_that_differ_are_refused() -> None:
    x = torch.tensor([1.0, 2.0, float("nan"), float("inf")])
    assert compared(lambda x: [x], [x], [x]) == 0
    for other in (x + torch.tensor([1e-2, 0, 0, 0]), x.nan_to_num(0), x[:3]):
        with pytest.raises(ArgumentError, match="output 0 differs"):
            compared(lambda *_, other=other: [other], [x], [x])
