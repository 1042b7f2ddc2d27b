"""From a table to the runs in it: which rows are whose, what their steps and channels are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from grokpredict.logs.assembly import sweep_of_run, unknown_metric_notes
from grokpredict.logs.axis import axis_of
from grokpredict.logs.cells import Numbers, filled
from grokpredict.logs.columns import Columns, normalised
from grokpredict.logs.counting import Axis
from grokpredict.logs.curves import curve_of
from grokpredict.logs.errors import LogError
from grokpredict.logs.missing import evaluations_once, without_missing
from grokpredict.logs.plan import row_length
from grokpredict.logs.rows import interleaved, runs_of, tidied
from grokpredict.logs.table import Table, numbers, settings
from grokpredict.logs.wide import Part, wide
from grokpredict.runs.configuration import Configuration, plain_keys
from grokpredict.runs.curve import Curve, FloatArray, IntArray
from grokpredict.runs.run import Run
from grokpredict.runs.sweep import Findings, LeftOut, Sweep

#: What Lightning's LearningRateMonitor calls its columns: "lr-AdamW", "lr-AdamW/pg1".
_MONITORED = re.compile(r"lr-(?P<optimizer>[A-Za-z]\w*?)(?:-\d+)?(?:/pg\d+)?$")

EPOCH_MEANS = (
    "each loss is the mean of an epoch and not the loss of one step; log the loss of every step, "
    "or use a classifier trained on such logs"
)


def sweep_of_table(
    table: Table,
    columns: Columns,
    hparams: Mapping[str, Any],
    name: str,
    remarks: Iterable[str] = (),
) -> Sweep:
    """Find the runs and their channels in a table.

    Parameters
    ----------
    table : Table
        With sparse rows or full ones, several rows a step or one, one run or several.
    columns : Columns
        What the user said of the columns.
    hparams : mapping
        What is known of the configuration from elsewhere; it goes before constant columns.
    name : str
        Of the log, for people.
    remarks : iterable of str
        What a user should know of such a run.

    Raises
    ------
    LogError
        With the rule that the log breaks, and where.
    """
    if not table.n_rows:
        raise LogError(f"a run must have rows, {name} has only a header")
    whole, columns = tidied(table, columns, name)
    parts = list(wide(whole, columns, name)) or runs_of(whole, columns, name)
    runs: list[Run] = []
    left_out: list[LeftOut] = []
    findings = Findings()
    single = len(parts) == 1
    while parts:
        part = parts.pop(0)
        label = name if single else f"{name}[{part.label}]"
        try:
            result = _of_part(part, hparams, label, (*part.notes, *remarks))
        except LogError as error:
            if single:
                raise
            left_out.append(LeftOut(label, str(error)))
            continue
        if isinstance(result, list):
            parts, single = result + parts, False
            continue
        runs += result.runs
        findings += result.findings
    return Sweep(runs, left_out, findings)


def _of_part(
    part: Part, hparams: Mapping[str, Any], name: str, remarks: Iterable[str]
) -> Sweep | list[Part]:
    """Read the rows of one run, or tell that they are those of several."""
    table, columns = part.table, part.columns
    header = list(table.columns)
    channels = columns.channels(header, name)
    values = {channel: numbers(table, column, name) for channel, column in channels.items()}
    values = without_missing(values, table.n_rows)
    losses = values["train_loss"][0]
    configuration = {
        **settings(table.constants, {*channels.values()}),
        **hparams,
        **columns.hparams,
    }
    # What was logged of the rate counts only where the configuration says nothing of it.
    said = Configuration.from_mapping(configuration).known()
    rates = _rates(table, {*channels.values()})
    configuration = {
        **{name: value for name, value in rates.items() if name not in said},
        **configuration,
    }
    axis = axis_of(table, losses, configuration, columns, name)
    if not part.label:
        several = interleaved(table, axis.steps, losses, columns, name)
        if several is not None:
            return several
    values, repeated = evaluations_once(
        values, _rows_between_evaluations(configuration, axis.steps[losses[:2]])
    )
    curves = {
        channel: _curve(table, axis, *samples, channel, name) for channel, samples in values.items()
    }
    configuration = {key: value for key, value in configuration.items() if key != axis.column}
    notes = (*axis.notes, *repeated, *unknown_metric_notes(columns, header, channels, values))
    if "epoch" in normalised(channels["train_loss"]):
        notes = (*notes, EPOCH_MEANS)
    taken = channels if axis.column is None else {"step": axis.column, **channels}
    return sweep_of_run(curves, configuration, name, taken, axis, (*notes, *remarks))


def _rates(table: Table, used: set[str]) -> dict[str, Any]:
    """Return the highest learning rate of a column that logs it, and the optimiser it names."""
    logged: dict[str, Any] = {}
    for column, cells in table.columns.items():
        monitored = _MONITORED.match(column)
        if column in used or not (monitored or normalised(column) in ("lr", "learning_rate")):
            continue
        try:
            values = (cells if isinstance(cells, Numbers) else filled(cells)).values
        except (TypeError, ValueError, OverflowError):
            continue
        rates = values[np.isfinite(values) & (values > 0)]
        if rates.size and "learning_rate" not in logged:
            logged["learning_rate"] = float(rates.max())
        if monitored and "optimizer" not in logged:
            logged["optimizer"] = monitored["optimizer"]
    return logged


def _rows_between_evaluations(hparams: Mapping[str, Any], steps: FloatArray) -> int | None:
    """Return after how many rows the configuration says that evaluations were made.

    ``steps`` are those of the first two losses.
    """
    every = row_length({key: value for key, value in plain_keys(hparams).items() if "eval" in key})
    gaps = np.diff(steps)
    if every is None or not gaps.size or not gaps[0] > 0 or every[1] % gaps[0]:
        return None
    return int(every[1] // gaps[0])


def _curve(
    table: Table, axis: Axis, rows: IntArray, values: FloatArray, channel: str, name: str
) -> Curve:
    steps = table.at(rows, axis.steps)
    lost = np.flatnonzero(np.isnan(steps))
    if lost.size:
        raise LogError(
            f"a row with a value must have a step, line {table.line(int(rows[lost[0]]))} "
            f"of {name} has none"
        )
    back = np.flatnonzero(steps[1:] < steps[:-1])
    if back.size:
        row = int(rows[back[0] + 1])
        raise LogError(
            f"steps must not go back, line {table.line(row)} of {name} goes from step "
            f"{int(steps[back[0]])} to {int(steps[back[0] + 1])} in column {axis.column!r}; if a "
            "column tells several runs apart, name it with --split-column"
        )
    return curve_of(steps, values, channel)
