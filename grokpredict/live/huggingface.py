"""Hugging Face ``transformers``: a callback for its ``Trainer``."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from grokpredict.live.configuration import n_parameters, n_samples, optimizer_configuration
from grokpredict.live.feed import Feed, Teller, leaves_alone
from grokpredict.live.metrics import find_evaluation, find_validation, in_percent, not_recognised
from grokpredict.live.monitor import GrokMonitor
from grokpredict.live.plain import plain
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
    losses are in the trainer's own checkpoints, so a resumed run goes on where it was. A failure
    in here is logged once, and the training goes on.

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
        self._feed: Feed | None = None
        self._teller = Teller(log)
        self.stopped_step: int | None = None

    @property
    def verdicts(self) -> list[Verdict]:
        """One a look, of the latest training."""
        return list(self._feed.monitor.verdicts) if self._feed is not None else []

    @leaves_alone("the run", None)
    def on_train_begin(self, args: Any, state: Any, control: Any, **known: Any) -> None:
        """Begin to watch; take what a resumed run has logged before."""
        self.stopped_step = None
        self._feed = None
        self._teller = Teller(log)
        stride = int(state.logging_steps)
        by_steps = getattr(args.logging_strategy, "value", args.logging_strategy) == "steps"
        if not by_steps or (stride != 1 and not self._means_are_known):
            raise ValueError(
                "grokpredict needs the loss of every step, the trainer logs "
                + (f"the mean of every {stride}" if by_steps else f"by {args.logging_strategy}")
                + "; set logging_steps=1, or give a classifier that was trained on such logs"
            )
        monitor = GrokMonitor(
            self._classifier,
            budget=self._budget or int(state.max_steps),
            configuration=_configuration(args, known),
            max_false_abort=self._max_false_abort,
            stride=stride,
        )
        feed = Feed(monitor, self._teller, "the run")
        for entry in state.log_history:
            _take(feed, entry, int(entry["step"]))
        self._feed = feed

    @leaves_alone("the run", None)
    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **known: Any
    ) -> None:
        """Take the loss or the validation metric of one log entry; at a horizon, look."""
        feed = self._feed
        if feed is None or not logs:
            return
        try:
            verdict = _take(feed, logs, int(state.global_step))
        except Exception:
            self._feed = None
            raise
        if verdict is None:
            return
        if verdict.action == "abort":
            control.should_training_stop = True
            self.stopped_step = int(state.global_step)
            self._teller.warn(f"stopped at step {self.stopped_step}: {verdict.reason}")
        else:
            log.info("grokpredict: %s: %s", verdict.action, verdict.reason)

    @leaves_alone("the run", None)
    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: Any = None, **known: Any
    ) -> None:
        """Say once if an evaluation has no metric that tells whether the run has generalised."""
        rule = self._classifier.rule
        if self._feed is not None and metrics and find_validation(metrics, rule) is None:
            name = "accuracy" if rule.metric == "val_acc" else rule.metric
            remedy = f"let compute_metrics return it as {name!r}"
            self._teller.warn(not_recognised(metrics, rule, None, remedy))


def _take(feed: Feed, logs: dict[str, Any], step: int) -> Verdict | None:
    """Give the monitor what one log entry tells, which was made after ``step`` steps."""
    monitor = feed.monitor
    metric = find_validation(logs, monitor.classifier.rule)
    if metric is not None:
        monitor.saw_validation(metric)
    evaluation = find_evaluation(logs)
    if evaluation is not None:
        monitor.saw_evaluation(*evaluation, step)
    if in_percent(logs):
        monitor.saw_percentages()
    return feed.take(step, _loss(logs)) if "loss" in logs else None


def _loss(logs: dict[str, Any]) -> float:
    """Return the loss of an entry; NaN where the trainer filtered it out (to 0) as no number."""
    loss, norm = float(logs["loss"]), logs.get("grad_norm")
    return math.nan if loss == 0 and norm is not None and not math.isfinite(norm) else loss


def _configuration(args: Any, known: dict[str, Any]) -> Configuration:
    """Read the configuration off what the trainer hands to its callbacks."""
    schedule, model = known.get("lr_scheduler"), known.get("model")
    # accelerate wraps the schedule and the loader as it does the optimiser.
    schedules = [] if schedule is None else [plain(schedule, "scheduler") or schedule]
    loader = known.get("train_dataloader")
    loader = plain(loader, "base_dataloader") or loader
    batch = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
    return replace(
        optimizer_configuration(known.get("optimizer"), schedules),
        batch_size=int(batch),
        train_size=n_samples(plain(loader, "dataset")),
        n_parameters=n_parameters(model) if model is not None else None,
    )
