"""What a reader hands over: a table of cells or a series a metric, nothing interpreted."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import compress
from typing import Any

import numpy as np

from grokpredict.logs.columns import COUNTERS, normalised
from grokpredict.logs.errors import LogError
from grokpredict.runs.curve import FloatArray, IntArray

#: Words that people and libraries write where there is no value.
NOTHING = frozenset({"", "na", "n/a", "null", "none", "nil", "-", "--", "<na>", "#n/a"})


@dataclass(frozen=True)
class Table:
    """A log as it was read: text or numbers, nothing interpreted.

    Attributes
    ----------
    columns : mapping of str to sequence
        All equally long. None and :data:`NOTHING` mean that the row does not tell.
    line : callable
        From the number of a row to that of its line in the file, for messages.
    constants : mapping
        Columns that say the same in every row, which makes them hyperparameters.
    twice : frozenset of str
        Columns that are there more than once, with different values.
    """

    columns: Mapping[str, Sequence[Any]]
    line: Callable[[int], int]
    constants: Mapping[str, Any] = field(default_factory=dict)
    twice: frozenset[str] = frozenset()

    @property
    def n_rows(self) -> int:
        """Rows of the log, without its header."""
        return len(next(iter(self.columns.values()))) if self.columns else 0

    def rows(self, chosen: IntArray) -> Table:
        """Return the table with some of its rows."""
        index = chosen.tolist()
        cells = {name: [column[i] for i in index] for name, column in self.columns.items()}
        return replace(
            self, columns=cells, line=lambda row: self.line(index[row]), constants=constant(cells)
        )

    def without(self, names: Collection[str]) -> Table:
        """Return the table without some columns."""
        return replace(
            self, columns={key: column for key, column in self.columns.items() if key not in names}
        )


@dataclass(frozen=True)
class Series:
    """One metric of a log that gives each metric steps of its own.

    Attributes
    ----------
    steps : ndarray of int64, shape (n,)
        They do not decrease.
    values : ndarray of float64, shape (n,)
    """

    steps: IntArray
    values: FloatArray


def constant(cells: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Return what the columns say that say the same in every row, of which there are several."""
    return {
        key: column[0]
        for key, column in cells.items()
        if len(column) > 1 and column[0] is not None and column.count(column[0]) == len(column)
    }


def settings(constants: Mapping[str, Any], used: Collection[str | None]) -> dict[str, Any]:
    """Return the constant columns that are neither a channel nor count rows."""
    return {
        key: value
        for key, value in constants.items()
        if key not in used and normalised(key) not in COUNTERS and not is_nothing(value)
    }


def is_nothing(cell: Any) -> bool:
    """Say whether a cell tells nothing; NaN is not decided here."""
    return cell is None or (isinstance(cell, str) and cell.strip().lower() in NOTHING)


def numbers(table: Table, column: str, name: str) -> tuple[IntArray, FloatArray]:
    """Return the rows in which a column holds something, and its numbers there.

    Raises
    ------
    LogError
        If there is text, or the column is there twice.
    """
    if column in table.twice:
        raise LogError(
            f"a column must be there once, {name} has {column!r} twice with different values; "
            "rename one of them"
        )
    cells = table.columns[column]
    try:
        values = np.fromiter(map(float, cells), dtype=np.float64, count=len(cells))
        return np.arange(len(cells)), values
    except (TypeError, ValueError, OverflowError):
        pass  # sparse rows, or text
    # Most cells of a sparse column are empty, which is seen at once.
    present = [not (cell is None or cell == "" or is_nothing(cell)) for cell in cells]
    rows = np.flatnonzero(present)
    try:
        values = np.fromiter(
            map(float, compress(cells, present)), dtype=np.float64, count=rows.size
        )
    except (TypeError, ValueError, OverflowError) as error:
        row = next(row for row in rows.tolist() if not is_number(cells[row]))
        raise LogError(
            f"column {column!r} must hold numbers, line {table.line(row)} of {name} has "
            f"{_short(cells[row])}"
        ) from error
    return rows, values


def is_number(cell: Any) -> bool:
    """Say whether a cell can be read as a number."""
    try:
        float(cell)
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def is_text(column: Iterable[Any]) -> bool:
    """Say whether the first cell of a column that tells something is no number."""
    first = next((cell for cell in column if not is_nothing(cell)), None)
    return isinstance(first, str) and not is_number(first)


def _short(cell: Any) -> str:
    try:
        text = repr(cell)
    except ValueError:  # an integer of more digits than Python prints
        return "a number with too many digits"
    return text if len(text) <= 40 else text[:37] + "..."
