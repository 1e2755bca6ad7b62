"""The commands do what they say, and print the numbers that the library gives."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from rich.console import Console

from cnnatomy import __version__, models
from cnnatomy.anatomy import anatomy
from cnnatomy.cli import main
from cnnatomy.cli import option_synonyms as names
from cnnatomy.cli.console import load_torch
from cnnatomy.cli.evaluation_view import show
from cnnatomy.cli.help import COMMANDS
from cnnatomy.cli.options import GROUPS, documentation, to_arguments, to_settings, train_arguments
from cnnatomy.cli.train import COMMAND
from cnnatomy.runs.progress_bar import Bar, reporter
from cnnatomy.train import Evaluation, Interrupted, Mistake, RunFolder, Settings, evaluate, predict
from cnnatomy.train.reporter import Choice, Epoch, Plan, Reporter, Tick
from cnnatomy.train.run_folder import claimed, next_run
from cnnatomy.train.settings import HOMES, PARTS, kind_of

CNNATOMY = [sys.executable, "-m", "cnnatomy"]
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which `cnnatomy train digits` has been called once, and what it printed."""
    folder = tmp_path_factory.mktemp("home")
    before = Path.cwd()
    os.chdir(folder)
    out, sys.stdout = sys.stdout, io.StringIO()
    try:
        assert main(["train", "digits", "--epochs", "2", "--threads", "1"]) == 0
        (folder / "printed.txt").write_text(sys.stdout.getvalue(), "utf-8")
    finally:
        sys.stdout = out
        os.chdir(before)
    return folder


@pytest.fixture
def here(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(home)
    return home


RUN = "runs/digits-1"


def ran(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )


@pytest.mark.parametrize("words", [["--help"], ["--version"], *([name, "--help"] for name in COMMANDS)])
def test_help_does_not_load_torch(words: list[str]) -> None:
    code = "import sys, cnnatomy.cli as c; c.main(sys.argv[1:]); sys.exit('torch' in sys.modules)"
    ran(code, *words)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_examples_that_parse(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    from importlib import import_module

    assert main([name, "--help"]) == 0
    shown = capsys.readouterr().out
    command = import_module(f"cnnatomy.cli.{name}").COMMAND
    assert len(command.lists["examples"]) >= 3
    for example in command.lists["examples"]:
        assert example in shown
        assert shlex.split(example)[:2] == ["cnnatomy", name]


def test_every_setting_is_a_documented_flag_in_one_group(capsys: pytest.CaptureFixture[str]) -> None:
    grouped = [name for names in GROUPS.values() for name in names]
    assert sorted([*grouped, "data"]) == sorted(HOMES)
    documents = {name: text for part in PARTS for name, text in documentation(kind_of(part)).items()}
    assert main(["train", "--help"]) == 0
    shown = capsys.readouterr().out
    for name in grouped:
        assert f"--{name.replace('_', '-')}" in shown
        assert documents[name].split()[0] in shown


@pytest.mark.parametrize("command", ["train", "evaluate", "predict"])
def test_names_of_other_tools_are_none_of_ours_and_mean_ours(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "--help"]) == 0
    own = set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", capsys.readouterr().out))
    meant = getattr(names, command.upper())
    assert len(meant) > 15
    assert not own & meant.keys()
    assert {word for said in meant.values() for word in said.split() if word.startswith("-")} <= own


@pytest.mark.parametrize(
    "base",
    [
        Settings(),
        Settings.of(data="mnist", skip_bad=True, epochs=7, lr=0.5, data_dir="x", restarts=(2.0, 3.0)),
        Settings.of(log=("wandb", "mlflow"), time="90s", balanced=True, limit=50),
    ],
)
def test_defaults_survive_the_way_through_the_flags(base: Settings) -> None:
    parsed = COMMAND.parse(train_arguments(), [], default=to_arguments(base))
    assert to_settings(parsed, base) == base
    parsed = COMMAND.parse(
        train_arguments(), ["~/a", "--lr", "0.25", "--skip-bad"], default=to_arguments(base)
    )
    changed = base.changed(data=str(Path("~/a").expanduser()), lr=0.25, skip_bad=True)
    assert to_settings(parsed, base) == changed


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ("digits", "digits"),
        ("my cats/", "my-cats"),
        (".", "here"),
        ("../a/b.zip", "b"),
        ("ab~c/döner", "döner"),
    ],
)
def test_the_folder_of_a_run_is_named_after_the_data(
    data: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here/runs").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    settings = Settings.of(data=data)
    assert next_run(settings) == Path(f"runs/{name}-1")
    next_run(settings).mkdir()
    assert next_run(settings) == Path(f"runs/{name}-2")
    assert next_run(settings.changed(model="lenet5")) == Path(f"runs/{name}-lenet5-1")


def test_whoever_starts_beside_gets_the_next_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings.of(data="digits")
    together = threading.Barrier(8)
    got: list[Path] = []

    def start() -> None:
        together.wait()
        with claimed(settings) as run:
            got.append(run)
            together.wait()
            (run / "run.toml").write_text("")

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(got) == [Path(f"runs/digits-{number}") for number in range(1, 9)]


def test_a_claimed_folder_goes_where_nothing_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with claimed(Settings.of(data="digits")) as run:
        assert run.is_dir()
    assert not Path("runs").exists()
    Path("runs").mkdir()
    with claimed(Settings.of(data="digits")):
        pass
    assert list(Path("runs").iterdir()) == []


def test_overview_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(len(re.findall(rf"^  {name} ", shown, re.MULTILINE)) == 2 for name in COMMANDS)
    assert main(["--version"]) == 0
    first, *others = capsys.readouterr().out.splitlines()
    assert first == f"cnnatomy {__version__}"
    assert f"torch {torch.__version__}" in others


def test_train_leaves_a_run_with_a_report_and_says_where(here: Path) -> None:
    printed = (here / "printed.txt").read_text("utf-8")
    assert not CONTROL.search(printed)
    metrics = json.loads((here / RUN / "metrics.json").read_text())
    assert f"test accuracy {100 * metrics['accuracy']:.2f}%" in printed
    for epoch in RunFolder(here / RUN).log():
        (line,) = (line for line in printed.splitlines() if line.split()[:1] == [f"{epoch.epoch}/2"])
        assert line.split()[2] == f"{100 * epoch.accuracy:.1f}%"
    for name, row in zip("0123456789", metrics["confusion"], strict=True):
        assert re.search(
            rf"^ *{name} +" + " +".join(str(n) if n else "·" for n in row) + " *$", printed, re.M
        )
    assert RUN in printed
    assert f"{RUN}/report.html" in printed
    page = (here / RUN / "report.html").read_text("utf-8")
    assert f"{100 * metrics['accuracy']:.2f}%" in page
    assert len(re.findall(r'alt="[^"]*: is \d, taken for \d"', page)) == min(21, metrics["mistakes"])


def test_quiet_prints_the_next_free_folder_and_nothing_else(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "digits", "--epochs", "1", "--threads", "1", "--quiet"]) == 0
    assert capsys.readouterr() == ("runs/digits-2\n", "")
    assert (here / "runs/digits-2/report.html").exists()


