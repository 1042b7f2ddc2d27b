"""All looks that a monitor would have taken at finished runs, once for every model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np

from grokpredict.evaluation.accounting import Finished
from grokpredict.features.profile import LOOKS, looks_before
from grokpredict.features.recording import Recording, compute_signatures
from grokpredict.live.logged import recording_of
from grokpredict.live.policy import LOSS, left_alone, settles
from grokpredict.model.channels import VALIDATION, Reads, read_by
from grokpredict.runs.curve import IntArray
from grokpredict.runs.labels import BoolArray, LabelRule
from grokpredict.runs.run import Run
from grokpredict.training.table import LookTable

#: Runs that are worked on at once: many spectra in one call cost less.
CHUNK = 256

#: The loss, and nothing else.
LOSS_ALONE: Reads = (LOSS,)


@dataclass(frozen=True, eq=False)
class PastLooks:
    """The looks at finished runs that had not generalised by then.

    Attributes
    ----------
    table : LookTable
        Their columns, a row a look.
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
        return self.table.looked_at

    def renumbered(self) -> PastLooks:
        """Return the same looks, the runs counted without those that have none."""
        table, kept = self.table, self.looked_at
        run = (np.cumsum(kept) - 1)[table.run]
        table = replace(table, run=run, t4=table.t4[kept], budget=table.budget[kept])
        return replace(self, table=table)


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


def past_looks(done: Finished, rule: LabelRule) -> PastLooks:
    """Return the looks at finished runs.

    Parameters
    ----------
    done : Finished
        The runs.
    rule : LabelRule
        Of the classifier: a run whose latest metric meets it at a look is left alone there.
    """
    runs, t4, budget = done.runs.runs, done.runs.t4, done.runs.budget
    columns, numbers, awaits = [], [], []
    for start in range(0, len(runs), CHUNK):
        recordings = [
            recording_of(runs[i], budget[i]) for i in range(start, min(start + CHUNK, len(runs)))
        ]
        compute_signatures(recordings)
        for i, recording in enumerate(recordings, start):
            last = min(t4[i], budget[i], runs[i].last_step + 2)
            looks = _judged(runs[i], looks_before(last).size, rule)
            rows = recording.columns(looks, budget[i])
            read = np.array([LOSS in reads for reads in read_by(rows)], dtype=np.bool_)
            number = np.array(looks, dtype=np.int64)[read]
            columns.append(rows[read])
            numbers.append(number)
            awaits.append([_evaluated(recording, int(look)) for look in number])
    table = LookTable.joined(numbers, columns, t4, budget)
    return PastLooks(
        table,
        np.concatenate([np.empty(0, dtype=np.int64), *numbers]),
        read_by(table.columns),
        np.array([*chain.from_iterable(awaits)], dtype=np.bool_),
    )


def _evaluated(recording: Recording, look: int) -> bool:
    """Whether there was an evaluation before a look."""
    return any(recording.n_samples(channel, look) for channel in VALIDATION)


def _judged(run: Run, n_looks: int, rule: LabelRule) -> list[int]:
    """Return the looks at which the run does not seem to have generalised."""
    metric = run.channels.get(rule.metric)
    if metric is None:
        return list(range(n_looks))
    steps = LOOKS[:n_looks].tolist()
    return [i for i, step in enumerate(steps) if left_alone(rule, metric.latest(step)) is None]


def chosen(
    looks: PastLooks, choose: Callable[[Reads], Reads], stops: Callable[[Reads, int], bool]
) -> Choice:
    """Return what each look reads: what a model chooses of what the first that settles it can read.

    Parameters
    ----------
    looks : PastLooks
        The looks.
    choose : callable
        What a model reads of the channels that a look can read.
    stops : callable
        Whether a model has a threshold for some channels at a step.
    """
    reads: list[Reads | None] = []
    settled = np.zeros(looks.number.size, dtype=np.bool_)
    run, settled_reads = -1, None
    for i, possible in enumerate(looks.possible):
        if looks.table.run[i] != run:
            run, settled_reads = int(looks.table.run[i]), None
        step = int(looks.table.step[i])
        if settled_reads is None and settles(
            possible, awaits=bool(looks.awaits[i]), stops=stops(choose(possible), step)
        ):
            settled_reads = choose(possible)
        settled[i] = settled_reads is not None
        wanted = settled_reads or choose(possible)
        reads.append(wanted if set(wanted) <= set(possible) else None)
    return Choice(tuple(reads), settled)


def alike(looks: PastLooks, reads: Reads) -> Choice:
    """Return the choice to read the same at every look."""
    able = [reads if set(reads) <= set(possible) else None for possible in looks.possible]
    return Choice(tuple(able), np.ones(len(able), dtype=np.bool_))


def distinct(choice: Choice) -> Sequence[Reads]:
    """Return the combinations of channels among a choice."""
    return sorted({reads for reads in choice.reads if reads is not None})
