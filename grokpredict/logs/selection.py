"""One run of many by its name: ``runs.npz::addition-07``."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

from grokpredict.logs.errors import LogError
from grokpredict.runs.sweep import Sweep

#: Between a path and the name of a run in it.
MARK = "::"

#: Names that an error lists.
_LISTED = 5


def split_name(path: str | os.PathLike[str]) -> tuple[str, str | None]:
    """Return a path, and the name of the run in it that is meant; None for all.

    >>> split_name("runs.npz::addition-07"), split_name("runs.npz")
    (('runs.npz', 'addition-07'), ('runs.npz', None))
    """
    text = os.fspath(path)
    file, mark, name = text.rpartition(MARK)
    if not mark or not file or Path(text).exists():
        return text, None
    return file, name


def named(sweep: Sweep, name: str) -> Sweep:
    """Return the runs of a sweep that have this name, in brackets or as the end of their path.

    Raises
    ------
    LogError
        If there is none.
    """
    runs = [run for run in sweep.runs if name == _label(run.name) or run.name.endswith(f"/{name}")]
    left_out = [
        lost
        for lost in sweep.left_out
        if name == _label(lost.path) or lost.path.endswith(f"/{name}")
    ]
    if not runs and not left_out:
        names = [_label(run.name) for run in sweep.runs]
        more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
        raise LogError(f"there is no run {name!r}, only {', '.join(names[:_LISTED])}{more}.")
    return replace(sweep, runs=runs, left_out=left_out)


def _label(name: str) -> str:
    """Return what tells the runs of a file apart, or the whole name."""
    brackets = re.search(r"\[([^/]*)\]$", name)
    return brackets.group(1) if brackets else name
