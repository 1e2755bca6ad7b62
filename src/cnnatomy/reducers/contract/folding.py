"""The recipe of a fold: six functions on the state of a window."""

from __future__ import annotations

from abc import abstractmethod

from cnnatomy.reducers.contract.lanes import Field, Lane, State


class Folding:
    """How a window is folded into its result.

        state = lift(first value)                      for every column of the window's rows
        state = step(state, next value)                down the rows
        state = merge(state, state of the next column) across the columns
        y     = finish(state, count)

    Padding never enters a window: outside the input the state is `identity`, which `merge` must leave unseen.
    """

    identity: tuple[float, ...]

    @abstractmethod
    def lift(self, values: State, tap: Lane | None) -> State:
        """The state of a window of one tap, x and its companions; `tap` is None where nothing is saved."""

    @abstractmethod
    def merge(self, state: State, other: State) -> State:
        """The state of two parts of a window; the taps of both are numbered in the whole window."""

    @abstractmethod
    def finish(self, state: State, count: Lane) -> Lane:
        """The result of a window; `count` is what a mean divides by."""

    def step(self, state: State, values: State, tap: Lane | None) -> State:
        """The state after one more tap, which comes after all the others."""
        return self.merge(state, self.lift(values, tap))

    @abstractmethod
    def keep(self, state: State, y: Lane, count: Lane) -> State:
        """What is saved for backward, one number for each of the reducer's `saves`."""

    @abstractmethod
    def fields(self, track: bool) -> tuple[Field, ...]:
        """What each number of the state is, where backward will be asked for or not."""
