"""From what a reader hands over to runs: every format ends here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from grokpredict.logs.axis import axis_of
from grokpredict.logs.cells import Numbers, filled
from grokpredict.logs.columns import Columns, normalised
from grokpredict.logs.counting import Axis
from grokpredict.logs.curves import curve_of, from_even_steps, in_shares
from grokpredict.logs.errors import LogError
from grokpredict.logs.missing import evaluations_once, without_missing
from grokpredict.logs.plan import EpochLength, planned, row_length
from grokpredict.logs.rows import interleaved, runs_of, tidied
from grokpredict.logs.table import Series, Table, numbers, settings
from grokpredict.logs.wide import Part, wide
from grokpredict.runs.configuration import Configuration, plain_keys
from grokpredict.runs.curve import Curve, FloatArray, IntArray
from grokpredict.runs.labels import rule_of
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
    notes = (*axis.notes, *repeated, *_unknown_metric_notes(columns, header, channels, values))
    if "epoch" in normalised(channels["train_loss"]):
        notes = (*notes, EPOCH_MEANS)
    taken = channels if axis.column is None else {"step": axis.column, **channels}
    return sweep_of_run(curves, configuration, name, taken, axis, (*notes, *remarks))


def _unknown_metric_notes(
    columns: Columns,
    header: Sequence[str],
    channels: Mapping[str, str],
    values: Mapping[str, tuple[IntArray, FloatArray]],
) -> list[str]:
    """Return what is to be said of the columns."""
    if any(channel in values and values[channel][0].size for channel in ("val_acc", "val_loss")):
        return []
    unknown = columns.unknown_metrics(header)
    if not unknown:
        return []
    names = ", ".join(map(repr, unknown[:5]))
    return [
        f"no validation metric is known among {names}: whether the run has generalised cannot be "
        "told; name one with --val-acc-column"
    ]


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


def sweep_of_series(
    series: Mapping[str, Series],
    columns: Columns,
    hparams: Mapping[str, Any],
    name: str,
    remarks: Iterable[str] = (),
) -> Sweep:
    """Find the channels among the metrics of a log and make a run of them.

    Parameters
    ----------
    series : mapping of str to Series
        A metric that was recorded more than once and is always the same is a hyperparameter.
    columns, hparams, name, remarks
        As for :func:`sweep_of_table`; the log tells its steps, a given step column is not needed.
    """
    channels = columns.channels(list(series), name)
    loss = series[channels["train_loss"]]
    if loss.steps.size > 1 and loss.steps[0] == loss.steps[-1]:
        raise LogError(
            f"every loss of {name} has the step {loss.steps[0]}: no steps were logged; give the "
            "step to the logger"
        )
    values = {channel: _present(series[metric], channel) for channel, metric in channels.items()}
    values, repeated = _series_once(values)
    curves = {channel: curve_of(*samples, channel) for channel, samples in values.items()}
    constants = {
        metric: samples.values[0].item()
        for metric, samples in series.items()
        if samples.values.size > 1 and np.all(samples.values == samples.values[0])
    }
    configuration = {**settings(constants, set(channels.values())), **hparams, **columns.hparams}
    axis = Axis(np.empty(0), None, "step")
    notes = (*remarks, *repeated, *_unknown_metric_notes(columns, list(series), channels, values))
    return sweep_of_run(curves, configuration, name, channels, axis, notes)


def _present(series: Series, channel: str) -> tuple[IntArray, FloatArray]:
    """Drop the evaluations without a value."""
    if channel == "train_loss":
        return series.steps, series.values
    present = ~np.isnan(series.values)
    return series.steps[present], series.values[present]


def _series_once(
    values: Mapping[str, tuple[IntArray, FloatArray]],
) -> tuple[dict[str, tuple[IntArray, FloatArray]], tuple[str, ...]]:
    losses = values["train_loss"][0]
    if losses.size < 2 or np.any(np.diff(losses) <= 0):
        return dict(values), ()
    return evaluations_once(values, None)


def sweep_of_run(
    curves: Mapping[str, Curve],
    hparams: Mapping[str, Any],
    name: str,
    taken: Mapping[str, str],
    axis: Axis,
    notes: Iterable[str],
) -> Sweep:
    """Return the one run with what was met on the way."""
    run = make_run(
        in_shares(curves), hparams, name, unit=axis.unit, length=axis.length, notes=notes
    )
    findings = Findings(
        columns=dict.fromkeys(taken.items(), 1), remarks=dict.fromkeys(run.notes, (1, name))
    )
    return Sweep([run], findings=findings)


def make_run(
    curves: Mapping[str, Curve],
    hparams: Mapping[str, Any],
    name: str,
    *,
    unit: str = "step",
    length: EpochLength | None = None,
    notes: Iterable[str] = (),
) -> Run:
    """Check what every format must deliver, and put a run together.

    Parameters
    ----------
    curves : mapping of str to Curve
        By channel.
    hparams : mapping
        Its configuration.
    name : str
        For people.
    unit, length
        As :class:`~grokpredict.logs.axis.Axis` has them.
    notes : iterable of str
        What is not certain.

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
    loss, begun = from_even_steps(loss)
    first = int(loss.steps[0])
    if first > loss.stride:
        raise LogError(
            f"a run must be logged from its start, the first loss of {name} is that of step "
            f"{first}; was it resumed into a new file?"
        )
    kept = {key: curve for key, curve in {**curves, "train_loss": loss}.items() if len(curve)}
    plan = planned(hparams, unit, length, max(int(curve.steps[-1]) for curve in kept.values()))
    run = Run(
        channels=kept,
        configuration=Configuration.from_mapping(hparams),
        hparams=hparams,
        max_steps=plan.steps,
        name=name,
        budget_source=plan.source,
        step_unit=unit,
        notes=tuple(dict.fromkeys((*notes, *begun, *plan.notes))),
    )
    rule_of(run)  # a level that is no number is told now, and not when the run is labelled
    return run
