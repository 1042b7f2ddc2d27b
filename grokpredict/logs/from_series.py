"""From the metrics of a log, each with steps of its own, to the run that logged them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from grokpredict.logs.assembly import sweep_of_run, unknown_metric_notes
from grokpredict.logs.columns import Columns
from grokpredict.logs.counting import Axis
from grokpredict.logs.curves import curve_of
from grokpredict.logs.errors import LogError
from grokpredict.logs.missing import evaluations_once
from grokpredict.logs.table import Series, settings
from grokpredict.runs.curve import FloatArray, IntArray
from grokpredict.runs.sweep import Sweep


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
        As for :func:`~grokpredict.logs.from_table.sweep_of_table`; the log tells its steps, and
        no step column is needed.
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
    notes = (*remarks, *repeated, *unknown_metric_notes(columns, list(series), channels, values))
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
