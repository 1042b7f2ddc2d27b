"""Samples that nothing counts: what their number says of the step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from grokpredict.logs.errors import LogError
from grokpredict.logs.plan import EpochLength, epoch_length, planned, row_length
from grokpredict.runs.curve import FloatArray


@dataclass(frozen=True)
class Axis:
    """The step of every row.

    Attributes
    ----------
    steps : ndarray, shape (n_rows,)
        NaN where the row does not tell.
    column : str or None
        From which they come; None where rows are counted.
    unit : str
        What they count: one of :data:`~grokpredict.logs.columns.UNITS`.
    length : EpochLength or None
        Optimiser steps of an epoch, where they are known.
    notes : tuple of str
        What is not certain, or was converted.
    """

    steps: FloatArray
    column: str | None
    unit: str
    length: EpochLength | None = None
    notes: tuple[str, ...] = ()


def rows_as_steps(
    count: FloatArray, unit: str, hparams: Mapping[str, Any], step_unit: str | None, name: str
) -> Axis:
    """Return the axis of samples of which only the number is known.

    Parameters
    ----------
    count : ndarray, shape (n,)
        0, 1, 2, ....
    unit : str
        What is counted, ``call`` or ``row``.
    hparams : mapping
        Configuration, which may tell after how many steps a row was written.
    step_unit : str, optional
        ``--step-unit``.
    name : str
        Of the log, for messages.
    """
    length = epoch_length(hparams)
    if step_unit is not None and step_unit.isdecimal():
        return Axis(count * int(step_unit), None, "step", length, (f"a row is {step_unit} steps",))
    if step_unit == "epoch":
        return Axis(count, None, "epoch", None, ("steps are epochs, and so must the budget be",))
    if step_unit is not None:
        return Axis(count, None, "step", length, ())
    plan = planned(hparams, "step", length, 0).steps
    n_rows = int(count[-1]) + 1 if count.size else 0
    if plan is not None and abs(n_rows - plan) <= 1:
        return Axis(count, None, "step", length, ())
    written = row_length(hparams)
    if written is not None:
        return _every(count, n_rows, written, plan, name)
    what = "every call of log with a loss" if unit == "call" else "every row"
    note = (
        f"no column counts optimiser steps: {what} is taken for one; say --step-unit N if it is N "
        "steps, or name the column with --step-column"
    )
    return Axis(count, None, unit, length, (note,))


def _every(
    count: FloatArray, n_rows: int, written: tuple[str, int], plan: int | None, name: str
) -> Axis:
    setting, k = written
    if plan is not None and abs((n_rows - 1) * k - plan) <= max(k, 0.02 * plan):
        note = f"a row is {k} steps, by {setting} and the planned {plan} steps"
        return Axis(count * k, None, "step", None, (note,))
    raise LogError(
        f"steps must be optimiser steps, {name} has rows without a step and its configuration says "
        f"{setting} = {k}; say --step-unit {k} if a row is {k} steps, --step-unit 1 if it is one"
    )
