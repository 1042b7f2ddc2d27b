"""Optuna: a pruner that reads the training loss, and a helper for Lightning fits."""

from __future__ import annotations

import logging
import math
from functools import partial
from pathlib import Path
from typing import Any

from grokpredict.live.feed import Feeds
from grokpredict.live.guard import guarded
from grokpredict.live.policy import ended
from grokpredict.model.classifier import GrokClassifier

try:
    import optuna
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        'grokpredict.live.optuna needs Optuna: pip install "grokpredict[optuna]"'
    ) from error


log = logging.getLogger(__name__)


class GrokPruner(optuna.pruners.BasePruner):
    """Prunes the trials whose run will not generalise within its budget.

    The values that a trial reports must be its training loss, at any cadence, and their steps the
    optimiser steps, counted from 0. As shipped, a classifier stops nothing by the training loss
    alone: give one that was calibrated on finished runs of the study, or prune with
    :func:`prune_if_stopped`, where the callback reads the validation metrics too.

    Parameters
    ----------
    classifier : str, Path or GrokClassifier
        ``"default"``, a classifier file, or a classifier.
    budget : int
        Optimiser step by which a run has to generalise.
    max_false_abort : float
        Largest share of the runs that would generalise that may be pruned, see
        :class:`~grokpredict.GrokMonitor`.
    """

    def __init__(
        self,
        classifier: str | Path | GrokClassifier = "default",
        *,
        budget: int,
        max_false_abort: float = 0.05,
    ) -> None:
        self._feeds = Feeds(classifier, budget=budget, max_false_abort=max_false_abort, log=log)
        self.teller = self._feeds.teller

    @partial(guarded, otherwise=bool)
    def prune(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> bool:
        """Say whether the trial's run was judged doomed.

        A trial that cannot be judged (it was not watched from its start, or anything in here
        fails) is left alone, and a warning says so once.
        """
        # Trials are numbered from 0 in every study, and a pruner may serve several.
        feed = self._feeds.of((study.study_name, trial.number, trial.datetime_start))
        values = trial.intermediate_values
        for step in sorted(own for own in values if own >= feed.monitor.n_seen):
            value = values[step]
            # Optuna keeps a NaN as None.
            feed.take({}, step + 1, math.nan if value is None else float(value))
        return ended(feed.monitor.verdicts)

    def _fail(self, error: Exception) -> None:
        self.teller.failed(error, "the trial")


def estimate_if_stopped(predictor: Any) -> float | None:
    """Return the chance that a fit which was stopped would have generalised; None if it was not.

    An objective that is a validation accuracy, or whether a run generalises, may return it in place
    of what the run would have reached: so the sampler learns from the trial, and is not misled by
    the accuracy at which it was stopped.

    Parameters
    ----------
    predictor : GrokPredictor
        The callback of that fit.
    """
    if predictor.stopped_step is None:
        return None
    chance: float | None = predictor.verdicts[-1].probability
    return chance


def prune_if_stopped(predictor: object) -> None:
    """Turn a fit that ``GrokPredictor`` stopped into a pruned trial.

    Call it in the objective, after ``trainer.fit``.

    Parameters
    ----------
    predictor : GrokPredictor
        The callback of that fit.

    Raises
    ------
    optuna.TrialPruned
        If the fit was stopped, with the reason.
    """
    if getattr(predictor, "stopped_step", None) is not None:
        raise optuna.TrialPruned(getattr(predictor, "stopping_reason_message", None))
