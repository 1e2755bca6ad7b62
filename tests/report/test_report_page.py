"""The page is well formed, self-contained, literal about every name, and says the numbers it was given."""

from __future__ import annotations

import base64
import io
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from anatomy.handmade import ANATOMY, layer
from PIL import Image

from cnnatomy.report import Curve, Page, render, save
from cnnatomy.report.label_doubts import Doubt
from cnnatomy.report.page_content import Doubted, Figured
from cnnatomy.train.calibration import calibration
from cnnatomy.train.evaluation import Evaluation, Mistake
from cnnatomy.train.statistics import wilson

HOSTILE = ("<script>alert(1)</script>", '" onload="x', "a & b", "{{ 7 * 7 }}", "</style><b>", "'><img src=x>")
VOID = {"meta", "img", "br"}


def evaluation(classes: tuple[str, ...], seed: int = 0) -> Evaluation:
    generator = torch.Generator().manual_seed(seed)
    confusion = torch.randint(0, 4, (len(classes), len(classes)), generator=generator)
    confusion += torch.diag(torch.randint(20, 90, (len(classes),), generator=generator))
    wrong = [
        Mistake(n, f"{label}/{n}.png", label, said, 0.5 + n / 10_000)
        for i, label in enumerate(classes)
        for j, said in enumerate(classes)
        for n in range(int(confusion[i, j]))
        if i != j
    ]
    return Evaluation("pictures", classes, 0.25, confusion, tuple(wrong), {})


def picture() -> bytes:
    out = io.BytesIO()
    Image.effect_noise((8, 8), 60).save(out, "PNG")
    return out.getvalue()


def page_of(classes: tuple[str, ...]) -> Page:
    result = evaluation(classes)
    return Page(
        title=f"lenet5 on {classes[0]}",
        evaluation=result,
        summary="3 passes & a half",
        notes=(classes[0],),
        facts={"Data": {"source": classes[0]}, classes[1]: {"fit": "8x8 < 32x32"}},
        losses=(Curve("train", [2.0, math.nan, 0.5]), Curve(classes[0], [2.5, math.inf, 0.7])),
        accuracies=(Curve("train", [0.2, 0.5, 1.0]), Curve("test", [0.3, 0.4, 0.9])),
        mistakes=[(mistake, picture()) for mistake in result.mistakes[:5]],
        anatomy=replace(ANATOMY, model=classes[0], layers=(layer(classes[1], classes[2], 1, None),)),
    )


