"""The cells of a column that is read block after block: as they are, or as an array of numbers.

A number takes 32 bytes and more in a list, 8 in an array. A log of one block stays a list of cells,
which is faster to make.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, compress
from typing import Any

import numpy as np

from grokpredict.runs.curve import FloatArray, IntArray

#: Words that people and libraries write where there is no value.
NOTHING = frozenset({"", "na", "n/a", "null", "none", "nil", "-", "--", "<na>", "#n/a"})

#: Different texts of a column of which each is kept once.
_MOST_TEXTS = 1000

#: Cells that are numbers only if they are no flags and no text that counts.
_NUMBER_TYPES = frozenset({int, float, str, type(None)})

#: Numbers that are turned into Python's at a time.
_PIECE = 4096

#: From here on a float64 does not hold every whole number, so that two names could become one.
_EXACT = 2.0**53


def is_nothing(cell: Any) -> bool:
    """Say whether a cell tells nothing; NaN is not decided here."""
    return cell is None or (isinstance(cell, str) and cell.strip().lower() in NOTHING)


@dataclass(frozen=True, eq=False)
class Numbers(Sequence[Any]):
    """A column of numbers.

    Parameters
    ----------
    size : int
        Rows of the column.
    values : ndarray of float64, shape (n,)
        Not to be written to.
    rows : ndarray of int, shape (n,), optional
        The rows that hold them, ascending; None where every row does.
    """

    size: int
    values: FloatArray
    rows: IntArray | None = None

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: Any) -> Any:
        row = range(self.size)[index]
        if self.rows is None:
            return _plain(float(self.values[row]))
        place = int(np.searchsorted(self.rows, row))
        here = place < self.rows.size and self.rows[place] == row
        return _plain(float(self.values[place])) if here else None

    def __iter__(self) -> Iterator[Any]:
        if self.rows is None:
            return map(_plain, chain.from_iterable(map(np.ndarray.tolist, _pieces(self.values))))
        return map(self.__getitem__, range(self.size))

    def chosen(self, index: IntArray) -> Numbers:
        """Return the column with some of its rows."""
        if self.rows is None:
            return Numbers(index.size, self.values[index])
        place = np.searchsorted(self.rows, index)
        there = place < self.rows.size
        there[there] = self.rows[place[there]] == index[there]
        return Numbers(index.size, self.values[place[there]], np.flatnonzero(there))

    def constant(self) -> bool:
        """Say whether every row holds the same number."""
        return self.rows is None and self.size > 0 and bool(np.all(self.values == self.values[0]))


def _plain(value: float) -> float | int:
    """Return a whole number as an int, as it is in a log: the name of a run is 3, not 3.0."""
    return int(value) if value.is_integer() else value


def _pieces(values: FloatArray) -> Iterator[FloatArray]:
    return (values[start : start + _PIECE] for start in range(0, values.size, _PIECE))


def numbers_in(cells: Sequence[Any]) -> Numbers | None:
    """Return cells as numbers; None if they are not numbers, or a float does not hold them."""
    if isinstance(cells, Numbers):
        return cells
    if not _NUMBER_TYPES.issuperset(map(type, cells)):
        return None
    try:
        column = filled(cells)
    except (ValueError, OverflowError):
        return None
    large = np.flatnonzero(np.abs(column.values) >= _EXACT)
    rows = large if column.rows is None else column.rows[large]
    return None if any(_is_whole(cells[row]) for row in rows.tolist()) else column


def _is_whole(cell: Any) -> bool:
    return isinstance(cell, int) or (isinstance(cell, str) and cell.strip().lstrip("+-").isdigit())


def filled(cells: Sequence[Any]) -> Numbers:
    """Return cells as numbers; raise what ``float`` raises where one is neither that nor empty."""
    try:
        values = np.fromiter(map(float, cells), dtype=np.float64, count=len(cells))
        return Numbers(len(cells), values)
    except (TypeError, ValueError, OverflowError):
        pass  # sparse rows, or text
    # Most cells of a sparse column are empty, which is seen at once.
    present = [not (cell is None or cell == "" or is_nothing(cell)) for cell in cells]
    rows = np.flatnonzero(present)
    values = np.fromiter(map(float, compress(cells, present)), dtype=np.float64, count=rows.size)
    return Numbers(len(cells), values, rows)


class Gathered:
    """A column that grows block by block."""

    def __init__(self, size: int = 0) -> None:
        """Begin with ``size`` rows that tell nothing."""
        self._first: Sequence[Any] | None = [None] * size if size else None
        self._parts: list[Numbers] | None = []
        self._cells: list[Any] = []
        self._texts: dict[str, str] = {}

    def add(self, cells: Sequence[Any]) -> None:
        """Add the cells of a block."""
        if self._first is None and not self._parts and not self._cells:
            self._first = cells
            return
        if self._first is not None:
            first, self._first = self._first, None
            self._take(first)
        self._take(cells)

    def _take(self, cells: Sequence[Any]) -> None:
        if self._parts is not None:
            column = numbers_in(cells)
            if column is not None:
                self._parts.append(column)
                return
            self._cells = list(chain.from_iterable(self._parts))
            self._parts = None
        self._cells.extend(map(self._once, cells))

    def _once(self, cell: Any) -> Any:
        """Return a text that was there before in its place: each takes 50 bytes and more."""
        if not isinstance(cell, str):
            return cell
        if len(self._texts) < _MOST_TEXTS:
            return self._texts.setdefault(cell, cell)
        return self._texts.get(cell, cell)

    def column(self) -> Sequence[Any]:
        """Return all cells, and forget them."""
        if self._first is not None:
            return self._first
        if self._parts is None:
            return self._cells
        parts, self._parts = self._parts, []
        return joined(parts)


def joined(parts: Sequence[Numbers]) -> Numbers:
    """Return the numbers of several blocks as one column."""
    size = sum(map(len, parts))
    values = np.concatenate([part.values for part in parts]) if parts else np.empty(0)
    values.flags.writeable = False  # so that a curve need not copy it
    if all(part.rows is None for part in parts):
        return Numbers(size, values)
    starts = np.cumsum([0, *map(len, parts)])
    rows = [
        start + (np.arange(len(part)) if part.rows is None else part.rows)
        for start, part in zip(starts.tolist(), parts, strict=False)
    ]
    return Numbers(size, values, np.concatenate(rows))


def same(one: Sequence[Any], other: Sequence[Any]) -> bool:
    """Say whether two columns hold the same cells."""
    if not (isinstance(one, Numbers) and isinstance(other, Numbers)):
        return one == other
    first, second = (np.arange(len(c)) if c.rows is None else c.rows for c in (one, other))
    return np.array_equal(first, second) and np.array_equal(
        one.values, other.values, equal_nan=True
    )


class Lines:
    """The lines of the rows, as the few places where one row is not one line."""

    def __init__(self) -> None:
        self._size = 0
        self._rows: list[int] = []
        self._before: list[int] = []

    def add(self, lines: Sequence[int]) -> None:
        """Add the lines of further rows."""
        if not len(lines):
            return
        offsets = np.asarray(lines) - np.arange(self._size, self._size + len(lines))
        last = self._before[-1] if self._before else offsets[0] - 1
        changes = np.flatnonzero(np.diff(offsets, prepend=last))
        self._rows += (self._size + changes).tolist()
        self._before += offsets[changes].tolist()
        self._size += len(lines)

    def __getitem__(self, row: int) -> int:
        """Return the line of a row, both counted from where the caller does."""
        place = bisect_right(self._rows, row) - 1
        return row + (self._before[place] if place >= 0 else 0)
