"""One axis of a linear map whose outputs each read a run of neighbouring cells; standard library only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

Taps = Iterable[tuple[int, float]]
"""What an output reads: cells and weights, in any order; those of one cell add up, and 0 reads nothing."""


@dataclass(frozen=True, slots=True)
class Bands:
    """One axis of a linear map: y[o] = sum_k weights[o][k] x[start[o] + k].

    Args:
        size: cells of the input.
        start: the first cell each output reads; start[o] + len(weights[o]) <= size.
        weights: the weights of the cells each output reads; none of them where the output is 0.

    Example:
        >>> Bands(3, (0, 1), ((0.5, 0.5), (1.0,))).apply([4.0, 2.0, 7.0])
        [3.0, 2.0]
    """

    size: int
    start: tuple[int, ...]
    weights: tuple[tuple[float, ...], ...]

    @classmethod
    def of(cls, size: int, outputs: Iterable[Taps]) -> Bands:
        """Bands of the taps of every output; cells between them that nothing reads weigh 0.

        Example:
            >>> Bands.of(3, [[(0, 0.25), (0, 0.25), (2, 0.5)], []])
            Bands(size=3, start=(0, 0), weights=((0.5, 0.0, 0.5), ()))
        """
        starts: list[int] = []
        rows: list[tuple[float, ...]] = []
        for taps in outputs:
            merged: dict[int, float] = {}
            for cell, weight in taps:
                merged[cell] = merged.get(cell, 0.0) + weight
            read = [cell for cell, weight in merged.items() if weight]
            first, stop = (min(read), max(read) + 1) if read else (0, 0)
            starts.append(first)
            rows.append(tuple(merged.get(cell, 0.0) for cell in range(first, stop)))
        return cls(size, tuple(starts), tuple(rows))

    @property
    def outputs(self) -> int:
        """Cells of the output.

        Example:
            >>> Bands(3, (0, 1), ((0.5, 0.5), (1.0,))).outputs
            2
        """
        return len(self.start)

    @property
    def most(self) -> int:
        """The most cells that an output reads.

        Example:
            >>> Bands(3, (0, 1), ((0.5, 0.5), (1.0,))).most
            2
        """
        return max(map(len, self.weights), default=0)

    def transposed(self) -> Bands:
        """The map's transpose, x[i] = sum_o weights[o][i - start[o]] y[o], with the very same weights.

        Example:
            >>> Bands(3, (0, 1), ((0.5, 0.5), (1.0,))).transposed()
            Bands(size=2, start=(0, 0, 0), weights=((0.5,), (0.5, 1.0), ()))
        """
        readers: list[list[tuple[int, float]]] = [[] for _ in range(self.size)]
        for output, (start, row) in enumerate(zip(self.start, self.weights, strict=True)):
            for cell, weight in enumerate(row, start):
                readers[cell].append((output, weight))
        return Bands.of(self.outputs, readers)

    def apply(self, x: list[float]) -> list[float]:
        """The outputs of one line of cells, as the definition reads.

        Example:
            >>> Bands(2, (0, 0, 0), ((0.5,), (0.5, 1.0), ())).apply([2.0, 3.0])
            [1.0, 4.0, 0.0]
        """
        rows = zip(self.start, self.weights, strict=True)
        return [sum((w * x[i] for i, w in enumerate(row, start)), 0.0) for start, row in rows]
