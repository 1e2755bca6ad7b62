"""The names of what goes in and comes out are those that were asked for, or are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cnnatomy.errors import ArgumentError
from cnnatomy.export import onnx, program
from cnnatomy.export.onnx_writer import _call_ends

pytest.importorskip("onnxscript")

X = torch.rand(2, 3)


class Signs(nn.Module):
    """Two outputs of two inputs, which torch calls add and sub."""

    def forward(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        return a + b, a - b


class Twice(nn.Module):
    """One output, given twice."""

    def forward(self, a: Tensor) -> tuple[Tensor, Tensor]:
        y = a.relu()
        return y, y


def test_a_file_has_the_names_asked_for(tmp_path: Path) -> None:
    asked: dict[str, Any] = {"input_names": ["add", "b"], "output_names": ["my-out.1", "a"]}
    written = onnx(Signs(), tmp_path / "a.onnx", X, X + 1, **asked)
    assert [written.inputs, written.outputs] == [("add", "b"), ("my-out.1", "a")]
    written = program(Signs(), tmp_path / "a.pt2", X, X + 1, output_names=("add", "minus"))
    assert [written.inputs, written.outputs] == [("a", "b"), ("add", "minus")]


def graph() -> Any:
    """That of `Signs`, and something on the way."""
    import onnx_ir as ir

    a, b = (ir.Value(name=name) for name in "ab")
    steps = [ir.node("Neg", [b]), ir.node("Add", [a, b])]
    steps.append(ir.node("Add", [a, steps[0].outputs[0]]))
    for step, name in zip(steps, ("neg", "add", "sub"), strict=True):
        step.outputs[0].name = name
    return ir.Graph([a, b], [step.outputs[0] for step in steps[1:]], nodes=steps)


@pytest.mark.parametrize("names", [
    {"input_names": ["b", "a"]},
    {"output_names": ["sub", "add"]},
    {"input_names": ["add", "sub"], "output_names": ["a", "class"]},
])  # fmt: skip
def test_ends_are_called_as_asked(names: dict[str, list[str]]) -> None:
    made = graph()
    _call_ends(made, names)
    assert [value.name for value in made.inputs] == names.get("input_names", ["a", "b"])
    assert [value.name for value in made.outputs] == names.get("output_names", ["add", "sub"])


OUTPUTS: list[tuple[list[str], str]] = [
    (["y"], "expected 2 names, got 1"),
    ([], "expected 2 names, got 0"),
    (["y", "y"], "all different.*got 'y'"),
    (["y", ""], "got ''"),
    (["y", "a"], "nothing else in the graph has, got 'a'"),
]


@pytest.mark.parametrize(("names", "said"), [
    *(({"output_names": names}, said) for names, said in OUTPUTS),
    ({"output_names": ["y", "neg"]}, "got 'neg'"),
    ({"input_names": ["x"]}, "expected 2 names, got 1"),
    ({"input_names": ["x", "add"]}, "got 'add'"),
    ({"input_names": ["x", "y"], "output_names": ["y", "z"]}, "output_names: .* got 'y'"),
])  # fmt: skip
def test_names_that_a_graph_cannot_have_are_refused(names: dict[str, list[str]], said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        _call_ends(graph(), names)


@pytest.mark.parametrize(("names", "said"), OUTPUTS)
def test_so_they_are_in_a_program(names: list[str], said: str, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=said):
        program(Signs(), tmp_path / "a.pt2", X, X, output_names=names)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("model", "names", "said"), [
    (nn.Linear(3, 2), ["p_weight"], "nothing else in the graph has"),
    (nn.Linear(3, 2), ["my-out.1"], "identifiers that are free"),
    (nn.Linear(3, 2), ["class"], "identifiers that are free"),
    (nn.Linear(3, 2), ["sum"], "identifiers that are free"),
    (nn.Linear(3, 2), ["None"], "identifiers that are free"),
    (Twice(), ["y", "z"], "each for itself, got 'z'"),
    (nn.Identity(), ["y"], "outputs that the network computes"),
])  # fmt: skip
def test_what_torch_would_call_otherwise_is_refused(
    model: nn.Module, names: list[str], said: str, tmp_path: Path
) -> None:
    with pytest.raises(ArgumentError, match=said):
        program(model, tmp_path / "a.pt2", X, output_names=names)
