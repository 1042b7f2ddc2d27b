"""The text of a CSV file, split into cells block by block."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from operator import itemgetter

from grokpredict.logs.cells import is_nothing
from grokpredict.logs.errors import LogError
from grokpredict.logs.source import Text
from grokpredict.logs.table import is_number

#: The columns of a block, and the line of each of its rows.
Block = tuple[list[list[str]], Sequence[int]]

#: Rows of a block where the csv module splits them.
_ROWS = 100_000


def blocks_of(text: Text, name: str) -> Iterator[Block]:
    """Yield the cells of a text, a block after the other; the first row is the header.

    Raises
    ------
    LogError
        If a row has more or fewer cells than the first one; an unfinished last row is dropped.
    """
    blocks = iter(text)
    delimiter, n_columns, line = ",", 0, 0
    for block in blocks:
        if not n_columns:
            first = block.lstrip("\r\n").partition("\n")[0]
            delimiter = max(",;\t", key=first.count)
            n_columns = first.count(delimiter) + 1
        columns = _split_at_once(block, delimiter, n_columns)
        if columns is None:
            rest = chain([block], blocks)
            yield from _split_by_rows(rest, delimiter, n_columns if line else 0, line, text, name)
            return
        yield columns, range(line + 1, line + 1 + len(columns[0]))
        line += block.count("\n")


def _split_at_once(text: str, delimiter: str, n_columns: int) -> list[list[str]] | None:
    """Return the columns of a text of full rows without quotes; None for another.

    Four times as fast as the csv module.
    """
    text = text.replace("\r\n", "\n").rstrip("\n")
    if '"' in text or "\r" in text or "\n\n" in text or text.startswith("\n"):
        return None
    # The end of a row becomes a cell: all rows are full if every so many cells there is one.
    cells = text.replace("\n", f"{delimiter}\n{delimiter}").split(delimiter)
    n_ends = text.count("\n")
    if len(cells) != (n_columns + 1) * (n_ends + 1) - 1:
        return None
    if cells[n_columns :: n_columns + 1].count("\n") != n_ends:
        return None
    return [cells[i :: n_columns + 1] for i in range(n_columns)]


def _split_by_rows(
    blocks: Iterable[str], delimiter: str, n_columns: int, before: int, text: Text, name: str
) -> Iterator[Block]:
    """Yield the cells of blocks after ``before`` lines; with 0 columns, the first row tells."""
    rows: list[list[str]] = []
    lines: list[int] = []
    odd: tuple[int, int] | None = None  # cells and line of a row that has more or fewer
    reader = csv.reader(chain.from_iterable(map(io.StringIO, blocks)), delimiter=delimiter)
    try:
        for row in filter(None, reader):
            n_columns = n_columns or len(row)
            if odd is not None:
                break
            if len(row) != n_columns:
                odd = len(row), before + reader.line_num
                continue
            rows.append(row)
            lines.append(before + reader.line_num)
            if len(rows) == 2 * _ROWS:  # so that the last block is no short one
                yield _turned(rows[:_ROWS]), lines[:_ROWS]
                rows, lines = rows[_ROWS:], lines[_ROWS:]
        else:
            # A run that was killed in the middle of a line.
            unfinished = not text.ends_in_line and (before or rows)
            odd = None if unfinished and odd is not None and odd[0] < n_columns else odd
    except csv.Error as error:
        raise LogError(f"{name} cannot be read as CSV: {error}") from error
    if odd is not None:
        raise LogError(
            f"every row must have as many cells as the header, which has {n_columns}; "
            f"line {odd[1]} of {name} has {odd[0]}"
        )
    if rows:
        yield _turned(rows), lines


def _turned(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    return [list(map(itemgetter(i), rows)) for i in range(len(rows[0]))]


def breaks_off(column: Sequence[str]) -> bool:
    """Say whether the last number of a file without an end of line lacks digits.

    A number that was cut is written in another way than those above it: it is shorter than any,
    or has no exponent where all have one. ``1.2345678e-05`` cut to ``1.2345678`` is a number too.
    """
    last = column[-1].strip()
    if is_nothing(last):
        return False
    if not is_number(last):
        return re.match(r"[-+]?[\d.]+[eE]?[-+]?$|[-+]?(n|na|i|in)$", last) is not None
    others = [cell for cell in map(str.strip, column[:-1]) if is_number(cell)]
    if len(others) < _FEW:
        return False
    lacks = sum(_written(cell) == _written(last) for cell in others) == 0
    return lacks or len(last) < min(map(len, others))


#: Numbers above one from which it can be told how a column is written.
_FEW = 8


def _written(cell: str) -> tuple[bool, bool]:
    return "e" in cell.lower(), "." in cell
