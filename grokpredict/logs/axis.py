"""The time axis of a log: what its rows count, and the optimiser step of each.

This is the one place where it is decided what stands for a step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from grokpredict.logs.cells import Numbers, is_nothing
from grokpredict.logs.columns import (
    CALLS,
    EPOCH_NAMES,
    STEP_NAMES,
    Columns,
    given_column,
    normalised,
)
from grokpredict.logs.counting import Axis, rows_as_steps
from grokpredict.logs.errors import LogError
from grokpredict.logs.plan import (
    EPOCH_PLANS,
    EpochLength,
    epoch_length,
    number,
)
from grokpredict.logs.table import Table, is_text, numbers
from grokpredict.runs.configuration import plain_keys
from grokpredict.runs.curve import MAX_STEP, FloatArray, IntArray

#: Names of the index that pandas writes; a header may also have no name there.
_INDEX = frozenset({"", "index", "unnamed_0"})

#: A regular gap in W&B's count of calls below this may be several calls a step.
_CALLS_A_STEP = 10


@dataclass(frozen=True)
class _Log:
    """What the decision rests on."""

    table: Table
    losses: IntArray
    hparams: Mapping[str, Any]
    columns: Columns
    name: str

    def counts(self, column: str) -> FloatArray:
        """Return a column as counts, NaN where a row does not tell."""
        rows, values = numbers(self.table, column, self.name)
        if rows is self.table.every_row:
            return values
        counts = np.full(self.table.n_rows, np.nan)
        counts[rows] = values
        return counts

    def of_losses(self, counts: FloatArray) -> FloatArray:
        """Return the counts in the rows with a loss."""
        return self.table.at(self.losses, counts)


def axis_of(
    table: Table, losses: IntArray, hparams: Mapping[str, Any], columns: Columns, name: str
) -> Axis:
    """Decide what the step of each row is.

    Parameters
    ----------
    table : Table
        The rows of one run.
    losses : ndarray of int
        The rows that have a training loss.
    hparams : mapping
        What is known of the configuration, for the length of an epoch.
    columns : Columns
        What the user said of the steps.
    name : str
        Of the log, for messages.

    Raises
    ------
    LogError
        If a step is no whole number, or what is counted cannot be told; the sentence names the
        option that tells it.
    """
    log = _Log(table, losses, hparams, columns, name)
    header = list(table.columns)
    if columns.step is not None:
        return _counted(log, given_column(columns.step, header, name), columns.step_unit or "step")
    spelled = {normalised(title): title for title in reversed(header) if title != CALLS}
    column = next((spelled[title] for title in STEP_NAMES if title in spelled), None)
    if column is not None and not _is_empty(table, column):
        return _stepped(log, column, spelled)
    index = next(
        (title for title in header if _bare(title) in _INDEX and _is_step(log, title)), None
    )
    if index is not None:
        shown = f"column {index!r}" if index else "the column without a name"
        note = f"{shown} is taken for the optimiser step; name another with --step-column"
        return _counted(log, index, columns.step_unit or "step", note)
    epoch = next((spelled[title] for title in EPOCH_NAMES if title in spelled), None)
    if epoch is not None and _goes_up(log.of_losses(log.counts(epoch))):
        return _counted(log, epoch, columns.step_unit or "epoch")
    if CALLS in header:
        return _of_calls(log)
    return _of_rows(log, "row")


def _bare(name: str) -> str:
    return normalised(name) if name else ""


def _is_empty(table: Table, column: str) -> bool:
    cells = table.columns[column]
    return not cells.values.size if isinstance(cells, Numbers) else all(map(is_nothing, cells))


def _is_step(log: _Log, column: str) -> bool:
    """Say whether an index counts something else than the rows."""
    if is_text(log.table.columns[column]):
        return False
    counts = log.of_losses(log.counts(column))
    rows = np.arange(log.table.n_rows, dtype=float)[log.losses]
    return (
        _goes_up(counts)
        and not np.array_equal(counts, rows)
        and not np.array_equal(counts, rows + 1)
    )


def _goes_up(counts: FloatArray) -> bool:
    return counts.size > 1 and bool(
        np.all(np.isfinite(counts)) and np.all(counts[1:] > counts[:-1])
    )


def _stepped(log: _Log, column: str, spelled: Mapping[str, str]) -> Axis:
    """Take a column that is named like the step, which may begin again in every epoch."""
    epoch = next((spelled[title] for title in EPOCH_NAMES if title in spelled), None)
    unit = log.columns.step_unit or "step"
    if epoch is None or is_text(log.table.columns[epoch]):
        return _counted(log, column, unit)
    steps, epochs = log.counts(column), log.counts(epoch)
    both = log.losses[np.isfinite(steps[log.losses]) & np.isfinite(epochs[log.losses])]
    back = np.flatnonzero(np.diff(steps[both]) < 0)
    if not back.size or np.any(np.diff(epochs[both])[back] <= 0):
        axis = _counted(log, column, unit)
        return axis if axis.length else _with_length(axis, epochs)
    length = epoch_length(log.hparams)
    inner = np.diff(steps[both])
    if length is None and np.all(inner[inner > 0] == 1):
        length = EpochLength(int(np.nanmax(steps[both])) + 1, f"the last step in column {column!r}")
    if length is None:
        raise LogError(
            f"steps must count through, in {log.name} column {column!r} begins again in every "
            "epoch and the steps of an epoch are not known; put steps_per_epoch into the "
            "configuration"
        )
    first = float(np.nanmin(epochs))
    note = (
        f"column {column!r} begins again in every epoch: converted with {length.steps} steps an "
        f"epoch ({length.source})"
    )
    whole = (np.floor(epochs) - first) * length.steps + steps
    return Axis(whole, column, "step", length, (note,))


def _with_length(axis: Axis, epochs: FloatArray) -> Axis:
    """Add the steps of an epoch, from the last step of each whole epoch."""
    both = np.isfinite(axis.steps) & np.isfinite(epochs)
    whole = np.floor(epochs[both])
    last = np.r_[np.flatnonzero(np.diff(whole) > 0), whole.size - 1]
    if axis.unit != "step" or last.size < 3:
        return axis
    lengths = np.diff(axis.steps[both][last[:-1]]) / np.diff(whole[last[:-1]])
    if lengths.size and np.all(lengths == lengths[0]) and lengths[0] >= 1 and lengths[0] % 1 == 0:
        length = EpochLength(int(lengths[0]), "the columns of steps and epochs")
        return Axis(axis.steps, axis.column, axis.unit, length, axis.notes)
    return axis


def _counted(log: _Log, column: str, unit: str, note: str = "") -> Axis:
    """Take a column, converted from its unit."""
    counts = log.counts(column)
    notes = (note,) if note else ()
    finite = log.of_losses(counts)
    if not np.isfinite(finite).all():
        finite = finite[np.isfinite(finite)]
    if finite.size > 1 and np.all(finite == finite[0]):
        raise LogError(
            f"every loss of {log.name} has the same number, {finite[0]:g}, in column {column!r}: "
            "no steps were logged; name another column with --step-column, or log the step"
        )
    if unit == "epoch":
        return _of_epochs(log, column, counts, epoch_length(log.hparams))
    if unit.isdecimal() and normalised(column) in EPOCH_NAMES:
        length = EpochLength(int(unit), f"--step-unit {unit}")
        return _of_epochs(log, column, counts, length)
    _check(log, column, counts)
    if unit.isdecimal():
        return Axis(
            counts * int(unit),
            column,
            "step",
            None,
            (*notes, f"a count in column {column!r} is {unit} steps"),
        )
    said = () if unit == "step" else (f"steps count {unit}s, and so must the budget",)
    return Axis(counts, column, unit, epoch_length(log.hparams), (*notes, *said))


def _check(log: _Log, column: str, counts: FloatArray) -> None:
    rows, values = numbers(log.table, column, log.name)
    bad = np.flatnonzero(~((values >= 0) & (values <= MAX_STEP) & (values == np.trunc(values))))
    if bad.size:
        raise LogError(
            f"a step must be a whole number from 0 up, line {log.table.line(int(rows[bad[0]]))} of "
            f"{log.name} has {values[bad[0]]:g} in column {column!r}"
        )


def _of_epochs(log: _Log, column: str, epochs: FloatArray, length: EpochLength | None) -> Axis:
    """Take epochs: converted where their length is known, else in epochs if the budget is."""
    if length is None:
        return _unconverted(log, column, epochs)
    finite = epochs[np.isfinite(epochs)]
    if length.steps == 1 or np.any(finite % 1):
        steps = np.round(epochs * length.steps)
    else:
        # The row of an epoch is written when it is over: Lightning's first is 49 if it has 50.
        steps = (epochs + (1 if finite.size and finite.min() < 1 else 0)) * length.steps - 1
    note = (
        f"rows are epochs: converted with {length.steps} steps an epoch ({length.source}); a loss "
        "may be the mean of its epoch"
    )
    return Axis(steps, column, "step", length, (note,))


def _unconverted(log: _Log, column: str, epochs: FloatArray) -> Axis:
    planned_epochs = any(number(plain_keys(log.hparams).get(plan)) for plan in EPOCH_PLANS)
    if log.columns.step_unit != "epoch" and not planned_epochs:
        raise LogError(
            f"steps must be optimiser steps, {log.name} counts epochs in column {column!r} and the "
            "steps of an epoch are not known; say --step-unit step if an epoch is one step, "
            "--step-unit N if it is N steps, --step-unit epoch if the budget is in epochs too, or "
            "put batch_size and train_size into the configuration"
        )
    _check(log, column, epochs)
    note = "steps are epochs, and so must the budget be; --step-unit N converts N steps an epoch"
    return Axis(epochs, column, "epoch", None, (note,))


def _of_calls(log: _Log) -> Axis:
    """Take W&B's ``_step``: it counts calls of ``log``, unless the user gave it the step."""
    unit = log.columns.step_unit
    if unit is not None and unit not in ("call", "row"):
        return _counted(log, CALLS, unit)
    calls = log.counts(CALLS)
    gaps = np.diff(calls[np.isfinite(calls)])
    if gaps.size and np.all(gaps <= 1):
        return _of_rows(log, "call")
    apart = np.diff(log.of_losses(calls))
    usual = float(np.median(apart)) if apart.size else 1.0
    if usual < _CALLS_A_STEP and not (usual == 1 and np.mean(apart == 1) > 0.5):
        raise LogError(
            f"steps must be optimiser steps, W&B's _step in {log.name} counts calls of log, and "
            f"the losses are {usual:g} calls apart; log the step as a column, or say "
            "--step-unit step if _step is the optimiser step, --step-unit row if every loss is "
            "one step"
        )
    if usual == 1:
        return _of_rows(log, "call")
    note = (
        "W&B's _step is taken for the optimiser step, since it leaves numbers out; say --step-unit "
        "row if every loss is one step"
    )
    return _counted(log, CALLS, "step", note)


def _of_rows(log: _Log, unit: str) -> Axis:
    """Count the rows with a loss: nothing in the log counts steps."""
    with_loss = np.zeros(log.table.n_rows)
    with_loss[log.losses] = 1
    count = np.maximum(np.cumsum(with_loss) - 1, 0)
    return rows_as_steps(count, unit, log.hparams, log.columns.step_unit, log.name)
