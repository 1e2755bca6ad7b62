"""Whatever is wrong with the input: exit code 2, one line that says so, and nothing written."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from cnnatomy.cli import main
from cnnatomy.files.toml import to_toml

Files = dict[str, bytes | None]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run; tests copy it."""
    run = tmp_path_factory.mktemp("trained") / "run"
    assert main(["train", "digits", "--epochs", "1", "--threads", "1", "--quiet", "--run", str(run)]) == 0
    return run


@pytest.fixture
def place(tmp_path: Path, trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with a run, good and bad pictures, and folders that are no data."""
    shutil.copytree(trained, tmp_path / "run")
    Image.new("L", (8, 8), 200).save(tmp_path / "good.png")
    (tmp_path / "text.png").write_text("I am no picture")
    (tmp_path / "nothing.png").touch()
    (tmp_path / "cut.png").write_bytes((tmp_path / "good.png").read_bytes()[:40])
    (tmp_path / "empty").mkdir()
    for name in (
        "lonely/cat/1.png",
        "broken/cat/1.png",
        "broken/cat/2.png",
        "broken/dog/1.png",
        "broken/dog/2.png",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(tmp_path / "good.png", tmp_path / name)
    (tmp_path / "broken/dog/2.png").write_text("<html>")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def snapshot(folder: Path) -> Files:
    """Every path below a folder with its content."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


def spoil(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def apply(run: Path) -> None:
        path = run / name
        path.write_bytes(change(path.read_bytes()))

    return apply


def other_settings(part: str, **changes: object) -> Callable[[Path], None]:
    def change(content: bytes) -> bytes:
        tables = tomllib.loads(content.decode())
        return to_toml({**tables, part: {**tables[part], **changes}}).encode()

    return spoil("run.toml", change)


def half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flip(content: bytes) -> bytes:
    middle = len(content) - 100
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


ARGUMENTS = [
    ("trian digits", "unknown command 'trian'", "train"),
    ("--verion", "unknown option '--verion'", "--version"),
    ("train digist", "unknown data source", "'digits'"),
    ("train digits more", "unexpected argument 'more'", ""),
    ("train digits --epoch 3", "unknown option --epoch", "--epochs"),
    ("train digits --out x", "unknown option --out; did you mean --run?", ""),
    ("train digits --imgsz 64", "unknown option --imgsz; did you mean --size?", ""),
    ("train digits --bs 3", "unknown option --bs; did you mean --batch-size?", ""),
    ("train digits --batch=3", "unknown option --batch; did you mean --batch-size?", ""),
    ("train digits --arch x", "unknown option --arch; did you mean --model?", ""),
    ("train digits --lr0 1", "unknown option --lr0; did you mean --lr?", ""),
    ("train digits --name x", "unknown option --name; did you mean --run?", ""),
    ("train --dataset x", "unknown option --dataset; did you mean DATA or --data DATA?", ""),
    ("predict --run run good.png", "unknown option --run; did you mean RUN, the folder, without an opt", ""),
    ("train digits --learning_rate=1", "unknown option --learning_rate; did you mean --lr?", ""),
    ("train digits --wheight x", "unknown option --wheight", "--weights"),
    ("train digits --data mnist", "the data is named twice: got digits and mnist", ""),
    ("train --data digist", "unknown data source", "'digits'"),
    ("train digits --size 4000x4000", "does not fit into memory at 4000x4000", "a smaller size"),
    ("train digits --threads 1000000000", "threads: expected a whole number of at most 1,024", ""),
    ("train digits --epochs 10000000", "epochs: expected a whole number of at most 1,000,000", ""),
    ("train digits --seed 99999999999999999999", "seed: expected a whole number of at most 9,223,", ""),
    ("train digits --model lenet5 --batch-size 1 --threads 9999", "threads: expected", ""),
    ("predict run good.png --threads 1000000000", "--threads: expected a whole number of at most 1,024", ""),
    (
        "predict run good.png --batch-size 99999999",
        "--batch-size: expected a whole number of at most 65,",
        "",
    ),
    ("predict run good.png --topk 3", "unknown option --topk; did you mean --top?", ""),
    ("predict run --source good.png", "unknown option --source; did you mean PICTURE, without an opt", ""),
    ("evaluate run --dataset x", "unknown option --dataset; did you mean DATA or --data DATA?", ""),
    ("evaluate run broken --data broken", "the data is named twice", ""),
    ("export run net.onnx --opset 100000", "--opset: expected a whole number of at most 99", ""),
    ("train digits --epochs", "--epochs needs a value", ""),
    ("train digits --epochs three", "--epochs: expected a whole number, got 'three'", ""),
    ("train digits --lr fast", "--lr: expected a number, got 'fast'", ""),
    ("train digits --epochs 0", "epochs: expected a whole number >= 1, got 0", ""),
    ("train digits --batch-size -4", "batch_size: expected a whole number >= 1, got -4", ""),
    ("train digits --lr nan", "lr: expected a number > 0, got nan", ""),
    ("train digits --clip 0", "clip: expected a number > 0", ""),
    ("train digits --test-fraction 1.5", "test_fraction: expected a number between 0 and 1, got 1.5", ""),
    ("train digits --seed -1", "seed: expected a whole number >= 0", ""),
    ("train digits --model lenet", "unknown model 'lenet'", "lenet5"),
    ("train digits --model lenet5 --output rfb", "lenet5 has no output 'rfb'", "rbf"),
    ("train digits --fit lettrbox", "unknown fit policy", "letterbox"),
    ("train digits --augment distortion", "distortion", "distortions"),
    ("train digits --device cudda", "no device 'cudda'", "cpu"),
    ("train --preset papr", "unknown preset", "'paper'"),
    ("train --resume", "--resume needs the run", "--run"),
    ("train --resume --run run --preset short", "--resume and --preset both say what to begin with", ""),
    ("train digits --config nosuch.toml", "cannot read nosuch.toml", ""),
    ("train digits --config text.png", "text.png is no TOML", ""),
    ("train digits --time soon", "time: expected such as 90s, 10m or 1h30m, got 'soon'", ""),
    ("train digits --time 5m --epochs 3", "epochs and time are two ways to say how long", ""),
    ("train digits --epochs +3", "--epochs +3 goes on with a run", "--resume"),
    ("train digits --optimizer adan", "unknown optimizer", "'adam'"),
    ("train digits --optimizer gd --momentum 0.5", "gd takes no momentum", ""),
    ("train digits --schedule cosin", "unknown schedule", "'cosine'"),
    ("train digits --augment flip+rotat(3)", "rotat", "rotate"),
    ("train digits --augment rotate(fast)", "rotate", ""),
    ("train digits --mixup -1", "mixup: expected a number >= 0", ""),
    ("train digits --mixup 0.2 --output rbf --model lenet5", "mixup needs the cross-entropy", "softmax"),
    ("train digits --class-weights", "class_weights needs the cross-entropy", "softmax"),
    ("train digits --ema 1", "ema: expected a number from 0 to below 1", ""),
    ("train digits --patience 0", "patience: expected a whole number >= 1", ""),
    ("train digits --limit 1", "limit: expected a whole number >= 2", ""),
    ("train digits --train-fraction 0", "train_fraction", ""),
    ("train digits --precision float8", "unknown precision", ""),
    ("train digits --log wandd", "unknown logger", "'wandb'"),
    ("train digits --tta flop", "unknown test-time averaging", "'flip'"),
    ("train digits --restarts 5 3", "restarts: expected rising numbers > 0", ""),
    ("train digits --size 4x", "size: expected such as 32", ""),
    ("train digits --model nosuch.py:Net", "there is no file 'nosuch.py'", ""),
    ("train digits --freeze 1.5.*", "no parameter is called '1.5.*'", ""),
    ("train digits --accumulate 0", "accumulate: expected a whole number >= 1", ""),
    ("train digits --warmup 1", "warmup: expected", ""),
    ("train digits --run run", "run already exists", ""),
    ("train digits --run good.png", "good.png already exists", ""),
    ("train digits --run good.png/run", "good.png/run: Not a directory", ""),
    ("train --resume --run run --epochs 2", "run was trained with epochs 1, now 2", ""),
    ("evaluate", "RUN is missing", ""),
    ("evaluate run --report missing/page.html", "cannot write missing/page.html", ""),
    ("predict run", "nothing to predict", ""),
    ("predict run good.png --top 0", "--top: expected a whole number >= 1", ""),
    ("inspect", "MODEL is missing", ""),
    ("inspect lenet", "unknown model 'lenet'", "lenet5"),
    ("inspect lenet5 --input 3x32x32", "layer 'c1' (Conv2d, in_channels=1) cannot take 1×3×32×32", ""),
    ("inspect lenet5 --input 1x36x36", "layer 'f6'", ""),
    ("inspect lenet5 --input big", "--input: expected sizes such as 1x32x32, got 'big'", ""),
    ("inspect lenet5 --format xml", "--format: expected 'table', 'markdown', 'csv', 'json', 'html'", "'xml'"),
    ("inspect lenet5 --format html", "a page needs a file", "--out"),
    ("inspect lenet5 --format html --out missing/page.html", "cannot write missing/page.html", ""),
    ("inspect lenet5 --format html --out page.html --picture text.png", "text.png", ""),
    ("inspect lenet5 --picture good.png", "--picture is for the page", "--format html"),
    ("inspect lenet5 --depth -1", "--depth: expected a whole number >= 0, got -1", ""),
    ("inspect lenet5 --columns path,mac", "no column 'mac'", "macs"),
    ("inspect lenet5 --sort size", "no column 'size'", ""),
    ("inspect lenet5 --dtype float8", "--dtype: expected one of float32", "got float8"),
    ("inspect package.module:Net --classes 3", "--classes is for models of the catalog", "Net(classes"),
    ("inspect missing.py:Net --input 3x8x8", "missing.py", ""),
    ("inspect nosuchpackage:Net --input 3x8x8", "nosuchpackage", ""),
    ("inspect torch.nn:ReLU", "--input is missing", "3x224x224"),
    ("rf lenet5", "LAYER is missing", ""),
    ("rf lenet5 c33", "no layer is called 'c33'", "c3"),
    ("rf lenet5 c3 --at 4", "no such unit: expected a place in 10×10, got 4", ""),
    ("rf lenet5 c3 --at 10,0", "no such unit: expected a place in 10×10, got 10,0", ""),
    ("rf lenet5 c3 --at x", "--at: expected a place such as 6,6, got 'x'", ""),
    ("rf lenet5 c3 --channel 16", "no such channel: expected 0 to 15, got 16", ""),
    ("inspect lenet5 --classes 1", "--classes: expected a whole number >= 2", ""),
    ("inspect lenet5 --output rbf --classes 200", "the rbf output: expected at most", "softmax"),
]
DATA = [
    ("train empty", "empty holds no pictures"),
    ("train lonely", "lonely"),
    ("train broken", "dog/2.png is no picture"),
    ("train missing/pictures", "there is no file or folder missing/pictures"),
    ("train text.png", "text.png is neither a folder nor an archive"),
    ("evaluate run --data lonely", "lonely"),
    ("evaluate run --data mnits", "unknown data source"),
    ("predict run text.png", "text.png"),
    ("predict run nothing.png", "nothing.png is empty"),
    ("predict run missing.png", "missing.png"),
    ("predict run empty", "empty holds no pictures"),
]
RUNS = [
    ("evaluate missing", "missing is not a run"),
    ("predict empty good.png", "empty is not a run"),
    ("train --resume --run empty", "empty is not a run"),
]
CHECKPOINTS: list[tuple[str, str, Callable[[Path], None]]] = [
    ("predict run good.png", "has no weights", lambda run: (run / "last.safetensors").unlink()),
    ("predict run good.png", "last.safetensors is damaged", spoil("last.safetensors", half)),
    ("predict run good.png", "last.safetensors is damaged", spoil("last.safetensors", flip)),
    ("evaluate run", "last.safetensors is damaged", spoil("last.safetensors", lambda _: b"")),
    ("evaluate run", "run.toml cannot be read", spoil("run.toml", half)),
    ("evaluate run", "run.toml cannot be read", other_settings("recipe", surprise=1)),
    ("evaluate run", "run.toml cannot be read: got epochs: expected", other_settings("recipe", epochs="x")),
    ("train --resume --run run", "run.toml cannot be read: got size", other_settings("network", size=3)),
    ("train --resume --run run", "checkpoint.safetensors is damaged", spoil("checkpoint.safetensors", half)),
    ("train --resume --run run", "checkpoint.safetensors is damaged", spoil("checkpoint.safetensors", flip)),
    ("train --resume --run run", "was trained with lr", other_settings("recipe", lr=0.25)),
]


def refuse(line: str, said: str, hint: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = snapshot(place)
    capsys.readouterr()
    assert main(line.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert "Traceback" not in err
    assert said in err
    assert hint in err
    assert snapshot(place) == before


@pytest.mark.costly(30)
@pytest.mark.parametrize(("line", "said", "hint"), ARGUMENTS)
def test_arguments(line: str, said: str, hint: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refuse(line, said, hint, place, capsys)


@pytest.mark.parametrize(("line", "said"), DATA + RUNS)
def test_data_and_runs(line: str, said: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refuse(line, said, "", place, capsys)


@pytest.mark.parametrize(("line", "said", "damage"), CHECKPOINTS)
def test_checkpoints(
    line: str, said: str, damage: Callable[[Path], None], place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(place / "run")
    refuse(line, said, "", place, capsys)


def test_a_name_with_line_breaks_and_escapes_stays_one_harmless_line(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", "run", "a\nb\x1b[2Jc.png"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "\x1b[2J" not in err


def test_debug_shows_where(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["evaluate", "missing", "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err
    monkeypatch.setenv("CNNATOMY_DEBUG", "1")
    assert main(["evaluate", "missing"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_a_bug_is_called_one(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(*_: object, **__: object) -> None:
        raise KeyError("oh")

    monkeypatch.setattr("cnnatomy.anatomy.measure.anatomy", fail)
    assert main(["inspect", "lenet5"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("failed: KeyError: 'oh'")
    assert err.count("\n") == 1


def test_the_process_itself_exits_with_2() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "cnnatomy", "trian"], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("error: unknown command 'trian'")
