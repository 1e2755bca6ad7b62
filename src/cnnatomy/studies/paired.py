"""How sure a difference between two arms is: two sources of chance, the seed and the test pictures.

For seed s and picture i, d[s, i] is what one arm scored minus what the other did: -1, 0 or 1 for right and
wrong answers. The model is that of crossed random effects,

    d[s, i] = mu + seed[s] + picture[i] + rest[s, i],

whose mean squares over S seeds and N pictures are

    MS_seed    = N sum_s (mean_s - mean)^2 / (S - 1)
    MS_picture = S sum_i (mean_i - mean)^2 / (N - 1)
    MS_rest    = sum (d - mean_s - mean_i + mean)^2 / ((S - 1)(N - 1)).

Two questions have two answers. *On these test pictures*: what would other seeds give? A t interval over the
S paired means. *On pictures like these*: what would other seeds on other pictures give? The variance of the
mean is then (MS_seed + MS_picture - MS_rest) / (S N), with Satterthwaite's degrees of freedom; where a source
of chance comes out below zero it counts as none, which leaves MS_seed / (S N) or MS_picture / (S N) at least.
(Without it six equal arms differed in 6.8% of simulated studies, with it in 5.7% at most; 5% are allowed.)
Other pictures only add chance: where few seeds make the interval over them the wider of the two, it answers
both questions. (With two seeds the sum alone held the truth in 89% of simulated studies, the wider in 95%.)
An interval over seeds alone, which is what most tables print, says nothing of other pictures.

Sources: F. E. Satterthwaite, An approximate distribution of estimates of variance components, 1946;
S. Holm, A simple sequentially rejective multiple test procedure, 1979.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cnnatomy.errors import ArgumentError

LEVEL = 0.95
POWER = 0.8
"""How often a forecast number of seeds or pictures shows the difference that it is forecast for."""
MOST = 10**7
"""Beyond so many seeds or pictures, more of them are said not to help."""


class Interval(NamedTuple):
    """Where a difference lies, with 95% confidence, and how likely one as large is by chance alone."""

    low: float
    high: float
    p: float

    @property
    def shows(self) -> bool:
        """Whether it leaves out zero."""
        return self.low > 0 or self.high < 0

    def wider(self, other: Interval) -> Interval:
        """The less sure of two intervals about one mean, and the larger p."""
        low, high, _ = max(self, other, key=lambda one: one.high - one.low)
        return Interval(low, high, max(self.p, other.p))


class Spread(NamedTuple):
    """The variances of a single difference: from seed to seed, from picture to picture, and the rest."""

    seed: float
    picture: float
    rest: float

    def of_mean(self, seeds: int, pictures: int) -> float:
        """The variance of the mean over so many seeds and pictures."""
        return self.seed / seeds + self.picture / pictures + self.rest / (seeds * pictures)


@dataclass(frozen=True)
class Difference:
    """How much one arm is above another, and how sure that is.

    Example:
        >>> import numpy as np
        >>> d = np.array([[1, 0, 0, 1, 0, 0, 1, 0], [1, 0, 0, 1, 0, -1, 1, 0], [1, 0, 0, 0, 0, 0, 1, 0]])
        >>> found = difference(d)
        >>> round(found.mean, 3), found.here.shows, found.alike.shows
        (0.292, True, False)
    """

    mean: float
    seeds: int
    pictures: int
    spread: Spread | None
    """None with one seed, which cannot tell the seed's part from the rest."""
    here: Interval | None
    """On these test pictures, with other seeds. None with one seed."""
    alike: Interval
    """On pictures like these, with other seeds; with one seed, of these trained networks only."""


def difference(d: NDArray[np.floating] | NDArray[np.integer]) -> Difference:
    """Judge paired differences (seeds, pictures).

    Raises:
        ArgumentError: there are not two pictures; or SciPy, which has the distributions, is not installed.
    """
    d = np.asarray(d, dtype=np.float64)
    if d.ndim != 2 or d.shape[1] < 2 or not d.shape[0]:
        raise ArgumentError(
            "differences", expected="(seeds, pictures), two pictures at least", got=f"{d.shape}"
        )
    seeds, pictures = d.shape
    mean = float(d.mean())
    if seeds == 1:
        error = math.sqrt(float(d.var(ddof=1)) / pictures)
        return Difference(mean, 1, pictures, None, None, _interval(mean, error, pictures - 1))
    of_seed, of_picture, of_rest = _mean_squares(d)
    here = _interval(mean, math.sqrt(of_seed / (seeds * pictures)), seeds - 1)
    variance = max(of_seed + of_picture - of_rest, of_seed, of_picture)
    degrees = _satterthwaite(variance, of_seed, of_picture, of_rest, seeds, pictures)
    spread = Spread(max(of_seed - of_rest, 0.0) / pictures, max(of_picture - of_rest, 0.0) / seeds, of_rest)
    alike = here.wider(_interval(mean, math.sqrt(variance / (seeds * pictures)), degrees))
    return Difference(mean, seeds, pictures, spread, here, alike)


