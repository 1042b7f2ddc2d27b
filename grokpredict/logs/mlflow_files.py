"""The folder of a run in MLflow's file store, ``mlruns/EXPERIMENT/RUN``.

Read without MLflow, whose client refuses its own file store from version 3 on. A metric is a text
file with a line "timestamp value step" a record, a parameter is a file with its value.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from grokpredict.logs.columns import Columns
from grokpredict.logs.errors import LogError
from grokpredict.logs.from_series import sweep_of_series
from grokpredict.logs.hparams import plain_value, read_hparams, unnested
from grokpredict.logs.source import read_configuration, read_text
from grokpredict.logs.table import Series
from grokpredict.runs.curve import checked_counts
from grokpredict.runs.sweep import Sweep

NAME = "MLflow file store"

#: Its artifacts are no runs.
WHOLE = True

META = "meta.yaml"


def recognises(path: Path) -> bool:
    """Say whether a path is the folder of a run."""
    return path.is_dir() and (path / META).is_file() and (path / "metrics").is_dir()


def files(path: Path) -> list[Path]:
    """Return what is read of a run."""
    contents = (file for kind in ("metrics", "params") for _, file in _files(path / kind))
    return [path / META, *contents]


def read(path: Path, columns: Columns) -> Sweep:
    """Read the one run of a folder; one that was deleted in MLflow is none."""
    if read_hparams(path / META).get("lifecycle_stage") == "deleted":
        return Sweep([])
    series = {name: _series(file) for name, file in _files(path / "metrics")}
    hparams = {
        name: plain_value(read_configuration(file)) for name, file in _files(path / "params")
    }
    return sweep_of_series(series, columns, unnested(hparams), str(path))


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the files of a folder by their names: ``train/loss`` is a file in a folder."""
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            yield file.relative_to(folder).as_posix(), file


def _series(file: Path) -> Series:
    lines = read_text(file).splitlines(keepends=True)
    if not lines[-1].endswith("\n"):
        lines.pop()  # MLflow ends every line: the run was killed while it wrote this one
    rows = [line.split() for line in lines if line.strip()]
    try:
        steps = checked_counts([int(row[2]) for row in rows])
        values = np.array([float(row[1]) for row in rows])
    except IndexError as error:
        raise LogError(f"a line must be a time, a value and a step, {file} has others") from error
    except ValueError as error:
        raise LogError(f"{file}: {error}") from error
    order = np.argsort(steps, kind="stable")
    return Series(steps[order], values[order])
