"""JSON Lines: one object a row, with or without leading objects of metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from grokpredict.logs.columns import KNOWN_NAMES, Columns, normalised
from grokpredict.logs.errors import LogError
from grokpredict.logs.hparams import hparams_beside, unnested
from grokpredict.logs.source import STDIN, read_text, shown, suffix
from grokpredict.logs.table import Table, constant, sweep_of_table
from grokpredict.runs.sweep import Sweep

NAME = "JSON Lines"

_CHANNEL_NAMES = frozenset(name for names in KNOWN_NAMES.values() for name in names)


def recognises(path: Path) -> bool:
    """Say whether a file in a sweep folder is one of these, by its name."""
    return suffix(path) in (".jsonl", ".ndjson", ".jl")


def read(path: Path, columns: Columns) -> Sweep:
    """Read the one run of a file; see :mod:`grokpredict.logs` for the rules."""
    return read_parsed(read_text(path), path, columns, shown(path))


def read_parsed(text: str, path: Path, columns: Columns, name: str) -> Sweep:
    """Read a run from the text of a file, with the configuration that lies beside ``path``."""
    hparams = {} if path == STDIN else hparams_beside(path)
    metadata, table = parse(text, columns, name)
    return sweep_of_table(table, columns, hparams | metadata, name)


def parse(text: str, columns: Columns, name: str) -> tuple[dict[str, Any], Table]:
    """Split a text into its metadata and columns of values.

    Parameters
    ----------
    text : str
        One JSON object a line; blank lines are skipped. Objects before the first one that holds
        a known channel are metadata.
    columns : Columns
        Names that the user gave, which are channels too.
    name : str
        Of the file, for messages.

    Raises
    ------
    LogError
        If a line is not a JSON object. An unfinished last line is dropped.
    """
    numbered = [(i, line) for i, line in enumerate(text.split("\n"), 1) if line.strip()]
    rows = _objects(numbered, name, whole=text.endswith("\n"))
    given = {columns.loss, columns.val_acc} - {None}

    def is_row(each: Mapping[str, Any]) -> bool:
        return any(key in given or normalised(key) in _CHANNEL_NAMES for key in each)

    start = next((i for i, each in enumerate(rows) if is_row(each)), len(rows))
    metadata: dict[str, Any] = {}
    for each in rows[:start]:
        metadata.update(unnested(each))
    body = rows[start:]
    if not body:
        raise LogError(
            f"a run must have rows with the training loss, {name} has none; "
            "name its column with --loss-column"
        )
    header = list(dict.fromkeys(key for each in body for key in each))
    cells = {key: [each.get(key) for each in body] for key in header}
    return metadata, Table(cells, lambda row: numbered[start + row][0], constant(cells))


def _objects(numbered: list[tuple[int, str]], name: str, *, whole: bool) -> list[dict[str, Any]]:
    try:
        # One call for the whole file is three times as fast as one a line.
        rows = json.loads("[" + ",".join(line for _, line in numbered) + "]")
        if len(rows) == len(numbered) and all(type(each) is dict for each in rows):
            return list(rows)
    except (ValueError, RecursionError):
        pass
    rows = []
    for number, line in numbered:
        try:
            each = json.loads(line)
        except (ValueError, RecursionError) as error:
            if number == numbered[-1][0] and not whole and rows:
                break  # a run that was killed in the middle of a line
            raise LogError(
                f"every line must be a JSON object, line {number} of {name} is not JSON"
            ) from error
        if not isinstance(each, dict):
            raise LogError(
                f"every line must be a JSON object, line {number} of {name} is {line.strip()[:40]}"
            )
        rows.append(each)
    return rows