def _mean_squares(d: NDArray[np.float64]) -> tuple[float, float, float]:
    """Of the seeds, the pictures and the rest."""
    seeds, pictures = d.shape
    rest = d - d.mean()
    by_seed, by_picture = rest.mean(1), rest.mean(0)
    rest = rest - by_seed[:, None] - by_picture
    return (
        pictures * float(by_seed @ by_seed) / (seeds - 1),
        seeds * float(by_picture @ by_picture) / (pictures - 1),
        float((rest * rest).sum()) / ((seeds - 1) * (pictures - 1)),
    )


def _satterthwaite(
    variance: float, of_seed: float, of_picture: float, of_rest: float, seeds: int, pictures: int
) -> float:
    """Degrees of freedom of a sum of mean squares; one at least, which is the fewest any of them has."""
    parts = (
        (of_seed, seeds - 1),
        (of_picture, pictures - 1),
        (of_rest, (seeds - 1) * (pictures - 1)),
    )
    below = sum(square * square / degrees for square, degrees in parts)
    return max(1.0, variance * variance / below) if below else float(seeds - 1)


def _interval(mean: float, error: float, degrees: float) -> Interval:
    t = _distributions().t
    half = float(t.ppf((1 + LEVEL) / 2, degrees)) * error
    p = 2 * float(t.sf(abs(mean) / error, degrees)) if error else float(mean == 0)
    return Interval(mean - half, mean + half, p)


def holm(values: Sequence[float]) -> list[float]:
    """p values corrected for their number, so that one in twenty such families errs at all.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    corrected, worst = [0.0] * len(values), 0.0
    for rank, place in enumerate(sorted(range(len(values)), key=lambda place: values[place])):
        worst = max(worst, min(1.0, (len(values) - rank) * values[place]))
        corrected[place] = worst
    return corrected


def seeds_needed(spread: Spread, size: float, pictures: int) -> int | None:
    """The seeds that show a difference of this size on pictures like these, four times in five.

    None: no number does, since the test pictures are too few.

    Example:
        >>> spread = Spread(seed=0.0001, picture=0.02, rest=0.1)
        >>> seeds_needed(spread, 0.01, pictures=10_000), seeds_needed(spread, 0.01, pictures=400)
        (12, None)
    """
    return _least(lambda seeds: _detects(spread, size, seeds, pictures), 2)


def pictures_needed(spread: Spread, size: float, seeds: int) -> int | None:
    """The test pictures that show a difference of this size with so many seeds, four times in five.

    None: no number does, since the seeds are too few.
    """
    return _least(lambda pictures: _detects(spread, size, seeds, pictures), 2)


def _detects(spread: Spread, size: float, seeds: int, pictures: int) -> bool:
    """Whether both intervals leave out zero four times in five where there is a difference of this size."""
    parts = (
        (spread.seed / seeds, seeds - 1),
        (spread.picture / pictures, pictures - 1),
        (spread.rest / (seeds * pictures), (seeds - 1) * (pictures - 1)),
    )
    two_way = sum(part for part, _ in parts)
    degrees = max(1.0, two_way**2 / sum(part**2 / of for part, of in parts)) if two_way else 1.0
    over_seeds = parts[0][0] + parts[2][0]
    return min(_power(size, over_seeds, seeds - 1), _power(size, two_way, degrees)) >= POWER


def _power(size: float, variance: float, degrees: float) -> float:
    """How often a t test at 5% of a mean with this variance finds a difference of this size."""
    if not variance:
        return 1.0
    edge = _distributions().t.ppf((1 + LEVEL) / 2, degrees)
    return float(_distributions().nct.sf(edge, degrees, size / math.sqrt(variance)))


def _least(holds: Callable[[int], bool], first: int) -> int | None:
    """The least number for which something holds that holds for all larger ones; None beyond the most."""
    if not holds(MOST):
        return None
    low, high = first, MOST
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low


def _distributions() -> Any:
    try:
        from scipy import stats
    except ImportError:
        raise ArgumentError("comparing needs SciPy", hint="pip install 'cnnatomy[compare]'") from None
    return stats
