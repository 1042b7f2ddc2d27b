"""Which rows and columns of a table belong to one series, and which to another run.

This is the one place where rows are told apart: a metric a row (tidy), training and validation in
turn (split), several runs one after the other or in turn, and a column a run (wide).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from grokpredict.logs.cells import is_nothing
from grokpredict.logs.columns import (
    CALLS,
    CHANNEL_NAMES,
    COUNTERS,
    EPOCH_NAMES,
    STEP_NAMES,
    Columns,
    given_column,
    normalised,
    split_of,
)
from grokpredict.logs.errors import LogError
from grokpredict.logs.hparams import plain_value
from grokpredict.logs.table import Table, is_text
from grokpredict.logs.wide import Part
from grokpredict.runs.configuration import CONFIGURATION_NAMES
from grokpredict.runs.run import REPETITION_KEYS

#: Names of the column with the value, where a row is one metric.
_VALUES = frozenset({"value", "val", "metric_value", "score", "y"})

#: Columns of which each combination is one run.
_RUN_NAMES = REPETITION_KEYS | {
    "exp",
    "experiment",
    "experiment_name",
    "experiment_id",
    "trial",
    "trial_id",
    "job",
    "job_id",
    "replicate",
    "fold",
    "repeat",
    "config",
    "config_id",
    "operation",
    "op",
    "task",
    "p",
    "train_frac",
    "frac_train",
}

#: Columns that tell samples of one step apart, which are averaged.
_PARTS = re.compile(r"(micro|batch|rank|worker|device|gpu|accum)")


def tidied(table: Table, columns: Columns, name: str) -> tuple[Table, Columns]:
    """Give each metric of each part of the data a column of its own.

    Parameters
    ----------
    table : Table
        As it was read.
    columns : Columns
        What the user said.
    name : str
        Of the log, for messages.

    Returns
    -------
    table : Table
        Every column one series; the rows stay where they are.
    columns : Columns
        Without the split column if it was used up.
    """
    texts = [title for title, column in table.columns.items() if is_text(column)]
    wanted = (
        None if columns.split is None else given_column(columns.split, list(table.columns), name)
    )
    metric = next((title for title in texts if _names_metrics(table.columns[title])), None)
    value = next((title for title in table.columns if normalised(title) in _VALUES), None)
    split = next((title for title in texts if _names_splits(table.columns[title])), None)
    if metric is not None and value is not None:
        return _pivoted(table, metric, value, split), _used(columns, split, wanted)
    if split is None:
        return table, columns
    return _by_split(table, split), _used(columns, split, wanted)


def _used(columns: Columns, split: str | None, wanted: str | None) -> Columns:
    return replace(columns, split=None) if wanted is not None and wanted == split else columns


def _names_metrics(column: Sequence[Any]) -> bool:
    words = {cell for cell in column if isinstance(cell, str)}
    return len(words) <= 1000 and any(normalised(word) in CHANNEL_NAMES for word in words)


def _names_splits(column: Sequence[Any]) -> bool:
    words = {cell for cell in column if not is_nothing(cell)}
    return bool(words) and len(words) <= 20 and all(map(split_of, words))


def _pivoted(table: Table, metric: str, value: str, split: str | None) -> Table:
    """Make columns of the metrics of a table with one metric a row."""
    others = [
        title
        for title, column in table.columns.items()
        if title not in (metric, value, split) and not _counts(title) and is_text(column)
    ]
    apart = [title for title in others if normalised(title) not in _RUN_NAMES]
    cells: dict[str, list[Any]] = {}
    for row in range(table.n_rows):
        what = table.columns[metric][row]
        if is_nothing(what):
            continue
        words = [split_of(table.columns[split][row]) or ""] if split is not None else []
        words += [str(what), *(str(table.columns[title][row] or "") for title in apart)]
        title = (
            _prefixed(words[0], "/".join(filter(None, words[1:])))
            if split
            else "/".join(filter(None, words))
        )
        cells.setdefault(title, [None] * table.n_rows)[row] = table.columns[value][row]
    kept = {
        title: column
        for title, column in table.columns.items()
        if title not in (metric, value, split, *apart)
    }
    return replace(table, columns={**kept, **cells})


def _by_split(table: Table, split: str) -> Table:
    """Make columns for training and validation out of rows of either."""
    words = [split_of(cell) for cell in table.columns[split]]
    kept: dict[str, Sequence[Any]] = {}
    for title, column in table.columns.items():
        if title == split:
            continue
        if _counts(title) or not _is_metric(title):
            kept[title] = column
            continue
        for word in dict.fromkeys(filter(None, words)):
            kept[_prefixed(word, title)] = [
                cell if is_one == word else None for cell, is_one in zip(column, words, strict=True)
            ]
    return replace(table, columns=kept)


def _prefixed(split: str, name: str) -> str:
    first = normalised(name).partition("_")[0]
    return name if not split or split_of(first) else f"{split}_{name}"


def _is_metric(name: str) -> bool:
    plain = normalised(name)
    return plain in CHANNEL_NAMES or any(word in plain for word in ("loss", "acc"))


def _counts(name: str) -> bool:
    """Say whether a column counts or times rows."""
    plain = normalised(name)
    return name == CALLS or plain in STEP_NAMES or plain in COUNTERS or plain in EPOCH_NAMES


def runs_of(table: Table, columns: Columns, name: str) -> list[Part]:
    """Tell the runs of a table apart by the column that the user named, or leave it whole."""
    if columns.split is None:
        return [Part(table, "", columns)]
    split = given_column(columns.split, list(table.columns), name)
    return _grouped(table, [split], replace(columns, split=None))


def interleaved(
    table: Table, steps: np.ndarray, losses: np.ndarray, columns: Columns, name: str
) -> list[Part] | None:
    """Tell runs apart whose steps repeat or go back; None where no column does.

    Parameters
    ----------
    table : Table
        Every column one series.
    steps, losses : ndarray
        Step of every row, and the rows with a training loss.
    columns, name
        As for :func:`tidied`.

    Raises
    ------
    LogError
        If a column tells them apart whose name does not say that it names runs.
    """
    steps_of_losses = table.at(losses, steps)
    if not np.any(steps_of_losses[1:] <= steps_of_losses[:-1]):
        return None
    candidates = [title for title in table.columns if _may_name_runs(table, title, losses)]
    named = [title for title in candidates if normalised(title) in _RUN_NAMES | CONFIGURATION_NAMES]
    for keys in (named, *([title] for title in named)):
        if keys and _splits(table, keys, steps_of_losses, losses):
            return _grouped(table, keys, columns)
    other = next(
        (title for title in candidates if _splits(table, [title], steps_of_losses, losses)), None
    )
    if other is not None:
        raise LogError(
            f"a run must have one loss a step, {name} has several that column {other!r} tells "
            f"apart; say --split-column {other!r} if it names runs"
        )
    return None


def _may_name_runs(table: Table, name: str, losses: np.ndarray) -> bool:
    if _counts(name) or normalised(name) in CHANNEL_NAMES or _PARTS.search(normalised(name)):
        return False
    column = table.columns[name]
    cells = [column[row] for row in losses.tolist()]
    try:
        different = len(set(cells))
    except TypeError:
        return False
    return 1 < different <= len(cells) // 2 and not any(map(is_nothing, cells))


def _splits(table: Table, keys: Sequence[str], steps: np.ndarray, losses: np.ndarray) -> bool:
    """Say whether the steps of each group go up."""
    last: dict[tuple[Any, ...], float] = {}
    chosen = [table.columns[key] for key in keys]
    for row, step in zip(losses.tolist(), steps.tolist(), strict=True):
        key = tuple(column[row] for column in chosen)
        if step <= last.get(key, -1.0):
            return False
        last[key] = step
    return True


def _grouped(table: Table, keys: Sequence[str], columns: Columns) -> list[Part]:
    groups: dict[tuple[Any, ...], list[int]] = {}
    chosen = [table.columns[key] for key in keys]
    for row in range(table.n_rows):
        groups.setdefault(tuple(column[row] for column in chosen), []).append(row)
    parts = []
    for key, rows in groups.items():
        part = table.rows(np.array(rows))
        values = dict(zip(keys, key, strict=True))
        part = replace(part, constants={**_plain(values), **part.constants}).without(keys)
        label = ", ".join(f"{title}={value}" for title, value in values.items())
        parts.append(Part(part, label, columns))
    return parts


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: plain_value(value) if isinstance(value, str) else value
        for key, value in values.items()
        if not is_nothing(value)
    }