class Parsed(HTMLParser):
    """The tags and the words of a page whose tags all close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture(scope="module")
def hostile() -> tuple[Page, Parsed]:
    page = page_of(HOSTILE)
    return page, Parsed(render(page))


def test_every_name_is_text_and_nothing_else(hostile: tuple[Page, Parsed]) -> None:
    _, parsed = hostile
    text = " ".join(" ".join(parsed.words).split())
    for name in HOSTILE:
        assert name in text
    assert not parsed.all("script")
    assert len(parsed.all("img")) == 5
    assert not [attrs for _, attrs in parsed.tags if any(name.startswith("on") for name in attrs)]


def test_nothing_is_fetched(hostile: tuple[Page, Parsed]) -> None:
    page, parsed = hostile
    text = render(page)
    assert not re.search(r"https?:|url\(|@import|//[a-z]", text)
    for _, attrs in parsed.tags:
        assert not {"href", "srcset", "action"} & set(attrs)
        assert (attrs.get("src") or "data:").startswith("data:image/png;base64,") or "src" not in attrs
    policy = [attrs["content"] for attrs in parsed.all("meta") if "http-equiv" in attrs]
    assert policy == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


def test_the_embedded_pictures_decode_and_are_described(hostile: tuple[Page, Parsed]) -> None:
    page, parsed = hostile
    for attrs, (mistake, png) in zip(parsed.all("img"), page.mistakes, strict=True):
        assert attrs["src"] is not None
        content = base64.b64decode(attrs["src"].partition(",")[2])
        assert content == png
        assert Image.open(io.BytesIO(content)).size == (8, 8)
        assert attrs["alt"] == f"{mistake.name}: is {mistake.label}, taken for {mistake.predicted}"


def test_tables_have_headers_and_charts_have_words(hostile: tuple[Page, Parsed]) -> None:
    _, parsed = hostile
    assert all(attrs.get("scope") in ("row", "col") for attrs in parsed.all("th"))
    charts = parsed.all("svg")
    assert len(charts) == 2
    assert all(attrs["role"] == "img" and attrs["aria-label"] for attrs in charts)
    assert ("html", {"lang": "en"}) in parsed.tags


def test_the_numbers_are_those_of_the_evaluation() -> None:
    page = page_of(("cat", "dog", "cow"))
    result = page.evaluation
    words = " ".join(" ".join(Parsed(render(page)).words).split())
    assert f"{100 * result.accuracy:.2f}%" in words
    assert f"{len(result.mistakes)} of {result.pictures} pictures wrong" in words
    for score in result.per_class:
        assert score.recall is not None
        assert score.precision is not None
        assert score.f1 is not None
        low, high = wilson(round(score.recall * score.support), score.support)
        assert f"{score.name} {score.support} {100 * score.recall:.1f}% {100 * low:.1f}% to" in words
        assert f"to {100 * high:.1f}% {100 * score.precision:.1f}%" in words
        assert f"{100 * score.f1:.1f}%" in words
    for figure in (result.balanced_accuracy, result.macro_f1, *result.interval, result.yardstick.accuracy):
        assert f"{100 * figure:.2f}%" in words
    for name, row in zip(result.classes, result.confusion.tolist(), strict=True):
        assert " ".join([name, *(str(count) if count else "·" for count in row)]) in words.replace(
            " · ", " · "
        )


def test_a_loss_that_is_no_number_leaves_a_gap() -> None:
    text = render(page_of(("cat", "dog", "cow")))
    drawn = "".join(re.findall(r"<path d=\"[^\"]*\"|<circle[^>]*>", text))
    assert "nan" not in drawn
    assert "inf" not in drawn
    first = re.findall(r"<path d=\"([^\"]*)\"", text)[0]
    assert (first.count("M"), first.count("L")) == (2, 0)


def test_many_classes_list_their_confusions_instead() -> None:
    page = page_of(tuple(f"class {index}" for index in range(40)))
    text = render(page)
    assert 'class="matrix' not in text
    assert text.count('<th scope="row">class') == 40 + 20 + 20
    assert "All 40 classes" in text
    assert len(text) < 60_000


def test_what_is_absent_is_left_out() -> None:
    text = render(Page("only numbers", evaluation(("cat", "dog"))))
    for heading in ("Learning curves", "Worst mistakes", "Layers", "Facts"):
        assert heading not in text
    page = replace(page_of(("cat", "dog", "cow")), losses=(Curve("train", [math.nan]),))
    Parsed(render(page))


def test_a_class_without_pictures_has_no_rates() -> None:
    result = Evaluation("x", ("cat", "dog"), 0.0, torch.tensor([[3, 0], [0, 0]]), (), {})
    words = " ".join(" ".join(Parsed(render(Page("t", result))).words).split())
    assert "dog 0 – – –" in words


def test_a_result_that_beats_no_constant_answer_has_a_warning() -> None:
    result = evaluation(("cat", "dog", "cow"))
    assert "Warning" not in render(Page("t", result))
    useless = Evaluation("x", ("cat", "dog"), 0.0, torch.tensor([[2, 1], [0, 1]]), (), {})
    words = " ".join(" ".join(Parsed(render(Page("t", useless))).words).split())
    assert "On the 4 test pictures of x; always answering 'cat' scores 75.00%." in words
    assert "Warning: the model is no better than always answering 'cat'." in words
    words = " ".join(Parsed(render(Page("t", replace(result, averaged=0.875, top5_accuracy=0.625)))).words)
    assert "87.50%" in words
    assert "62.50%" in words


def test_saving_is_whole_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.html"
    page = Page("first", evaluation(("cat", "dog")))
    assert save(page, path).read_text("utf-8") == render(page)

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        save(replace(page, title="second"), path)
    assert [child.name for child in tmp_path.iterdir()] == ["report.html"]
    assert "first" in path.read_text("utf-8")


def test_one_answer_to_everything_is_said_at_the_top() -> None:
    single = Evaluation("x", ("cat", "dog"), 0.0, torch.tensor([[3, 0], [1, 0]]), (), {})
    words = " ".join(" ".join(Parsed(render(Page("t", single))).words).split())
    assert words.index("Warning: the model answers 'cat' to every picture.") < 200


def test_an_overconfident_model_is_shown_so_with_its_error() -> None:
    sure, right = torch.tensor([0.99] * 8 + [0.6] * 2), torch.tensor([True] * 5 + [False] * 3 + [True, False])
    page = Page(
        "t",
        evaluation(("cat", "dog")),
        figured=Figured(calibration=calibration(sure, right), temperature=3.0),
    )
    words = " ".join(" ".join(Parsed(render(page)).words).split())
    error = (8 * abs(5 / 8 - 0.99) + 2 * abs(1 / 2 - 0.6)) / 10
    assert f"overconfident. Expected calibration error {100 * error:.2f}%" in words
    assert "Scores divided by 3.00 would make these labels likeliest" in words


def test_doubted_files_and_steps_are_written_literally() -> None:
    doubt = Doubt(3, HOSTILE[0], HOSTILE[1], "dog", -0.9)
    found = Doubted(60, 0.02, [(doubt, picture())], [(doubt.name, doubt.label, doubt.likely)])
    page = Page(
        "t", evaluation(("cat", "dog")), figured=Figured(doubted=found, steps=[HOSTILE[4]]), look="look.html"
    )
    parsed = Parsed(render(page))
    words = " ".join(" ".join(parsed.words).split())
    assert HOSTILE[0] in words
    assert HOSTILE[4] in words
    assert not parsed.all("script")
    assert parsed.all("a") == [{"href": "look.html"}]
