"""The budget of runs whose logs do not tell it."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Protocol

import numpy as np

from grokpredict.runs.labels import NEVER_ENDS, Outcome
from grokpredict.runs.run import Run


@dataclass(frozen=True)
class Budget:
    """A budget and where it comes from.

    Attributes
    ----------
    steps : int
        Step by which a run has to generalise.
    source : str
        For people: ``--budget``, ``the longest run in sweeps/a``.
    """

    steps: int
    source: str

    def __str__(self) -> str:
        return f"{self.steps} steps, {self.source}"


class Planned(Protocol):
    """What decides the budget of a run."""

    @property
    def name(self) -> str:
        """Its path."""

    @property
    def planned(self) -> int | None:
        """Steps for which it was planned, where the log tells them."""

    @property
    def budget_source(self) -> str:
        """Where that comes from."""

    @property
    def last_step(self) -> int:
        """The last one at which anything was recorded."""

    @property
    def outcome(self) -> Outcome | None:
        """What is known of its end; None if no validation metric tells."""


def budgets_of(runs: Sequence[Planned], budget: int | None) -> list[Budget]:
    """Return the budget of each run: what was asked for, else its plan, else its folder's."""
    if budget is not None:
        return [Budget(budget, "as you asked")] * len(runs)
    folders: dict[str, list[Planned]] = {}
    names = folders_of(relative([run.name for run in runs]))
    for folder, run in zip(names, runs, strict=True):
        folders.setdefault(folder, []).append(run)
    longest = {folder: _longest(together, folder) for folder, together in folders.items()}
    return [
        Budget(run.planned, run.budget_source or "its plan") if run.planned else longest[folder]
        for run, folder in zip(runs, names, strict=True)
    ]


def _longest(runs: Sequence[Planned], folder: str) -> Budget:
    labelled = [run for run in runs if run.outcome is not None] or runs
    return longest_of(
        [run.planned or _end(run) for run in labelled],
        [
            None if run.outcome is None or run.outcome.t4 is not None else run.outcome.known_until
            for run in labelled
        ],
        folder,
    )


def _end(run: Planned) -> int:
    """Return the steps that a run took: a run evaluated last at 9 900 of 100 steps took 10 000."""
    result = run.outcome
    watched = 0 if result is None or result.known_until == NEVER_ENDS else result.known_until
    return max(run.last_step + 1, watched)


def longest_of(ends: Sequence[int], known_until: Sequence[int | None], folder: str) -> Budget:
    """Return the budget of runs that tell none: what the longest of them took.

    Parameters
    ----------
    ends : sequence of int, shape (n_runs,)
        Steps that each run took.
    known_until : sequence of (int or None), shape (n_runs,)
        Step up to which it is certain that a run had not generalised; None for one that had.
    folder : str
        Where the runs are, for the source; empty where there is only one.

    Notes
    -----
    A run much longer than the others, or a single absurd step, must not make the outcome of all
    others unknown: where more than half of the runs that had not generalised end before the
    longest run does, the next longest is asked, and so on.

    Examples
    --------
    >>> longest_of([5000, 5000, 5000, 100_000], [5000, 5000, 5000, 100_000], "runs")
    Budget(steps=5000, source='the longest run in runs, but for 1 that is longer')
    """
    open_ends = np.sort([step for step in known_until if step is not None])
    lengths = sorted(set(ends), reverse=True)
    chosen = lengths[-1]
    for length in lengths:
        if 2 * int(np.searchsorted(open_ends, length)) <= open_ends.size:
            chosen = length
            break
    longer = sum(end > chosen for end in ends)
    verb = "is" if longer == 1 else "are"
    where = f" in {folder}" if folder not in ("", ".") else ""
    but = f", but for {longer} that {verb} longer" if longer else ""
    return Budget(int(chosen), f"the longest run{where}{but}")


def folders_of(names: Sequence[str]) -> list[str]:
    """Return for each run the folder with the runs that it belongs with.

    Parameters
    ----------
    names : sequence of str, shape (n_runs,)
        Paths of runs, with what tells runs of one file apart in brackets.

    Returns
    -------
    list of str
        The nearest folder, or file, that holds more than one of the runs: with a folder a run,
        that is the folder around those.

    Examples
    --------
    >>> folders_of(["a/0/m.csv", "a/1/m.csv", "b/x.csv", "b/y.csv", "c.npz[0]", "c.npz[1]"])
    ['a', 'a', 'b', 'b', 'c.npz', 'c.npz']
    """
    above = [_above(name) for name in names]
    held = Counter(folder for folders in above for folder in folders)
    return [
        next((folder for folder in folders if held[folder] > 1), folders[-1]) for folders in above
    ]


def relative(names: Sequence[str]) -> list[str]:
    """Return paths as they are below the folder that holds them all.

    >>> relative(["x/a/0.csv", "x/b/0.csv"])
    ['a/0.csv', 'b/0.csv']
    """
    try:
        top = os.path.commonpath([str(PurePath(name).parent) for name in names])
    except ValueError:  # none, or absolute and relative ones
        return list(names)
    return [os.path.relpath(name, top) if top else name for name in names]


def _above(name: str) -> list[str]:
    file = PurePath(re.sub(r"\[[^/]*\]$", "", name))
    return [str(folder) for folder in (file, *file.parents)]


#: Steps by which a run has to generalise where nobody says: those of Notsawo et al. 2023.
DEFAULT_BUDGET = 10_000


def budget_of(run: Run, asked: int | None) -> Budget:
    """Return the budget of a run that is looked at alone, which may not be over yet.

    Parameters
    ----------
    run : Run
    asked : int or None
        What the user asked for; else the plan of the run counts, else :data:`DEFAULT_BUDGET`. A
        run that is longer than that shows that it was meant to be: all its steps are the budget.
        One that is shorter may go on, and its last step is not taken for the end.
    """
    if asked is not None:
        return Budget(asked, "as you asked")
    if run.max_steps is not None:
        return Budget(run.max_steps, run.budget_source or "its plan")
    recorded = int(run.loss.steps[-1] - run.loss.steps[0]) + run.loss.stride
    if recorded > DEFAULT_BUDGET:
        return Budget(recorded, "the steps of the log, which tells no plan; give --budget")
    return Budget(DEFAULT_BUDGET, "the default, since the log tells none; give --budget")
