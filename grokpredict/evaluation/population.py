"""Which of the runs of a sweep an evaluation is about, and what became of the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from grokpredict.evaluation.accounting import Finished, finished
from grokpredict.evaluation.looks import PastLooks, past_looks
from grokpredict.features.profile import FIRST_LOOK
from grokpredict.model.classifier import GrokClassifier
from grokpredict.runs.labels import BoolArray
from grokpredict.runs.sweep import Sweep, UnsuitableSweepError
from grokpredict.training.outcomes import Unused, known_runs
from grokpredict.training.record import fingerprint
from grokpredict.training.trainer import MIN_RUNS_PER_CLASS


@dataclass(frozen=True)
class EvaluationCounts(Unused):
    """What became of the runs of a sweep, with those of :class:`Unused`.

    Attributes
    ----------
    seen : int
        Their configuration was in the classifier's training.
    early : int
        Had generalised, or were to end, by the first look: nothing could be decided.
    never_looked_at : int
        Their logs have too few losses for any look.
    good, doomed : int
        Used: generalised by their budget, and did not.
    configurations : int
        Different configurations among the used ones.
    budgets : mapping of str to int
        Runs whose outcome is known, by where their budget comes from.
    """

    seen: int
    early: int
    never_looked_at: int
    good: int
    doomed: int
    configurations: int
    budgets: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Population:
    """The runs that can be decided about.

    Attributes
    ----------
    done : Finished
        Each was looked at before it generalised.
    looks : PastLooks
        The looks at them.
    counts : EvaluationCounts
        What became of the others.
    overlap : str
        See :class:`~grokpredict.evaluation.result.Evaluation`.
    """

    done: Finished
    looks: PastLooks
    counts: EvaluationCounts
    overlap: str


def population_of(sweep: Sweep, classifier: GrokClassifier, budget: int | None) -> Population:
    """Return the runs that can be decided about, and what became of the others.

    Raises
    ------
    UnsuitableSweepError
        If there are none of one of the two outcomes.
    """
    runs, lost = known_runs(sweep, budget, None)
    overlap, seen = _seen(runs.runs, classifier)
    new = finished(runs.only(~seen), FIRST_LOOK)
    if seen.any() and min(new.good.sum(), (~new.good).sum()) < MIN_RUNS_PER_CLASS:
        overlap, seen = "all", np.zeros_like(seen)
        new = finished(runs, FIRST_LOOK)
    looks = past_looks(new, classifier.rule)
    looked_at = looks.looked_at
    done = Finished(new.runs.only(looked_at), new.spent[looked_at])
    counts = EvaluationCounts(
        runs=len(sweep.runs) + len(sweep.left_out),
        left_out=len(sweep.left_out),
        no_metric=lost["no_metric"],
        censored=lost["censored"],
        seen=int(seen.sum()),
        early=int((~seen).sum()) - len(new),
        never_looked_at=len(new) - len(done),
        good=int(done.good.sum()),
        doomed=int((~done.good).sum()),
        configurations=int(np.unique(done.runs.configuration).size),
        budgets=dict(Counter(runs.budget_source)),
    )
    if not counts.good or not counts.doomed:
        raise UnsuitableSweepError(
            f"an evaluation needs runs of both outcomes that had not generalised by step "
            f"{FIRST_LOOK}, {counts.good} generalised by their budget and {counts.doomed} did not "
            f"({counts.censored} ended before it, {counts.early} were over by the first look, "
            f"{counts.never_looked_at} have too few losses for a look, "
            f"{counts.no_metric} have no validation metric, {counts.left_out} could not be read); "
            "add runs, or choose another --budget"
        )
    return Population(done, looks.renumbered(), counts, overlap)


def _seen(runs: Sequence[Any], classifier: GrokClassifier) -> tuple[str, BoolArray]:
    """Return how many of the runs the classifier was trained on, in words, and which."""
    trained_on = classifier.card.get("trained_on")
    if trained_on is None:
        return "unknown", np.zeros(len(runs), dtype=np.bool_)
    fingerprints = set(trained_on)
    seen = np.array(
        [fingerprint(run.configuration_key) in fingerprints for run in runs], dtype=np.bool_
    )
    return ("some" if seen.any() else "none"), seen
