"""The benchmark harness: a wrong candidate is refused a time, and rows say what they were measured on."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch

from benchmarks.harness import Candidate, ParityError, compare, device, save

X = torch.arange(12.0).view(3, 4)


def test_a_wrong_candidate_gets_no_time() -> None:
    ran: list[str] = []

    def wrong() -> torch.Tensor:
        ran.append("wrong")
        return X + 1e-3

    with pytest.raises(ParityError, match="case: wrong is not truth"):
        compare("case", [Candidate("truth", lambda: X), Candidate("wrong", wrong)], rounds=5)
    assert ran == ["wrong"]


def test_rows_hold_quantiles_device_and_versions(tmp_path: Path) -> None:
    yardstick = Candidate("copy", lambda: X.clone() + 1, check=False)
    rows = compare("case", [Candidate("a", lambda: X), Candidate("b", X.clone), yardstick], rounds=9)
    assert [row.candidate for row in rows] == ["a", "b", "copy"]
    for row in rows:
        assert 0 <= row.low_ms <= row.median_ms <= row.high_ms
        assert (row.rounds, row.torch, row.device) == (9, torch.__version__, device())
    save(rows, tmp_path / "new" / "rows.csv")
    read = list(csv.DictReader((tmp_path / "new" / "rows.csv").read_text().splitlines()))
    assert [line["candidate"] for line in read] == ["a", "b", "copy"]
    assert read[0]["threads"] == str(torch.get_num_threads())


def test_both_orders_are_run() -> None:
    order: list[str] = []

    def named(name: str) -> Candidate:
        return Candidate(name, lambda: order.append(name), check=False)

    compare("case", [Candidate("truth", lambda: X), named("b"), named("c")], rounds=2)
    assert order == ["c", "c", "b", "b", "b", "b", "c", "c"]
