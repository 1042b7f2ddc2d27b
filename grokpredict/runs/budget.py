"""The budget of runs whose logs do not tell it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


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


def longest_of(ends: Sequence[int], known_until: Sequence[int | None], folder: str) -> Budget:
    """Return the budget of runs that tell none: what the longest of them took.

    Parameters
    ----------
    ends : sequence of int, shape (n_runs,)
        Steps that each run took.
    known_until : sequence of (int or None), shape (n_runs,)
        Step up to which it is certain that a run had not generalised; None for one that had.
    folder : str
        Where the runs are, for the source.

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
    but = f", but for {longer} that {verb} longer" if longer else ""
    return Budget(int(chosen), f"the longest run in {folder}{but}")
