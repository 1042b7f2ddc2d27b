"""What a reader hands over: a table of cells or a series a metric, nothing interpreted."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from grokpredict.logs.cells import Numbers, filled, is_nothing
from grokpredict.logs.columns import COUNTERS, normalised
from grokpredict.logs.errors import LogError
from grokpredict.logs.hparams import plain_value
from grokpredict.runs.curve import FloatArray, IntArray


@dataclass(frozen=True)
class Table:
    """A log as it was read: text or numbers, nothing interpreted.

    Attributes
    ----------
    columns : mapping of str to sequence
        All equally long. None and :data:`~grokpredict.logs.cells.NOTHING` mean that the row does
        not tell.
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

    @cached_property
    def every_row(self) -> IntArray:
        """The numbers of all rows: one array for all columns that are full."""
        return np.arange(self.n_rows)

    def at(self, rows: IntArray, of_rows: FloatArray) -> FloatArray:
        """Return what an array with an entry for each row has at some; no copy for all of them."""
        return of_rows if rows is self.every_row else of_rows[rows]

    def rows(self, chosen: IntArray) -> Table:
        """Return the table with some of its rows."""
        index = chosen.tolist()
        cells = {
            name: column.chosen(chosen)
            if isinstance(column, Numbers)
            else [column[i] for i in index]
            for name, column in self.columns.items()
        }
        return replace(
            self,
            columns=cells,
            line=lambda row: self.line(int(chosen[row])),
            constants=constant(cells),
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
        key: plain_value(column[0]) if isinstance(column[0], str) else column[0]
        for key, column in cells.items()
        if len(column) > 1 and column[0] is not None and is_constant(column)
    }


def is_constant(column: Sequence[Any]) -> bool:
    """Say whether all cells of a column are the same."""
    if isinstance(column, Numbers):
        return column.constant()
    return column.count(column[0]) == len(column)


def settings(constants: Mapping[str, Any], used: Collection[str | None]) -> dict[str, Any]:
    """Return the constant columns that are neither a channel nor count rows."""
    return {
        key: value
        for key, value in constants.items()
        if key not in used and normalised(key) not in COUNTERS and not is_nothing(value)
    }


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
        given = cells if isinstance(cells, Numbers) else filled(cells)
    except (TypeError, ValueError, OverflowError) as error:
        row, cell = next((i, c) for i, c in enumerate(cells) if not (is_nothing(c) or is_number(c)))
        raise LogError(
            f"column {column!r} must hold numbers, line {table.line(row)} of {name} has "
            f"{_short(cell)}"
        ) from error
    return table.every_row if given.rows is None else given.rows, given.values


def is_number(cell: Any) -> bool:
    """Say whether a cell can be read as a number."""
    try:
        float(cell)
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def is_text(column: Iterable[Any]) -> bool:
    """Say whether the first cell of a column that tells something is no number."""
    if isinstance(column, Numbers):
        return False
    first = next((cell for cell in column if not is_nothing(cell)), None)
    return isinstance(first, str) and not is_number(first)


def _short(cell: Any) -> str:
    try:
        text = repr(cell)
    except ValueError:  # an integer of more digits than Python prints
        return "a number with too many digits"
    return text if len(text) <= 40 else text[:37] + "..."
