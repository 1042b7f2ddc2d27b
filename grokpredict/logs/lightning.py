"""The folder that Lightning's ``CSVLogger`` writes: ``metrics.csv`` and ``hparams.yaml``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from grokpredict.logs import csv_file
from grokpredict.logs.columns import Columns
from grokpredict.logs.source import open_text
from grokpredict.logs.watched import read_record, watched, with_metric
from grokpredict.runs.sweep import Sweep

NAME = "Lightning CSVLogger"

#: Checkpoints and what other loggers write in it are the same run.
WHOLE = True

METRICS = "metrics.csv"


def recognises(path: Path) -> bool:
    """Say whether a path is a folder with ``metrics.csv``."""
    return path.is_dir() and (path / METRICS).is_file()


def files(path: Path) -> list[Path]:
    """Return what is read of a run."""
    return [path / METRICS]


def read(path: Path, columns: Columns) -> Sweep:
    """Read the one run of a version folder, which gives the run its name.

    Its rows are sparse: one for what was logged in a training step, one for what was logged in
    an evaluation, often with the same ``step``. Steps count from 0, and with
    ``log_every_n_steps=50`` the first one is 49. What the callback wrote beside it is read too.
    """
    metrics = path / METRICS
    text, record = open_text(metrics), read_record(path)
    columns = with_metric(columns, record, text.first_line())
    sweep = csv_file.read_parsed(text, metrics, columns, str(path))
    if len(sweep.runs) != 1:
        return sweep
    return replace(sweep, runs=[watched(sweep.runs[0], record)])
