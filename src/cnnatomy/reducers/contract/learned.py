"""Parameters of a pooling that are learned with the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cnnatomy.errors import ArgumentError


@dataclass(frozen=True)
class Learned:
    """One learned parameter: its name, its starting values, and what each of them belongs to.

    Args:
        name: of the module's parameter, and of `pool`'s argument.
        start: the starting values: one for `"all"`, one for each channel or for each rank of a window.
        per: `"all"` for one value that everything shares; `"channel"`; or `"rank"`, where the pooling itself
            says what its values stand for.

    Raises:
        ArgumentError: there are no starting values, or several that everything would share.

    Example:
        >>> Learned("weights", (0.5, 0.3, 0.2), per="rank").fits(3, channels=64)
        True
    """

    name: str
    start: tuple[float, ...]
    per: Literal["all", "channel", "rank"] = "all"

    def __post_init__(self) -> None:
        if not self.start or (self.per == "all" and len(self.start) > 1):
            expected = "one starting value" + ("" if self.per == "all" else f" for each {self.per}")
            raise ArgumentError(f"{self.name} starts otherwise", expected=expected, got=str(len(self.start)))

    @staticmethod
    def shared(name: str, start: float, count: int) -> tuple[Learned, ...]:
        """What a field `learned` asks for: nothing for 0, one value for 1, else one for each channel."""
        if not count:
            return ()
        return (Learned(name, (start,) * count, "all" if count == 1 else "channel"),)

    def fits(self, count: int, channels: int) -> bool:
        """Whether a tensor of so many values can be this parameter of an input of so many channels."""
        if self.per == "rank":
            return count == len(self.start)
        return count == 1 or count == channels

    def expected(self, channels: int) -> str:
        """How many values it has, in words."""
        if self.per == "rank":
            return f"{len(self.start)} values, one for each rank"
        return f"1 or {channels} values, one for each channel"
