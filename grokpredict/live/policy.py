"""When a run is looked at, what its looks read, and what a verdict leads to: decided here alone.

A monitor asks while a run trains; scoring, replays and cross-fitting ask of finished ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from grokpredict.features.profile import LOOKS, looks_before
from grokpredict.model.channels import Reads, may_stop
from grokpredict.model.verdict import Verdict
from grokpredict.runs.labels import LabelRule

#: No look does without it.
LOSS = "train_loss"


def ended(verdicts: Sequence[Verdict]) -> bool:
    """Whether a look said abort."""
    return any(verdict.action == "abort" for verdict in verdicts)


def left_alone(rule: LabelRule, value: float | None) -> str | None:
    """Return a sentence if a run has generalised already and so is not judged; else None.

    Parameters
    ----------
    rule : LabelRule
        What it takes.
    value : float or None
        The metric of the rule at the latest evaluation; None if there was none.
    """
    if value is None or not rule.met_by(value):
        return None
    return (
        f"{rule.metric} = {value:.4g} meets {rule.threshold:g}: the run has generalised already "
        "and is left alone."
    )


@dataclass(frozen=True)
class LookPolicy:
    """Decides on looks at whatever channels a run has, to the end of its budget.

    Parameters
    ----------
    budget : int
        Step by which the run has to generalise.
    only_warns : bool
        Whether an abort stops nothing. The looks then go on after one.
    """

    budget: int
    only_warns: bool = False

    def next_look(self, verdicts: Sequence[Verdict]) -> int | None:
        """Return the step of the look after these; None after an abort and after the last."""
        stops = ended(verdicts) and not self.only_warns
        if stops or len(verdicts) >= looks_before(self.budget).size:
            return None
        return int(LOOKS[len(verdicts)])


def settles(reads: Reads, *, awaits: bool, stops: bool) -> bool:
    """Whether all later looks read what this one can.

    A threshold is for looks that read the same, so nothing is stopped before this is settled.
    The first look that can read the training loss and a validation metric decides; so does
    one that can read the loss alone, if it may stop a run and no validation is awaited.

    Parameters
    ----------
    reads : tuple of str
        Channels that this look can read.
    awaits : bool
        Whether there was an evaluation: six of them, and validation can be read.
    stops : bool
        Whether the classifier has a threshold for these channels at this step.
    """
    return may_stop(reads) or (LOSS in reads and stops and not awaits)
