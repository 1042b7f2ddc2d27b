"""Comma-separated values, one row a step or sparse rows; also what Lightning's CSVLogger writes."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from operator import itemgetter
from pathlib import Path

from grokpredict.logs.assembly import sweep_of_table
from grokpredict.logs.columns import STEP_NAMES, Columns, normalised
from grokpredict.logs.errors import LogError
from grokpredict.logs.hparams import hparams_beside, plain_value
from grokpredict.logs.source import STDIN, read_text, shown, suffix
from grokpredict.logs.table import Table, is_nothing, is_number
from grokpredict.runs.sweep import Sweep

NAME = "CSV"


def recognises(path: Path) -> bool:
    """Say whether a file in a sweep folder is one of these, by its name."""
    return suffix(path) in (".csv", ".tsv")


def read(path: Path, columns: Columns) -> Sweep:
    """Read the one run of a file; see :mod:`grokpredict.logs` for the rules."""
    return read_parsed(read_text(path), path, columns, shown(path))


def read_parsed(text: str, path: Path, columns: Columns, name: str) -> Sweep:
    """Read a run from the text of a file, with the configuration that lies beside ``path``."""
    table, remarks = parse(text, name)
    hparams = {} if path == STDIN else hparams_beside(path)
    return sweep_of_table(table, columns, hparams, name, remarks)


def parse(text: str, name: str) -> tuple[Table, list[str]]:
    """Split a text into columns of cells.

    Parameters
    ----------
    text : str
        With a header, or a single column of numbers without one, which is the loss then.
        Delimiter: the comma, semicolon or tab that the first line has most of.
    name : str
        Of the file, for messages.

    Returns
    -------
    table : Table
    remarks : list of str
        What had to be left out.

    Raises
    ------
    LogError
        If a row has more or fewer cells than the header.
    """
    first = text.lstrip("\r\n").partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    columns = _split_at_once(text, delimiter, first.count(delimiter) + 1)
    if columns is None:
        columns = _split_by_rows(text, delimiter, name)
    header = [column[0].strip() for column in columns]
    headless = len(header) == 1 and is_number(header[0])
    if headless:
        header = ["loss"]
    elif all(map(is_number, header)):
        raise LogError(
            f"a CSV file with several columns must have a header with their names, {name} "
            f"begins with {first.strip()[:40]!r}"
        )
    before = 0 if headless else 1
    kept, remarks = _whole_rows([column[before:] for column in columns], header, text)
    cells: dict[str, list[str]] = {}
    twice = set()
    for title, column in zip(header, kept[1], strict=True):
        if title in cells and cells[title] != column:
            twice.add(title)
        cells.setdefault(title, column)
    table = Table(
        cells,
        lambda row: _line_of(text, delimiter, int(kept[0][row]) + before),
        _constants(cells),
        frozenset(twice),
    )
    return table, remarks


def _whole_rows(
    columns: list[list[str]], header: list[str], text: str
) -> tuple[tuple[Sequence[int], list[list[str]]], list[str]]:
    """Leave out headers in the middle, and a last row that breaks off in its last number.

    Returns
    -------
    kept : (sequence of int, list of list of str)
        The numbers of the rows that stay, and their cells.
    remarks : list of str
    """
    rows: Sequence[int] = range(len(columns[0]))
    remarks = []
    again: set[int] = set()
    if header[0] and header[0] in map(str.strip, columns[0]):
        again = {i for i in rows if [column[i].strip() for column in columns] == header}
    if again:
        rows = [i for i in rows if i not in again]
        remarks.append(
            "the header is repeated in the middle of the file, as after a resume; where steps are "
            "repeated, the later rows count"
        )
        rows = _resumed(columns, header, rows)
    if not text.endswith(("\n", "\r")) and len(rows) > 1 and _breaks_off(columns[-1], rows):
        rows = rows[:-1]
        remarks.append("its last line breaks off in the last number and is not read")
    if len(rows) == len(columns[0]):
        return (rows, columns), remarks
    return (rows, [[column[i] for i in rows] for column in columns]), remarks


def _resumed(columns: list[list[str]], header: list[str], rows: list[int]) -> list[int]:
    """Drop the rows that a resumed run wrote once more."""
    at = next((i for i, name in enumerate(header) if normalised(name) in STEP_NAMES), None)
    if at is None or not all(is_number(columns[at][i]) for i in rows):
        return rows
    kept: list[int] = []
    for i in rows:
        step = float(columns[at][i])
        while kept and float(columns[at][kept[-1]]) > step:
            kept.pop()
        kept.append(i)
    return kept


def _breaks_off(column: list[str], rows: Sequence[int]) -> bool:
    """Say whether the last number of a file without an end of line lacks digits.

    A number that was cut is written in another way than those above it: it is shorter than any,
    or has no exponent where all have one. ``1.2345678e-05`` cut to ``1.2345678`` is a number too.
    """
    last = column[rows[-1]].strip()
    if is_nothing(last):
        return False
    if not is_number(last):
        return re.match(r"[-+]?[\d.]+[eE]?[-+]?$|[-+]?(n|na|i|in)$", last) is not None
    others = [column[i].strip() for i in rows[:-1]]
    others = [cell for cell in others if is_number(cell)]
    if len(others) < _FEW:
        return False
    lacks = sum(_written(cell) == _written(last) for cell in others) == 0
    return lacks or len(last) < min(map(len, others))


#: Numbers above one from which it can be told how a column is written.
_FEW = 8


def _written(cell: str) -> tuple[bool, bool]:
    return "e" in cell.lower(), "." in cell


def _split_at_once(text: str, delimiter: str, n_columns: int) -> list[list[str]] | None:
    """Return the columns of a text of full rows without quotes; None for another.

    Four times as fast as the csv module.
    """
    text = text.replace("\r\n", "\n").strip("\n")
    if '"' in text or "\r" in text or "\n\n" in text:
        return None
    # The end of a row becomes a cell: all rows are full if every so many cells there is one.
    cells = text.replace("\n", f"{delimiter}\n{delimiter}").split(delimiter)
    n_ends = text.count("\n")
    if len(cells) != (n_columns + 1) * (n_ends + 1) - 1:
        return None
    if cells[n_columns :: n_columns + 1].count("\n") != n_ends:
        return None
    return [cells[i :: n_columns + 1] for i in range(n_columns)]


def _split_by_rows(text: str, delimiter: str, name: str) -> list[list[str]]:
    try:
        rows = [row for row in csv.reader(io.StringIO(text), delimiter=delimiter) if row]
    except csv.Error as error:
        raise LogError(f"{name} cannot be read as CSV: {error}") from error
    n_columns = len(rows[0])
    if len(rows) > 1 and len(rows[-1]) < n_columns and not text.endswith("\n"):
        rows.pop()  # a run that was killed in the middle of a line
    for number, row in enumerate(rows):
        if len(row) != n_columns:
            raise LogError(
                f"every row must have as many cells as the header, which has {n_columns}; "
                f"line {_line_of(text, delimiter, number)} of {name} has {len(row)}"
            )
    return [list(map(itemgetter(i), rows)) for i in range(n_columns)]


def _constants(cells: dict[str, list[str]]) -> dict[str, object]:
    constants = {}
    for title, column in cells.items():
        if len(column) > 1 and column[0] and column.count(column[0]) == len(column):
            constants[title] = plain_value(column[0])
    return constants


def _line_of(text: str, delimiter: str, row: int) -> int:
    reader = csv.reader(io.StringIO(text), delimiter=delimiter)
    seen = -1
    try:
        for cells in reader:
            seen += bool(cells)
            if seen == row:
                break
    except csv.Error:  # a cell longer than csv takes; the number of the row has to do
        return row + 1
    return reader.line_num
