"""Ray Tune: a stopper that reads the training loss that trials report."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import Any

from grokpredict.live.feed import Feeds
from grokpredict.live.guard import guarded
from grokpredict.live.ledger import SweepLedger
from grokpredict.live.monitor import GrokMonitor
from grokpredict.logs.columns import shown
from grokpredict.model.classifier import GrokClassifier

try:
    from ray.tune import Stopper
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        'grokpredict.live.ray needs Ray Tune: pip install "grokpredict[ray]"'
    ) from error


log = logging.getLogger(__name__)


class GrokStopper(Stopper):
    """Stops the trials whose run will not generalise within its budget.

    Every result must hold the training loss; ``training_iteration`` tells its step. A step that is
    reported again, by a trial that was restored, counts once. Validation loss and accuracy and the
    training accuracy are recognised by their names: as shipped, a classifier stops no run without
    validation. A trial that cannot be judged, for its results hold no loss or anything in here
    fails, is left alone, and a warning says so once.

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
        Largest share of the runs that would generalise that may be stopped, see
        :class:`~grokpredict.GrokMonitor`.
    ledger : str, Path or SweepLedger, optional
        Folder from which the trials learn, see :class:`~grokpredict.SweepLedger`; results must
        hold the validation metric then, for it tells how a trial ends.
    """

    def __init__(
        self,
        classifier: str | Path | GrokClassifier = "default",
        *,
        budget: int,
        loss_key: str = "loss",
        stride: int = 1,
        max_false_abort: float = 0.05,
        ledger: str | Path | SweepLedger | None = None,
    ) -> None:
        if stride < 1:
            raise ValueError(f"the stride must be at least 1 step, got {stride}")
        self._feeds = Feeds(
            classifier, budget=budget, max_false_abort=max_false_abort, log=log, ledger=ledger
        )
        self.teller = self._feeds.teller
        self._loss_key = loss_key
        self._stride = stride

    @property
    def monitors(self) -> dict[str, GrokMonitor]:
        """One a trial, by its id; the verdicts are in there."""
        return {str(trial): monitor for trial, monitor in self._feeds.monitors.items()}

    @partial(guarded, otherwise=bool)
    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Take a result; say whether the trial is to be stopped."""
        feed = self._feeds.of(trial_id, result.get("config"))
        if self._loss_key not in result:
            self.teller.warn(
                f"a result must hold the training loss as {self._loss_key!r}, there are "
                f"{shown(sorted(map(str, result)))}; report it, or name it with loss_key"
            )
            return False
        count = result.get("training_iteration")
        step = feed.monitor.n_seen + self._stride if count is None else int(count) * self._stride
        verdict = feed.take(result, step, float(result[self._loss_key]))
        return verdict is not None and verdict.action == "abort"

    def _fail(self, error: Exception) -> None:
        self.teller.failed(error, "the trial")

    def stop_all(self) -> bool:
        """Never ends the experiment."""
        return False
