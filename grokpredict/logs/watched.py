"""The file that the callback writes beside a log: ``grokpredict.json``."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from grokpredict.logs.columns import Columns
from grokpredict.logs.source import read_text
from grokpredict.runs.curve import MAX_STEP
from grokpredict.runs.run import Run
from grokpredict.runs.watched import Watched

NAME = "grokpredict.json"

#: Larger is no file of ours.
_MOST_BYTES = 10_000_000


def read_record(folder: Path) -> dict[str, Any]:
    """Return what the callback wrote into a folder; empty if that is nothing that can be read."""
    path = folder / NAME
    try:
        if not path.is_file() or path.stat().st_size > _MOST_BYTES:
            return {}
        record = json.loads(read_text(path))
    except (OSError, ValueError, RecursionError):  # a damaged file is none; the log is there
        return {}
    return record if isinstance(record, dict) else {}


def with_metric(columns: Columns, record: dict[str, Any], header: str) -> Columns:
    """Return the columns with the name of the validation metric that the callback was given."""
    name = record.get("val_metric")
    named = isinstance(name, str) and name in header.strip().split(",")
    return replace(columns, val_acc=name) if named and columns.val_acc is None else columns


def watched(run: Run, record: dict[str, Any]) -> Run:
    """Return a run with what the callback saw of it, and its budget; as it is if it saw none."""
    budget, recording = record.get("budget"), record.get("recording")
    if type(budget) is not int or not 0 < budget <= MAX_STEP:
        return run
    if not isinstance(recording, dict) or not recording or not _are_numbers(recording):
        return run
    return replace(
        run,
        max_steps=budget,
        budget_source=f"the callback, in {NAME}",
        watched=Watched(budget, recording),
    )


def _are_numbers(value: Any) -> bool:
    """Whether all that a JSON value holds are finite numbers, or nothing."""
    if isinstance(value, dict):
        return all(map(_are_numbers, value.values()))
    if isinstance(value, list):
        return all(map(_are_numbers, value))
    return value is None or (isinstance(value, int | float) and math.isfinite(value))
