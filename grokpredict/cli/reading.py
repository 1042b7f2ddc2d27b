"""Reading the runs that a command is about, with its progress and its warnings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from grokpredict.cli.output import warn_left_out
from grokpredict.cli.progress import counted

if TYPE_CHECKING:
    from pathlib import Path

    from grokpredict.logs import Columns
    from grokpredict.runs.sweep import Sweep


def reading(logs: Iterable[Path], total: int) -> Iterable[Path]:
    """Return log files and show how many were read."""
    return counted(logs, total, "reading")


def read_runs(paths: tuple[str, ...], columns: Columns, *, jobs: int, strict: bool) -> Sweep:
    """Read every run under some paths; what cannot be read is said, or if ``strict`` an error."""
    from grokpredict.logs import read_sweep, require_all

    sweep = read_sweep(paths, columns, jobs=jobs, track=reading)
    if strict:
        require_all(sweep.left_out, len(sweep))
    warn_left_out(sweep.left_out)
    return sweep
