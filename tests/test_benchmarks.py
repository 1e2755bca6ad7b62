"""The benchmark: a wrong candidate gets no time, rows say what they were measured on, and peers agree."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from benchmarks import harness, memory, pooling
from benchmarks.cases import COPY, DIRECTIONS, EAGER, OURS, WINDOWS, Case, computed, distinct, inputs
from benchmarks.engines import onnxruntime
from benchmarks.harness import Candidate, Row, check, compare, device, in_turn, load, save
from benchmarks.peers import PEERS
from cnnatomy import REGISTRY, Expected, Whole, pool

X = torch.arange(12.0).view(3, 4)
SMALL = "2x3x16x18"


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(harness, "TURN", 0)
    monkeypatch.setattr(harness, "UNCACHED", 1 << 12)
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_a_wrong_candidate_gets_no_time() -> None:
    ran: list[str] = []

    def wrong() -> torch.Tensor:
        ran.append("wrong")
        return X + 1e-3

    def broken() -> torch.Tensor:
        raise RuntimeError("no such operator")

    candidates = [Candidate("truth", lambda: X), Candidate("wrong", wrong), Candidate("broken", broken)]
    truth, *refused = compare("case", candidates, rounds=5)
    assert ran == ["wrong"]
    assert not truth.refused
    assert all(row.refused and math.isnan(row.median_ms) for row in refused)
    assert refused[0].note.startswith("differs from truth: Tensor-likes are not close")
    assert refused[1].note == "fails: RuntimeError: no such operator"


@pytest.mark.parametrize("wrong", [X.double(), X[:2], torch.full_like(X, math.nan)])
def test_dtype_shape_and_nan_are_results_too(wrong: torch.Tensor) -> None:
    assert list(check([Candidate("truth", lambda: X), Candidate("wrong", lambda: wrong)])) == ["wrong"]


def test_rows_hold_quantiles_device_and_versions(tmp_path: Path) -> None:
    yardstick = Candidate("copy", lambda: X.clone() + 1, check=False, note="moves bytes")
    rows = compare("case", [Candidate("a", lambda: X), Candidate("b", X.clone), yardstick], rounds=9)
    assert [row.candidate for row in rows] == ["a", "b", "copy"]
    for row in rows:
        assert 0 <= row.low_ms <= row.median_ms <= row.high_ms
        assert (row.rounds, row.torch, row.device) == (9, torch.__version__, device())
    save(rows, tmp_path / "new" / "rows.csv")
    read = list(csv.DictReader((tmp_path / "new" / "rows.csv").read_text().splitlines()))
    assert [line["candidate"] for line in read] == ["a", "b", "copy"]
    assert read[0]["threads"] == str(torch.get_num_threads())
    assert load(tmp_path / "new" / "rows.csv") == rows


def test_both_orders_are_run() -> None:
    order: list[str] = []

    def named(name: str) -> Candidate:
        return Candidate(name, lambda: order.append(name), check=False)

    compare("case", [Candidate("truth", lambda: X), named("b"), named("c")], rounds=2)
    assert order[:2] == ["b", "c"]  # the check
    assert order[2:6] == ["b", "b", "c", "c"]  # how many calls make a turn
    assert order[6:] == ["c", "c", "b", "b", "b", "b", "c", "c"]


def test_slow_cases_take_fewer_rounds_and_calls_share_a_time() -> None:
    calls: list[None] = []
    one = Candidate("a", lambda: calls.append(None), check=False, calls=10)
    (row,) = compare("case", [one], rounds=100, seconds=0.0)
    assert row.rounds == 5
    assert len(calls) == 1 + 20 + 10 + 2 * 5 * 10  # the check, two estimates, the rounds


def test_turns_last_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "TURN", 1e9)
    now = [0]

    def work() -> None:
        now[0] += 10_000_000

    assert Candidate("one", work, check=False).turn(lambda: now[0]).calls == 100


def test_runs_in_turn_have_data_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "UNCACHED", 100)
    made: list[int] = []
    ran: list[int] = []

    def make() -> Callable[[], None]:
        number = len(made)
        made.append(number)
        return lambda: ran.append(number)

    run = in_turn(make, 40)
    for _ in range(5):
        run()
    assert (made, ran) == ([0, 1, 2], [0, 1, 2, 0, 1, 2, 0, 1])  # each once before the first call
    in_turn(make, 1000)
    assert made == [0, 1, 2, 3]


def test_every_pooling_has_a_peer() -> None:
    own = {name for name, kind in REGISTRY.items() if kind.__module__.startswith("cnnatomy.")}
    assert own <= set(PEERS)
    assert all(peer.reducer.name == name for name, peer in PEERS.items())


SOME = [
    pytest.param(name, window, marks=() if (i + j) % len(WINDOWS) == 0 else pytest.mark.slow)
    for i, name in enumerate(PEERS)
    for j, window in enumerate(WINDOWS)
]
"""Each peer over one window, the others slow."""


@pytest.mark.costly(6)
@pytest.mark.parametrize(("name", "window"), SOME)
def test_the_peer_computes_the_same(name: str, window: str) -> None:
    for direction in DIRECTIONS:
        case = Case(name, direction, window, SMALL, "float64", "NCHW")
        with case.candidates(compiled=False) as candidates:
            assert check(candidates) == {}
            compared = {one.name for one in candidates if one.check}
            assert compared >= ({OURS, EAGER} if PEERS[name].comparable else set())
            assert COPY not in compared


@pytest.mark.parametrize("window", WINDOWS)
def test_the_drawing_peer_draws_what_is_expected(window: str) -> None:
    peer, draws = PEERS["stochastic"], 4000
    (x,) = inputs(peer, "1x1x8x9", torch.float64, torch.contiguous_format)
    torch.manual_seed(0)
    for way in computed(peer, WINDOWS[window], x):
        drawn = way(x.expand(draws, -1, -1, -1).contiguous())
        truth = pool(x, Expected(), WINDOWS[window])
        error = drawn.std(0) / draws**0.5
        assert ((drawn.mean(0) - truth[0]).abs() <= 5 * error + 1e-9).all()


def test_values_are_distinct_and_exact_in_every_dtype() -> None:
    x = distinct((2, 3, 56, 56), torch.Generator().manual_seed(0))
    for plane in x.flatten(0, 1):
        assert len(torch.unique(plane.bfloat16())) == 56 * 56
    assert torch.equal(x.bfloat16().float(), x)
    assert len(torch.unique(x.mean((2, 3)))) == 6
    assert distinct((1, 1, 112, 112), torch.Generator().manual_seed(0)).abs().min() > 0


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("name", ["max", "mean", "l2", "lp"])
def test_onnxruntime_computes_the_same(name: str, window: str) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    case = Case(name, "forward", window, SMALL, "float32", "NCHW")
    with case.candidates(compiled=False) as candidates:
        assert check(candidates) == {}
        found = {one.name for one in candidates}
    assert ("onnxruntime" in found) is (window != "adaptive7")


def test_onnxruntime_is_left_out_where_it_cannot_pool() -> None:
    pytest.importorskip("onnxruntime")
    x = torch.ones(1, 2, 4, 4, dtype=torch.bfloat16)
    assert onnxruntime("max", Whole(), x, torch.Size((1, 2, 1, 1))) is None
    assert onnxruntime("soft", Whole(), x.float(), torch.Size((1, 2, 1, 1))) is None


def test_saved_bytes_leave_out_the_input_and_the_result() -> None:
    (x,) = inputs(PEERS["max"], "1x2x8x8", torch.float32, torch.contiguous_format)
    ours, theirs = computed(PEERS["max"], WINDOWS["2x2s2"], x)
    assert memory.saved(ours, [x]) == (1, 1)  # a byte for the tap
    assert memory.saved(theirs, [x]) == (8, 8 + 4 * 4)  # an int64; x has four values for each output
    assert memory.saved(lambda x: x.exp(), [x]) == (0, 4)


def test_the_command_saves_rows_and_draws_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, chart = tmp_path / "pooling.csv", tmp_path / "speed.svg"
    asked = "--reducers max median --windows 2x2s2 global --dtypes float32 --shape 1x2x8x8 --rounds 2"
    options = [*asked.split(), "--no-compile", "--out", str(out), "--plot", str(chart)]
    monkeypatch.setattr("sys.argv", ["pooling", *options])
    monkeypatch.setattr(pooling, "keep_memory", lambda: True)
    assert pooling.main() == 0
    rows = load(out)
    cases = {Case.read(row.case) for row in rows}
    assert {str(case) for case in cases} == {row.case for row in rows}
    assert len(cases) == 2 * 2 * len(DIRECTIONS) * 2
    assert {row.clock for row in rows} == {"cpu"}
    assert (tmp_path / "memory.csv").read_text().count("\n") == 1 + 2 * len(WINDOWS)
    assert (tmp_path / "tiny.csv").exists()
    pytest.importorskip("matplotlib")
    assert "<svg" in chart.read_text()


def test_a_budget_leaves_cases_out(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    settings = pooling.options().parse_args(["--budget", "-1", "--out", str(tmp_path / "rows.csv")])
    assert pooling.speed(settings) == []
    assert "cases are left out" in capsys.readouterr().out


def test_covariance_is_measured_where_outputs_are_few() -> None:
    settings = pooling.options().parse_args(["--reducers", "covariance"])
    assert {case.window for case in pooling.cases(settings)} == {"adaptive7", "global"}


def test_ratios_are_to_ours_and_leave_out_who_was_refused() -> None:
    plot = pytest.importorskip("benchmarks.plot")
    case = Case("max", "forward", "2x2s2", SMALL, "float32", "NCHW")
    (model,) = compare(str(case), [Candidate(OURS, lambda: X)], rounds=2)

    def row(name: str, ms: float, rounds: int = 2) -> Row:
        return Row(**{**vars(model), "candidate": name, "median_ms": ms, "rounds": rounds})

    rows = [row(EAGER, 6.0), row(OURS, 2.0), row("torch.compile", math.nan, 0)]
    assert plot.ratios(rows) == {(EAGER, case): 3.0}
