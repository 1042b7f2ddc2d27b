"""Looks at a logged run, as a monitor would have taken them while it trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from grokpredict.features.profile import PROFILED, Sums
from grokpredict.live.monitor import GrokMonitor
from grokpredict.model.classifier import GrokClassifier
from grokpredict.model.verdict import Verdict
from grokpredict.runs.run import Run


def looks_at(
    run: Run, classifier: GrokClassifier, *, budget: int, max_false_abort: float
) -> list[Verdict]:
    """Look at a logged run as :class:`GrokMonitor` would have while it trained.

    Parameters
    ----------
    run : Run
        Looks end where its log does, and with an abort.
    classifier, budget, max_false_abort
        As for :class:`GrokMonitor`.
    """
    monitor = GrokMonitor(classifier, budget=budget, max_false_abort=max_false_abort)
    monitor.recall(sums_of(run, budget))
    metric = run.channels.get(classifier.rule.metric)
    last = run.last_step + 1
    while (step := monitor.next_look) is not None and step <= last:
        monitor.saw_validation(None if metric is None else metric.latest(step))
        monitor.look()
    return monitor.verdicts


def sums_of(run: Run, budget: float) -> dict[str, Sums]:
    """Return the sums of the channels of a logged run.

    Those of the callback where it watched the run by this budget: it saw every loss, and the norm
    of the weights, so that the same run gets the same verdict.
    """
    watched = run.watched
    if watched is not None and watched.budget == budget:
        try:
            return {name: _restored(name, sums) for name, sums in watched.channels.items()}
        except (KeyError, TypeError, ValueError, IndexError):
            pass  # damaged: the log is there
    found = {name: Sums(name) for name in PROFILED if name in run.channels}
    for name, sums in found.items():
        sums.take(run.channels[name].steps, run.channels[name].values)
    return found


def _restored(channel: str, state: Mapping[str, Sequence[float]]) -> Sums:
    sums = Sums(channel)
    sums.restore(state)
    return sums
