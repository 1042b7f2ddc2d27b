"""Ray Tune: a stopper that reads the training loss that trials report."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import Any

from grokpredict.live.feed import Feed, Teller, leaves_alone
from grokpredict.live.metrics import find_validation, in_percent
from grokpredict.live.monitor import GrokMonitor
from grokpredict.logs.columns import shown
from grokpredict.model.classifier import GrokClassifier, load_classifier
from grokpredict.runs.configuration import Configuration

try:
    from ray.tune import Stopper
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        'grokpredict.live.ray needs Ray Tune: pip install "grokpredict[ray]"'
    ) from error


log = logging.getLogger(__name__)


class GrokStopper(Stopper):  # type: ignore[misc,unused-ignore]
    """Stops the trials whose run will not generalise within its budget.

    Every result must hold the training loss of one optimiser step (or of every ``stride``-th), from
    the start of the run; ``training_iteration`` tells which. A step that is reported again, by a
    trial that was restored, counts once. The configuration is taken from the trial's ``config``,
    under the names that log files use. A validation metric in the results is recognised: a run
    that has generalised is left alone. A trial that cannot be judged, for its results hold no
    loss or anything in here fails, is left alone as well, and a warning says so once.

    Parameters
    ----------
    classifier : str, Path or GrokClassifier
        ``"default"``, a classifier file, or a classifier.
    budget : int
        Optimiser step by which a run has to generalise.
    loss_key : str
        Name of the training loss in the results.
    stride : int
        Optimiser steps between two results.
    max_false_abort : float
        Largest share of the runs that would generalise that may be stopped, with 95 % confidence.
    """

    def __init__(
        self,
        classifier: str | Path | GrokClassifier = "default",
        *,
        budget: int,
        loss_key: str = "loss",
        stride: int = 1,
        max_false_abort: float = 0.05,
    ) -> None:
        self._monitor_for = partial(
            GrokMonitor,
            load_classifier(classifier),
            budget=budget,
            max_false_abort=max_false_abort,
            stride=stride,
        )
        self._loss_key = loss_key
        #: One a trial, by its id; the verdicts are in there.
        self.monitors: dict[str, GrokMonitor] = {}
        self._feeds: dict[str, Feed] = {}
        self._teller = Teller(log)

    @leaves_alone("the trial", False)
    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Take a result; say whether the trial is to be stopped."""
        feed = self._feeds.get(trial_id)
        if feed is None:
            monitor = self._monitor_for(
                configuration=Configuration.from_mapping(result.get("config") or {})
            )
            feed = Feed(monitor, self._teller, "the trial")
            self.monitors[trial_id], self._feeds[trial_id] = monitor, feed
        monitor = feed.monitor
        metric = find_validation(result, monitor.classifier.rule)
        if metric is not None:
            monitor.saw_validation(metric)
        if in_percent(result):
            monitor.saw_percentages()
        if self._loss_key not in result:
            self._teller.warn(
                f"a result must hold the training loss as {self._loss_key!r}, there are "
                f"{shown(sorted(map(str, result)))}; report it, or name it with loss_key"
            )
            return False
        count = result.get("training_iteration")
        step = monitor.n_seen + 1 if count is None else int(count)
        verdict = feed.take(step * monitor.stride, float(result[self._loss_key]))
        return verdict is not None and verdict.action == "abort"

    def stop_all(self) -> bool:
        """Never ends the experiment."""
        return False
