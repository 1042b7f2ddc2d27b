"""JSON Lines: one object a row, with or without leading objects of metadata."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from grokpredict.logs.arrays import sweep_of_arrays
from grokpredict.logs.assembly import sweep_of_table
from grokpredict.logs.columns import CHANNEL_NAMES, Columns, normalised
from grokpredict.logs.errors import LogError
from grokpredict.logs.hparams import hparams_beside, unnested
from grokpredict.logs.source import STDIN, read_text, shown, suffix
from grokpredict.logs.table import Table, constant
from grokpredict.runs.sweep import Sweep

NAME = "JSON Lines"


def recognises(path: Path) -> bool:
    """Say whether a file in a sweep folder is one of these, by its name."""
    return suffix(path) in (".jsonl", ".ndjson", ".jl")


def read(path: Path, columns: Columns) -> Sweep:
    """Read the one run of a file; see :mod:`grokpredict.logs` for the rules."""
    return read_parsed(read_text(path), path, columns, shown(path))


def read_parsed(text: str, path: Path, columns: Columns, name: str) -> Sweep:
    """Read a run from the text of a file, with the configuration that lies beside ``path``."""
    hparams = {} if path == STDIN else hparams_beside(path)
    metadata, rows, lines = parse(text, columns, name)
    if len(rows) == 1 and any(_is_list(value) for value in rows[0].values()):
        return sweep_of_arrays(rows[0], columns, hparams | metadata, name)
    return sweep_of_table(table_of(rows, lines, text), columns, hparams | metadata, name)


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 1


def parse(
    text: str, columns: Columns, name: str
) -> tuple[dict[str, Any], list[dict[str, Any]], list[int]]:
    """Split a text into its metadata and rows.

    Parameters
    ----------
    text : str
        One JSON object a line; blank lines are skipped. Objects before the first one that holds
        a known channel are metadata.
    columns : Columns
        Names that the user gave, which are channels too.
    name : str
        Of the file, for messages.

    Returns
    -------
    metadata : dict
    rows : list of dict
    lines : list of int
        The line of each row.

    Raises
    ------
    LogError
        If a line is not a JSON object. An unfinished last line is dropped.
    """
    numbered = [(i, line) for i, line in enumerate(text.split("\n"), 1) if line.strip()]
    rows = _objects(numbered, name, whole=text.endswith("\n"))
    given = {columns.loss, columns.val_acc} - {None}

    def is_row(row: Mapping[str, Any]) -> bool:
        cells = flat(row)
        if any(key in given or normalised(key) in CHANNEL_NAMES for key in cells):
            return True
        # One metric a row: {"metric": "train_loss", "value": 1.0}.
        return "value" in cells and any(
            isinstance(value, str) and normalised(value) in CHANNEL_NAMES
            for value in cells.values()
        )

    start = next((i for i, row in enumerate(rows) if is_row(row)), len(rows))
    metadata: dict[str, Any] = {}
    for row in rows[:start]:
        metadata.update(unnested(row))
    if start == len(rows):
        raise LogError(
            f"a run must have rows with the training loss, {name} has none; "
            "name its column with --loss-column"
        )
    return metadata, rows[start:], [number for number, _ in numbered[start:]]


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


def table_of(rows: Sequence[Mapping[str, Any]], lines: Sequence[int], text: str) -> Table:
    """Return rows as columns; names that one object has twice are marked."""
    flats = [flat(row) for row in rows]
    counts: Counter[str] = Counter()
    for row in flats:
        counts.update(row.keys())
    # Python keeps the last value of a name that an object has twice.
    twice = [
        key
        for key, number in counts.items()
        if normalised(key) in CHANNEL_NAMES and _written(text, key) > number
    ]
    cells = {key: [row.get(key) for row in flats] for key in counts}
    constants = constant(cells)
    return Table(cells, lines.__getitem__, constants, frozenset(twice) & _doubled(text, twice))


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


def _objects(numbered: list[tuple[int, str]], name: str, *, whole: bool) -> list[dict[str, Any]]:
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
            if number == numbered[-1][0] and not whole and rows:
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
