"""Finding the runs under a path and reading each with the reader that knows it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import Protocol, runtime_checkable

from grokpredict._util.parallel import results
from grokpredict.logs import (
    bundle,
    csv_file,
    json_lines,
    lightning,
    mlflow_files,
    mlflow_sqlite,
    parquet,
    tensorboard,
    trainer_state,
    wandb_run,
)
from grokpredict.logs.columns import Columns
from grokpredict.logs.errors import LogError
from grokpredict.logs.source import STDIN, read_text, shown
from grokpredict.runs.run import Run
from grokpredict.runs.sweep import Findings, LeftOut, Sweep

PathLike = str | os.PathLike[str]

#: One path, or several.
Paths = PathLike | Iterable[PathLike]


class Format(Protocol):
    """What a module that reads one format offers."""

    NAME: str

    def recognises(self, path: Path) -> bool:
        """Say whether a path in a sweep folder is in this format, reading as little as it can."""

    def read(self, path: Path, columns: Columns) -> Sweep:
        """Read all runs of a path, or raise LogError."""


@runtime_checkable
class SeveralFiles(Protocol):
    """A format of which a run is more than one file, beside those with its configuration."""

    def files(self, path: Path) -> list[Path]:
        """Return what :meth:`Format.read` reads of a path."""


class FolderFormat(Format, SeveralFiles, Protocol):
    """A format of which a run is a folder."""

    #: Whether all that is in the folder is that one run; else folders in it are searched too.
    WHOLE: bool


#: Formats of which a run is a folder; asked in this order.
FOLDER_FORMATS: tuple[FolderFormat, ...] = (lightning, trainer_state, mlflow_files, tensorboard)

#: Formats of which a run, or many runs, are a file.
FILE_FORMATS: tuple[Format, ...] = (
    bundle,
    csv_file,
    json_lines,
    parquet,
    wandb_run,
    mlflow_sqlite,
)

#: Runs that one task of a parallel reader takes, so that starting it does not cost more.
CHUNK = 32

Track = Callable[[Iterable[Path], int], Iterable[Path]]


def read_run(path: PathLike, columns: Columns | None = None) -> Run:
    """Read the only run of a path.

    Parameters
    ----------
    path : path-like
        A log file, a Lightning version folder, a bundle with one run, or ``-``.
    columns : Columns, optional
        Names of columns that are not to be recognised but taken.

    Raises
    ------
    LogError
        If it cannot be read, or there is more than one run.
    """
    found = read_sweep([path], columns)
    if not found.runs:
        raise LogError(found.left_out[0].reason if found.left_out else f"{path} holds no run")
    if len(found) > 1:
        raise LogError(f"{path} holds {len(found)} runs, not one; read them with read_sweep.")
    return found.runs[0]


def read_sweep(
    paths: Paths,
    columns: Columns | None = None,
    *,
    jobs: int = 1,
    track: Track | None = None,
) -> Sweep:
    """Read every run under one or more paths.

    Parameters
    ----------
    paths : path-like or iterable of path-like
        Folders are searched recursively, in the order of their names; hidden ones are skipped.
        A path that is named twice is read once.
    columns : Columns, optional
        Names of columns that are not to be recognised but taken.
    jobs : int
        Processes to read with; -1 takes all cores.
    track : callable, optional
        Called with what is iterated over and its length, such as a progress bar.

    Returns
    -------
    Sweep
        In the same order whatever ``jobs`` is. Runs that cannot be read are in ``left_out``.

    Raises
    ------
    LogError
        If a path does not exist or a folder holds no log.
    """
    runs: list[Run] = []
    left_out: list[LeftOut] = []
    findings = Findings()
    for found in iter_sweeps(paths, columns, jobs=jobs, track=track):
        runs.extend(found.runs)
        left_out.extend(found.left_out)
        findings += found.findings
    return Sweep(runs, left_out, findings)


def iter_sweeps(
    paths: Paths,
    columns: Columns | None = None,
    *,
    jobs: int = 1,
    track: Track | None = None,
) -> Iterator[Sweep]:
    """Yield what :func:`read_sweep` gathers, one log after the other, for bounded memory."""
    columns = columns or Columns()
    found = find(paths)
    if jobs == 1 or len(found) <= CHUNK:
        tracked = track(found, len(found)) if track else found
        for path in tracked:
            yield read_log(path, columns)
        return
    from joblib import delayed

    done = results((delayed(_read_chunk)(chunk, columns) for chunk in _chunks(found)), jobs)
    arriving: dict[Path, Sweep] = {}

    def as_read() -> Iterator[Path]:
        for path, sweep in chain.from_iterable(done):
            arriving[path] = sweep
            yield path

    for path in track(as_read(), len(found)) if track else as_read():
        yield arriving.pop(path)


def find(paths: Paths) -> list[Path]:
    """List the logs under one or more paths, each once.

    Raises
    ------
    LogError
        If a path does not exist or a folder holds no log.
    """
    found: dict[str, Path] = {}
    # A string is one path, not its letters.
    for given in [paths] if isinstance(paths, (str, os.PathLike)) else paths:
        path = Path(given)
        if os.fspath(given) == "-":
            found["-"] = path
            continue
        if path == STDIN:
            path = path.absolute()  # "./-" is a file
        if not path.exists():
            raise LogError(f"No file or folder {str(path)!r}.")
        if path.is_dir():
            here = list(_search(path))
            if not here:
                raise LogError(
                    f"No logs under {str(path)!r}; docs/formats.md lists the formats that are read."
                )
        else:
            here = [path]
        for log in here:
            found.setdefault(os.path.realpath(log), log)
    return list(found.values())


def _search(folder: Path) -> Iterator[Path]:
    form = next((form for form in FOLDER_FORMATS if form.recognises(folder)), None)
    if form is not None:
        yield folder
        if form.WHOLE:
            return
    for entry in sorted(folder.iterdir(), key=lambda path: path.name):
        if entry.name.startswith("."):
            continue
        if entry.is_dir() and not entry.is_symlink():
            yield from _search(entry)
        elif form is not None:
            continue  # what other loggers write beside a run's log is that run again
        elif entry.is_file() and any(each.recognises(entry) for each in FILE_FORMATS):
            yield entry


def read_log(path: Path, columns: Columns) -> Sweep:
    """Read one log; what is wrong with it becomes a :class:`~grokpredict.runs.sweep.LeftOut`."""
    try:
        form, found = _read(path, columns)
    except LogError as error:
        return Sweep([], [LeftOut(shown(path), str(error))])
    by_format = Findings(formats={form.NAME: len(found.runs)})
    return replace(found, findings=found.findings + by_format)


def format_of(path: Path) -> Format | None:
    """Return the format that a log has by its name; None if the name says little."""
    formats = (*FOLDER_FORMATS, *FILE_FORMATS)
    return next((form for form in formats if form.recognises(path)), None)


def _read(path: Path, columns: Columns) -> tuple[Format, Sweep]:
    form = format_of(path)
    if form not in (None, csv_file, json_lines):
        return form, form.read(path, columns)
    # The name says little (".log", ".txt", standard input); the first character says all.
    text = read_text(path)
    parser = json_lines if text.lstrip().startswith("{") else csv_file
    return parser, parser.read_parsed(text, path, columns, shown(path))


def _read_chunk(paths: Sequence[Path], columns: Columns) -> list[tuple[Path, Sweep]]:
    return [(path, read_log(path, columns)) for path in paths]


def _chunks(paths: Iterable[Path]) -> Iterator[list[Path]]:
    rest = iter(paths)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk
