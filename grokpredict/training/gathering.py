"""From log files to records: in bounded memory, on several cores, each log only once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from grokpredict._util.cache import Cache, key_of
from grokpredict._util.parallel import results
from grokpredict.logs import Columns, Paths
from grokpredict.logs.content import content_digest
from grokpredict.logs.reading import find, read_log, unexpected
from grokpredict.logs.source import STDIN
from grokpredict.runs.labels import LabelRule
from grokpredict.runs.run import Run
from grokpredict.runs.sweep import Findings, LeftOut
from grokpredict.training.record import CHUNK, Record, records_of

#: Logs, and bytes of them, that one task takes: enough that starting it costs nothing beside it.
TASK_LOGS = 32
TASK_BYTES = 4 * 2**20

#: Called with what is iterated over and its length, such as a progress bar.
Track = Callable[[Iterable[Path], int], Iterable[Path]]


@dataclass(frozen=True, eq=False)
class Gathered:
    """What was read under some paths.

    Attributes
    ----------
    records : tuple of Record
        What is kept of the runs.
    left_out : tuple of LeftOut
        Runs that could not be read.
    findings : Findings
        What was met on the way.
    """

    records: tuple[Record, ...]
    left_out: tuple[LeftOut, ...]
    findings: Findings


def gather(
    paths: Paths,
    columns: Columns | None = None,
    rule: LabelRule | None = None,
    *,
    jobs: int = 1,
    track: Track | None = None,
    cache: Cache | None = None,
) -> Gathered:
    """Read logs and keep of them what training needs.

    Parameters
    ----------
    paths : path-like or iterable of path-like
        As for :func:`grokpredict.logs.read_sweep`.
    columns : Columns, optional
        Names of columns that are not to be recognised but taken.
    rule : LabelRule, optional
        When a run counts as generalised. By default as each run says.
    jobs : int
        Processes, as joblib counts them. Of the curves, only those of the logs that a process has
        in hand are in memory.
    track : callable, optional
        Shows the progress over the logs.
    cache : Cache, optional
        Where what became of a log is kept, by the content of its files.

    Raises
    ------
    LogError
        If a path does not exist or a folder holds no log.
    """
    from joblib import delayed

    columns = columns or Columns()
    logs = find(paths)
    tasks = (delayed(_work)(some, columns, rule, cache) for some in _tasks(logs.paths))
    done = results(tasks, jobs)
    records: list[Record] = []
    left_out = list(logs.left_out)
    findings = Findings(unread=logs.unread)

    def as_read() -> Iterator[Path]:
        nonlocal findings
        for parts in done:
            for part in parts:
                records.extend(part.records)
                left_out.extend(part.left_out)
                findings += part.findings
                yield part.path

    for _ in track(as_read(), len(logs.paths)) if track else as_read():
        pass
    return Gathered(tuple(records), tuple(left_out), findings)


def records_of_many(
    runs: Sequence[Run], rule: LabelRule | None = None, *, jobs: int = 1
) -> tuple[Record, ...]:
    """Return :func:`~grokpredict.training.record.records_of` runs, on several cores."""
    from joblib import delayed

    tasks = (
        delayed(records_of)(runs[start : start + CHUNK], rule)
        for start in range(0, len(runs), CHUNK)
    )
    return tuple(record for part in results(tasks, jobs) for record in part)


@dataclass(frozen=True, eq=False)
class Part:
    """What became of one log."""

    path: Path
    records: tuple[Record, ...]
    left_out: Sequence[LeftOut]
    findings: Findings

    def at(self, path: Path) -> Part:
        """Return what became of a log with the same content under another path."""
        old, new = str(self.path), str(path)
        if old == new:
            return self

        def moved(name: str) -> str:
            return new + name.removeprefix(old)

        left_out = [LeftOut(moved(run.path), run.reason.replace(old, new)) for run in self.left_out]
        remarks = {
            text: (number, moved(example))
            for text, (number, example) in self.findings.remarks.items()
        }
        records = tuple(
            replace(record, facts=replace(record.facts, name=moved(record.facts.name)))
            for record in self.records
        )
        return Part(path, records, left_out, replace(self.findings, remarks=remarks))


def _tasks(logs: Iterable[Path]) -> Iterator[list[Path]]:
    task: list[Path] = []
    size = 0
    for log in logs:
        task.append(log)
        size += log.stat().st_size if log.is_file() else 0
        if len(task) == TASK_LOGS or size >= TASK_BYTES:
            yield task
            task, size = [], 0
    if task:
        yield task


def _work(
    logs: Sequence[Path], columns: Columns, rule: LabelRule | None, cache: Cache | None
) -> list[Part]:
    """Read and record some logs, or look up in the cache what became of them."""
    keys = {log: _key(log, columns, rule) for log in logs} if cache else {}
    kept: dict[Path, Part] = {}
    fresh: dict[Path, Part] = {}
    waiting: list[_Read] = []
    for log in logs:
        part = cache.get(keys[log], Part) if cache and keys[log] else None
        if part is not None:
            kept[log] = part.at(log)
            continue
        content = read_log(log, columns)
        waiting.append(_Read(log, list(content.runs), list(content.left_out), content.findings))
        # Many runs at once: a call for one costs as much as for a hundred.
        if sum(len(read.runs) for read in waiting) >= CHUNK:
            fresh |= _recorded(waiting, rule)
            waiting = []
    fresh |= _recorded(waiting, rule)
    for log, part in fresh.items():
        # A log that gave nothing may be read when a library is installed.
        if cache and part.records and keys[log]:
            cache.put(keys[log], part, Part)
    parts = kept | fresh
    return [parts[log] for log in logs]


@dataclass
class _Read:
    """What was read of a log that waits to be recorded."""

    path: Path
    runs: list[Run]
    left_out: list[LeftOut]
    findings: Findings


def _recorded(waiting: Sequence[_Read], rule: LabelRule | None) -> dict[Path, Part]:
    """Record the runs of some logs; one that cannot be is left out, and not its sweep."""
    try:
        records = records_of([run for read in waiting for run in read.runs], rule)
    except Exception:  # which run it is, only they alone can tell
        for read in waiting:
            _leave_out(read, rule)
        records = records_of([run for read in waiting for run in read.runs], rule)
    ends = np.cumsum([len(read.runs) for read in waiting]).tolist()
    return {
        read.path: Part(
            read.path, records[end - len(read.runs) : end], tuple(read.left_out), read.findings
        )
        for read, end in zip(waiting, ends, strict=True)
    }


def _leave_out(read: _Read, rule: LabelRule | None) -> None:
    """Leave out the runs of a log that cannot be recorded."""
    kept = []
    for run in read.runs:
        try:
            records_of([run], rule)
        except Exception as error:  # whatever it is, it is this run's
            read.left_out.append(LeftOut(run.name, unexpected(error)))
        else:
            kept.append(run)
    read.runs = kept


def _key(log: Path, columns: Columns, rule: LabelRule | None) -> str:
    """Return the key of a log in the cache; empty for one that has none."""
    if log == STDIN:
        return ""
    try:
        return key_of(content_digest(log), columns, rule)
    except OSError:
        return ""  # the reader says what is wrong
