"""What the lab takes at most: everything is held to these bounds before any work."""

from __future__ import annotations

SIDE = 16
"""Rows and columns of typed numbers."""
PLANES = 4
"""Channels of typed numbers."""
PICTURE = 64
"""Rows and columns of a picture whose numbers are explained."""
KEPT = 512
"""Rows and columns that an uploaded picture is kept with."""
PICTURES = 8
"""Uploaded pictures that are kept; the oldest goes."""
UPLOAD = 8_000_000
"""Bytes of an uploaded picture."""
QUERY = 32_000
"""Letters of an address."""
TEXT = 20_000
"""Letters of one setting."""
WINDOW = 16
"""Taps of a kernel along an axis, strides, paddings and dilations."""
INPUT = 1024
"""Channels, rows and columns of a network's input."""
LETTERS = 4000
"""Letters of a notation."""
SIZE = 64
"""Rows and columns of what is resized."""
SECONDS = 10.0
"""Seconds that one answer may compute, and that a body may take to come."""
LONGEST = 60.0
"""Seconds that one answer may take on a machine that does other things too."""
WAITING = 300
"""Questions that wait at once."""
GROWTH = 100 * 2**20
"""Bytes that the working process may grow by, compiled kernels among them, before another takes its place."""
