"""What is said at a look: which channels it reads, and the verdict by the threshold for these."""

from __future__ import annotations

from dataclasses import replace

from grokpredict.features.profile import LOOKS
from grokpredict.features.recording import Recording
from grokpredict.live.policy import LOSS, settles
from grokpredict.live.record import RunRecord
from grokpredict.model.channels import VALIDATION, Reads, read_by
from grokpredict.model.classifier import GrokClassifier
from grokpredict.model.verdict import Verdict, judge


class Judge:
    """Looks at one run, and settles once which channels its looks read.

    Parameters
    ----------
    classifier : GrokClassifier
        Gives the probability, and without a ledger the threshold.
    max_false_abort : float
        Largest share of the runs that would generalise that may be stopped.
    record : RunRecord or None
        The run in the ledger of its sweep, which then gives the threshold.

    Attributes
    ----------
    reads : tuple of str or None
        Channels that every further look reads; None until that is settled.
    """

    def __init__(
        self, classifier: GrokClassifier, max_false_abort: float, record: RunRecord | None
    ) -> None:
        self.reads: Reads | None = None
        self._classifier = classifier
        self._max_false_abort = max_false_abort
        self._record = record

    def look(self, recording: Recording, number: int, budget: int) -> Verdict:
        """Look at what was recorded of the run.

        Parameters
        ----------
        recording : Recording
            Of the run so far.
        number : int
            Of the look, which is at ``LOOKS[number]``.
        budget : int
            Step by which the run has to generalise.
        """
        row = recording.columns([number], budget)[0]
        (readable,) = read_by(row[None])
        reads = self.reads or self._classifier.reads(readable, self._max_false_abort)
        n_evaluations = max(recording.n_samples(channel, number) for channel in VALIDATION)
        awaits = n_evaluations > 0
        if self.reads is None and settles(
            readable,
            awaits=awaits,
            stops=self._threshold(reads, int(LOOKS[number])) is not None,
        ):
            self.reads = reads
        verdict = judge(
            self._classifier,
            row,
            number,
            reads=reads if LOSS in reads else (LOSS,),
            budget=budget,
            max_false_abort=self._max_false_abort,
        )
        if self.reads is None:
            return _unsettled(verdict, awaits=awaits)
        if set(verdict.reads) & set(VALIDATION):
            return replace(verdict, every=round((verdict.horizon or 0) / n_evaluations))
        return verdict

    def _threshold(self, reads: Reads, step: int) -> float | None:
        if self._record is not None:
            return self._record.terms(reads).threshold
        return self._classifier.threshold(reads, self._max_false_abort, step)


def _unsettled(verdict: Verdict, *, awaits: bool) -> Verdict:
    """Return a verdict without its threshold: what later looks read is not settled yet."""
    if verdict.probability is None or (verdict.threshold is None and not awaits):
        return verdict
    chance = 100 * verdict.probability
    return replace(
        verdict,
        action="abstain" if verdict.action == "abstain" else "continue",
        threshold=None,
        reason=verdict.reason
        if verdict.action == "abstain"
        else f"After {verdict.horizon} steps, P(generalises by {verdict.budget}) = {chance:.1f} %; "
        "nothing is stopped before there are six evaluations.",
    )
