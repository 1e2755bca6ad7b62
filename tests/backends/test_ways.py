"""The planners' tables: every way is in one of them, and the documentation prints them as they are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cnnatomy.backends.cpu.pooling.kernel_choice import Choice, Way, markdown
from cnnatomy.backends.cpu.pooling.plan_backward import BACKWARD
from cnnatomy.backends.cpu.pooling.plan_forward import FORWARD

PAGE = Path(__file__).parents[2] / "docs" / "kernels.md"


@pytest.mark.parametrize(("name", "table"), [("forward", FORWARD), ("backward", BACKWARD)])
def test_the_page_prints_the_table_that_plans_are_made_by(name: str, table: tuple[Choice, ...]) -> None:
    found = re.search(rf"<!-- {name} -->\n(.*?)\n<!-- end -->", PAGE.read_text(), re.DOTALL)
    assert found is not None
    assert found[1] == markdown(table)


def test_every_way_is_in_one_table() -> None:
    assert sorted(choice.way for choice in (*FORWARD, *BACKWARD)) == sorted(Way)
