"""Finding the runs under a path and reading each with the reader that knows it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

from grokpredict._util.parallel import results
from grokpredict.logs import csv_file, json_file, json_lines
from grokpredict.logs.columns import Columns
from grokpredict.logs.errors import LogError
from grokpredict.logs.formats import Format, format_of
from grokpredict.logs.search import Search
from grokpredict.logs.selection import named, split_name
from grokpredict.logs.source import STDIN, Text, open_text, shown, suffix
from grokpredict.runs.labels import Outcome, outcome
from grokpredict.runs.run import Run
from grokpredict.runs.sweep import Findings, LeftOut, Sweep

PathLike = str | os.PathLike[str]

#: One path, or several.
Paths = PathLike | Iterable[PathLike]


#: Runs that one task of a parallel reader takes, so that starting it does not cost more.
CHUNK = 32

Track = Callable[[Iterable[Path], int], Iterable[Path]]


def read_run(path: PathLike, columns: Columns | None = None) -> Run:
    """Read the only run of a path.

    Parameters
    ----------
    path : path-like
        A log file, a Lightning version folder, a bundle with one run, ``-``, or the name of one
        of several runs after its file: ``runs.npz::addition-07``.
    columns : Columns, optional
        Names of columns that are not to be recognised but taken.

    Raises
    ------
    LogError
        If it cannot be read, or there is more than one run.
    """
    file, name = split_name(path)
    sweep = read_sweep([file], columns)
    if name is not None:
        sweep = named(sweep, name)
    if not sweep.runs:
        raise LogError(sweep.left_out[0].reason if sweep.left_out else f"{path} holds no run")
    if len(sweep) > 1:
        raise LogError(
            f"{path} holds {len(sweep)} runs, not one; name one as {path}::NAME, or read them with "
            "read_sweep."
        )
    return sweep.runs[0]


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
    for part in iter_sweeps(paths, columns, jobs=jobs, track=track):
        runs.extend(part.runs)
        left_out.extend(part.left_out)
        findings += part.findings
    return Sweep(runs, left_out, findings)


def as_sweep(sweep: Sweep | Paths, columns: Columns | None = None, *, jobs: int = 1) -> Sweep:
    """Return a sweep as it is, or read one from paths as :func:`read_sweep`."""
    return sweep if isinstance(sweep, Sweep) else read_sweep(sweep, columns, jobs=jobs)


def iter_sweeps(
    paths: Paths,
    columns: Columns | None = None,
    *,
    jobs: int = 1,
    track: Track | None = None,
) -> Iterator[Sweep]:
    """Yield what :func:`read_sweep` gathers, one log after the other, for bounded memory."""
    columns = columns or Columns()
    logs = find(paths)
    waiting = logs.paths
    yield Sweep([], logs.left_out, Findings(unread=logs.unread))
    if jobs == 1 or len(waiting) <= CHUNK:
        tracked = track(waiting, len(waiting)) if track else waiting
        for path in tracked:
            yield read_log(path, columns)
        return
    from joblib import delayed

    done = results((delayed(_read_chunk)(chunk, columns) for chunk in _chunks(waiting)), jobs)
    arriving: dict[Path, Sweep] = {}

    def as_read() -> Iterator[Path]:
        for path, sweep in chain.from_iterable(done):
            arriving[path] = sweep
            yield path

    for path in track(as_read(), len(waiting)) if track else as_read():
        yield arriving.pop(path)


@dataclass(frozen=True)
class Logs:
    """What a search found.

    Attributes
    ----------
    paths : list of Path
        Logs, each once.
    left_out : list of LeftOut
        Folders that could not be searched.
    unread : mapping of str to (int, str)
        As :class:`~grokpredict.runs.sweep.Findings` has it.
    """

    paths: list[Path]
    left_out: list[LeftOut]
    unread: Mapping[str, tuple[int, str]]


def find(paths: Paths) -> Logs:
    """List the logs under one or more paths, each once.

    Raises
    ------
    LogError
        If a path does not exist or a folder holds no log.
    """
    search = Search()
    # A string is one path, not its letters.
    for given in [paths] if isinstance(paths, (str, os.PathLike)) else paths:
        path = Path(given)
        if os.fspath(given) == "-":
            search.logs["-"] = path
            continue
        if path == STDIN:
            path = path.absolute()  # "./-" is a file
        if not path.exists():
            raise LogError(f"No file or folder {str(path)!r}.")
        if not path.is_dir():
            search.add(path)
            continue
        before = search.seen
        search.walk(path)
        if search.seen == before:
            raise LogError(_nothing_in(path, search))
    return Logs(list(search.logs.values()), search.left_out, search.unread)


def _nothing_in(folder: Path, search: Search) -> str:
    if search.left_out:
        reason = search.left_out[0].reason
        return f"No logs under {str(folder)!r}, which cannot be searched: {reason}"
    kinds = ", ".join(f"{number} {kind}" for kind, (number, _) in search.unread.items())
    there = f", only {kinds}" if kinds else ""
    return f"No logs under {str(folder)!r}{there}; docs/formats.md lists the formats that are read."


def read_log(path: Path, columns: Columns) -> Sweep:
    """Read one log; what is wrong with it becomes a :class:`~grokpredict.runs.sweep.LeftOut`.

    Nothing that one log holds ends the reading of the others, whatever it raises.
    """
    try:
        form, sweep = _read(path, columns)
        for run in sweep.runs:
            _needed_later(run)
    except ValueError as error:  # LogError is one
        return Sweep([], [LeftOut(shown(path), str(error))])
    except Exception as error:  # of whatever kind: the others must still be read
        return Sweep([], [LeftOut(shown(path), unexpected(error))])
    by_format = Findings(formats={form.NAME: len(sweep.runs)})
    return replace(sweep, findings=sweep.findings + by_format)


def _needed_later(run: Run) -> tuple[Outcome | None, str]:
    """Return what every use of a run needs: it fails now, and not in the middle of a sweep."""
    return outcome(run), run.configuration_key


def unexpected(error: Exception) -> str:
    """Return what is said of a run whose reading failed in a way that was not foreseen."""
    words = " ".join(str(error).split())[:200]
    return f"it cannot be read: {type(error).__name__}{f': {words}' if words else ''}"


def _read(path: Path, columns: Columns) -> tuple[Format, Sweep]:
    form = format_of(path)
    if form not in (None, csv_file, json_lines, json_file):
        return form, form.read(path, columns)
    # The name says little (".log", ".txt", standard input); the first character says all.
    text, name = open_text(path), shown(path)
    if not text.begins_with("{", "["):
        return csv_file, csv_file.read_parsed(text, path, columns, name)
    if suffix(path) != ".json" and _document(text.first_line()) is not None:
        return json_lines, json_lines.read_parsed(text, path, columns, name)
    whole = text.whole()
    if suffix(path) == ".json" or json_file.holds_runs(_document(whole), columns):
        return json_file, json_file.read_parsed(whole, path, columns, name)
    return json_lines, json_lines.read_parsed(Text([whole], name), path, columns, name)


def _document(text: str) -> Any:
    """Return what a JSON text says; None if it is not JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _read_chunk(paths: Sequence[Path], columns: Columns) -> list[tuple[Path, Sweep]]:
    return [(path, read_log(path, columns)) for path in paths]


def _chunks(paths: Iterable[Path]) -> Iterator[list[Path]]:
    rest = iter(paths)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk
