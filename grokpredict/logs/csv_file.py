"""Comma-separated values, one row a step or sparse rows; also what Lightning's CSVLogger writes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from grokpredict.logs.cells import Gathered, Lines, same
from grokpredict.logs.columns import STEP_NAMES, Columns, normalised
from grokpredict.logs.csv_text import blocks_of, breaks_off
from grokpredict.logs.errors import LogError
from grokpredict.logs.from_table import sweep_of_table
from grokpredict.logs.hparams import hparams_beside
from grokpredict.logs.source import STDIN, Text, open_text, shown, suffix
from grokpredict.logs.table import Table, constant, is_number
from grokpredict.runs.sweep import Sweep

NAME = "CSV"


def recognises(path: Path) -> bool:
    """Say whether a file in a sweep folder is one of these, by its name."""
    return suffix(path) in (".csv", ".tsv")


def read(path: Path, columns: Columns) -> Sweep:
    """Read the runs of a file; see :mod:`grokpredict.logs` for the rules."""
    return read_parsed(open_text(path), path, columns, shown(path))


def read_parsed(text: Text, path: Path, columns: Columns, name: str) -> Sweep:
    """Read runs from the text of a file, with the configuration that lies beside ``path``."""
    table, remarks = parse(text, name)
    hparams = {} if path == STDIN else hparams_beside(path)
    return sweep_of_table(table, columns, hparams, name, remarks)


def parse(text: Text, name: str) -> tuple[Table, list[str]]:
    """Split a text into columns of cells.

    Parameters
    ----------
    text : Text
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
    blocks = iter(blocks_of(text, name))
    first, lines = next(blocks)
    header = [column[0].strip() for column in first]
    if len(header) == 1 and is_number(header[0]):
        header = ["loss"]
    elif all(map(is_number, header)):
        begin = ",".join(header)
        raise LogError(
            f"a CSV file with several columns must have a header with their names, {name} "
            f"begins with {begin[:40]!r}"
        )
    else:
        first, lines = [column[1:] for column in first], lines[1:]
    rows = _Rows(header)
    for block in chain([(first, lines)], blocks):
        rows.add(*block)
    return rows.table(ends_in_line=text.ends_in_line), rows.remarks


class _Rows:
    """The rows of a file, gathered block by block, but for those that say nothing new.

    Attributes
    ----------
    remarks : list of str
        What was left out.
    """

    def __init__(self, header: list[str]) -> None:
        self.remarks: list[str] = []
        self._header = header
        self._columns = [Gathered() for _ in header]
        self._lines = Lines()
        self._again = False
        self._last: tuple[list[list[str]], Sequence[int]] | None = None

    def add(self, columns: list[list[str]], lines: Sequence[int]) -> None:
        """Add the rows of a block."""
        if self._last is not None:
            self._keep(*self._last)
        self._last = columns, lines

    def _keep(self, columns: list[list[str]], lines: Sequence[int]) -> None:
        name = self._header[0]
        if name and name in map(str.strip, columns[0]):
            cells = zip(*columns, strict=True)
            kept = [i for i, row in enumerate(cells) if [*map(str.strip, row)] != self._header]
            if len(kept) < len(lines):
                self._again = True
                columns = [[column[i] for i in kept] for column in columns]
                lines = [lines[i] for i in kept]
        for gathered, column in zip(self._columns, columns, strict=True):
            gathered.add(column)
        self._lines.add(lines)

    def table(self, *, ends_in_line: bool) -> Table:
        """Return all rows, without a last one that breaks off in its last number."""
        cut = False
        if self._last is not None:
            columns, lines = self._last
            cut = not ends_in_line and len(lines) > 1 and breaks_off(columns[-1])
            if cut:
                columns, lines = [column[:-1] for column in columns], lines[:-1]
            self._keep(columns, lines)
        whole = [gathered.column() for gathered in self._columns]
        cells: dict[str, Sequence[Any]] = {}
        twice = set()
        for title, column in zip(self._header, whole, strict=True):
            if title in cells and not same(cells[title], column):
                twice.add(title)
            cells.setdefault(title, column)
        table = Table(cells, self._lines.__getitem__, constant(cells), frozenset(twice))
        if self._again:
            self.remarks.append(
                "the header is repeated in the middle of the file, as after a resume; where steps "
                "are repeated, the later rows count"
            )
            table = _resumed(table)
        if cut:
            self.remarks.append("its last line breaks off in the last number and is not read")
        return table


def _resumed(table: Table) -> Table:
    """Drop the rows that a resumed run wrote once more."""
    title = next((name for name in table.columns if normalised(name) in STEP_NAMES), None)
    if title is None or not all(map(is_number, table.columns[title])):
        return table
    kept: list[int] = []
    steps = [float(cell) for cell in table.columns[title]]
    for row, step in enumerate(steps):
        while kept and steps[kept[-1]] > step:
            kept.pop()
        kept.append(row)
    return table if len(kept) == table.n_rows else table.rows(np.array(kept))
