"""The SQLite database that MLflow tracks runs in, ``mlflow.db``.

Read with Python's own sqlite3 and without MLflow, whose client refuses a database of another
version and creates its tables in one that is not its own. Here nothing is ever written.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np

from grokpredict.logs.columns import Columns
from grokpredict.logs.errors import LogError
from grokpredict.logs.from_series import sweep_of_series
from grokpredict.logs.hparams import plain_value, unnested
from grokpredict.logs.source import MAX_CONFIGURATION, check_regular, opened
from grokpredict.logs.table import Series
from grokpredict.runs.curve import checked_counts
from grokpredict.runs.run import Run
from grokpredict.runs.sweep import Findings, LeftOut, Sweep

NAME = "MLflow database"

MAGIC = b"SQLite format 3\0"

_SUFFIXES = (".db", ".sqlite", ".sqlite3")
_TABLES = {"runs", "metrics", "params"}

_RUNS = "SELECT run_uuid FROM runs WHERE lifecycle_stage = 'active' ORDER BY start_time, run_uuid"
_METRICS = (
    "SELECT key, step, CASE WHEN is_nan THEN NULL ELSE value END FROM metrics "
    "WHERE run_uuid = ? AND key NOT LIKE 'system/%' ORDER BY key, step, timestamp"
)
_PARAMS = "SELECT key, value FROM params WHERE run_uuid = ?"

_LENGTH = 0  # SQLITE_LIMIT_LENGTH, of a single value

#: What MLflow stores in place of infinity.
_LARGEST = float(np.finfo(np.float64).max)


def recognises(path: Path) -> bool:
    """Say whether a file in a sweep folder is a database of MLflow, by its name and tables."""
    if path.suffix.lower() not in _SUFFIXES:
        return False
    try:
        with opened(path) as file:
            if file.read(len(MAGIC)) != MAGIC:
                return False
        with _opened(path) as database:
            return _is_mlflow(database)
    except OSError:
        return False
    except LogError:
        return True  # a damaged database; its reading says so


def files(path: Path) -> list[Path]:
    """Return what is read: the database, and what it has not yet taken into its own file."""
    log = path.with_name(f"{path.name}-wal")
    return [path, log] if log.is_file() else [path]


def read(path: Path, columns: Columns) -> Sweep:
    """Read all runs of a database but those that were deleted in MLflow."""
    runs: list[Run] = []
    left_out: list[LeftOut] = []
    findings = Findings()
    with _opened(path) as database:
        for (run,) in database.execute(_RUNS).fetchall():
            name = f"{path}[{run}]"
            try:
                sweep = _run(database, run, columns, name)
            except (ValueError, sqlite3.Error) as error:
                left_out.append(LeftOut(name, str(error)))
            else:
                runs.extend(sweep.runs)
                findings += sweep.findings
    return Sweep(runs, left_out, findings)


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    check_regular(path)
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            database.execute("PRAGMA trusted_schema = OFF")
            limit = getattr(database, "setlimit", None)  # from Python 3.11 on
            if limit is not None:
                limit(_LENGTH, MAX_CONFIGURATION)
            yield database
    except sqlite3.Error as error:
        raise LogError(f"{path} cannot be read as a SQLite database: {error}") from error


def _is_mlflow(database: sqlite3.Connection) -> bool:
    tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    return {name for (name,) in tables} >= _TABLES


def _run(database: sqlite3.Connection, run: str, columns: Columns, name: str) -> Sweep:
    rows: dict[str, list[tuple[int, float]]] = {}
    for key, step, value in database.execute(_METRICS, (run,)):
        number = np.nan if value is None else value
        # SQLite keeps what it was given, whatever the type of a column.
        if not (isinstance(key, str) and isinstance(step, int) and isinstance(number, float | int)):
            raise LogError(
                f"a metric must have a name, a step and a number, {name} has {key!r}, {step!r} and "
                f"{value!r}"
            )
        rows.setdefault(key, []).append((step, float(number)))
    series = {}
    for key, records in rows.items():
        steps = checked_counts([step for step, _ in records])
        values = np.array([value for _, value in records])
        values = np.where(np.abs(values) == _LARGEST, np.copysign(np.inf, values), values)
        series[key] = Series(steps, values.astype(np.float64))
    hparams = {
        key: plain_value(value)
        for key, value in database.execute(_PARAMS, (run,))
        if isinstance(key, str) and isinstance(value, str)
    }
    return sweep_of_series(series, columns, unnested(hparams), name)
