"""All looks that a monitor would have taken at finished runs, gathered once for every model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from grokpredict.evaluation.ledger import Finished
from grokpredict.features.profile import (
    BINS_A_LOOK,
    LOOKS,
    N_LEVELS,
    PROFILED,
    Bins,
    looks_before,
    profiles,
)
from grokpredict.live.logged import sums_of
from grokpredict.live.policy import LOSS, LookPolicy, left_alone
from grokpredict.model.looks import read_by
from grokpredict.model.reading import VALIDATION, Reads
from grokpredict.runs.curve import IntArray
from grokpredict.runs.labels import BoolArray, LabelRule
from grokpredict.runs.run import Run
from grokpredict.training.looks import LookTable

#: The loss, and nothing else.
LOSS_ALONE: Reads = (LOSS,)


@dataclass(frozen=True, eq=False)
class Gathered:
    """The looks at finished runs that had not generalised by then.

    Attributes
    ----------
    table : LookTable
        Their profiles, a row a look.
    number : ndarray of int, shape (n_looks,)
        Number of each look, which is at ``LOOKS[number]``.
    possible : tuple of Reads, length n_looks
        Channels that each can read.
    awaits : ndarray of bool, shape (n_looks,)
        Whether there was an evaluation before it.
    """

    table: LookTable
    number: IntArray
    possible: tuple[Reads, ...]
    awaits: BoolArray

    @property
    def looked_at(self) -> BoolArray:
        """Whether there is any look at each run, shape (n_runs,)."""
        found = np.zeros(self.table.t4.size, dtype=np.bool_)
        found[self.table.run] = True
        return found


@dataclass(frozen=True, eq=False)
class Choice:
    """What each look reads.

    Attributes
    ----------
    reads : tuple of (Reads or None), length n_looks
        None where a channel that all looks at the run read is missing: the look is skipped.
    settled : ndarray of bool, shape (n_looks,)
        Whether a look may stop the run.
    """

    reads: tuple[Reads | None, ...]
    settled: BoolArray


def gather(done: Finished, rule: LabelRule) -> Gathered:
    """Gather the looks at finished runs.

    Parameters
    ----------
    done : Finished
        The runs.
    rule : LabelRule
        Of the classifier: a run whose latest metric meets it at a look is left alone there.
    """
    parts, numbers, owner, awaits = [], [], [], []
    for i, run in enumerate(done.runs.runs):
        sums = sums_of(run, done.runs.budget[i])
        channels = {name: own.bins() for name, own in sums.items()}
        last = min(done.runs.t4[i], done.runs.budget[i], run.last_step + 2)
        looks = _judged(run, looks_before(last).size, rule)
        levels = profiles(channels, looks)
        read = np.isfinite(levels[:, PROFILED.index(LOSS), 0])
        parts.append(levels[read])
        numbers.append(np.array(looks, dtype=np.int64)[read])
        owner.append(np.full(int(read.sum()), i))
        awaits.append(_bin_of_first_evaluation(channels) < N_LEVELS + BINS_A_LOOK * numbers[-1])
    empty = np.empty((0, len(PROFILED), N_LEVELS))
    number = np.concatenate([np.empty(0, dtype=np.int64), *numbers])
    levels = np.concatenate([empty, *parts])
    table = LookTable(
        profiles=levels,
        step=LOOKS[number],
        run=np.concatenate([np.empty(0, dtype=np.int64), *owner]),
        t4=done.runs.t4,
        budget=done.runs.budget,
    )
    return Gathered(
        table, number, read_by(levels), np.concatenate([np.empty(0, dtype=np.bool_), *awaits])
    )


def _judged(run: Run, n_looks: int, rule: LabelRule) -> list[int]:
    """Return the looks at which the run does not seem to have generalised."""
    metric = run.channels.get(rule.metric)
    if metric is None:
        return list(range(n_looks))
    steps = LOOKS[:n_looks].tolist()
    return [i for i, step in enumerate(steps) if left_alone(rule, metric.latest(step)) is None]


def _bin_of_first_evaluation(channels: dict[str, Bins]) -> float:
    bins = (channels[name].index for name in VALIDATION if name in channels)
    return min((int(index[0]) for index in bins if index.size), default=np.inf)


def chosen(gathered: Gathered, stops: Callable[[Reads], bool]) -> Choice:
    """Return what each look reads: what the first that settles it can read.

    Parameters
    ----------
    gathered : Gathered
        The looks.
    stops : callable
        Whether a model has a threshold for some channels.
    """
    policy = LookPolicy(1)
    reads: list[Reads | None] = []
    settled = np.zeros(gathered.number.size, dtype=np.bool_)
    run, of_run = -1, None
    for i, possible in enumerate(gathered.possible):
        if gathered.table.run[i] != run:
            run, of_run = int(gathered.table.run[i]), None
        if of_run is None and policy.settles(
            possible, awaits=bool(gathered.awaits[i]), stops=stops(possible)
        ):
            of_run = possible
        settled[i] = of_run is not None
        wanted = of_run or possible
        reads.append(wanted if set(wanted) <= set(possible) else None)
    return Choice(tuple(reads), settled)


def alike(gathered: Gathered, reads: Reads) -> Choice:
    """Return the choice to read the same at every look."""
    able = [reads if set(reads) <= set(possible) else None for possible in gathered.possible]
    return Choice(tuple(able), np.ones(len(able), dtype=np.bool_))


def distinct(choice: Choice) -> Sequence[Reads]:
    """Return the combinations of channels among a choice."""
    return sorted({reads for reads in choice.reads if reads is not None})
