"""Poolings that read each tap once: how a window's state starts, grows, and becomes the result."""

from __future__ import annotations

from cnnatomy.reducers.contract.folding import Folding
from cnnatomy.reducers.contract.lanes import Field, Lane, State
from cnnatomy.reducers.contract.reducer import Reducer


class Fold(Folding, Reducer):
    """A pooling that reads each tap once, by the recipe of `Folding`."""

    def keep(self, state: State, y: Lane, count: Lane) -> State:
        """What is saved for backward, one number for each of `saves`: by default the state's last fields."""
        return state[len(state) - len(self.saves) :]

    def fields(self, track: bool) -> tuple[Field, ...]:
        """What each number of the state is, where backward will be asked for or not."""
        return ("value", "tap") if track and self.selects else ("value",)
