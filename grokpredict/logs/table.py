"""From the columns of one log to a run: every format but the bundle ends here."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import Any

import numpy as np

from grokpredict.logs.columns import COUNTERS, Columns, normalised
from grokpredict.logs.errors import LogError
from grokpredict.logs.hparams import planned_steps
from grokpredict.runs.configuration import Configuration
from grokpredict.runs.curve import Curve, FloatArray, IntArray
from grokpredict.runs.run import Run
from grokpredict.runs.sweep import Findings, Sweep

#: Where an accuracy of a run is above this, all its accuracies are in percent. The margin is for
#: shares of 1 that were rounded; guessing among a hundred classes gives 1 percent.
PERCENT_ABOVE = 1 + 1e-6


@dataclass(frozen=True)
class Table:
    """A log as it was read: text or numbers, nothing interpreted.

    Attributes
    ----------
    columns : mapping of str to sequence
        All equally long. None and ``""`` mean that the row does not tell.
    line : callable
        From the number of a row to that of its line in the file, for messages.
    constants : mapping
        Columns that say the same in every row, which makes them hyperparameters.
    """

    columns: Mapping[str, Sequence[Any]]
    line: Callable[[int], int]
    constants: Mapping[str, Any] = field(default_factory=dict)

    @property
    def n_rows(self) -> int:
        """Rows of the log, without its header."""
        return len(next(iter(self.columns.values()))) if self.columns else 0


def constant(cells: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Return what the columns say that say the same in every row, of which there are several."""
    return {
        key: column[0]
        for key, column in cells.items()
        if len(column) > 1 and column[0] is not None and column.count(column[0]) == len(column)
    }


@dataclass(frozen=True)
class Series:
    """One metric of a log that gives each metric steps of its own.

    Attributes
    ----------
    steps : ndarray of int64, shape (n,)
        They do not decrease.
    values : ndarray of float64, shape (n,)
    """

    steps: IntArray
    values: FloatArray


def sweep_of_table(
    table: Table,
    columns: Columns,
    hparams: Mapping[str, Any],
    name: str,
    remarks: Iterable[str] = (),
) -> Sweep:
    """Find the channels in a table and make a run of them.

    Parameters
    ----------
    table : Table
        With sparse rows or full ones, several rows a step or one.
    columns : Columns
        Names that the user gave.
    hparams : mapping
        What is known of the configuration from elsewhere; it goes before constant columns.
    name : str
        Of the run, for people.
    remarks : iterable of str
        What a user should know of such a run.

    Raises
    ------
    LogError
        With the rule that the log breaks, and where.
    """
    header = list(table.columns)
    channels = columns.channels(header, name)
    step_column = columns.step_column(header, name)
    if not table.n_rows:
        raise LogError(f"a run must have rows, {name} has only a header")
    steps = None if step_column is None else _steps(table, step_column, name)
    curves = {
        channel: _curve(table, column, steps, channel, name) for channel, column in channels.items()
    }
    told = {**_settings(table.constants, {*channels.values(), step_column}), **hparams}
    taken = channels if step_column is None else {"step": step_column, **channels}
    return _sweep(curves, told, name, taken, remarks)


def sweep_of_series(
    series: Mapping[str, Series], columns: Columns, hparams: Mapping[str, Any], name: str
) -> Sweep:
    """Find the channels among the metrics of a log and make a run of them.

    Parameters
    ----------
    series : mapping of str to Series
        A metric that was recorded more than once and is always the same is a hyperparameter.
    columns, hparams, name
        As for :func:`sweep_of_table`; the log tells its steps, a given step column is not needed.
    """
    channels = columns.channels(list(series), name)
    curves = {}
    for channel, metric in channels.items():
        own = series[metric]
        curves[channel] = Curve(*_merge(own.steps, own.values, mean=channel == "train_loss"))
    constants = {
        metric: own.values[0].item()
        for metric, own in series.items()
        if own.values.size > 1 and np.all(own.values == own.values[0])
    }
    told = {**_settings(constants, set(channels.values())), **hparams}
    return _sweep(curves, told, name, channels, ())


def _settings(constants: Mapping[str, Any], used: Collection[str | None]) -> dict[str, Any]:
    """Return the constant columns that are neither a channel nor count rows."""
    return {
        key: value
        for key, value in constants.items()
        if key not in used and normalised(key) not in COUNTERS
    }


def _sweep(
    curves: Mapping[str, Curve],
    hparams: Mapping[str, Any],
    name: str,
    taken: Mapping[str, str],
    remarks: Iterable[str],
) -> Sweep:
    run = make_run(_in_shares(curves), hparams, name)
    findings = Findings(
        columns=dict.fromkeys(taken.items(), 1),
        remarks=dict.fromkeys(remarks, (1, name)),
    )
    return Sweep([run], findings=findings)


