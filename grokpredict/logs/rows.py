"""Which rows and columns of a table belong to one series, and which to another run.

This is the one place where rows are told apart: a metric a row (tidy), training and validation in
turn (split), several runs one after the other or in turn, and a column a run (wide).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from grokpredict.logs.columns import (
    CALLS,
    CHANNEL_NAMES,
    COUNTERS,
    EPOCH_NAMES,
    KNOWN_NAMES,
    STEP_NAMES,
    Columns,
    given_column,
    normalised,
    shown,
    split_of,
)
from grokpredict.logs.errors import LogError
from grokpredict.logs.table import Table, constant, is_nothing, is_text
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

#: A name with the number of a run in it: "train_loss/seed 3", "run2_val_acc".
_NUMBERED = re.compile(r"(?P<run>(?:run|seed|trial|rep|fold|model|exp)[ _\-]?\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Part:
    """The rows of one run.

    Attributes
    ----------
    table : Table
    label : str
        What tells it from other runs of the log; empty where it is the only one.
    columns : Columns
        What of the user's columns is still to be taken.
    notes : tuple of str
    """

    table: Table
    label: str
    columns: Columns
    notes: tuple[str, ...] = ()


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
    texts = [each for each, own in table.columns.items() if is_text(own)]
    wanted = (
        None if columns.split is None else given_column(columns.split, list(table.columns), name)
    )
    metric = next((each for each in texts if _names_metrics(table.columns[each])), None)
    value = next((each for each in table.columns if normalised(each) in _VALUES), None)
    split = next((each for each in texts if _names_splits(table.columns[each])), None)
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
        each
        for each, own in table.columns.items()
        if each not in (metric, value, split) and not _counts(each) and is_text(own)
    ]
    apart = [each for each in others if normalised(each) not in _RUN_NAMES]
    cells: dict[str, list[Any]] = {}
    for row in range(table.n_rows):
        what = table.columns[metric][row]
        if is_nothing(what):
            continue
        words = [split_of(table.columns[split][row]) or ""] if split is not None else []
        words += [str(what), *(str(table.columns[each][row] or "") for each in apart)]
        own = (
            _prefixed(words[0], "/".join(filter(None, words[1:])))
            if split
            else "/".join(filter(None, words))
        )
        cells.setdefault(own, [None] * table.n_rows)[row] = table.columns[value][row]
    kept = {
        each: own
        for each, own in table.columns.items()
        if each not in (metric, value, split, *apart)
    }
    return replace(table, columns={**kept, **cells})


def _by_split(table: Table, split: str) -> Table:
    """Make columns for training and validation out of rows of either."""
    words = [split_of(cell) for cell in table.columns[split]]
    kept: dict[str, Sequence[Any]] = {}
    for each, own in table.columns.items():
        if each == split:
            continue
        if _counts(each) or not _is_metric(each):
            kept[each] = own
            continue
        for word in dict.fromkeys(filter(None, words)):
            kept[_prefixed(word, each)] = [
                cell if is_one == word else None for cell, is_one in zip(own, words, strict=True)
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


def wide(table: Table, columns: Columns, name: str) -> Iterator[Part]:
    """Yield the runs of a table in which each run has columns of its own; none for another.

    Raises
    ------
    LogError
        If there is a column a run, and nothing says that it is the training loss.
    """
    header = list(table.columns)
    if columns.loss is not None and columns.loss not in header and "*" in columns.loss:
        yield from _by_pattern(table, columns, name)
        return
    if any(normalised(each) in KNOWN_NAMES["train_loss"] for each in header) or columns.loss:
        return
    groups: dict[str, dict[str, str]] = {}
    for each in header:
        numbered = _NUMBERED.search(each)
        if numbered is not None:
            rest = (each[: numbered.start()] + " " + each[numbered.end() :]).strip(" _-/.:")
            groups.setdefault(numbered["run"], {})[each] = rest
    if len(groups) < 2:
        return
    if not all(
        any(normalised(rest) in KNOWN_NAMES["train_loss"] for rest in own.values())
        for own in groups.values()
    ):
        if not any(rest for own in groups.values() for rest in own.values()):
            first = next(iter(next(iter(groups.values()))))
            pattern = re.sub(r"\d+", "*", first)
            raise LogError(
                f"a run must have a column with the training loss, {name} has {shown(header)}; if "
                f"each is the training loss of one run, say --loss-column '{pattern}'"
            )
        return
    shared = {each: own for each, own in table.columns.items() if not _NUMBERED.search(each)}
    for run, own in groups.items():
        cells = {**shared, **{rest: table.columns[each] for each, rest in own.items()}}
        part = replace(table, columns=cells, constants=constant(cells))
        yield Part(part, run, columns, (f"its columns are those with {run!r} in their names",))


def _by_pattern(table: Table, columns: Columns, name: str) -> Iterator[Part]:
    assert columns.loss is not None
    taken = [each for each in table.columns if fnmatchcase(each, columns.loss)]
    if not taken:
        raise LogError(
            f"there is no column like {columns.loss!r} in {name}, which has "
            f"{shown(list(table.columns))}"
        )
    for each in taken:
        part = table.without([other for other in taken if other != each])
        yield Part(part, each, replace(columns, loss=each))


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
    own = steps[losses]
    if not np.any(np.diff(own) <= 0):
        return None
    candidates = [each for each in table.columns if _may_name_runs(table, each, losses)]
    known = [each for each in candidates if normalised(each) in _RUN_NAMES | CONFIGURATION_NAMES]
    for keys in (known, *([each] for each in known)):
        if keys and _splits(table, keys, own, losses):
            return _grouped(table, keys, columns)
    other = next((each for each in candidates if _splits(table, [each], own, losses)), None)
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
        told = dict(zip(keys, key, strict=True))
        part = replace(part, constants={**_plain(told), **part.constants}).without(keys)
        label = ", ".join(f"{each}={value}" for each, value in told.items())
        parts.append(Part(part, label, columns))
    return parts


def _plain(told: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in told.items() if not is_nothing(value)}
