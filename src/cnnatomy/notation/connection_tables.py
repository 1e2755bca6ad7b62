"""Tables of connections that papers publish."""

from __future__ import annotations

TABLE_I = tuple(
    tuple(int(mark == "X") for mark in row.split())
    for row in (
        "X . . . X X X . . X X X X . X X",
        "X X . . . X X X . . X X X X . X",
        "X X X . . . X X X . . X . X X X",
        ". X X X . . X X X X . . X . X X",
        ". . X X X . . X X X X . X X . X",
        ". . . X X X . . X X X X . X X X",
    )
)
"""Which of the six maps of S2 (rows) each of the sixteen maps of C3 (columns) reads: LeNet-5's table I.

LeCun, Bottou, Bengio and Haffner (1998), "Gradient-based learning applied to document recognition".
"""
