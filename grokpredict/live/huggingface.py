"""Hugging Face ``transformers``: a callback for its ``Trainer``."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from grokpredict.live.feed import Feed, Teller
from grokpredict.live.guard import guarded
from grokpredict.live.ledger import SweepLedger, as_ledger
from grokpredict.live.metrics import find_validation, not_recognised
from grokpredict.live.monitor import GrokMonitor
from grokpredict.model.classifier import GrokClassifier, load_classifier
from grokpredict.model.verdict import Verdict

try:
    from transformers import TrainerCallback
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        'grokpredict.live.huggingface needs transformers: pip install "grokpredict[transformers]"'
    ) from error

log = logging.getLogger(__name__)


class GrokPredictorCallback(TrainerCallback):
    """Stops a ``transformers.Trainer`` whose run will not generalise within its budget.

    The losses and metrics are what the trainer logs, at any ``logging_steps``: every 10 steps and
    more often is best. They are in the trainer's own checkpoints, so a resumed run goes on where
    it was. As shipped, a classifier stops no run without a validation: set ``eval_strategy``, and
    let ``compute_metrics`` return the accuracy. What a look decides is added to the entry that is
    logged, as :meth:`~grokpredict.Verdict.metrics` names it: callbacks after this one see it. A
    failure in here is logged once, and the training goes on.

    Parameters
    ----------
    classifier : str, Path or GrokClassifier
        ``"default"``, a classifier file, or a classifier.
    budget : int, optional
        Optimiser step by which the run has to generalise, by default the trainer's last.
    max_false_abort : float
        Largest share of the runs that would generalise that may be stopped, see
        :class:`~grokpredict.GrokMonitor`.
    ledger : str, Path or SweepLedger, optional
        Folder from which the runs of a sweep learn, see :class:`~grokpredict.SweepLedger`.
    name : str, optional
        Of the run in the ledger; by default its output folder.
    hparams : mapping, optional
        What was chosen for the run, for the ledger.

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
        ledger: str | Path | SweepLedger | None = None,
        name: str | None = None,
        hparams: Mapping[str, Any] | None = None,
    ) -> None:
        self._classifier = load_classifier(classifier)
        self._budget = budget
        self._max_false_abort = max_false_abort
        self._ledger = None if ledger is None else as_ledger(ledger)
        self._name = name
        self._hparams = hparams
        self._feed: Feed | None = None
        self.teller = Teller(log)
        self.stopped_step: int | None = None

    @property
    def verdicts(self) -> list[Verdict]:
        """One a look, of the latest training."""
        return list(self._feed.monitor.verdicts) if self._feed is not None else []

    @guarded
    def on_train_begin(self, args: Any, state: Any, control: Any, **known: Any) -> None:
        """Begin to watch; take what a resumed run has logged before."""
        self.stopped_step = None
        self._feed = None
        self.teller = Teller(log)
        ledger = self._ledger
        if ledger is not None and args.world_size > 1:
            self.teller.warn("a ledger is for runs of one process; this run goes on without it")
            ledger = None
        monitor = GrokMonitor(
            self._classifier,
            budget=self._budget or int(state.max_steps),
            max_false_abort=self._max_false_abort,
            ledger=ledger,
            name=self._name or str(Path(args.output_dir).absolute()),
            hparams=self._hparams,
        )
        if monitor.silence is not None:
            self.teller.warn(monitor.silence)
        feed = Feed(monitor, self.teller, "the run")
        for entry in state.log_history:
            feed.take(entry, int(entry["step"]), _loss(entry))
        self._feed = feed

    @guarded
    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **known: Any
    ) -> None:
        """Take what one log entry tells; look where a look was due before it."""
        feed = self._feed
        if feed is None or not logs:
            return
        verdict = feed.take(logs, int(state.global_step), _loss(logs))
        if verdict is not None:
            self._act(verdict, state, control)
            logs.update(verdict.metrics())
        if "train_runtime" in logs and self.verdicts:  # the last entry
            logs["grokpredict/stopped"] = float(self.stopped_step is not None)

    def _fail(self, error: Exception) -> None:
        """Leave the run alone from here on, and say so once."""
        self._feed = None
        self.teller.failed(error, "the run")

    def _act(self, verdict: Verdict, state: Any, control: Any) -> None:
        """End the training on an abort, and say what was decided."""
        if verdict.action == "abort":
            control.should_training_stop = True
            self.stopped_step = int(state.global_step)
            self.teller.warn(f"stopped at step {self.stopped_step}: {verdict.reason}")
        else:
            log.info("grokpredict: %s: %s", verdict.action, verdict.reason)

    @guarded
    def on_train_end(self, args: Any, state: Any, control: Any, **known: Any) -> None:
        """Tell the ledger how the run ended."""
        if self._feed is not None:
            self._feed.monitor.finish()

    @guarded
    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: Any = None, **known: Any
    ) -> None:
        """Say once if an evaluation has no metric that tells whether the run has generalised."""
        rule = self._classifier.rule
        if self._feed is not None and metrics and find_validation(metrics, rule) is None:
            name = "accuracy" if rule.metric == "val_acc" else rule.metric
            remedy = f"let compute_metrics return it as {name!r}"
            self.teller.warn(not_recognised(metrics, rule, None, remedy))


def _loss(logs: Mapping[str, Any]) -> float | None:
    """Return the loss of an entry; NaN where the trainer filtered it out (to 0) as no number."""
    if "loss" not in logs:
        return None
    loss, norm = float(logs["loss"]), logs.get("grad_norm")
    return math.nan if loss == 0 and norm is not None and not math.isfinite(norm) else loss
