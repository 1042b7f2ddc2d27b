"""JSON Lines: one object a row, with or without leading objects of metadata."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from grokpredict.logs.arrays import sweep_of_arrays
from grokpredict.logs.cells import Gathered, Lines
from grokpredict.logs.columns import CHANNEL_NAMES, Columns, normalised
from grokpredict.logs.errors import LogError
from grokpredict.logs.from_table import sweep_of_table
from grokpredict.logs.hparams import hparams_beside, unnested
from grokpredict.logs.source import STDIN, Text, open_text, shown, suffix
from grokpredict.logs.table import Table, constant
from grokpredict.runs.sweep import Sweep

NAME = "JSON Lines"


def recognises(path: Path) -> bool:
    """Say whether a file in a sweep folder is one of these, by its name."""
    return suffix(path) in (".jsonl", ".ndjson", ".jl")


def read(path: Path, columns: Columns) -> Sweep:
    """Read the runs of a file; see :mod:`grokpredict.logs` for the rules."""
    return read_parsed(open_text(path), path, columns, shown(path))


def read_parsed(text: Text, path: Path, columns: Columns, name: str) -> Sweep:
    """Read runs from the text of a file, with the configuration that lies beside ``path``."""
    hparams = {} if path == STDIN else hparams_beside(path)
    metadata, table = parse(text, columns, name)
    if table.n_rows == 1 and any(_is_list(cells[0]) for cells in table.columns.values()):
        row = {key: cells[0] for key, cells in table.columns.items()}
        return sweep_of_arrays(row, columns, hparams | metadata, name)
    return sweep_of_table(table, columns, hparams | metadata, name)


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 1


def parse(text: Text, columns: Columns, name: str) -> tuple[dict[str, Any], Table]:
    """Split a text into its metadata and rows.

    Parameters
    ----------
    text : Text
        One JSON object a line; blank lines are skipped. Objects before the first one that holds
        a known channel are metadata.
    columns : Columns
        Names that the user gave, which are channels too.
    name : str
        Of the file, for messages.

    Returns
    -------
    metadata : dict
    table : Table

    Raises
    ------
    LogError
        If a line is not a JSON object. An unfinished last line is dropped.
    """
    metadata: dict[str, Any] = {}
    gathered = Rows()
    line = 0
    for block in text:
        lines = enumerate(block.split("\n"), line + 1)
        numbered = [(number, content) for number, content in lines if content.strip()]
        line += block.count("\n")
        if not numbered:
            continue
        known = bool(metadata) or gathered.size > 0
        rows = _objects(numbered, name, whole=text.ends_in_line, alone=not known)
        if not gathered.size:
            start = next((i for i, row in enumerate(rows) if _is_row(row, columns)), len(rows))
            for row in rows[:start]:
                metadata.update(unnested(row))
            rows, numbered = rows[start:], numbered[start:]
        gathered.add(rows, [number for number, _ in numbered[: len(rows)]], block)
    if not gathered.size:
        raise LogError(
            f"a run must have rows with the training loss, {name} has none; "
            "name its column with --loss-column"
        )
    return metadata, gathered.table()


def _is_row(row: Mapping[str, Any], columns: Columns) -> bool:
    """Say whether an object tells of a channel, and not of the configuration."""
    given = {columns.loss, columns.val_acc} - {None}
    cells = flat(row)
    if any(key in given or normalised(key) in CHANNEL_NAMES for key in cells):
        return True
    # One metric a row: {"metric": "train_loss", "value": 1.0}.
    return "value" in cells and any(
        isinstance(value, str) and normalised(value) in CHANNEL_NAMES for value in cells.values()
    )


def flat(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a row with the objects in it taken apart: ``{"train": {"loss": 1}}``."""
    if not any(isinstance(value, dict) for value in row.values()):
        return row
    cells: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, dict):
            cells.update({f"{key}/{inner}": cell for inner, cell in value.items()})
        else:
            cells[key] = value
    return cells


class Rows:
    """Objects as columns, gathered block by block; names that one object has twice are marked.

    Attributes
    ----------
    size : int
        Rows so far.
    """

    def __init__(self) -> None:
        self.size = 0
        self._columns: dict[str, Gathered] = {}
        self._lines = Lines()
        self._twice: set[str] = set()

    def add(self, rows: Sequence[Mapping[str, Any]], lines: Sequence[int], text: str) -> None:
        """Add the objects of a block, with their lines and its text."""
        flats = [flat(row) for row in rows]
        counts: Counter[str] = Counter()
        for row in flats:
            counts.update(row.keys())
        # Python keeps the last value of a name that an object has twice.
        suspects = [
            key
            for key, number in counts.items()
            if normalised(key) in CHANNEL_NAMES and _written(text, key) > number
        ]
        self._twice |= _doubled(text, suspects)
        for key in counts:
            if key not in self._columns:
                self._columns[key] = Gathered(self.size)
        for key, gathered in self._columns.items():
            gathered.add([row.get(key) for row in flats])
        self._lines.add(lines)
        self.size += len(rows)

    def table(self) -> Table:
        """Return all rows."""
        cells = {key: gathered.column() for key, gathered in self._columns.items()}
        return Table(cells, self._lines.__getitem__, constant(cells), frozenset(self._twice))


def _written(text: str, key: str) -> int:
    return text.count(f"{json.dumps(key)}:") + text.count(f"{json.dumps(key)} :")


def _doubled(text: str, keys: Sequence[str]) -> set[str]:
    """Return the names that really are twice in one object, and not in an object inside it."""
    if not keys:
        return set()
    doubled: set[str] = set()

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        seen = Counter(key for key, _ in items)
        doubled.update(key for key in keys if seen[key] > 1)
        return dict(items)

    decoder = json.JSONDecoder(object_pairs_hook=pairs)
    for part in (text, *text.split("\n")):  # one document, or one a line
        try:
            decoder.decode(part)
        except (ValueError, RecursionError):
            continue
    return doubled


def _objects(
    numbered: list[tuple[int, str]], name: str, *, whole: bool, alone: bool
) -> list[dict[str, Any]]:
    """Return the objects of some lines; ``alone`` if none came before them."""
    try:
        # One call for the whole file is three times as fast as one a line.
        rows = json.loads("[" + ",".join(line for _, line in numbered) + "]")
        if len(rows) == len(numbered) and all(type(row) is dict for row in rows):
            return list(rows)
    except (ValueError, RecursionError):
        pass
    rows = []
    for number, line in numbered:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            if number == numbered[-1][0] and not whole and (rows or not alone):
                break  # a run that was killed in the middle of a line
            raise LogError(
                f"every line must be a JSON object, line {number} of {name} is not JSON"
            ) from error
        if not isinstance(row, dict):
            raise LogError(
                f"every line must be a JSON object, line {number} of {name} is {line.strip()[:40]}"
            )
        rows.append(row)
    return rows
