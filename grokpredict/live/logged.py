"""Looks at a logged run, as a monitor would have taken them while it trained."""

from __future__ import annotations

from grokpredict.features.recording import Recording
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
    monitor.observed.recording = recording_of(run, budget)
    metric = run.channels.get(classifier.rule.metric)
    last = run.last_step + 1
    while (step := monitor.next_look) is not None and step <= last:
        monitor.saw_validation(None if metric is None else metric.latest(step))
        monitor.look()
    return monitor.verdicts


def recording_of(run: Run, budget: float) -> Recording:
    """Return what is kept of a logged run.

    That of the callback where it watched the run by this budget: it saw every loss, and the norm
    of the weights, so that the same run gets the same verdict.
    """
    watched = run.watched
    if watched is not None and watched.budget == budget:
        recording = Recording()
        try:
            recording.restore(watched.recording)
        except (KeyError, TypeError, ValueError, IndexError):
            pass  # damaged: the log is there
        else:
            return recording
    return Recording.of(run.channels)
