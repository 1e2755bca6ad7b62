"""A run, or a network and a folder of pictures, to its page `look.html`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from markupsafe import Markup
from torch import Tensor, nn

from cnnatomy import checks
from cnnatomy.anatomy import anatomy
from cnnatomy.data import Dataset, Pictures, load, read_pictures
from cnnatomy.errors import ArgumentError, DataError
from cnnatomy.explain.looks.page_figures import drawn, gathered
from cnnatomy.models import adopt
from cnnatomy.models.classifier import Classifier
from cnnatomy.models.scoring import scores_in
from cnnatomy.nn.modes import evaluating
from cnnatomy.report.run_page import name_of
from cnnatomy.runs import Run
from cnnatomy.train.atomic_files import write_whole
from cnnatomy.train.reporter import Silent
from cnnatomy.train.run_folder import RunFolder
from cnnatomy.train.run_inputs import IN_MEMORY, load_data

PICTURES = 1000
"""Pictures that are looked at, at most."""
FEWEST, WORK = 50, 10**10
"""Fewer where one pass over them would take more multiply-accumulates: the curves alone make some sixty."""
MOST_BYTES = 3_000_000
FIT = "letterbox"
PAGES = (".html", ".htm")


@dataclass(frozen=True)
class _Given:
    """A network, the pictures, and how a picture of one's own is brought to its size."""

    model: Classifier
    data: Dataset
    fit: str
    title: str


def look(
    what: str | Path | Run | nn.Module,
    data: str | Path | None = None,
    *,
    picture: str | Path | None = None,
    page: str | Path | None = None,
    input_size: Sequence[int] | None = None,
    seed: int = 0,
    code: str | None = None,
) -> Path:
    """Write a page on what a network looks for, and say where.

    Args:
        what: a run or its folder; or a network, which needs `data`.
        data: a source of pictures, a built-in one or a folder; left out, the run's own.
        picture: the file of the picture whose maps and attributions are shown; left out, the first that was
            drawn.
        page: the file to write; left out, look.html in the run's folder, or here.
        input_size: (C, H, W) of a network that is no classifier of this package.
        seed: draws the pictures that are looked at, 50 to 1,000, and begins the maximised ones.
        code: the text of the network again, as net.py:Net, where the run was given code.

    Raises:
        ArgumentError: the network gives no scores, or there is nothing to look at.
        CheckpointError: there is no such run.
        DataError: the pictures cannot be read, or were given in memory and are gone.
    """
    home = _page(page, what)
    checks.count("seed", seed, least=0)
    given = _of_module(what, data, input_size) if isinstance(what, nn.Module) else _of_run(what, data, code)
    model = given.model
    if model.goal != "classify":
        raise ArgumentError("the network gives pictures, not scores", hint="a classifier")
    pictures = drawn(given.data.test, _affordable(model), seed)
    known = all(name in model.classes for name in pictures.classes)
    if known:
        numbers = torch.tensor([model.classes.index(name) for name in pictures.classes])
        pictures = replace(pictures, labels=numbers[pictures.labels], classes=model.classes)
    levels, name = _picture(picture, given, pictures)
    with evaluating(model):
        looks = gathered(model, pictures, levels, name, labelled=known, seed=seed)
    said = [
        f"{len(pictures):,} of the {len(given.data.test):,} test pictures of {given.data.name}, seed {seed}",
        given.data.fitted.sentence(),
    ]
    write_whole(home, _rendered(looks, given.title, said, known))
    return home


def _affordable(model: Classifier) -> int:
    """How many pictures to look at: all of `PICTURES`, or as many as one pass over takes `WORK`."""
    macs = anatomy(model, model.input_shape).macs or 1
    return min(PICTURES, max(FEWEST, int(WORK / macs)))


def _rendered(looks: object, title: str, said: Sequence[str], known: bool) -> bytes:
    from cnnatomy.report.render import sealed, template

    here = Path(__file__).parent
    own = Markup((here / "look.css").read_text("utf-8"))
    made = template("look.html.j2", "cnnatomy.explain.looks").render(
        looks=looks,
        title=title,
        said=said,
        known=known,
        own=own,
        **sealed((here / "look.js").read_text("utf-8")),
    )
    if len(made.encode()) > MOST_BYTES:
        expected, got = f"at most {MOST_BYTES:,} bytes", f"{len(made.encode()):,}"
        raise ArgumentError("the page would be too large", expected=expected, got=got)
    return made.encode()


def _of_run(what: str | Path | Run, data: str | Path | None, code: str | None) -> _Given:
    run = what if isinstance(what, Run) else None
    folder = RunFolder(run.path if run else checks.path(what, "the run").expanduser())
    settings = folder.settings()
    model, facts = (run.model, {"fit": settings.data.fit}) if run else folder.load_model(code=code)
    if data is None and settings.data.source == IN_MEMORY:
        gone = "the pictures of this run were given in memory, and are gone"
        raise DataError(gone, hint="looking at other pictures (--data)")
    wanted = replace(settings.data, source=settings.data.source if data is None else str(data))
    title = f"What {name_of(settings)} looks for"
    return _Given(model, load_data(wanted, model.input_shape, Silent()), str(facts["fit"]), title)


def _of_module(net: nn.Module, data: str | Path | None, input: Sequence[int] | None) -> _Given:
    if data is None:
        raise ArgumentError("a network alone has no pictures", expected="data, such as a folder")
    shape = getattr(net, "input_shape", None) if input is None else tuple(input)
    if shape is None or len(shape) != 3:
        raise ArgumentError("input_size", expected="(C, H, W)", got=repr(shape))
    found = load(str(data), size=(shape[1], shape[2]), channels=shape[0], fit=FIT, skip_bad=True)
    title = f"What {type(net).__name__} looks for"
    if isinstance(net, Classifier):
        return _Given(net, found, FIT, title)
    like = next((p for p in net.parameters() if p.is_floating_point()), torch.zeros(()))
    with torch.no_grad(), evaluating(net):
        count = scores_in(net(torch.zeros(2, *shape).to(like))).shape[-1]
    names = found.classes if count == len(found.classes) else max(int(count), 2)
    model = adopt(net, classes=names, input_size=shape)
    model.adapt(found.train.images)
    return _Given(model, found, FIT, title)


def _picture(picture: str | Path | None, given: _Given, pictures: Pictures) -> tuple[Tensor, str]:
    """The picture to look at, and its name."""
    if picture is None:
        return pictures.images[0], f"{pictures.names[0]}, {pictures.classes[int(pictures.labels[0])]}"
    channels, height, width = given.model.input_shape
    path = checks.path(picture, "picture").expanduser()
    read = read_pictures([path], size=(height, width), channels=channels, fit=given.fit)
    return read[0], path.name


def _page(page: str | Path | None, what: str | Path | Run | nn.Module) -> Path:
    """The file to write, with its folder."""
    if page is None:
        home = Path() if isinstance(what, nn.Module) else what.path if isinstance(what, Run) else Path(what)
        return home.expanduser() / "look.html"
    path = checks.path(page, "the page").expanduser()
    if path.suffix not in PAGES:
        raise ArgumentError("the page", expected=f"a name that ends in {' or '.join(PAGES)}", got=path.name)
    return path
