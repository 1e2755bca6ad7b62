"""The ten digits as 7 x 12 bitmaps: the targets of LeNet-5's output layer.

LeCun, Bottou, Bengio and Haffner (1998), section II.B and figure 3: characters that look alike get codes that
lie close, so that a confusion made by the net is one that a later stage can repair. `#` is +1 (ink), `.` is
-1 (paper). The paper prints its bitmaps as small pictures; these are drawn afresh, in its style and size.
"""

from __future__ import annotations

HEIGHT, WIDTH = 12, 7

_ART = """
.......  .......  .......  .......  .......  .......  .......  .......  .......  .......
..###..  ...##..  .#####.  .#####.  .....#.  #######  ..####.  #######  .#####.  .#####.
.##.##.  ..###..  ##...##  ##...##  ....##.  #######  .##....  #######  ##...##  ##...##
##...##  .####..  .....##  .....##  ...###.  ##.....  ##.....  .....##  ##...##  ##...##
##...##  ...##..  .....##  .....##  ..####.  ##.....  ##.....  ....##.  ##...##  ##...##
##...##  ...##..  ....##.  ..####.  .##.##.  ######.  ######.  ....##.  .#####.  .######
##...##  ...##..  ...##..  ..####.  ##..##.  .....##  ##...##  ...##..  .#####.  .....##
##...##  ...##..  ..##...  .....##  #######  .....##  ##...##  ...##..  ##...##  .....##
##...##  ...##..  .##....  .....##  #######  .....##  ##...##  ..##...  ##...##  .....##
.##.##.  ...##..  ##.....  ##...##  ....##.  ##...##  ##...##  ..##...  ##...##  ....##.
..###..  .######  #######  .#####.  ....##.  .#####.  .#####.  .##....  .#####.  .####..
.......  .......  .......  .......  .......  .......  .......  .......  .......  .......
"""


def _bitmaps() -> dict[str, tuple[str, ...]]:
    columns = zip(*(line.split() for line in _ART.split("\n") if line), strict=True)
    return {str(digit): rows for digit, rows in enumerate(columns)}


BITMAPS: dict[str, tuple[str, ...]] = _bitmaps()
"""For each digit its twelve rows of seven characters."""


def code(digit: str) -> list[int]:
    """Give the 84 target activations of a digit, row by row.

    Example:
        >>> len(code("7")), code("7")[7:14]
        (84, [1, 1, 1, 1, 1, 1, 1])
    """
    return [1 if cell == "#" else -1 for row in BITMAPS[digit] for cell in row]
