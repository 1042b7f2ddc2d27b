"""Takes whatever a run tells, at any cadence, and looks to the end of its budget."""

from __future__ import annotations

from grokpredict.features.profile import PROFILED, Bins, Sums, profiles
from grokpredict.live.policy import LookPolicy, left_alone
from grokpredict.model.looks import LookModel, read_by
from grokpredict.model.reading import Reads
from grokpredict.model.thresholds import check_max_false_abort
from grokpredict.model.verdict import Verdict, judge_look
from grokpredict.runs.curve import FloatArray, IntArray
from grokpredict.runs.labels import LabelRule
from grokpredict.runs.run import Run


class LookWatch:
    """Watches one run through the sums of its channels.

    Parameters
    ----------
    model : LookModel
        Of a classifier.
    budget : int
        Step by which the run has to generalise.
    max_false_abort : float
        Largest share of the runs that would generalise that may ever be stopped.

    Attributes
    ----------
    verdicts : list of Verdict
        One a look, in order; an abort is the last.
    reads : tuple of str or None
        Channels that every look reads, since a threshold is for all looks that read the same;
        None until one can read a validation metric, or has a threshold without.

    Notes
    -----
    A sample belongs to the bin of its own step, and a look reads the bins before it, so samples may
    be given before or after the look is taken that is due between them. What a run keeps is
    bounded: some hundred sums a channel.
    """

    def __init__(self, model: LookModel, *, budget: int, max_false_abort: float = 0.05) -> None:
        check_max_false_abort(max_false_abort)
        if budget < 1:
            raise ValueError(f"the budget must be at least 1 step, got {budget}")
        self.model = model
        self.budget = budget
        self.max_false_abort = max_false_abort
        self.verdicts: list[Verdict] = []
        self.reads: Reads | None = None
        self._policy = LookPolicy(budget)
        self._sums = {name: Sums(name) for name in PROFILED}

    @property
    def next_look(self) -> int | None:
        """Step of the next look; None after an abort, and after the last before the budget."""
        return self._policy.next_look(self.verdicts)

    def take(self, channel: str, steps: IntArray, values: FloatArray) -> None:
        """Take samples of a channel that follow those before; channels not read are let go.

        Parameters
        ----------
        channel : str
            Its name, as in :data:`grokpredict.runs.run.CHANNELS`.
        steps : ndarray of int, shape (n,)
            Optimiser steps, increasing.
        values : ndarray, shape (n,)
            Accuracies as shares of 1.
        """
        if channel in self._sums:
            self._sums[channel].take(steps, values)

    def look(self, left_alone: str | None = None) -> Verdict:
        """Take the look that is due.

        Parameters
        ----------
        left_alone : str, optional
            A sentence, where the run has generalised already; it is not judged then.

        Raises
        ------
        ValueError
            If there is no further look.
        """
        step = self.next_look
        if step is None:
            raise ValueError("the last look was taken")
        if left_alone is not None:
            verdict = Verdict("continue", left_alone, step, self.budget)
        else:
            bins: dict[str, Bins] = {name: sums.bins() for name, sums in self._sums.items()}
            number = len(self.verdicts)
            levels = profiles(bins, [number])
            reads = self.reads or read_by(levels)[0]
            verdict = judge_look(
                self.model,
                levels[0],
                number,
                reads=reads,
                budget=self.budget,
                max_false_abort=self.max_false_abort,
            )
            # What may stop a run is settled, too: a threshold is for looks that read the same.
            if self.reads is None and (
                self._policy.settles(reads) or verdict.threshold is not None
            ):
                self.reads = reads
        self.verdicts.append(verdict)
        return verdict


def looks_at(
    run: Run, model: LookModel, rule: LabelRule, *, budget: int, max_false_abort: float = 0.05
) -> list[Verdict]:
    """Look at a logged run as :class:`LookWatch` would have while it trained.

    Parameters
    ----------
    run : Run
        Looks end where its log does, and with an abort.
    model : LookModel
        Of a classifier.
    rule : LabelRule
        A run whose latest metric meets it at a look has generalised and is left alone there.
    budget, max_false_abort
        As for :class:`LookWatch`.
    """
    watch = LookWatch(model, budget=budget, max_false_abort=max_false_abort)
    for name, curve in run.channels.items():
        watch.take(name, curve.steps, curve.values)
    metric = run.channels.get(rule.metric)
    last = run.last_step + 1
    while (step := watch.next_look) is not None and step <= last:
        watch.look(left_alone(rule, None if metric is None else metric.latest(step)))
    return watch.verdicts
