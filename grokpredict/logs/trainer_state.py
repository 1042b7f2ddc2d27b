"""``trainer_state.json``, which the Trainer of Hugging Face keeps with every checkpoint."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from grokpredict.logs.columns import Columns
from grokpredict.logs.errors import LogError
from grokpredict.logs.from_table import sweep_of_table
from grokpredict.logs.hparams import hparams_beside
from grokpredict.logs.source import read_text
from grokpredict.logs.table import Table
from grokpredict.runs.sweep import Sweep

NAME = "Hugging Face trainer_state.json"

#: Its checkpoints, and what other loggers write beside them, are the same run.
WHOLE = True

STATE = "trainer_state.json"

#: Transformers before version 5 round the loss to so many decimals.
ROUNDED_TO = 4

ROUNDED = (
    f"the losses are rounded to {ROUNDED_TO} decimals, which hides small oscillations from a "
    "classifier; log with transformers 5 or newer"
)
ZERO = (
    "a loss of exactly 0 may be one that was not a number: logging_nan_inf_filter of Transformers "
    "writes 0 for it; train with logging_nan_inf_filter=False"
)
AVERAGED = (
    "each loss is the mean over the steps since the last one, as Hugging Face logs it, and not "
    "the loss of one step; train with logging_steps=1, or use a classifier trained on such logs"
)


def recognises(path: Path) -> bool:
    """Say whether a path is the output folder of a Trainer, or a state of it."""
    return _state_of(path) is not None


def files(path: Path) -> list[Path]:
    """Return what is read of a run."""
    return [_state_of(path) or path]


def read(path: Path, columns: Columns) -> Sweep:
    """Read the one run of an output folder: its own state, else that of its last checkpoint.

    ``loss``, ``eval_loss``, ``eval_accuracy`` and so on come from ``log_history``, the
    configuration from what the state tells (``max_steps``, the batch size, the highest learning
    rate) and what lies beside it.
    """
    file = _state_of(path) or path
    text = read_text(file)
    try:
        state = json.loads(text)
        # The last entry sums the training up, under names that the losses could have.
        rows = state["log_history"]
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise TypeError
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise LogError(f"{file} must be a JSON object with a log_history of rows") from error
    # The last entry sums the training up, under names that the losses could have.
    rows = [_with_divergence(row) for row in rows if "train_runtime" not in row]
    header = list(dict.fromkeys(key for row in rows for key in row))
    losses = [row for row in rows if isinstance(row.get("loss"), float)]
    cells = {key: [row.get(key) for row in rows] for key in header}
    hparams = {**_configuration(state, cells.get("learning_rate", ())), **hparams_beside(file)}
    table = Table(cells, lambda row: row + 1)
    return sweep_of_table(table, columns, hparams, str(path), _remarks(losses))


def _state_of(path: Path) -> Path | None:
    for state in (path, path / STATE):
        if state.name == STATE and state.is_file():
            return state
    checkpoints = [
        (int(number), state)
        for state in path.glob(f"checkpoint-*/{STATE}")
        if (number := state.parent.name.partition("-")[2]).isdecimal()
    ]
    return max(checkpoints)[1] if checkpoints else None


def _configuration(state: dict[str, Any], rates: Sequence[Any]) -> dict[str, Any]:
    settings = {key: state.get(key) for key in ("max_steps", "train_batch_size")}
    settings["learning_rate"] = max(
        (rate for rate in rates if isinstance(rate, float)), default=None
    )
    trial = state.get("trial_params")
    settings.update(trial if isinstance(trial, dict) else {})
    return {key: value for key, value in settings.items() if value is not None}


def _with_divergence(row: dict[str, Any]) -> dict[str, Any]:
    """Return an entry with the loss that ``logging_nan_inf_filter`` made 0 out of NaN."""
    norm = row.get("grad_norm")
    if row.get("loss") != 0 or not isinstance(norm, float) or math.isfinite(norm):
        return row
    return {**row, "loss": math.nan}


def _remarks(losses: Sequence[dict[str, Any]]) -> list[str]:
    remarks = []
    if any(row["loss"] == 0 for row in losses):
        remarks.append(ZERO)
    finite = [row["loss"] for row in losses if math.isfinite(row["loss"])]
    if finite and all(loss == round(loss, ROUNDED_TO) for loss in finite):
        remarks.append(ROUNDED)
    steps = [row["step"] for row in losses if type(row.get("step")) is int]
    if len(steps) > 1 and np.median(np.diff(steps)) > 1:
        remarks.append(AVERAGED)
    return remarks
