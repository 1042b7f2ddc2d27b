"""From what a reader hands over to runs: every format ends here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from grokpredict.logs.axis import Axis, axis_of
from grokpredict.logs.columns import Columns, normalised
from grokpredict.logs.errors import LogError
from grokpredict.logs.missing import evaluations_once, without_missing
from grokpredict.logs.plan import EpochLength, planned, row_length
from grokpredict.logs.rows import Part, interleaved, runs_of, tidied, wide
from grokpredict.logs.table import Series, Table, is_nothing, numbers, settings
from grokpredict.runs.configuration import Configuration, plain_keys
from grokpredict.runs.curve import Curve, FloatArray, IntArray, checked_counts
from grokpredict.runs.labels import PERCENT_ABOVE, rule_of
from grokpredict.runs.run import Run
from grokpredict.runs.sweep import Findings, LeftOut, Sweep

#: What Lightning's LearningRateMonitor calls its columns: "lr-AdamW", "lr-AdamW/pg1".
_MONITORED = re.compile(r"lr-(?P<optimizer>[A-Za-z]\w*?)(?:-\d+)?(?:/pg\d+)?$")

EPOCH_MEANS = (
    "each loss is the mean of an epoch and not the loss of one step; log the loss of every step, "
    "or use a classifier trained on such logs"
)

#: Losses before the even steps begin that are left out: that of step 0 or 1, powers of ten.
_MOST_BEFORE = 4


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
        own = name if single else f"{name}[{part.label}]"
        try:
            found = _of_part(part, hparams, own, (*part.notes, *remarks))
        except LogError as error:
            if single:
                raise
            left_out.append(LeftOut(own, str(error)))
            continue
        if isinstance(found, list):
            parts, single = found + parts, False
            continue
        runs += found.runs
        findings += found.findings
    return Sweep(runs, left_out, findings)


def _of_part(
    part: Part, hparams: Mapping[str, Any], name: str, remarks: Iterable[str]
) -> Sweep | list[Part]:
    """Read the rows of one run, or tell that they are those of several."""
    table, columns = part.table, part.columns
    header = list(table.columns)
    channels = columns.channels(header, name)
    told = {channel: numbers(table, column, name) for channel, column in channels.items()}
    told = without_missing(told, table.n_rows)
    losses = told["train_loss"][0]
    known = {**settings(table.constants, {*channels.values()}), **hparams, **columns.hparams}
    # What was logged of the rate counts only where the configuration says nothing of it.
    said = Configuration.from_mapping(known).known()
    rates = _rates(table, {*channels.values()})
    known = {**{name: value for name, value in rates.items() if name not in said}, **known}
    axis = axis_of(table, losses, known, columns, name)
    if not part.label:
        several = interleaved(table, axis.steps, losses, columns, name)
        if several is not None:
            return several
    told, repeated = evaluations_once(told, _rows_between_evaluations(known, axis.steps[losses]))
    curves = {channel: _curve(table, axis, *own, channel, name) for channel, own in told.items()}
    known = {key: value for key, value in known.items() if key != axis.column}
    notes = (*axis.notes, *repeated, *_said(columns, header, channels, told))
    if "epoch" in normalised(channels["train_loss"]):
        notes = (*notes, EPOCH_MEANS)
    taken = channels if axis.column is None else {"step": axis.column, **channels}
    return sweep_of_run(curves, known, name, taken, axis, (*notes, *remarks))


def _said(
    columns: Columns,
    header: Sequence[str],
    channels: Mapping[str, str],
    told: Mapping[str, tuple[IntArray, FloatArray]],
) -> list[str]:
    """Return what is to be said of the columns."""
    if any(channel in told and told[channel][0].size for channel in ("val_acc", "val_loss")):
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
    found: dict[str, Any] = {}
    for column, cells in table.columns.items():
        monitored = _MONITORED.match(column)
        if column in used or not (monitored or normalised(column) in ("lr", "learning_rate")):
            continue
        try:
            rates = [float(cell) for cell in cells if not is_nothing(cell)]
        except (TypeError, ValueError, OverflowError):
            continue
        rates = [rate for rate in rates if np.isfinite(rate) and rate > 0]
        if rates and "learning_rate" not in found:
            found["learning_rate"] = max(rates)
        if monitored and "optimizer" not in found:
            found["optimizer"] = monitored["optimizer"]
    return found


def _rows_between_evaluations(hparams: Mapping[str, Any], steps: FloatArray) -> int | None:
    """Return after how many rows the configuration says that evaluations were made."""
    every = row_length({key: own for key, own in plain_keys(hparams).items() if "eval" in key})
    gaps = np.diff(steps[:2])
    if every is None or not gaps.size or not gaps[0] > 0 or every[1] % gaps[0]:
        return None
    return int(every[1] // gaps[0])


def _curve(
    table: Table, axis: Axis, rows: IntArray, values: FloatArray, channel: str, name: str
) -> Curve:
    own = axis.steps[rows]
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
            f"{int(own[back[0]])} to {int(own[back[0] + 1])} in column {axis.column!r}; if a "
            "column tells several runs apart, name it with --split-column"
        )
    return curve_of(own, values, channel)


def curve_of(steps: FloatArray | IntArray, values: FloatArray, channel: str) -> Curve:
    """Make a channel of samples whose steps do not go back.

    Several losses of one optimiser step are those of its micro-batches and are averaged; of
    several evaluations the last one counts.
    """
    if steps.size < 2 or np.all(np.diff(steps) > 0):
        return Curve(checked_counts(steps), values)
    unique, start, counts = np.unique(checked_counts(steps), return_index=True, return_counts=True)
    if channel == "train_loss":
        return Curve(unique, np.add.reduceat(values, start) / counts)
    return Curve(unique, values[start + counts - 1])


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
    told = {channel: _present(series[metric], channel) for channel, metric in channels.items()}
    told, repeated = _series_once(told)
    curves = {channel: curve_of(*own, channel) for channel, own in told.items()}
    constants = {
        metric: own.values[0].item()
        for metric, own in series.items()
        if own.values.size > 1 and np.all(own.values == own.values[0])
    }
    known = {**settings(constants, set(channels.values())), **hparams, **columns.hparams}
    axis = Axis(np.empty(0), None, "step")
    notes = (*remarks, *repeated, *_said(columns, list(series), channels, told))
    return sweep_of_run(curves, known, name, channels, axis, notes)


def _present(series: Series, channel: str) -> tuple[IntArray, FloatArray]:
    """Drop the evaluations without a value."""
    if channel == "train_loss":
        return series.steps, series.values
    told = ~np.isnan(series.values)
    return series.steps[told], series.values[told]


def _series_once(
    told: Mapping[str, tuple[IntArray, FloatArray]],
) -> tuple[dict[str, tuple[IntArray, FloatArray]], tuple[str, ...]]:
    losses = told["train_loss"][0]
    if losses.size < 2 or np.any(np.diff(losses) <= 0):
        return dict(told), ()
    return evaluations_once(told, None)


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
    loss, begun = _from_even_steps(loss)
    first = int(loss.steps[0])
    if first > loss.stride:
        raise LogError(
            f"a run must be logged from its start, the first loss of {name} is that of step "
            f"{first}; was it resumed into a new file?"
        )
    kept = {key: curve for key, curve in {**curves, "train_loss": loss}.items() if len(curve)}
    plan = planned(hparams, unit, length, max(int(own.steps[-1]) for own in kept.values()))
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


def _from_even_steps(loss: Curve) -> tuple[Curve, tuple[str, ...]]:
    """Leave out the losses before the steps are even: 1, 50, 100, ... or 0, 1, 10, 20, ...."""
    if loss.even or len(loss) < 2 * _MOST_BEFORE:
        return loss, ()
    gaps, stride = np.diff(loss.steps), loss.stride
    start = int(np.argmax(gaps == stride))
    regular = gaps[start : start + _MOST_BEFORE]
    if not 0 < start <= _MOST_BEFORE or not np.all(regular == stride) or loss.steps[start] > stride:
        return loss, ()
    # Steps that grow by less than the stride are its start; those of a coarser one are not.
    if np.any(gaps[:start] > stride):
        return loss, ()
    note = (
        f"the losses before step {loss.steps[start]} are not read: they are on no grid with the "
        f"others, which are {stride} steps apart"
    )
    return Curve(loss.steps[start:], loss.values[start:]), (note,)


def in_shares(curves: Mapping[str, Curve], *, percent: bool = False) -> dict[str, Curve]:
    """Make shares of all accuracies if any of them is in percent: a run logs them alike."""
    accuracies = {key: own for key, own in curves.items() if key.endswith("_acc")}
    if not percent and not any(map(is_percent, accuracies.values())):
        return dict(curves)
    shares = {key: Curve(own.steps, own.values / 100) for key, own in accuracies.items()}
    return {**curves, **shares}


def is_percent(accuracy: Curve) -> bool:
    """Say whether an accuracy is above what a share can be."""
    finite = np.isfinite(accuracy.values)
    return bool(np.max(accuracy.values, initial=0.0, where=finite) > PERCENT_ABOVE)
