"""Hugging Face ``transformers``: a callback for its ``Trainer``."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from grokpredict.live.monitor import GrokMonitor
from grokpredict.live.trainer import (
    find_evaluation,
    find_validation,
    in_percent,
    length,
    n_parameters,
    optimizer_context,
)
from grokpredict.model.classifier import GrokClassifier, load_classifier
from grokpredict.model.verdict import Verdict
from grokpredict.runs.configuration import Configuration

try:
    from transformers import TrainerCallback
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        'grokpredict.live.huggingface needs transformers: pip install "grokpredict[transformers]"'
    ) from error

log = logging.getLogger(__name__)


class GrokPredictorCallback(TrainerCallback):  # type: ignore[misc,unused-ignore]
    """Stops a ``transformers.Trainer`` whose run will not generalise within its budget.

    The loss is what the trainer logs, so it must log every step: ``logging_steps=1``. With
    ``logging_steps=50`` it logs the mean of 50 steps, which is smoother than any single step; for
    that a classifier is needed that was trained on such logs, and is given by its file. The run's
    losses are in the trainer's own checkpoints, so a resumed run goes on where it was.

    Parameters
    ----------
    classifier : str, Path or GrokClassifier
        ``"default"``, a classifier file, or a classifier.
    budget : int, optional
        Optimiser step by which the run has to generalise, by default the trainer's last.
    max_false_abort : float
        Largest share of the runs that would generalise that may be stopped, with 95 % confidence.

    Attributes
    ----------
    verdicts : list of Verdict
        One a look.
    stopped_step : int or None
        The step at which the training was stopped.
    """

    def __init__(
        self,
        classifier: str | Path | GrokClassifier = "default",
        *,
        budget: int | None = None,
        max_false_abort: float = 0.05,
    ) -> None:
        self._means_are_known = classifier != "default"
        self._classifier = load_classifier(classifier)
        self._budget = budget
        self._max_false_abort = max_false_abort
        self._monitor: GrokMonitor | None = None
        self.stopped_step: int | None = None

    @property
    def verdicts(self) -> list[Verdict]:
        """One a look, of the latest training."""
        return list(self._monitor.verdicts) if self._monitor is not None else []

    def on_train_begin(self, args: Any, state: Any, control: Any, **known: Any) -> None:
        """Begin to watch; take what a resumed run has logged before."""
        stride = int(state.logging_steps)
        by_steps = getattr(args.logging_strategy, "value", args.logging_strategy) == "steps"
        if not by_steps or (stride != 1 and not self._means_are_known):
            raise ValueError(
                "grokpredict needs the loss of every step, the trainer logs "
                + (f"the mean of every {stride}" if by_steps else f"by {args.logging_strategy}")
                + "; set logging_steps=1, or give a classifier that was trained on such logs"
            )
        self.stopped_step = None
        self._monitor = GrokMonitor(
            self._classifier,
            budget=self._budget or int(state.max_steps),
            configuration=_context(args, known),
            max_false_abort=self._max_false_abort,
            stride=stride,
        )
        for entry in state.log_history:
            self._take(self._monitor, entry)

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **known: Any
    ) -> None:
        """Take the loss or the validation metric of one log entry; at a horizon, look."""
        if self._monitor is None or not logs:
            return
        verdict = self._take(self._monitor, logs)
        if verdict is None:
            return
        if verdict.action == "abort":
            control.should_training_stop = True
            self.stopped_step = int(state.global_step)
            log.warning("grokpredict: stopped at step %d: %s", self.stopped_step, verdict.reason)
        else:
            log.info("grokpredict: %s: %s", verdict.action, verdict.reason)

    def _take(self, monitor: GrokMonitor, logs: dict[str, Any]) -> Verdict | None:
        metric = find_validation(logs, self._classifier.rule)
        if metric is not None:
            monitor.saw_validation(metric)
        evaluation = find_evaluation(logs)
        if evaluation is not None:
            monitor.saw_evaluation(*evaluation)
        if in_percent(logs):
            monitor.saw_percentages()
        return monitor.update(logs["loss"]) if "loss" in logs else None


def _context(args: Any, known: dict[str, Any]) -> Configuration:
    """Read the configuration off what the trainer hands to its callbacks."""
    optimizer = known.get("optimizer")
    # accelerate wraps the optimiser.
    told = (
        optimizer_context(getattr(optimizer, "optimizer", optimizer))
        if optimizer
        else Configuration()
    )
    model, loader = known.get("model"), known.get("train_dataloader")
    batch = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
    return Configuration(
        **{
            **told.known(),
            "batch_size": int(batch),
            "train_size": length(getattr(loader, "dataset", None)),
            "n_parameters": n_parameters(model) if model is not None else None,
        }
    )
