"""The presentations agree with the anatomy, fit their width, survive hostile names, and read back."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import fields, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import torch
from anatomy import zoo
from anatomy.handmade import ANATOMY, PARTIAL, STRANGE, layer
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from torch import Tensor, nn
from torch.nn import functional as F

from cnnatomy.anatomy import Anatomy, Cost, Layer, Memory, Operation, anatomy
from cnnatomy.anatomy.present.columns import COLUMNS
from cnnatomy.anatomy.present.number_text import counted, stored
from cnnatomy.errors import ArgumentError

NUMBERS = ("116", "1,450", "1,586")


class Two(nn.Module):
    """Two inputs that meet after one of them was halved in height."""

    def __init__(self) -> None:
        super().__init__()
        self.tall = nn.Conv2d(3, 4, (3, 1), stride=(2, 1), padding=(1, 0))
        self.both = nn.Conv2d(7, 2, 3, padding=1)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        out: Tensor = self.both(torch.cat([self.tall(x), F.pad(y, (0, 3))], 1))
        return out


def printed(known: Anatomy, width: int = 120, **choice: Any) -> str:
    console = Console(file=io.StringIO(), width=width, no_color=True)
    console.print(known.show(**choice))
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def cells(known: Anatomy, *columns: str, **choice: Any) -> list[list[str]]:
    """The body of the Markdown table."""
    lines = [line for line in known.to_markdown(columns=columns, **choice).splitlines() if line[:1] == "|"]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]


def test_markdown_is_a_table_with_totals_and_what_must_be_known() -> None:
    assert ANATOMY.to_markdown(
        columns=("path", "type", "output", "parameters", "macs", "saved", "share")
    ) == (
        "**Net on one input of 3×8×8**\n\n"
        "| layer | type | output shape | parameters | MACs | saved | share |\n"
        "| --- | --- | --- | ---: | ---: | ---: | ---: |\n"
        "| block | <b>Block\\|</b> | 1×4×6×6 | – | – | – | – |\n"
        "| block.conv#1 | Conv2d | 1×4×6×6 | 116 | 15.55 k | 500 B | 47.8% |\n"
        "| block.conv#2 | Conv2d | 1×4×6×6 | (116) | 15.55 k | 300 B | 47.8% |\n"
        "| head | Head | 1×10, 1×4 | 1,450 | 1.440 k | 100 B | 4.4% |\n"
        "| unused | Linear | – | 20 | – | – | – |\n"
        "| **total** |  | **1×10** | **1,586** | **32.54 k** | **900 B** |  |\n\n"
        "memory: weights 6.195 KiB · peak 2.000 KiB in inference, 117.7 MiB in training · "
        "900 B saved for backward\n\n"
        "parameters: 1,582 trainable, 4 frozen\n\n"
        "(n): parameters that an earlier layer has counted\n\n"
        "absent connections, neither parameters nor multiplied: 7 weights\n\n"
        "no output shape: not called as a layer\n\n"
        "hooks of the caller, not run: 1\n"
    )


def test_a_fold_stands_for_all_below_it() -> None:
    assert cells(ANATOMY, "path", "parameters", "macs", "saved", depth=1)[:1] == [
        ["block", "116 (116)", "31.10 k", "800 B"]
    ]
    assert cells(ANATOMY, "path", "parameters", "macs", depth=0)[0] == ["(itself)", "1,566 (116)", "32.54 k"]


@pytest.mark.parametrize("depth", [None, 0, 1, 2])
def test_rows_sum_to_the_totals_at_every_depth(depth: int | None) -> None:
    rows = list(csv.DictReader(io.StringIO(ANATOMY.to_csv(depth=depth))))
    assert sum(int(row["parameters"]) for row in rows) == ANATOMY.parameters
    assert sum(int(row["macs"]) for row in rows) == ANATOMY.macs
    own = sum(operation.cost.flops or 0 for operation in ANATOMY.operations)
    assert sum(int(row["flops"]) for row in rows) == own


def test_operations_have_a_row_each() -> None:
    rows = list(csv.DictReader(io.StringIO(ANATOMY.to_csv(operations=True))))
    assert [row["path"] for row in rows] == ["block.conv#1", "block", "block.conv#2", "head"]
    assert [row["type"] for row in rows] == ["convolution", "add", "relu", "convolution"]
    assert sum(int(row["macs"]) for row in rows) == ANATOMY.macs
    assert {row["parameters"] for row in rows} == {""}


def test_sorting_puts_the_largest_first_and_writes_whole_paths() -> None:
    assert [row[0] for row in cells(ANATOMY, "path", sort="parameters")][:2] == ["head", "block.conv#1"]
    assert "block.conv#2" in printed(ANATOMY, sort="macs")
    tree = printed(ANATOMY)
    assert "\n   conv#1 " in tree
    assert "block.conv" not in tree


def test_unknown_costs_are_said_and_not_summed() -> None:
    assert cells(STRANGE, "path", "macs", "share", "intensity")[-3:] == [
        ["head", "unknown", "unknown", "unknown"],
        ["unused", "–", "–", "–"],
        ["**total**", "**unknown**", "", ""],
    ]


def test_intensity_is_flops_over_bytes() -> None:
    assert cells(ANATOMY, "path", "intensity")[1] == ["block.conv#1", "30.5"]
    assert pytest.approx(30.5, abs=0.05) == 31_248 / 1024


def test_a_partial_table_says_so() -> None:
    for text in (printed(PARTIAL), PARTIAL.to_markdown(), PARTIAL.to_html()):
        assert "partial: layer" in text
        assert "total" not in text
        assert "1,586" in text


def test_csv_has_every_column_and_bare_numbers() -> None:
    rows = list(csv.DictReader(io.StringIO(ANATOMY.to_csv())))
    assert list(rows[0]) == list(COLUMNS)
    assert rows[3]["output"] == "1x10 1x4"
    assert rows[1]["macs"] == "15552"
    assert rows[4]["saved"] == ""


def test_html_escapes_and_balances() -> None:
    text = ANATOMY._repr_html_()
    opened: list[str] = []

    class Balance(HTMLParser):
        def handle_starttag(self, tag: str, attrs: object) -> None:
            opened.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert opened.pop() == tag

    Balance().feed(text)
    assert not opened
    assert "&lt;b&gt;Block|&lt;/b&gt;" in text
    assert "<b>" not in text


@pytest.mark.parametrize("width", [50, 80, 120, 200])
def test_the_terminal_shows_every_parameter_in_any_width(width: int) -> None:
    text = printed(ANATOMY, width)
    table = text[: text.index("memory:")]
    assert max(map(len, text.splitlines())) <= width
    for number in NUMBERS:
        assert re.search(rf"(?<![\d,]){number}(?![\d,])", table), number


@given(
    width=st.integers(60, 200),
    count=st.integers(10_000, 10**12),
    name=st.text("abcdef.", min_size=1, max_size=90),
)
def test_no_number_is_broken_and_no_line_too_wide(width: int, count: int, name: str) -> None:
    deep = layer(
        name.strip(".") or "a", "L" * 40, 1, 0, trainable=count, output_shapes=((1, 512, 1000, 1000),)
    )
    text = printed(replace(ANATOMY, layers=(ANATOMY.layers[0], deep)), width)
    assert max(map(len, text.splitlines())) <= width
    table = text[: text.index("memory:")]
    assert table.count(f"{count:,}") == 2
    if "macs" not in text.partition("no room for")[2]:
        assert "32.54 k" in table


def test_columns_that_have_no_room_are_named() -> None:
    assert "no room for" not in printed(ANATOMY, 200)
    narrow = printed(ANATOMY, 80, columns=tuple(COLUMNS))
    left_out = narrow.partition("no room for: ")[2].partition(" (")[0].split(", ")
    assert len(left_out) > 2
    for name in left_out:
        assert COLUMNS[name].title not in narrow.splitlines()[2].split()


def test_the_terminal_takes_names_literally() -> None:
    assert "[red]x[/]" in printed(replace(ANATOMY, layers=(layer("[red]x[/]", "Linear", 1, None),)))


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ({"columns": ("pth",)}, "no column 'pth'.*try path"),
        ({"sort": "mac"}, "no column 'mac'.*try macs"),
        ({"depth": -1}, "depth"),
        ({"reading": "global"}, "reading"),
    ],
)
def test_what_cannot_be_chosen_is_an_error(choice: dict[str, Any], said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        ANATOMY.to_markdown(**choice)


@pytest.mark.parametrize("known", [ANATOMY, PARTIAL, STRANGE])
def test_json_reads_back_equal(known: Anatomy) -> None:
    assert Anatomy.from_json(known.to_json()) == known


def test_json_holds_totals_and_every_field_of_every_record() -> None:
    read = json.loads(ANATOMY.to_json())
    totals = {
        name: read[name]
        for name in ("schema", "parameters", "trainable", "frozen", "complete", "macs", "flops")
    }
    assert totals == {
        "schema": 1, "parameters": 1586, "trainable": 1582, "frozen": 4, "complete": True,
        "macs": 32_544, "flops": 65_530,
    }  # fmt: skip
    assert set(read["layers"][0]) == {one.name for one in fields(Layer)} | {"fields"}
    assert set(read["operations"][0]) == {one.name for one in fields(Operation)}
    assert set(read["operations"][0]["cost"]) == {one.name for one in fields(Cost)}
    assert set(read["memory"]) == {one.name for one in fields(Memory)}


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"schema": 2}', '{"schema": 1}', '{"schema": 1, "layers": 3}']
)
def test_other_json_is_refused(text: str) -> None:
    with pytest.raises(ArgumentError, match="not an anatomy"):
        Anatomy.from_json(text)


@given(st.integers(0, 10**20))
def test_units_keep_four_digits(number: int) -> None:
    powers = ["", "k", "M", "G", "T", "P", "E"]
    digits, _, unit = counted(number).partition(" ")
    shown = float(digits) * 1000 ** powers.index(unit)
    assert shown == pytest.approx(number, rel=5.1e-4)
    assert len(digits.replace(".", "")) == 4 or number < 1000 or number >= 10**21 or unit == "E"
    digits, unit = stored(number).split(" ")
    assert float(digits) * 1024 ** ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"].index(
        unit
    ) == pytest.approx(number, rel=5.1e-4)


TYPES = {"string": str, "integer": int, "boolean": bool, "object": dict, "array": list, "null": type(None)}


def faults(value: Any, schema: dict[str, Any], at: str = "$") -> list[str]:
    """Where a value breaks a schema, for the part of JSON Schema that the file uses."""
    known = {"type", "required", "properties", "items", "minimum", "enum", "const", "additionalProperties"}
    assert set(schema) <= known | {"$schema", "title", "description"}
    if ("const" in schema and value != schema["const"]) or ("enum" in schema and value not in schema["enum"]):
        return [f"{at} is {value!r}"]
    kinds = schema.get("type", list(TYPES))
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if not any(type(value) is TYPES[kind] for kind in kinds):
        return [f"{at} is {type(value).__name__}"]
    found = [f"{at} < {schema['minimum']}"] if "minimum" in schema and value < schema["minimum"] else []
    if isinstance(value, list):
        for i, item in enumerate(value):
            found += faults(item, schema.get("items", {}), f"{at}[{i}]")
    if isinstance(value, dict):
        found += [f"{at}.{name} is missing" for name in schema.get("required", ()) if name not in value]
        for name, item in value.items():
            rest = schema.get("additionalProperties")
            if name not in schema.get("properties", {}) and rest is None:
                found.append(f"{at}.{name} is not in the schema")
            else:
                found += faults(item, schema.get("properties", {}).get(name, rest), f"{at}.{name}")
    return found


SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "anatomy.schema.json").read_text("utf-8"))


def test_json_keeps_to_its_published_schema() -> None:
    for known in (ANATOMY, PARTIAL, STRANGE, anatomy(Two(), [(3, 9, 8), (3, 5, 5)])):
        assert faults(json.loads(known.to_json()), SCHEMA) == []


def test_the_schema_has_every_field_required_and_the_validator_sees_faults() -> None:
    good = json.loads(ANATOMY.to_json())
    assert set(SCHEMA["required"]) == set(good)
    assert set(SCHEMA["properties"]["layers"]["items"]["required"]) == set(good["layers"][0])
    spoilt: dict[str, Any]
    for spoilt in ({"schema": 2}, {"parameters": "1"}, {"extra": 1}, {"layers": [{}]}, {"memory": 3}):
        assert faults(good | spoilt, SCHEMA)


def test_fields_in_the_table_are_those_of_the_layer_by_axis_and_input() -> None:
    known = anatomy(Two(), [(3, 9, 8), (3, 5, 5)], training=False)
    assert cells(known, "path", "field", "jump", "start", "padding")[:-1] == [
        ["tall", "3×1, –", "2×1, –", "-1×0, –", "13.3%"],
        ["both", "7×3, 3", "2×1, 1", "-3×-1, -1", "20.6%"],
    ]


def test_the_local_reading_sets_a_reduction_over_the_map_aside() -> None:
    with torch.device("meta"):
        model = zoo.efficientnet_b0()
    known = anatomy(model, (3, 224, 224), training=False)
    last = [row for row in cells(known, "path", "field", reading="local") if row[0] == "features.8.0"]
    assert last == [["features.8.0", "851"]]
    assert [row[1] for row in cells(known, "path", "field") if row[0] == "features.8.0"] == ["all"]


def test_json_of_a_measured_network_reads_back_equal() -> None:
    known = anatomy(Two(), [(3, 9, 8), (3, 5, 5)])
    again = Anatomy.from_json(known.to_json())
    plain = ("path", "type", "output", "parameters", "macs", "flops", "memory", "saved", "intensity", "share")
    assert again == known
    assert again.to_markdown(columns=plain) == known.to_markdown(columns=plain)