def make_run(curves: Mapping[str, Curve], hparams: Mapping[str, Any], name: str) -> Run:
    """Check what every format must deliver, and put a run together.

    Raises
    ------
    LogError
        If the training loss is missing, has a single value, or lacks the start of the run.
    """
    loss = curves["train_loss"]
    if len(loss) == 0:
        raise LogError(f"a run must have a training loss, the column of {name} is empty")
    if len(loss) == 1:
        raise LogError(f"a run must have at least two recorded losses, {name} has one")
    first = int(loss.steps[0])
    if first > loss.stride:
        raise LogError(
            f"a run must be logged from its start, the first loss of {name} is that of step "
            f"{first}; was it resumed into a new file?"
        )
    return Run(
        channels={key: curve for key, curve in curves.items() if len(curve)},
        configuration=Configuration.from_mapping(hparams),
        hparams=hparams,
        max_steps=planned_steps(hparams),
        name=name,
    )


def with_hparams(run: Run, hparams: Mapping[str, Any]) -> Run:
    """Return the run with a configuration that goes before what its log says."""
    return make_run(run.channels, {**run.hparams, **hparams}, run.name)


def _steps(table: Table, column: str, name: str) -> FloatArray:
    """Return the step of every row, NaN where the row does not tell."""
    rows, values = _told(table, column, name)
    bad = np.flatnonzero((values != np.floor(values)) | (values < 0) | ~np.isfinite(values))
    if bad.size:
        raise LogError(
            f"a step must be a whole number from 0 up, line {table.line(int(rows[bad[0]]))} of "
            f"{name} has {values[bad[0]]:g} in column {column!r}"
        )
    steps = np.full(table.n_rows, np.nan)
    steps[rows] = values
    return steps


def _curve(table: Table, column: str, steps: FloatArray | None, channel: str, name: str) -> Curve:
    rows, values = _told(table, column, name)
    own = rows.astype(np.float64) if steps is None else steps[rows]
    lost = np.flatnonzero(np.isnan(own))
    if lost.size:
        raise LogError(
            f"a row with a value must have a step, line {table.line(int(rows[lost[0]]))} "
            f"of {name} has none"
        )
    back = np.flatnonzero(np.diff(own) < 0)
    if back.size:
        row = int(rows[back[0] + 1])
        raise LogError(
            f"steps must not go back, line {table.line(row)} of {name} goes from step "
            f"{int(own[back[0]])} to {int(own[back[0] + 1])} in column {column!r}"
        )
    merged_steps, merged = _merge(own.astype(np.int64), values, mean=channel == "train_loss")
    return Curve(merged_steps, merged)


def _merge(steps: IntArray, values: FloatArray, *, mean: bool) -> tuple[IntArray, FloatArray]:
    """Make one sample of all rows with one step.

    Several losses of one optimiser step are those of its micro-batches and are averaged; of
    several evaluations the last one counts.
    """
    if steps.size < 2 or np.all(np.diff(steps) > 0):
        return steps, values
    unique, start, counts = np.unique(steps, return_index=True, return_counts=True)
    if mean:
        return unique, np.add.reduceat(values, start) / counts
    return unique, values[start + counts - 1]


def _in_shares(curves: Mapping[str, Curve]) -> dict[str, Curve]:
    """Make shares of all accuracies if any of them is in percent: a run logs them alike."""
    accuracies = {key: own for key, own in curves.items() if key.endswith("_acc")}
    highest = max(
        (
            np.max(own.values, initial=0.0, where=np.isfinite(own.values))
            for own in accuracies.values()
        ),
        default=0.0,
    )
    if highest <= PERCENT_ABOVE:
        return dict(curves)
    shares = {key: Curve(own.steps, own.values / 100) for key, own in accuracies.items()}
    return {**curves, **shares}


def _told(table: Table, column: str, name: str) -> tuple[IntArray, FloatArray]:
    """Return the rows in which a column holds something, and its numbers there."""
    cells = table.columns[column]
    try:
        values = np.fromiter(map(float, cells), dtype=np.float64, count=len(cells))
        return np.arange(len(cells)), values
    except (TypeError, ValueError):
        pass  # sparse rows, or text
    told = [cell is not None and cell != "" for cell in cells]
    rows = np.flatnonzero(told)
    try:
        values = np.fromiter(map(float, compress(cells, told)), dtype=np.float64, count=rows.size)
    except (TypeError, ValueError) as error:
        row = next(row for row in rows.tolist() if not _is_number(cells[row]))
        raise LogError(
            f"column {column!r} must hold numbers, line {table.line(row)} of {name} has "
            f"{_short(cells[row])}"
        ) from error
    return rows, values


def _is_number(cell: Any) -> bool:
    try:
        float(cell)
    except (TypeError, ValueError):
        return False
    return True


def _short(cell: Any) -> str:
    text = repr(cell)
    return text if len(text) <= 40 else text[:37] + "..."
