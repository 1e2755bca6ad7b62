"""One parser reads reducers wherever people name one: in Python, in notation and on the command line."""

from __future__ import annotations

import json

import pytest
import torch

import cnnatomy as ca
from cnnatomy.cli import main
from cnnatomy.errors import ArgumentError
from cnnatomy.notation import parse
from cnnatomy.notation.parse import parse_pooling
from cnnatomy.notation.reducer_names import instance
from cnnatomy.reducers import REGISTRY, Reducer, reducer

SAID: dict[str, Reducer] = {
    "avg": ca.Mean(),
    "Average Pooling": ca.Mean(),
    "MaxPool": ca.Max(),
    "GeM": ca.GeM(),
    "gem(p=2)": ca.GeM(2.0),
    " GEM ( 2.5 ) ": ca.GeM(2.5),
    "gem(4, clamp=0.01)": ca.GeM(4.0, 0.01),
    "Log-Sum-Exp(-2, normalize=sum)": ca.LogSumExp(-2.0, "sum"),
    "k_max(k=3, each=yes)": ca.KMax(3, each=True),
    "lp(inf)": ca.Lp(float("inf")),
}


@pytest.mark.parametrize("said", SAID)
def test_a_reducer_is_read_alike_everywhere(said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert reducer(said) == SAID[said]
    assert ca.nn.Pool2d(said, 2).reducer == SAID[said]
    assert instance(parse_pooling(said), channels=1) == SAID[said]
    assert main(["pools", said, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["poolings"][0]["name"] == SAID[said].name
    x = torch.rand(1, 2, 4, 4)
    assert torch.equal(ca.pool(x, said, 2), ca.pool(x, SAID[said], 2))


@pytest.mark.parametrize("said", [" GEM ( 2.5 ) ", "Log-Sum-Exp(-2, normalize=sum)", "lp(inf)", "maxpool"])
def test_a_reducer_is_read_in_a_compiled_function(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though nothing has read it before."""
    x = torch.rand(1, 2, 4, 4)
    expected = ca.pool(x, said, 2)
    monkeypatch.setattr(ca.reducers, "_MADE", {})
    torch.compiler.reset()
    assert torch.equal(
        torch.compile(lambda x: ca.pool(x, said, 2), fullgraph=True, backend="eager")(x), expected
    )


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_every_reducer_is_read_back_from_what_it_prints(name: str) -> None:
    what = REGISTRY[name]()
    assert reducer(repr(what)) == what
    assert reducer(name.upper()) == what


@pytest.mark.parametrize(
    ("said", "match"),
    [
        ("maxx", "no pooling is called 'maxx': .*; try 'max'"),
        ("avrage", "try 'average'"),
        ("gem(q=2)", "gem pooling takes no such argument: expected p, clamp, learned, got q"),
        ("gem(2, p=3)", "gem pooling takes no such argument: .* got p"),
        ("gem(p=x)", "a number from 1 to 1000"),
        ("gem(2", "this is no pooling: expected a reducer, its name, or its name and arguments"),
        ("__import__('os')", "this is no pooling|no pooling is called"),
    ],
)
def test_what_is_no_reducer_is_told_with_the_nearest(said: str, match: str) -> None:
    for read in (reducer, parse_pooling):
        with pytest.raises(ArgumentError, match=match):
            read(said)


def test_notation_reads_the_literatures_names() -> None:
    assert str(parse("conv3-4 averagepool globalGeM(2)")) == "conv3-4 avgpool globalgem(p=2)"
