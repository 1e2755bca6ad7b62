"""`cnnatomy pools` says what is true of every pooling, fits its terminal, and draws a page that is whole."""

from __future__ import annotations

import base64
import io
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from rich.console import Console

from cnnatomy import REGISTRY, Sliding, pool
from cnnatomy.cli import main
from cnnatomy.cli.pooling_catalog import Pooling, find, markdown, places, poolings
from cnnatomy.cli.pooling_catalog_view import explain, listing
from cnnatomy.reducers import Reducer, reducer
from cnnatomy.regions import Region
from cnnatomy.report import gallery

DOCS = Path(__file__).parents[2] / "docs"
OWN = sorted(kind.__name__ for kind in Region.kinds.values() if kind.__module__.startswith("cnnatomy."))


def printed(console: Console) -> str:
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize("words", [[], ["soft", "boxes"], ["--json"], ["--markdown"]])
def test_nothing_heavy_is_loaded(words: list[str]) -> None:
    code = "import sys, cnnatomy.cli as c; c.main(['pools', *sys.argv[1:]]); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    assert not {"torch", "numpy", "llvmlite", "PIL"} & set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("width", [60, 80, 120, 240])
def test_the_list_names_everything_and_fits(width: int) -> None:
    console = Console(file=io.StringIO(), width=width)
    listing(poolings(), places(), console)
    shown = printed(console)
    assert all(len(line.rstrip()) <= width for line in shown.splitlines())
    rows = [line.split()[0] for line in shown.splitlines() if re.match(r" \w", line)]
    assert rows == ["name", *sorted(REGISTRY), "region", *OWN]
    letters = re.sub(r"\s", "", shown)
    if width == 240:
        for kind in REGISTRY.values():
            assert all(
                re.sub(r"\s", "", said) in letters for said in (kind.summary, kind.formula, kind.source)
            )


@pytest.mark.parametrize("name", [*sorted(REGISTRY), *OWN])
def test_one_page_says_all_that_its_documentation_does(name: str) -> None:
    console = Console(file=io.StringIO(), width=80)
    found = find(name)
    if isinstance(found, type):
        explain([], [place for place in places() if place.name == name], console)
    else:
        explain([Pooling.of(found)], [], console)
    shown = printed(console)
    text = (found.__doc__ or "").replace("<BLANKLINE>", "")
    assert "".join(text.split()) in "".join(shown.split())
    prose = shown.partition("Example:")[0].splitlines()
    assert all(len(line.rstrip()) <= 80 or line.startswith("|") for line in prose)


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_what_backward_keeps_is_what_autograd_keeps(name: str) -> None:
    what = reducer(name)
    facts = Pooling.of(what)
    if facts.keeps is None:
        assert what.blended or what.mixes
        return
    inputs = [torch.rand(2, 3, 9, 9, requires_grad=True) for _ in range(1 + len(what.companions))]
    beside: dict[str, Any] = dict(zip(what.companions, inputs[1:], strict=True))
    kept: list[torch.Tensor] = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        y = pool(inputs[0], what, Sliding(3), training=True, **beside)
    whole = {"x": inputs[0], "y": y, **beside}
    expected = sum(whole[one].nbytes for one in facts.keeps) + (facts.bytes_per_output or 0) * y.numel()
    assert sum(one.nbytes for one in kept) == expected


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_the_other_facts_are_true(name: str) -> None:
    facts, what = Pooling.of(reducer(name)), reducer(name)
    x = torch.rand(2, 3, 8, 8)
    beside: dict[str, Any] = {one: torch.rand(2, 3, 8, 8) for one in facts.companions}
    beside |= {one.name: torch.tensor(one.start) for one in what.parameters}
    both = [pool(x, what, Sliding(4), training=True, seed=seed, **beside) for seed in range(20)]
    assert facts.draws == any(not torch.equal(one, both[0]) for one in both)
    if facts.mixes_channels:
        return
    chosen = (both[0].unsqueeze(-1) == x.unfold(2, 4, 4).unfold(3, 4, 4).flatten(-2)).any(-1).all()
    assert facts.selects == bool(chosen)
    for parameter in facts.learns:
        learned = what if facts.always_learns else type(what)(learned=3)  # type: ignore[call-arg]
        values = torch.tensor(learned.learns[parameter], requires_grad=True)
        given: dict[str, Any] = {parameter: values}
        y = pool(x, learned, Sliding(4), **given)
        assert torch.autograd.grad(y.sum(), values)[0].abs().min() > 0


