"""Comma-separated values, one row a step or sparse rows; also what Lightning's CSVLogger writes."""

from __future__ import annotations

import csv
import io
from operator import itemgetter
from pathlib import Path

from grokpredict.logs.columns import Columns
from grokpredict.logs.errors import LogError
from grokpredict.logs.hparams import hparams_beside, plain_value
from grokpredict.logs.source import STDIN, read_text, shown, suffix
from grokpredict.logs.table import Table, sweep_of_table
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
    table = parse(text, name)
    hparams = {} if path == STDIN else hparams_beside(path)
    return sweep_of_table(table, columns, hparams, name)


def parse(text: str, name: str) -> Table:
    """Split a text into columns of cells.

    Parameters
    ----------
    text : str
        With a header, or a single column of numbers without one, which is the loss then.
        Delimiter: the comma, semicolon or tab that the first line has most of.
    name : str
        Of the file, for messages.

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
    headless = len(header) == 1 and _is_number(header[0])
    if headless:
        header = ["loss"]
    elif all(_is_number(cell) for cell in header):
        raise LogError(
            f"a CSV file with several columns must have a header with their names, {name} "
            f"begins with {first.strip()[:40]!r}"
        )
    before = 0 if headless else 1
    cells = {title: column[before:] for title, column in zip(header, columns, strict=True)}
    return Table(cells, lambda row: _line_of(text, delimiter, row + before), _constants(cells))


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
    found = {}
    for title, column in cells.items():
        if len(column) > 1 and column[0] and column.count(column[0]) == len(column):
            found[title] = plain_value(column[0])
    return found


def _line_of(text: str, delimiter: str, row: int) -> int:
    reader = csv.reader(io.StringIO(text), delimiter=delimiter)
    seen = -1
    for cells in reader:
        seen += bool(cells)
        if seen == row:
            break
    return reader.line_num


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