def test_a_preset_gives_defaults_that_flags_change(here: Path) -> None:
    line = ["train", "digits", "--preset", "short", "--batch-size", "256", "--quiet", "--run", "runs/short"]
    assert main([*line, "--threads", "1"]) == 0
    settings = RunFolder(here / "runs/short").settings()
    assert (settings.recipe.epochs, settings.recipe.batch_size, settings.data.source) == (3, 256, "digits")


def test_a_finished_run_can_be_resumed_and_says_the_same(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (here / RUN / "last.safetensors").read_bytes()
    assert main(["train", "--resume", "--run", RUN, "--quiet"]) == 0
    assert (here / RUN / "last.safetensors").read_bytes() == before


def test_ctrl_c_saves_says_how_to_go_on_and_that_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = [*CNNATOMY, "train", "digits", "--epochs", "3", "--threads", "1", "--augment", "none"]
    monkeypatch.chdir(tmp_path)
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        while not process.stdout.readline().lstrip().startswith("1/3"):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        code, said = process.wait(30), process.stderr.read()
    assert code == 130
    assert said.startswith("stopped after step ")
    assert said.count("\n") == 1
    again = shlex.split(said.split("go on with: ")[1])
    assert again == ["cnnatomy", "train", "--resume", "--run", RUN]
    assert main(again[1:]) == 0
    assert "going on after step" in capsys.readouterr().out
    assert [epoch.epoch for epoch in RunFolder(tmp_path / RUN).log()] == [1, 2, 3]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_before_the_first_step_leaves_nothing_behind(
    number: signal.Signals,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def read(*_: object, **__: object) -> None:
        assert (tmp_path / RUN).is_dir()
        os.kill(os.getpid(), number)

    monkeypatch.setattr("cnnatomy.train.engine.train", read)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(signal, "getsignal", lambda _: signal.SIG_DFL)
    assert main(["train", "digits"]) == 130
    assert list(tmp_path.iterdir()) == []
    assert "stopped" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("stopped", "said"),
    [
        (Interrupted(Path("my runs"), 1200, 4500), "after step 1,200 of 4,500, all saved"),
        (KeyboardInterrupt(), "at once, saved up to the last checkpoint"),
    ],
)
def test_an_interruption_is_130(
    stopped: KeyboardInterrupt,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise stopped

    monkeypatch.setattr("cnnatomy.train.engine.train", stop)
    monkeypatch.chdir(tmp_path)
    line = ["train", "digits", "--run", "my runs"]
    assert main(line) == 130
    assert "go on with" not in capsys.readouterr().err
    (tmp_path / "my runs").mkdir()
    (tmp_path / "my runs/checkpoint.safetensors").touch()
    assert main(line) == 130
    again = "cnnatomy train --resume --run 'my runs'"
    assert capsys.readouterr().err == f"stopped {said}; go on with: {again}\n"


def test_many_processes_must_be_told_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(["train", "digits"]) == 2
    assert "--run" in capsys.readouterr().err


def test_nobody_reads() -> None:
    for words in (["--help"], ["train", "--help"]):
        reading, writing = os.pipe()
        os.close(reading)
        process = subprocess.Popen([*CNNATOMY, *words], stdout=writing, stderr=subprocess.PIPE, text=True)
        os.close(writing)
        _, said = process.communicate(timeout=30)
        assert (process.returncode, said) == (141, "")


def test_a_terminal_without_the_letters_gets_others(monkeypatch: pytest.MonkeyPatch) -> None:
    bare = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(bare, encoding="ascii"))
    assert main(["inspect", "lenet5"]) == 0
    assert b"1?6?28?28" in bare.getvalue()


def test_evaluate_as_json_and_as_a_page(
    here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    assert main(["evaluate", RUN, "--json", "--report", str(page)]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads(json.dumps(evaluate(Path(RUN)).to_json()))
    assert f"{100 * printed['accuracy']:.2f}%" in page.read_text("utf-8")


def test_evaluate_on_other_data_shows_its_pictures(
    here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shades = {}
    for name in ("0", "1"):
        (tmp_path / "marks" / name).mkdir(parents=True)
        for count in range(5):
            shade = 40 * int(name) + 7 * count
            shades[f"{name}/{count}.png"] = shade
            Image.new("L", (8, 8), shade).save(tmp_path / "marks" / name / f"{count}.png")
    page = tmp_path / "page.html"
    assert main(["evaluate", RUN, "--data", str(tmp_path / "marks"), "--report", str(page)]) == 0
    assert "of 10 pictures wrong" in capsys.readouterr().out
    shown = re.findall(r'<img src="data:image/png;base64,([^"]*)" alt="([^:]*): is', page.read_text("utf-8"))
    assert shown
    for content, name in shown:
        picture = Image.open(io.BytesIO(base64.b64decode(content)))
        assert picture.getextrema() == (shades[name], shades[name])


def test_predict_agrees_with_the_library(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for index in range(2):
        Image.effect_noise((20, 30), 90 + index).save(here / f"noise {index}.png")
    pictures = ["noise 0.png", "noise 1.png"]
    truth = predict(Path(RUN), [Path(name) for name in pictures])
    assert main(["predict", RUN, *pictures, "--json", "--top", "10"]) == 0
    for said, one in zip(json.loads(capsys.readouterr().out), truth, strict=True):
        assert said["picture"] == str(one.path)
        assert [(entry["class"], entry["probability"]) for entry in said["classes"]] == list(one.ranked)
        assert sum(entry["probability"] for entry in said["classes"]) == pytest.approx(1)
    assert main(["predict", RUN, *pictures, "--top", "2"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if "%" in line]
    assert [line[-2] for line in lines] == [name for one in truth for name, _ in one.ranked[:2]]


@pytest.mark.parametrize("style", ["table", "markdown", "csv", "json"])
def test_inspect_prints_the_anatomy(style: str, capsys: pytest.CaptureFixture[str]) -> None:
    table = anatomy(models.build("lenet5", classes=26, output="softmax"), (1, 32, 32))
    assert main(["inspect", "lenet5", "--classes", "26", "--format", style]) == 0
    out = capsys.readouterr().out
    if style == "json":
        assert json.loads(out)["parameters"] == table.parameters
    elif style == "csv":
        assert sum(int(row["parameters"]) for row in csv.DictReader(io.StringIO(out))) == table.parameters
    else:
        assert f"{table.parameters:,}" in out


CHOICES = [Choice("network", "[b]small[/b]", "it suits", ("--model",))]
PLAN = Plan(Path("runs/[x]"), Settings.of(epochs=12), CHOICES, 60_000, 240, 0, "cpu", 1, ["a note"])
TICK = Tick(25, 2, 1.5, 0.5, 4321.0, 3725.0, 0.1)
EPOCH = Epoch(2, 40, 0.001, 1.25, 0.75, None, None, 1.5, 0.625, 4000.0, 3.0)


def told(console: Console, *, quiet: bool = False) -> str:
    with reporter(console, quiet=quiet) as listener:
        listener.reading("reading [b]", 5, 10, "pictures")
        listener.reading("fetching", 5_000_000, None, "bytes")
        listener.start(PLAN)
        listener.tick(TICK)
        listener.epoch(EPOCH)
        time.sleep(0.15)
        listener.finish(evaluation(("a", "b")))
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def evaluation(classes: tuple[str, ...]) -> Evaluation:
    confusion = torch.eye(len(classes), dtype=torch.int64) * 50
    confusion[0, 1] = 3
    wrong = tuple(Mistake(i, f"{i}.png", classes[0], classes[1], 0.9) for i in range(3))
    return Evaluation("x", classes, 0.1, confusion, wrong, {})


def terminal(width: int = 120, **settings: object) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=width, **settings)  # type: ignore[arg-type]


def test_a_terminal_gets_a_bar_and_a_line_an_epoch() -> None:
    text = told(terminal())
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    assert "epoch 2/12  loss 1.500  accuracy 50.0%  4,321 images/s  1:02:05 left" in plain
    assert "reading [b]" in plain
    assert "runs/[x]" in plain
    assert re.search(r"network +\[b\]small\[/b\]; it suits  \(--model\)", plain)
    assert "note      a note" in plain
    assert re.search(r"2/12 +1\.250 +75\.0% +1\.500 +62\.5% +4,000", plain)
    assert text.endswith("\x1b[?25h") or "\x1b[?25h" in text


def bars(*deeds: Callable[[Reporter], object]) -> str:
    """What a terminal shows below the lines, after the last deed."""
    console = terminal()
    with reporter(console) as one:
        assert isinstance(one, Bar)
        for deed in deeds:
            deed(one)
        console.file.truncate(0)
        one.bar.refresh()
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", console.file.getvalue())  # type: ignore[attr-defined]


def test_one_bar_shows_what_goes_on_and_ends_with_it() -> None:
    def read(what: str, done: int, total: int | None) -> Callable[[Reporter], object]:
        return lambda one: one.reading(what, done, total, "pictures")

    looking = read("looking at cats", 0, None)
    assert "looking at cats" in bars(looking)
    decoding = read("decoding cats", 5, 10)
    assert "looking" not in bars(looking, decoding)
    assert "5 of 10 pictures" in bars(looking, decoding)

    def tick(seconds: float) -> Callable[[Reporter], object]:
        return lambda one: one.tick(Tick(3, 1, 1.5, 0.5, 4321.0, seconds))

    assert "0:09 left" in bars(tick(9.0))
    assert "left" not in bars(tick(0.4))
    evaluating = read("evaluating", 5, 10)
    shown = bars(tick(9.0), evaluating)
    assert "evaluating" in shown
    assert "accuracy 50.0%" in shown
    assert "left" not in shown
    assert "evaluating" not in bars(tick(9.0), evaluating, tick(8.0))


def test_a_file_gets_lines_without_control_codes() -> None:
    text = told(Console(file=io.StringIO(), width=120))
    assert "62.5%" in text
    assert "left" not in text
    assert not CONTROL.search(text)


def test_quiet_says_nothing() -> None:
    assert told(terminal(), quiet=True) == ""


def test_no_color_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured = terminal(color_system="truecolor")
    monkeypatch.setenv("NO_COLOR", "1")
    plain = terminal(color_system="truecolor")
    for console in (coloured, plain):
        show(evaluation(("cat", "dog")), console)
    colours = re.compile(r"(?<=[\[;])(3[0-7]|9[0-7])(?=[;m])")
    assert colours.search(coloured.file.getvalue())  # type: ignore[attr-defined]
    assert not colours.search(plain.file.getvalue())  # type: ignore[attr-defined]


def test_names_cannot_speak_to_the_terminal() -> None:
    console = Console(file=io.StringIO(), width=100)
    show(evaluation(("[red]cat[/]", "dog\x1b[2J\x07", "cow")), console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "[red]cat[/]" in text
    assert not CONTROL.search(text)


def test_a_matrix_without_room_becomes_a_list() -> None:
    names = tuple(f"a rather long class {index}" for index in range(30))
    narrow, wide = Console(file=io.StringIO(), width=60), Console(file=io.StringIO(), width=160)
    for console in (narrow, wide):
        show(evaluation(names), console)
    assert "taken for" in narrow.file.getvalue()  # type: ignore[attr-defined]
    assert "row: what the pictures are" in wide.file.getvalue()  # type: ignore[attr-defined]


def test_a_terminal_hears_something_before_torch_is_loaded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    load_torch()
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    load_torch()
    assert capsys.readouterr().err == "starting ...\r\x1b[K"
