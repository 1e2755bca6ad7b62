"""Exported programs are data: what torch would run of a file is refused; the rest is as torch reads it."""

from __future__ import annotations

import contextlib
import io
import json
import pickle
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from cnnatomy import anatomy
from cnnatomy.anatomy.record.exported_text import is_operator, is_size
from cnnatomy.anatomy.record.model_source import load
from cnnatomy.cli.main import main
from cnnatomy.errors import ArgumentError

GRAPH = "models/model.json"
WEIGHTS, CONSTANTS = "data/weights/model_weights_config.json", "data/constants/model_constants_config.json"
INPUTS = "data/sample_inputs/model.pt"


class Net(nn.Module):
    """A network with a constant, keyword arguments, and sizes that are reckoned with."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.linear = nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.Linear(2, 3)
        self.scale = torch.ones(3)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Scores, and the map in other shapes."""
        y = nn.functional.max_pool2d(torch.relu(self.norm(self.conv(x))), 2)
        return {"scores": self.linear(y.mean((2, 3))) * self.scale.sum(), "map": y.view(y.shape[0] * 2, -1)}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pt2") / "net.pt2"
    batch, half = torch.export.Dim("n", max=64), torch.export.Dim("h", min=2, max=64)
    shapes = {"x": {0: batch, 2: 2 * half}}
    program = torch.export.export(Net().eval(), (torch.rand(3, 1, 8, 8),), dynamic_shapes=shapes)
    torch.export.save(program, path, extra_files={"classes": '["a"]'})
    return path


def altered(good: Path, path: Path, change: Callable[[dict[str, bytes]], object]) -> Path:
    """The archive with other records."""
    with zipfile.ZipFile(good) as archive:
        records = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    change(records)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in records.items():
            archive.writestr(f"net/{name}", content)
    return path