def test_json_has_every_fact(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pools", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in found["poolings"]] == sorted(REGISTRY)
    assert [one["name"] for one in found["regions"]] == OWN
    assert all(Reducer.parse(one["call"]).name == one["name"] for one in found["poolings"])
    assert main(["pools", "Soft(temperature=0.5)", "whole", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["call"] for one in found["poolings"] + found["regions"]] == [
        "Soft(temperature=0.5, learned=0)",
        "Whole()",
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["sotf"], "error: no pooling or region 'sotf'; try soft\n"),
        (["slidng"], "error: no pooling or region 'slidng'; try sliding\n"),
        (["soft", "qqq"], "error: no pooling or region 'qqq'; try cnnatomy pools, which lists them\n"),
        (
            ["Soft(temperature=-1)"],
            "error: Soft has no such temperature: expected a number from 1e-30 to 1e30",
        ),
        (["Soft(2"], "error: this is no pooling: expected a reducer, its name, "),
        (["--picture", "a.png"], "error: --picture is for the gallery; try --gallery page.html\n"),
        (["--gallery", "no/page.html"], "error: cannot write no/page.html: expected a file in a folder"),
        (["--gallery", "page.html", "--picture", "no.png"], "error: no.png "),
        (["--gallery", "page.html", "whole"], "error: the gallery takes poolings: Whole is a region; try "),
    ],
)
def test_what_can_be_mended_is_said_in_one_line(
    words: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["pools", *words]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(said)
    assert shown.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


class Page(HTMLParser):
    """The pictures of a page, and whatever refers to something outside it."""

    def __init__(self) -> None:
        super().__init__()
        self.pictures: list[Image.Image] = []
        self.outside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("src", "href") and not (value or "").startswith("data:image/png;base64,"):
                self.outside.append(f"{tag} {name}={value}")
        if tag == "img":
            data = (dict(attrs)["src"] or "").partition(",")[2]
            self.pictures.append(Image.open(io.BytesIO(base64.b64decode(data))))


@pytest.mark.parametrize("named", [["importance", "kmax", "max"], pytest.param([], marks=pytest.mark.slow)])
def test_the_gallery_stands_alone_and_has_a_tile_for_each(
    named: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, picture = tmp_path / "page.html", tmp_path / "<b>.jpg"
    Image.effect_noise((300, 200), 90).convert("RGB").save(picture)
    shown = named or sorted(REGISTRY)
    assert main(["pools", *named, "--gallery", str(file), "--picture", str(picture)]) == 0
    assert capsys.readouterr().out == f"gallery  {file}\n"
    text, page = file.read_text("utf-8"), Page()
    page.feed(text)
    assert not page.outside
    assert "<script" not in text
    assert len(page.pictures) == 2 + 2 * len(shown) + len(gallery.REGIONS) + 2
    assert all(f"<b>{REGISTRY[name].__name__}(" in text for name in shown)
    assert {type(region).__name__ for region in gallery.REGIONS} == set(OWN)


def test_tiles_show_what_was_computed() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(1, 3, 128, 128, generator=generator) * gallery.WHITE
    tile = gallery.reduced(x, reducer("max"))
    result, gradient = (Image.open(io.BytesIO(png)) for png in tile.pictures)
    truth = (torch.nn.functional.max_pool2d(x, 4)[0] * 255 / gallery.WHITE).round().to(torch.uint8)
    assert pixels(result).equal(truth)
    lit = pixels(gradient) == 255
    assert lit.unfold(1, 4, 4).unfold(2, 4, 4).flatten(-2).sum(-1).eq(1).all()
    assert pixels(gradient)[~lit].eq(0).all()


def test_a_region_is_painted_where_it_reads() -> None:
    x = torch.rand(1, 3, 128, 128) * gallery.WHITE
    mean = torch.nn.functional.avg_pool2d(x, 8)
    truth = (torch.nn.functional.interpolate(mean, scale_factor=8.0)[0] * 255 / gallery.WHITE).round()
    assert (gallery.painted(x, Sliding(8)).double() - truth).abs().max() <= 1


def pixels(image: Image.Image) -> torch.Tensor:
    flat = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
    return flat.view(image.height, image.width, 3).permute(2, 0, 1)


def test_the_table_of_the_docs_is_the_registry() -> None:
    page = (DOCS / "pooling.md").read_text("utf-8")
    (table,) = re.findall(r"^\| reducer \|.*?\n(?=\n)", page, re.MULTILINE | re.DOTALL)
    assert table == markdown(poolings()), "cnnatomy pools --markdown prints the new one"


def test_every_region_is_in_the_docs() -> None:
    page = (DOCS / "pooling.md").read_text("utf-8")
    assert all(re.search(rf"^\| `{name}\(", page, re.MULTILINE) for name in OWN)
