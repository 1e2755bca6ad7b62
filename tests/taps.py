"""A window on torch tensors, as a `Scan` sees it: its taps in hand, or visited in a loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lanes import Lanes, Truth
from torch import Tensor, int32, int64

from cnnatomy.reducers.contract import Field, Lane, Scan, State, Step, Tap


@dataclass(frozen=True)
class Window:
    """All windows at once, one for each lane.

    Args:
        values: (lanes, T), anything where `inside` is false.
        inside: (lanes, T), true where the tap lies in the input.
        tracks: whether what backward needs must be found.
        held: whether the taps are handed out at once.
        draw: (lanes,), the noise.
    """

    values: Tensor
    inside: Tensor
    tracks: bool = True
    held: bool = True
    draw: Tensor | None = None

    @property
    def count(self) -> Lane:
        """How many taps lie in the input."""
        return Lanes(self.inside.sum(-1).to(self.values.dtype))

    @property
    def few(self) -> Sequence[Tap] | None:
        """All taps, if they are held."""
        return self._taps if self.held else None

    @property
    def all_inside(self) -> bool:
        """True if there is no padding."""
        return bool(self.inside.all())

    @property
    def noise(self) -> Lane:
        """The draws."""
        assert self.draw is not None, "nothing to draw from"
        return Lanes(self.draw)

    def fold(self, state: State, step: Step, fields: Sequence[Field]) -> State:
        """`step` through the taps inside the input, in row-major order."""
        assert len(fields) == len(state)
        for tap in self._taps:
            after = step(state, tap)
            assert len(after) == len(state)
            if tap.inside is not None:
                pairs = zip(after, state, strict=True)
                after = tuple(tap.inside.select(new, old) for new, old in pairs)
            state = after
        return state

    def repeat(self, times: int, state: State, body: Callable[[State], State]) -> State:
        """`body` over and over."""
        for _ in range(times):
            state = body(state)
        return state

    @property
    def _taps(self) -> list[Tap]:
        kind = int64 if self.values.dtype.itemsize == 8 else int32
        return [
            Tap(
                Lanes(self.values[:, t]),
                Lanes(self.values[:, t].new_full((), t, dtype=kind).expand(len(self.values))),
                None if self.all_inside else Truth(self.inside[:, t]),
            )
            for t in range(self.values.shape[-1])
        ]


def scanned(what: Scan, window: Window) -> tuple[Tensor, ...]:
    """y and what is saved, one value for each lane."""
    found = [lane for lane in what.scan(window) if isinstance(lane, Lanes)]
    assert len(found) == 1 + window.tracks * len(what.saves)
    return tuple(lane.value for lane in found)