class Evil:
    """What makes a folder when it is unpickled."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __reduce__(self) -> Any:
        return exec, (f"__import__('os').mkdir({self.folder!r})",)


MARK = "ran"
RUNS = f"__import__('os').mkdir('{MARK}')"


def saved(thing: object) -> bytes:
    stream = io.BytesIO()
    torch.save(thing, stream)
    return stream.getvalue()


def edited(name: str, edit: Callable[[Any], object]) -> Callable[[dict[str, bytes]], object]:
    """Change one record of JSON."""

    def change(records: dict[str, bytes]) -> None:
        value = json.loads(records[name])
        edit(value)
        records[name] = json.dumps(value).encode()

    return change


def pickled_weight(records: dict[str, bytes]) -> None:
    table = json.loads(records[WEIGHTS])
    entry = next(iter(table["config"].values()))
    entry["use_pickle"] = True
    records[f"data/weights/{entry['path_name']}"] = saved(Evil(MARK))
    records[WEIGHTS] = json.dumps(table).encode()


def pickled_constant(records: dict[str, bytes]) -> None:
    table = json.loads(records[CONSTANTS])
    next(iter(table["config"].values()))["use_pickle"] = True
    records["data/constants/tensor_0"] = saved(Evil(MARK))
    records[CONSTANTS] = json.dumps(table).encode()


def opaque_constant(records: dict[str, bytes]) -> None:
    table = json.loads(records[CONSTANTS])
    next(iter(table["config"].values())).update(path_name="opaque_obj_0", use_pickle=True)
    records["data/constants/opaque_obj_0"] = pickle.dumps(Evil(MARK))
    records[CONSTANTS] = json.dumps(table).encode()


def old_weights(records: dict[str, bytes]) -> None:
    records["data/weights/model.pt"] = saved({"conv.weight": Evil(MARK)})


def expression(graph: dict[str, Any]) -> None:
    text = json.dumps(graph)
    assert "expr_str" in text
    for value in graph["graph_module"]["graph"]["sym_int_values"].values():
        if "as_expr" in value:
            value["as_expr"]["expr_str"] = RUNS
            return


def container(graph: dict[str, Any]) -> None:
    Path(f"{MARK}_module.py").write_text(f"{RUNS}\nmade = dict\n")
    keys = {"default_factory_module": f"{MARK}_module", "default_factory_name": "made", "dict_context": []}
    spec = {"type": "collections.defaultdict", "context": keys, "children_spec": []}
    graph["graph_module"]["module_call_graph"][0]["signature"]["in_spec"] = json.dumps([1, spec])


ATTACKS: dict[str, Callable[[dict[str, bytes]], object]] = {
    "weight": pickled_weight,
    "constant": pickled_constant,
    "opaque constant": opaque_constant,
    "old weights": old_weights,
    "sample input": lambda records: records.update({INPUTS: saved(((Evil(MARK),), {}))}),
    "expression": edited(GRAPH, expression),
    "container": edited(GRAPH, container),
}


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.filterwarnings("ignore")
def test_what_torch_runs_out_of_a_file_is_refused(
    good: Path, tmp_path: Path, attack: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    altered(good, tmp_path / "evil.pt2", ATTACKS[attack])
    with pytest.raises(
        ArgumentError, match=r"evil.pt2 could run code and was not loaded: .*torch.export.load"
    ):
        anatomy("evil.pt2", (1, 8, 8))
    assert not Path(MARK).exists()
    with contextlib.suppress(Exception):  # what was run may leave nothing that torch can use
        torch.export.load("evil.pt2").module()
    assert Path(MARK).exists(), "torch itself does not run it: the attack shows nothing"


def test_guards_are_code_and_are_left_out(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    altered(good, tmp_path / "evil.pt2", edited(GRAPH, lambda graph: graph.update(guards_code=[RUNS])))
    load("evil.pt2")(torch.rand(2, 1, 8, 8))
    assert not Path(MARK).exists()
    with pytest.raises(AssertionError, match="Guard failed"):
        torch.export.load("evil.pt2").module()(torch.rand(2, 1, 8, 8))
    assert Path(MARK).exists(), "torch itself does not run it: the attack shows nothing"


def renamed(graph: dict[str, Any]) -> None:
    graph["graph_module"]["graph"]["nodes"][0]["inputs"][0]["name"] = f"a={RUNS}, b"


def other_function(name: str) -> Callable[[dict[str, bytes]], object]:
    return edited(GRAPH, lambda graph: graph["graph_module"]["graph"]["nodes"][0].update(target=name))


REFUSED: dict[str, Callable[[dict[str, bytes]], object]] = {
    "a library": lambda records: records.update({"data/aotinductor/model/a.so": b"ELF"}),
    "another program": lambda records: records.update({"models/other.json": records[GRAPH]}),
    "a script object": lambda records: records.update({"data/constants/custom_obj_0": b""}),
    "a name": edited(GRAPH, renamed),
    "limits": edited(GRAPH, lambda graph: graph["range_constraints"].update({RUNS: {"min_val": 1}})),
    "a function of torch": other_function("torch.os.mkdir"),
    "a loader of libraries": other_function("torch.ops.load_library"),
    "an operator on files": other_function("torch.ops.aten.from_file.default"),
    "a caller": other_function("_operator.methodcaller"),
    "a place outside": edited(
        WEIGHTS, lambda table: next(iter(table["config"].values())).update(path_name="../../x")
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_not_known_to_be_harmless_is_refused(good: Path, tmp_path: Path, what: str) -> None:
    with pytest.raises(ArgumentError, match="could run code and was not loaded"):
        load(str(altered(good, tmp_path / "odd.pt2", REFUSED[what])))


def test_packed_and_repeated_records_are_refused(good: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(good) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    graph = next(name for name in records if name.endswith(GRAPH))
    for path, packing, more in (("a.pt2", zipfile.ZIP_DEFLATED, []), ("b.pt2", zipfile.ZIP_STORED, [graph])):
        with zipfile.ZipFile(tmp_path / path, "w", packing) as archive, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the name that is there twice
            for name in [*records, *more]:
                archive.writestr(name, records[name])
        with pytest.raises(ArgumentError, match="packed or there twice"):
            load(str(tmp_path / path))


@given(st.randoms(use_true_random=False))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damage_is_told_in_one_line(good: Path, tmp_path: Path, random: Any) -> None:
    content = bytearray(good.read_bytes())
    if random.random() < 0.3:
        del content[random.randrange(len(content)) :]
    else:
        for _ in range(random.randrange(1, 20)):
            content[random.randrange(len(content))] = random.randrange(256)
    path = tmp_path / "odd.pt2"
    path.write_bytes(content)
    try:
        load(str(path))
    except ArgumentError as error:
        assert "\n" not in str(error)  # noqa: PT017 (a file that was damaged where it does not matter loads)


class Branching(nn.Module):
    """Control flow on values, and arithmetic on sizes with a power."""

    def forward(self, x: torch.Tensor, y: list[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """The sum of both, or their difference; and one of other shapes."""
        either = torch.cond(x.sum() > 0, lambda a, b: a + b, lambda a, b: a - b, (x, y[0]))
        return either, torch.einsum("nchw,nchw->n", x, y[0]), x.new_zeros(x.shape[2] * x.shape[2] // 2)


def test_harmless_files_give_what_torch_gives(good: Path, tmp_path: Path) -> None:
    x = torch.rand(5, 1, 12, 8)
    ours, theirs = load(str(good))(x), torch.export.load(good).module()(x)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    side, pair = torch.export.Dim("side", min=2), torch.rand(2, 3, 6, 6)
    sides = {2: side, 3: side}
    shapes = {"x": sides, "y": [sides]}
    program = torch.export.export(Branching(), (pair, [pair]), dynamic_shapes=shapes)
    torch.export.save(program, tmp_path / "branching.pt2")
    for sign in (1, -1):
        wanted = torch.export.load(tmp_path / "branching.pt2").module()(sign * pair, [pair])
        assert all(map(torch.equal, load(str(tmp_path / "branching.pt2"))(sign * pair, [pair]), wanted))


@given(st.text(alphabet="s0123456789+-*/()% ", max_size=12))
def test_sizes_are_arithmetic_that_python_can_reckon_with(text: str) -> None:
    if is_size(text):
        names = {f"s{number}": 3 for number in range(10**5) if f"s{number}" in text}
        with contextlib.suppress(ArithmeticError, TypeError, NameError):
            assert isinstance(eval(text, {"__builtins__": {}}, names), int | float | complex | tuple)


@pytest.mark.parametrize(
    "text", ["9**9**9", "9**99", "s0.real", "[1]", "lambda: 1", "f'{1}'", "exec('1')", "S('a')", "1 << 99"]
)
def test_other_expressions_are_no_sizes(text: str) -> None:
    assert not is_size(text)


def test_every_operator_of_torch_that_names_a_file_is_refused() -> None:
    texts = [
        f"torch.ops.{schema.name.replace('::', '.')}.{schema.overload_name or 'default'}"
        for schema in torch._C._jit_get_all_schemas()
        if any("file" in one.name for one in schema.arguments)
    ]
    assert any("aten.from_file" in text for text in texts)
    assert not any(map(is_operator, texts))


@pytest.mark.parametrize("command", ["inspect", "rf", "sizes", "diff"])
def test_every_command_refuses_it_in_one_line(
    good: Path, tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(altered(good, tmp_path / "evil.pt2", pickled_weight))
    words = [command, path, *{"diff": [path], "rf": ["conv"]}.get(command, []), "--input", "1x8x8"]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert "evil.pt2 could run code and was not loaded" in said
    assert said.count("\n") == 1
