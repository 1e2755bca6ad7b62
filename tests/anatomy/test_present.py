"""The presentations agree with the table, survive hostile names, and read back."""

from __future__ import annotations

import csv
import io
import json
from html.parser import HTMLParser

import pytest
from rich.console import Console

from cnnatomy.anatomy import Row, Table

ROWS = (
    Row("", "<b>Net|</b>", ((1, 10),), trainable=10),
    Row("conv", "Conv2d", ((1, 6, 28, 28),), trainable=1500, frozen=6),
    Row("two", "Two", ((1, 3), (1, 4))),
    Row("conv#2", "Conv2d", (), shared=1506),
)
TABLE = Table("Net", (1, 32, 32), ROWS, ((1, 10),))


def printed(table: Table, width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width, no_color=True)
    console.print(table)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_markdown() -> None:
    assert TABLE.to_markdown() == (
        "**Net on one input of 1×32×32**\n\n"
        "| layer | type | output shape | trainable | frozen | shared |\n"
        "| --- | --- | --- | ---: | ---: | ---: |\n"
        "| (itself) | <b>Net\\|</b> | 1×10 | 10 | 0 | 0 |\n"
        "| conv | Conv2d | 1×6×28×28 | 1,500 | 6 | 0 |\n"
        "| two | Two | 1×3, 1×4 | 0 | 0 | 0 |\n"
        "| conv#2 | Conv2d | – | 0 | 0 | 1,506 |\n"
        "| **total** |  | **1×10** | **1,510** | **6** |  |\n\n"
        "–: not called as a layer\n"
    )


def test_csv_reads_back_and_sums() -> None:
    rows = list(csv.DictReader(io.StringIO(TABLE.to_csv())))
    assert [row["layer"] for row in rows] == ["", "conv", "two", "conv#2"]
    assert sum(int(row["trainable"]) + int(row["frozen"]) for row in rows) == TABLE.parameters == 1516
    assert rows[2]["output_shapes"] == "1x3 1x4"


def test_json_reads_back() -> None:
    read = json.loads(TABLE.to_json())
    assert (read["parameters"], read["trainable"], read["frozen"], read["complete"]) == (1516, 1510, 6, True)
    assert read["rows"][1]["output_shapes"] == [[1, 6, 28, 28]]


def test_html_escapes_and_balances() -> None:
    text = TABLE._repr_html_()
    opened: list[str] = []

    class Balance(HTMLParser):
        def handle_starttag(self, tag: str, attrs: object) -> None:
            opened.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert opened.pop() == tag

    Balance().feed(text)
    assert not opened
    assert "&lt;b&gt;Net|&lt;/b&gt;" in text
    assert "<b>" not in text


def test_columns_without_content_are_left_out() -> None:
    plain = Table("Net", (3,), (Row("fc", "Linear", ((1, 2),), trainable=8),), ((1, 2),))
    assert plain.to_markdown().splitlines()[2] == "| layer | type | output shape | parameters |"


@pytest.mark.parametrize("width", [50, 80, 200])
def test_the_terminal_shows_every_number(width: int) -> None:
    text = printed(TABLE, width)
    assert max(map(len, text.splitlines())) <= width
    for number in ("1,500", "1,506", "1,510"):
        assert number in text


def test_the_terminal_takes_names_literally() -> None:
    assert "[red]x[/]" in printed(Table("Net", (3,), (Row("[red]x[/]", "Linear", ((1, 2),)),)))


def test_a_partial_table_says_so() -> None:
    text = printed(Table("Net", (3,), ROWS, reason="it must look"))
    assert "partial: it must look" in text
    assert "total" not in text
