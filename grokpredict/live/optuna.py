"""Optuna: a pruner that reads the training loss, and a helper for Lightning fits."""

from __future__ import annotations

import logging
from collections.abc import Hashable
from functools import partial
from pathlib import Path

from grokpredict.live.feed import Teller, leaves_alone
from grokpredict.live.monitor import GrokMonitor
from grokpredict.live.policy import ended
from grokpredict.model.classifier import GrokClassifier, load_classifier
from grokpredict.runs.configuration import Configuration
from grokpredict.runs.curve import Curve, check_window

try:
    import optuna
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        'grokpredict.live.optuna needs Optuna: pip install "grokpredict[optuna]"'
    ) from error


log = logging.getLogger(__name__)


class GrokPruner(optuna.pruners.BasePruner):
    """Prunes the trials whose run will not generalise within its budget.

    The values that a trial reports must be the training loss of every optimiser step (or of every
    5th, 50th, ... if the classifier knows that grid), from the start of the run. Learning rate,
    weight decay and so on are taken from the trial's parameters and user attributes, under the
    names that log files use.

    Parameters
    ----------
    classifier : str, Path or GrokClassifier
        ``"default"``, a classifier file, or a classifier.
    budget : int
        Optimiser step by which a run has to generalise.
    max_false_abort : float
        Largest share of the runs that would generalise that may be pruned, with 95 % confidence.
    """

    def __init__(
        self,
        classifier: str | Path | GrokClassifier = "default",
        *,
        budget: int,
        max_false_abort: float = 0.05,
    ) -> None:
        self._monitor_for = partial(
            GrokMonitor,
            load_classifier(classifier),
            budget=budget,
            max_false_abort=max_false_abort,
        )
        self._monitors: dict[Hashable, GrokMonitor] = {}
        self._teller = Teller(log)

    @leaves_alone("the trial", False)
    def prune(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> bool:
        """Say whether the trial's run was judged doomed.

        A trial that cannot be judged (its steps are not evenly spaced from the start, or on no
        grid that the classifier knows, or anything in here fails) is left alone, and a warning
        says so once.
        """
        values = trial.intermediate_values
        if len(values) < 2:
            return False
        steps = sorted(values)
        # Trials are numbered from 0 in every study, and a pruner may serve several.
        key = (study.study_name, trial.number, trial.datetime_start)
        monitor = self._monitors.get(key)
        if monitor is None:
            monitor = self._monitor_for(
                configuration=Configuration.from_mapping({**trial.params, **trial.user_attrs}),
                stride=steps[1] - steps[0],
            )
            self._monitors[key] = monitor
        if monitor.next_horizon is not None and len(steps) * monitor.stride >= monitor.next_horizon:
            curve = Curve(steps, [values[step] for step in steps])  # type: ignore[arg-type]
            check_window(curve, len(steps) * monitor.stride, monitor.stride)
            monitor.extend(curve.values[monitor.n_seen :])
        return ended(monitor.verdicts)


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
