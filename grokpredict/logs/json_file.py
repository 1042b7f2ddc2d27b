"""One JSON document: lists, records, or either inside a larger object; one run or several."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grokpredict.logs.arrays import any_channel, has_loss, is_curve, sweep_of_arrays
from grokpredict.logs.columns import Columns, split_of
from grokpredict.logs.errors import LogError
from grokpredict.logs.from_table import sweep_of_table
from grokpredict.logs.hparams import BESIDE, hparams_beside, unnested
from grokpredict.logs.json_lines import Rows, flat
from grokpredict.logs.source import STDIN, read_text, shown, suffix
from grokpredict.runs.sweep import LeftOut, Sweep

NAME = "JSON"

#: Objects inside objects that are searched for runs.
_DEEPEST = 4


@dataclass(frozen=True)
class _Found:
    """A run in a document."""

    label: str
    rows: Sequence[Mapping[str, Any]] | None
    arrays: Mapping[str, Any]
    hparams: Mapping[str, Any]


def recognises(path: Path) -> bool:
    """Say whether a file in a sweep folder is one of these: not a configuration, nor a summary."""
    if suffix(path) != ".json" or path.name in BESIDE:
        return False
    try:
        text = read_text(path)
        return "[" in text and holds_runs(json.loads(text), Columns())
    except (LogError, ValueError, RecursionError):
        return False


def holds_runs(document: Any, columns: Columns) -> bool:
    """Say whether there is a run in a document."""
    return next(_runs(document, "", {}, columns, 0), None) is not None


def read(path: Path, columns: Columns) -> Sweep:
    """Read the runs of a file."""
    return read_parsed(read_text(path), path, columns, shown(path))


def read_parsed(text: str, path: Path, columns: Columns, name: str) -> Sweep:
    """Read the runs of a text, with the configuration that lies beside ``path``."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise LogError(f"{name} must be one JSON document: {error}") from error
    beside = {} if path == STDIN else hparams_beside(path)
    runs = list(_runs(document, "", {}, columns, 0))
    if not runs:
        raise LogError(
            f"a run must have a training loss, {name} holds no list of losses and no list of "
            "records with one; name it with --loss-column"
        )
    sweep = Sweep([])
    for run in runs:
        label = name if len(runs) == 1 else f"{name}[{run.label}]"
        try:
            part = _read(run, columns, {**unnested(run.hparams), **beside}, label, text)
        except LogError as error:
            if len(runs) == 1:
                raise
            part = Sweep([], [LeftOut(label, str(error))])
        sweep = Sweep(
            [*sweep.runs, *part.runs],
            [*sweep.left_out, *part.left_out],
            sweep.findings + part.findings,
        )
    return sweep


def _read(run: _Found, columns: Columns, hparams: Mapping[str, Any], name: str, text: str) -> Sweep:
    if run.rows is None:
        return sweep_of_arrays(run.arrays, columns, hparams, name)
    rows = Rows()
    rows.add(run.rows, range(1, len(run.rows) + 1), text)
    return sweep_of_table(rows.table(), columns, hparams, name)


def _runs(
    document: Any, label: str, above: Mapping[str, Any], columns: Columns, depth: int
) -> Iterator[_Found]:
    """Yield the runs of a document.

    What stands beside a run, or beside an object with runs, is its configuration.
    """
    if depth > _DEEPEST:
        return
    if isinstance(document, list):
        if _is_records(document, columns):
            yield _Found(label, document, {}, above)
        elif document and all(isinstance(item, dict) for item in document):
            for i, item in enumerate(document):
                yield from _runs(item, _joined(label, str(i)), above, columns, depth + 1)
        return
    if not isinstance(document, dict):
        return
    if has_loss([*_curves(document)], columns):
        yield _Found(label, None, document, above)
        return
    inside = {
        key: list(_runs(value, _joined(label, str(key)), {}, columns, depth + 1))
        for key, value in document.items()
        if isinstance(value, dict | list)
    }
    beside = {key: value for key, value in document.items() if not inside.get(key)}
    for run in (item for several in inside.values() for item in several):
        yield _Found(run.label, run.rows, run.arrays, {**above, **beside, **run.hparams})


def _joined(label: str, more: str) -> str:
    return f"{label}/{more}" if label else more


def _is_records(document: Sequence[Any], columns: Columns) -> bool:
    if len(document) < 2 or not all(isinstance(record, dict) for record in document):
        return False
    keys = {
        key for record in document[:20] for key, value in flat(record).items() if _is_cell(value)
    }
    texts = {
        value for record in document[:20] for value in record.values() if isinstance(value, str)
    }
    return (
        columns.loss in keys or any_channel([*keys]) or ("value" in keys and any_channel([*texts]))
    )


def _is_cell(value: Any) -> bool:
    return value is None or isinstance(value, int | float)


def _curves(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of the lists of numbers, with the part of the data before them."""
    for key, value in document.items():
        if is_curve(value):
            yield str(key)
        elif isinstance(value, dict) and split_of(key):
            yield from (f"{key}/{inner}" for inner, curve in value.items() if is_curve(curve))
