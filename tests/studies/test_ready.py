"""Ready studies: each can be carried out, judges its claims, and stands in the docs as it was measured."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cnnatomy.cli import main
from cnnatomy.data import load as load_pictures
from cnnatomy.errors import ArgumentError
from cnnatomy.studies import Study, compare
from cnnatomy.studies.ready import NAMES, Claim, judge, load
from cnnatomy.train.batch_evaluation import scores_of
from scripts import studies_page

WANTED = "augmentation cnn-or-fc heads kernels lrn poolings sample-size shifts strides"


def test_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert " ".join(NAMES) == WANTED
    assert main(["study"]) == 0
    listed = capsys.readouterr().out
    for name in NAMES:
        assert all(claim.says in listed and claim.source in listed for claim in load(name).claims), name


@pytest.mark.parametrize("form", ["quick", "full"])
@pytest.mark.parametrize("name", NAMES)
def test_every_study_can_be_planned(name: str, form: str) -> None:
    ready = load(name)
    design = ready.design(form)
    assert len(design.seeds) >= 3
    arms = [arm.name for arm in design.arms]
    assert ready.claims
    for claim in ready.claims:
        assert {claim.above, claim.below} <= set(arms)
        assert claim.shift is None or claim.shift in (ready.shift or {})["amounts"]
    assert (design.base.data.limit is None) or form == "quick"


@pytest.mark.parametrize(
    ("difference", "margin", "verdict"),
    [
        (0.2, 0.0, "held"),
        (0.2, 0.1, "held"),
        (0.2, 0.3, "refuted"),
        (-0.2, 0.0, "refuted"),
        (0.0, 0.0, "not shown"),
        (0.0, -0.2, "held"),
        (-0.3, -0.1, "refuted"),
    ],
)
def test_a_claim_is_judged_by_its_interval(difference: float, margin: float, verdict: str) -> None:
    rng = np.random.default_rng(1)
    above, below = rng.random((4, 500)), rng.random((4, 500))
    claim = Claim("", "", "a", "b", margin)
    found = judge(claim, above - above.mean() + difference, below - below.mean())
    assert found.verdict == verdict
    assert found.found.mean == pytest.approx(difference)


def test_shifted_pictures_are_answered_as_one_would(tmp_path: Path) -> None:
    """By hand: four directions, one roll each, the border's pixels repeated."""
    ready = replace(
        load("shifts"),
        arms={"plain": {"model": "FC"}, "other": {"model": "conv3-4 globalmax FC"}},
        claims=(Claim("", "", "other", "plain", shift=2),),
        shift={"amounts": [0, 2], "pictures": 50},
    )
    study = compare("digits", ready.arms, seeds=2, study=tmp_path / "s", limit=200, epochs=1, augment="none")
    verdicts = ready.judged(study)
    model, _ = study.folder.run(study.design.arms[1], 1).load_model()
    test = load_pictures("digits", size=(32, 32), channels=1).test
    some = np.sort(np.random.default_rng(0).permutation(len(test))[:50])
    images, labels = test.images[some], test.labels[some]
    padded = torch.nn.functional.pad(images.float(), (2, 2, 2, 2), mode="replicate").byte()
    moved = [padded[:, :, y : y + 32, x : x + 32] for y, x in ((2, 0), (2, 4), (0, 2), (4, 2))]
    answers = [scores_of(model, one).argmax(1) == labels for one in moved]
    wanted = torch.stack(answers).double().mean(0).tolist()
    assert verdicts.shifted["other"].scores[1, 2].tolist() == wanted
    assert verdicts.shifted["other"].logits[1, 0] == 0
    by_hand = [verdicts.shifted[name].scores[seed, 2] for name in ("other", "plain") for seed in (0, 1)]
    assert verdicts.findings[0].found.mean == pytest.approx(np.mean(by_hand[:2]) - np.mean(by_hand[2:]))


def test_a_study_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a form made smaller: trained, judged, written down, and not trained again."""
    monkeypatch.chdir(tmp_path)
    small = replace(
        load("lrn"),
        settings={"data": "digits", "optimizer": "adam", "lr": 0.003},
        forms={"quick": {"seeds": 2, "epochs": 1, "limit": 100}, "full": {}},
        arms={"without": {"model": "conv3-4 maxpool FC"}, "LRN": {"model": "conv3-4 LRN maxpool FC"}},
    )
    monkeypatch.setattr("cnnatomy.studies.ready.load", lambda name: small)
    assert main(["study", "lrn", "--dry-run"]) == 0
    assert "4 runs" in capsys.readouterr().out
    assert not Path("studies").exists()
    assert main(["study", "lrn"]) == 0
    printed = capsys.readouterr().out
    said = json.loads(Path("studies/lrn/claims.json").read_text())
    assert said["arms"] == Study("studies/lrn").table()
    assert (said["command"], said["form"]) == ("cnnatomy study lrn", "quick")
    for one in said["claims"]:
        assert one["verdict"] in printed
        assert one["line"] in printed
    assert main(["study", "lrn", "--seeds", "3"]) == 0
    assert "4 of them done" in capsys.readouterr().out


def test_what_there_is_not_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ArgumentError, match="kernels"):
        load("kernel")
    assert main(["study", "kernel"]) == 2
    assert "kernels" in capsys.readouterr().err


@pytest.mark.parametrize("name", [name for name in NAMES if studies_page.path(name).exists()])
def test_the_docs_say_what_was_measured(name: str) -> None:
    """The committed results are those of the quick form as it is, and all of them are on the page."""
    ready, told = load(name), studies_page.results(name)
    design = ready.design("quick")
    assert told["command"] == f"cnnatomy study {name}"
    assert (told["seeds"], told["epochs"]) == (list(design.seeds), design.base.recipe.epochs)
    assert told["data"] == {"source": design.base.data.source, "limit": design.base.data.limit}
    assert [row["arm"] for row in told["arms"]] == [arm.name for arm in design.arms]
    assert [one["says"] for one in told["claims"]] == [claim.says for claim in ready.claims]


def test_the_page_is_made_of_the_results() -> None:
    assert (studies_page.DOCS / "studies.md").read_text("utf-8") == studies_page.page()
