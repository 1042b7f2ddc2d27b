"""``GrokPredictor``: the hooks that Lightning calls, and what a verdict leads to."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from grokpredict.live.configuration import read_configuration, read_hparams
from grokpredict.live.guard import described, guarded
from grokpredict.live.ledger import SweepLedger, as_ledger
from grokpredict.live.lightning.agreement import Answer, Ending
from grokpredict.live.lightning.namespaces import callback_bases
from grokpredict.live.lightning.report import Report
from grokpredict.live.lightning.resuming import check_state, planned_budget, why_not_watched
from grokpredict.live.lightning.stopping import Stop, StoppingReason
from grokpredict.live.lightning.watch import Watch
from grokpredict.live.monitor import GrokMonitor
from grokpredict.live.trainer import never_stops, optimises
from grokpredict.model.classifier import GrokClassifier, load_classifier
from grokpredict.model.thresholds import check_max_false_abort
from grokpredict.model.verdict import Verdict, read_and_missing
from grokpredict.runs.configuration import Configuration

if TYPE_CHECKING:
    from pytorch_lightning import Callback as _Callback
else:
    _Callback = type("_Callback", callback_bases(), {})


class GrokPredictor(_Callback):
    """Stops a run that will not generalise within its budget.

    Parameters
    ----------
    classifier : str, Path or GrokClassifier
        ``"default"``, a classifier file, or a classifier. A broken file raises here, before any
        training.
    max_false_abort : float
        Largest share of the runs that would generalise that may ever be stopped, with 95 %
        confidence, for runs like the classifier's calibration runs; in expectation where
        :func:`~grokpredict.calibrate` set the thresholds so.
    budget : int, optional
        Optimiser step by which the run has to generalise. By default the last step of the fit,
        from ``max_steps`` and ``max_epochs``; where neither tells, nothing is stopped.
    action : {"stop", "warn", "checkpoint"}
        What an abort does: end the fit after the current batch, log a warning only, or save a
        checkpoint, say how to resume from it, and end the fit.
    loss_key : str
        Where the training loss is in what ``training_step`` returns.
    val_metric : str, optional
        Name under which the module logs the validation metric of the classifier's rule. By
        default it is recognised: ``val_acc``, ``val/accuracy``, ....
    ledger : str, Path or SweepLedger, optional
        Folder from which the runs of a sweep learn, see :class:`~grokpredict.SweepLedger`.
    name : str, optional
        Of the run in the ledger; a random one by default, which checkpoints keep.

    Attributes
    ----------
    verdicts : list of Verdict
        One a look, of the latest fit.
    stopped_step : int or None
        The trainer's ``global_step`` at which the fit was stopped.
    stopping_reason : StoppingReason
        Whether and why.
    stopping_reason_message : str or None
        The same as a sentence; also why a run that was not stopped was left alone.

    Notes
    -----
    Steps are optimiser steps; the loss of a step is the mean over its micro-batches and over all
    processes. A look reads the training loss of every step, validation loss and accuracy and the
    training accuracy where the module logs them, and the norm of the weights. The look after N
    steps is taken after N + 1, so that a validation after N steps counts. Nothing is copied from
    the device between two looks, except when a checkpoint is written, and every 4096 steps. A
    failure in here is logged once and the training goes on. The log is a child of
    Lightning's own, so it shows wherever Lightning's messages do.

    Examples
    --------
    >>> from pytorch_lightning import Trainer
    >>> trainer = Trainer(callbacks=[GrokPredictor()])  # doctest: +SKIP
    """

    def __init__(
        self,
        classifier: str | Path | GrokClassifier = "default",
        *,
        max_false_abort: float = 0.05,
        budget: int | None = None,
        action: Literal["stop", "warn", "checkpoint"] = "stop",
        loss_key: str = "loss",
        val_metric: str | None = None,
        ledger: str | Path | SweepLedger | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__()
        check_max_false_abort(max_false_abort)
        if action not in ("stop", "warn", "checkpoint"):
            raise ValueError(f"action must be 'stop', 'warn' or 'checkpoint', got {action!r}")
        if budget is not None and budget < 1:
            raise ValueError(f"the budget must be at least 1 step, got {budget}")
        self.classifier = load_classifier(classifier)
        self.max_false_abort = max_false_abort
        self.budget = budget
        self.action = action
        self.loss_key = loss_key
        self.val_metric = val_metric
        self.ledger = None if ledger is None else as_ledger(ledger)
        self.name = name
        which = classifier if isinstance(classifier, str | Path) else "given"
        # What is watched, and by what: the other arguments may be changed on a resume.
        self._key = self._generate_state_key(
            classifier=str(which), loss_key=loss_key, val_metric=val_metric
        )
        self._reset()

    def _reset(self) -> None:
        self._failed = False
        self._report = Report()
        self._stop = Stop(self._report)
        self._watch: Watch | None = None
        self._configuration = Configuration()
        self._restored: dict[str, Any] | None = None

    @property
    def verdicts(self) -> list[Verdict]:
        """One a look, of the latest fit."""
        return list(self._watch.monitor.verdicts) if self._watch is not None else []

    @property
    def stopped_step(self) -> int | None:
        """The trainer's ``global_step`` at which the latest fit was stopped."""
        return self._stop.step

    @property
    def stopping_reason(self) -> StoppingReason:
        """Whether and why the latest fit was stopped."""
        return self._stop.reason

    @property
    def stopping_reason_message(self) -> str | None:
        """Why the run was stopped, or was left alone, as a sentence."""
        return self._report.message

    @property
    def state_key(self) -> str:
        """Key of the state in a checkpoint: classifier, ``loss_key`` and ``val_metric``."""
        return self._key

    def summary(self) -> str:
        """Return what was decided in the latest fit, for people; a line a look."""
        lines = [
            f"step {verdict.horizon}: {verdict.action}: {verdict.reason}"
            for verdict in self.verdicts
        ]
        judged = [verdict for verdict in self.verdicts if verdict.reads]
        if judged:
            lines.append(read_and_missing(judged[-1]))
        if not lines:
            lines = [f"no look was taken: {self.stopping_reason_message or 'no fit was made'}"]
        if self._stop.overruling is not None:
            lines.append(self._stop.overruling)
        elif self.stopped_step is not None and self._watch is not None:
            left = self._watch.monitor.budget - self._watch.monitor.n_seen
            lines.append(f"stopped at step {self.stopped_step}, {left} steps were not trained")
        return "\n".join(lines)

    # ---------------------------------------------------------------- hooks of Lightning

    @guarded
    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Forget the previous fit; a checkpoint that is resumed from is loaded after this."""
        if stage == "fit":
            self._reset()

    @guarded
    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Begin to watch, or say why not."""
        reason: str | None = None
        ready = sound = False
        try:
            reason = self._begin(trainer, pl_module)
            ready, sound = reason is None, True
        except Exception as error:  # whatever it is: the other processes wait below
            self._fail(error)
        # One process that does not watch would leave the others waiting at the horizon.
        if trainer.world_size > 1:
            ready = trainer.strategy.reduce_boolean_decision(ready, all=True)
            sound = trainer.strategy.reduce_boolean_decision(sound, all=True)
        if not ready and self._watch is not None:
            self._watch.buffer = None
        if self._watch is not None:
            self._watch.waits = sound and self._stop.held is not None
        if not sound:
            self._stop.held = None
            return
        overruling = self._stop.overruling
        if overruling is not None:
            self._report.say(overruling, logging.WARNING)
        elif reason is not None and not self.verdicts:
            expected = trainer.fast_dev_run or self._watch is not None
            self._report.say(reason, logging.INFO if expected else logging.WARNING)
        elif ready and self.action != "warn":
            endless = never_stops(trainer)
            if endless is not None:
                self._report.say(endless, logging.WARNING)

    @guarded
    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Keep the loss; look where it is time."""
        watch = self._watch
        if watch is None:
            return
        if watch.waits:
            self._act(trainer, watch, watch.wait(trainer, partial(self._ending, trainer, watch)))
        elif watch.buffer is not None and watch.take(trainer, outputs):
            self._act(trainer, watch, watch.look(trainer, partial(self._ending, trainer, watch)))

    @guarded
    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Keep the metrics of each validation; an accuracy above 1 tells percentages."""
        watch = self._watch
        if trainer.sanity_checking or watch is None or not watch.in_fit:
            return
        if watch.buffer is None and not watch.waits and not watch.monitor.in_ledger:
            return
        try:
            watch.validation.ended(trainer, watch.step)
        except Exception as error:  # a metric is the user's code; the losses are watched on
            self._report.trace("the validation metrics cannot be read", error)

    @guarded
    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Bring the processes' losses together while they are, for a checkpoint made later."""
        watch = self._watch
        if watch is not None:
            watch.drain()
            unseen = watch.why_no_look()
            if unseen is not None:
                self._report.say(unseen, logging.WARNING)
            watch.monitor.finish(watch.step)
            if watch.monitor.verdicts:
                stopped = self.stopped_step is not None
                self._report.log_outcome(trainer, watch.outcome(trainer, stopped))

    @guarded
    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Talk to no other process from here on: it may be gone."""
        if self._watch is not None:
            self._watch.let_go()

    @guarded
    def teardown(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Let go of the trainer."""
        if self._watch is not None:
            self._watch.let_go()

    # ---------------------------------------------------------------- acting

    def _begin(self, trainer: Any, pl_module: Any) -> str | None:
        """Begin to watch; return a sentence if this fit is left alone."""
        siblings = [item for item in trainer.callbacks if issubclass(type(item), GrokPredictor)]
        self._report.begin(trainer, siblings.index(self) + 1 if self in siblings else 1)
        state, self._restored = self._restored, None
        if state is not None:
            check_state(state)
        reason = why_not_watched(trainer, state)
        if reason is not None:
            return reason
        budget = planned_budget(trainer, optimises(pl_module), self.budget, state)
        if isinstance(budget, str):
            return budget
        self._read_configuration(trainer, pl_module)
        monitor = GrokMonitor(
            self.classifier,
            budget=budget,
            max_false_abort=self.max_false_abort,
            # The first process looks for all, and writes for all.
            ledger=self.ledger if trainer.is_global_zero else None,
            name=self.name,
            hparams={**self._configuration.known(), **read_hparams(pl_module)},
            only_warns="action is 'warn'" if self.action == "warn" else None,
        )
        self._watch = Watch(
            trainer,
            pl_module,
            monitor,
            budget=self.budget,
            loss_key=self.loss_key,
            val_metric=self.val_metric,
            report=self._report,
        )
        if state:
            self._restore(self._watch, state)
            stricter = self.max_false_abort < state["max_false_abort"]
            self._stop.resume(self.action, stricter=stricter, step=int(trainer.global_step))
        monitor.prepare()
        return monitor.silence

    def _read_configuration(self, trainer: Any, pl_module: Any) -> None:
        """Keep the configuration for the record; nothing is known where it cannot be read."""
        try:
            self._configuration = read_configuration(trainer, pl_module)
        except Exception as error:  # whatever optimiser or loader a user has
            self._report.trace("the configuration cannot be read", error)

    def _ending(self, trainer: Any, watch: Watch) -> Ending | None:
        """Decide what becomes of an abort; None if it only warns."""
        return None if self.action == "warn" else self._stop.ending(trainer, watch)

    def _act(self, trainer: Any, watch: Watch, answer: Answer) -> None:
        """Say what was decided, to the user and to the loggers."""
        verdicts = watch.monitor.verdicts
        news = verdicts[len(verdicts) - len(answer.verdicts) :]
        for verdict in news:
            self._say(verdict, answer.ending)
            self._report.log_look(trainer, verdict)
        ended = answer.ending is not None and self._stop.carried_out(trainer, watch, answer.ending)
        if self.action == "checkpoint" and self.stopped_step is not None and trainer.should_stop:
            self._stop.save(trainer)
        if news or ended:
            self._write_record(watch)

    def _say(self, verdict: Verdict, ending: Ending | None) -> None:
        """Say what a look decided; an ending says itself."""
        message = f"{verdict.action}: {verdict.reason}"
        if self.stopping_reason is StoppingReason.WARNED_ONLY:
            # The warning is the message to keep.
            self._report.note(message, logging.INFO, every_process=False)
        elif verdict.action != "abort":
            self._report.say(message, logging.INFO if verdict.spared is None else logging.WARNING)
        elif ending is None:
            self._stop.warn(verdict.reason)

    def _write_record(self, watch: Watch) -> None:
        monitor = watch.monitor
        record = {
            "budget": monitor.budget,
            "stopped_step": self.stopped_step,
            "stopping_reason": self.stopping_reason.value,
            "message": self.stopping_reason_message,
            "configuration": self._configuration.known(),
            "val_metric": self.val_metric,
            "recording": monitor.observed.recording.state(),
            "verdicts": [verdict.to_dict() for verdict in monitor.verdicts],
        }
        self._report.write(record)

    def _fail(self, error: Exception) -> None:
        """Leave the run alone after a failure of ours, and say so once.

        Through logging: ``warnings.warn`` would end the run where warnings are errors.
        """
        if self._watch is not None:
            self._watch.give_up(error)
            if not self._watch.waits:
                self._stop.held = None
        if not self._failed:
            self._failed = True
            self._report.trace("failed", error)
            message = f"failed and leaves this run alone: {described(error)}"
            self._report.say(message, logging.WARNING)

    # ---------------------------------------------------------------- checkpoints

    @partial(guarded, otherwise=dict)
    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed fit needs, in plain Python objects."""
        if self._watch is None:
            return {}
        return {
            **self._watch.state_dict(),
            **self._stop.state_dict(),
            "max_false_abort": float(self.max_false_abort),
            "message": self.stopping_reason_message,
        }

    @guarded
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the state for the fit that is about to start."""
        if self._watch is not None and self._watch.in_fit:
            # A tuner that runs in mid-fit restores the checkpoint that it wrote.
            self._restore(self._watch, state_dict)
        else:
            self._restored = state_dict

    def _restore(self, watch: Watch, state: dict[str, Any]) -> None:
        watch.load_state_dict(state)
        self._stop.load_state_dict(state)
        self._report.message = state["message"]
