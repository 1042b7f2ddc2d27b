"""Metrics that come with their step: what is logged twice counts once, what is missing is missing.

For the adapters of libraries that tell the step of a result, and for their failures: nothing of
ours ends a user's training or study.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Hashable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from grokpredict.live.ledger import SweepLedger, as_ledger
from grokpredict.live.metrics import find_validation, found_channels, in_percent
from grokpredict.live.monitor import GrokMonitor
from grokpredict.model.classifier import GrokClassifier, load_classifier
from grokpredict.model.verdict import Verdict

#: Losses of a run that are kept, to compare: a run that is started again begins with others.
MOST_COMPARED = 256


class Teller:
    """Logs each sentence once, and never raises.

    Parameters
    ----------
    log : logging.Logger
        Where to.
    """

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._said: set[str] = set()

    def warn(self, message: str) -> None:
        """Log a warning, unless it was logged before."""
        if message in self._said:
            return
        self._said.add(message)
        with suppress(Exception):  # a handler or filter of the user's
            self._log.warning("grokpredict: %s", message)

    def failed(self, error: Exception, what: str) -> None:
        """Log that ``what`` is left alone after an error, with the traceback at level debug."""
        with suppress(Exception):
            self.warn(f"{type(error).__name__}: {error}; {what} is left alone")
            self._log.debug("grokpredict: failed", exc_info=error)

    def __getstate__(self) -> dict[str, Any]:
        return {"_log": self._log, "_said": set(self._said)}


class Feed:
    """Gives a monitor what one run tells by its steps.

    Parameters
    ----------
    monitor : GrokMonitor
        Of the run.
    teller : Teller
        Is told why a run is left alone.
    name : str
        Of the run, for the messages.
    """

    def __init__(self, monitor: GrokMonitor, teller: Teller, name: str) -> None:
        self.monitor = monitor
        self._teller = teller
        self._name = name
        #: The first losses, by which a run that was started again is known.
        self._first: dict[int, float] = {}
        self._left_alone = False

    def take(self, metrics: Mapping[str, Any], step: int, loss: float | None) -> Verdict | None:
        """Take what was logged after ``step`` optimiser steps; return the verdict if one is new.

        Parameters
        ----------
        metrics : mapping
            By name; the validation metrics and the training accuracy are recognised.
        step : int
            From 1. The same step again is the same loss, logged twice or after a restore.
        loss : float or None
            Training loss; NaN where it is no number, None where none was logged.
        """
        monitor = self.monitor
        if self._left_alone or self._is_other(step, loss):
            return None
        n_verdicts = len(monitor.verdicts)
        rule = monitor.classifier.rule
        if in_percent(metrics):
            monitor.observed.saw_percentages()
        monitor.saw(step, **found_channels(metrics))
        value = find_validation(metrics, rule)
        if value is not None:
            monitor.saw_validation(value)
        if loss is not None and step >= 1:
            monitor.update(loss, step)
        verdicts = monitor.verdicts
        return verdicts[-1] if len(verdicts) > n_verdicts else None

    def _is_other(self, step: int, loss: float | None) -> bool:
        """Whether this is not the run from its start; say so once."""
        first = self._first
        if loss is None or step < 1:
            return False
        if step in first and step < self.monitor.n_seen:
            # The latest step again is another log entry, not a run that was set back.
            before = first[step]
            if math.isfinite(before + loss) and not math.isclose(before, loss, rel_tol=1e-3):
                self._leave_alone(f"was set back to step {step}, with other losses than before")
        elif len(first) < MOST_COMPARED and step > self.monitor.n_seen:
            first[step] = loss
            if len(first) == 2:
                start, after = first
                if start > 2 * (after - start):
                    self._leave_alone(
                        f"has no loss of the steps before step {start}, and a run must be watched "
                        "from its start"
                    )
        return self._left_alone

    def _leave_alone(self, why: str) -> None:
        self._teller.warn(f"{self._name} {why}, so it is left alone")
        self._left_alone = True


class Feeds:
    """One monitor a trial, for libraries that run many of them.

    Parameters
    ----------
    classifier : str, Path or GrokClassifier
        ``"default"``, a classifier file, or a classifier.
    budget : int
        Optimiser step by which a run has to generalise.
    max_false_abort : float
        Largest share of the runs that would generalise that may be stopped, see
        :class:`~grokpredict.GrokMonitor`.
    log : logging.Logger
        Is told why a trial is left alone.
    ledger : str, Path or SweepLedger, optional
        Folder from which the trials learn.
    """

    def __init__(
        self,
        classifier: str | Path | GrokClassifier,
        *,
        budget: int,
        max_false_abort: float,
        log: logging.Logger,
        ledger: str | Path | SweepLedger | None = None,
    ) -> None:
        self._monitor_for = partial(
            GrokMonitor,
            load_classifier(classifier),
            budget=budget,
            max_false_abort=max_false_abort,
            ledger=None if ledger is None else as_ledger(ledger),
        )
        self.teller = Teller(log)
        self._feeds: dict[Hashable, Feed] = {}

    def of(self, trial: Hashable, hparams: Mapping[str, Any] | None = None) -> Feed:
        """Return the feed of a trial, a new one for a new trial; a ledger keeps what was chosen."""
        if trial not in self._feeds:
            monitor = self._monitor_for(name=str(trial), hparams=hparams)
            self._feeds[trial] = Feed(monitor, self.teller, "the trial")
        return self._feeds[trial]

    @property
    def monitors(self) -> dict[Hashable, GrokMonitor]:
        """The monitor of each trial."""
        return {trial: feed.monitor for trial, feed in self._feeds.items()}
