"""What the fit policy did to the pictures of a data set, as numbers and as one sentence for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from cnnatomy.data.colours import colour_notes
from cnnatomy.data.fit_policies import Placement, Size, place
from cnnatomy.files.printable import counted


@dataclass(frozen=True)
class FitReport:
    """The fit `policy`, the network's input `size` (height, width), and how many pictures had which size.

    `conversions` says how many were changed in which way (`colours.CONVERSIONS`) beside their size.

    Example:
        >>> print(FitReport("letterbox", (32, 32), {(28, 28): 60_000}).sentence())
        60,000 pictures 28x28 padded to 32x32 (23% of the area is padding)
        >>> round(FitReport("crop", (32, 32), {(300, 400): 1, (60, 40): 1}).cut, 3)
        0.292
    """

    policy: str
    size: Size
    sizes: Mapping[Size, int]
    conversions: Mapping[str, int] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many pictures there are."""
        return sum(self.sizes.values())

    @property
    def padded(self) -> float:
        """The part of the network's input that is padding, 0..1, the mean over the pictures."""
        return self._mean(lambda size, placement: placement.padded)

    @property
    def cut(self) -> float:
        """The part of a picture's area that was cut off, 0..1, the mean over the pictures."""
        return self._mean(lambda size, placement: placement.cut(size))

    @property
    def distorted(self) -> float:
        """The largest change of the ratio of the sides: 1 means that shapes are kept, up to whole cells."""
        if self.policy != "stretch":
            return 1.0
        zooms = [self._place(size).zoom for size in self.sizes]
        return max((max(y / x, x / y) for y, x in zooms), default=1.0)

    def sentence(self) -> str:
        """Say what was done in one line."""
        what = f"{counted(self.count, 'picture')} {self._sizes()}"
        deeds = self._deeds()
        if not deeds:
            return f"{what} taken as they are{self._changes()}"
        price = self._price()
        price = f" ({price})" if price else ""
        return f"{what} {' and '.join(deeds)} to {_by(self.size)}{price}{self._changes()}"

    def _changes(self) -> str:
        """How many pictures were changed in which way, as the end of a sentence."""
        return "".join(f", {change}" for change in colour_notes(self.conversions, self.count))

    def _sizes(self) -> str:
        sizes = sorted(self.sizes, key=lambda size: (size[0] * size[1], size))
        note = " (height x width)" if any(h != w for h, w in sizes) else ""
        if len(sizes) == 1:
            return _by(sizes[0]) + note
        return f"of {len(sizes):,} sizes, {_by(sizes[0])} to {_by(sizes[-1])}{note},"

    def _deeds(self) -> list[str]:
        """The verbs, in the order of the work."""
        zooms = {self._place(size).zoom for size in self.sizes}
        deeds = []
        if any(min(zoom) < 1 for zoom in zooms):
            deeds.append("shrunk")
        if any(max(zoom) > 1 for zoom in zooms):
            one = next(iter(zooms))
            whole = len(zooms) == 1 and one[0] == one[1] == int(one[0])
            deeds.append(f"enlarged x{int(one[0])}" if whole else "enlarged")
        if self.distorted > 1:
            deeds = ["stretched"]
        if self.cut:
            deeds.append("cropped")
        if self.padded:
            deeds.append("padded")
        return deeds

    def _price(self) -> str:
        mean = " on average" if len(self.sizes) > 1 else ""
        if self.padded:
            return f"{_percent(self.padded)} of the area is padding{mean}"
        if self.cut:
            return f"{_percent(self.cut)} of the area cut off{mean}"
        if self.distorted > 1:
            return f"the ratio of the sides changed by up to x{self.distorted:.3g}"
        return ""

    def _place(self, size: Size) -> Placement:
        return place(size, self.size, self.policy)

    def _mean(self, share: Callable[[Size, Placement], float]) -> float:
        total = sum(n * share(size, self._place(size)) for size, n in self.sizes.items())
        return total / max(1, self.count)


def _by(size: Size) -> str:
    return f"{size[0]}x{size[1]}"


def _percent(share: float) -> str:
    return "less than 1%" if share < 0.01 else f"{100 * share:.0f}%"
