"""The Lightning callback: a thin adapter of :class:`~grokpredict.monitor.GrokMonitor`.

Works in ``pytorch_lightning`` and in ``lightning.pytorch``, which refuse each other's callbacks.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from grokpredict.classifier import GrokClassifier, load_classifier
from grokpredict.context import can_stop, in_percent, read_budget, read_context, read_validation
from grokpredict.curves import Context
from grokpredict.decision import Verdict
from grokpredict.integrations.lightning import (
    LossBuffer,
    callback_bases,
    logger_beside,
    mean_over_processes,
    to_floats,
)
from grokpredict.monitor import GrokMonitor, verdict_to_dict
from grokpredict.thresholds import check_max_false_abort

#: Hooks during which every process stands at the same step, so that it may talk to the others.
_TOGETHER = frozenset(
    {
        "on_train_batch_end",
        "on_train_epoch_end",
        "on_train_end",
        "on_validation_end",
        "on_validation_epoch_end",
    }
)

if TYPE_CHECKING:
    from pytorch_lightning import Callback as _Callback
else:
    _Callback = type("_Callback", callback_bases(), {})


class StoppingReason(Enum):
    """Why a run was stopped, or was not."""

    NOT_STOPPED = "not stopped"
    WILL_NOT_GENERALISE = "will not generalise within the budget"
    WARNED_ONLY = "will not generalise within the budget, but action is 'warn'"


def _overruling(step: int) -> str:
    return f"was stopped at step {step} before and now goes on unwatched"


class GrokPredictor(_Callback):
    """Stops a run that will not generalise within its budget.

    Parameters
    ----------
    classifier : str, Path or GrokClassifier
        ``"default"``, a classifier file, or a classifier. A broken file is told here, before any
        training.
    max_false_abort : float
        Largest share of the runs that would generalise that may ever be stopped, with 95 %
        confidence, for runs like the classifier's calibration runs.
    budget : int, optional
        Optimiser step by which the run has to generalise. By default the last step of the fit,
        from ``max_steps`` and ``max_epochs``; where neither tells, nothing is stopped.
    action : {"stop", "warn"}
        What an abort does: end the fit after the current batch, or log a warning only.
    loss_key : str
        Where the training loss is in what ``training_step`` returns.
    val_metric : str, optional
        Name under which the module logs the validation metric of the classifier's rule. By
        default it is recognised: ``val_acc``, ``val/accuracy``, ....

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
    processes. Nothing is copied from the device between two horizons, except when a checkpoint is
    written. A failure in here is logged once and the training goes on. The log is a child of
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
        action: Literal["stop", "warn"] = "stop",
        loss_key: str = "loss",
        val_metric: str | None = None,
    ) -> None:
        super().__init__()
        check_max_false_abort(max_false_abort)
        if action not in ("stop", "warn"):
            raise ValueError(f"action must be 'stop' or 'warn', got {action!r}")
        if budget is not None and budget < 1:
            raise ValueError(f"the budget must be at least 1 step, got {budget}")
        self.classifier = load_classifier(classifier)
        self.max_false_abort = max_false_abort
        self.budget = budget
        self.action = action
        self.loss_key = loss_key
        self.val_metric = val_metric
        name = classifier if isinstance(classifier, str | Path) else "given"
        self._key = self._generate_state_key(
            classifier=str(name),
            max_false_abort=max_false_abort,
            budget=budget,
            action=action,
            loss_key=loss_key,
        )
        self._reset()

    def _reset(self) -> None:
        self.stopped_step: int | None = None
        self.stopping_reason = StoppingReason.NOT_STOPPED
        self.stopping_reason_message: str | None = None
        self._monitor: GrokMonitor | None = None
        self._buffer: LossBuffer | None = None
        self._restored: dict[str, Any] | None = None
        #: ``global_step`` of an abort that waits for ``min_steps`` and ``min_epochs``.
        self._held: int | None = None
        #: ``global_step`` at which a run was stopped that was resumed all the same.
        self._overruled: int | None = None
        self._log = logging.getLogger(__name__)
        self._trainer: Any = None
        self._alone = True
        self._label = "grokpredict"
        self._directory: Path | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the trainer, which lives in this process only."""
        return {**self.__dict__, "_trainer": None}

    @property
    def verdicts(self) -> list[Verdict]:
        """One a look, of the latest fit."""
        return list(self._monitor.verdicts) if self._monitor is not None else []

    @property
    def state_key(self) -> str:
        """Key of the state in a checkpoint: one for each set of arguments."""
        return self._key

    def summary(self) -> str:
        """Return what was decided in the latest fit, for people; a line a look."""
        lines = [
            f"step {verdict.horizon}: {verdict.action}: {verdict.reason}"
            for verdict in self.verdicts
        ]
        if not lines:
            lines = [f"no look was taken: {self.stopping_reason_message or 'no fit was made'}"]
        if self._overruled is not None:
            lines.append(_overruling(self._overruled))
        elif self.stopped_step is not None and self._monitor is not None:
            left = self._monitor.budget - self._monitor.n_seen
            lines.append(f"stopped at step {self.stopped_step}, {left} steps were not trained")
        return "\n".join(lines)

    # ---------------------------------------------------------------- hooks of Lightning

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Forget the previous fit; a checkpoint that is resumed from is loaded after this."""
        if stage == "fit":
            self._reset()

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Begin to watch, or say why not."""
        self._log = logger_beside(trainer)
        reason: str | None = None
        ready = False
        try:
            reason = self._begin(trainer, pl_module)
            ready = reason is None
        except Exception as error:  # a failure of ours must never end a user's run
            self._fail(trainer, error)
        # One process that does not watch would leave the others waiting at the horizon.
        if not trainer.strategy.reduce_boolean_decision(ready, all=True):
            self._buffer = None
        if self._overruled is not None:
            self._say(trainer, _overruling(self._overruled), logging.WARNING)
        elif reason is not None and not self.verdicts:
            expected = trainer.fast_dev_run or self._monitor is not None
            self._say(trainer, reason, logging.INFO if expected else logging.WARNING)

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Keep the loss; at a horizon, look."""
        buffer = self._buffer
        if buffer is None:
            if self._held is not None:
                self._release(trainer)
            return
        try:
            if buffer.take(outputs, trainer.global_step, trainer.accumulate_grad_batches):
                self._look(trainer, pl_module)
        except Exception as error:  # a failure of ours must never end a user's run
            self._fail(trainer, error)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Note an accuracy above 1 at any validation: from then on they are percentages."""
        watches = self._buffer is not None or self._held is not None
        if trainer.sanity_checking or self._trainer is None or not watches:
            return
        try:
            self._see_validation(trainer)
        except Exception as error:  # the look will say so
            self._log.debug("the validation metrics cannot be read", exc_info=error)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Bring the processes' losses together while they are, for a checkpoint made later."""
        if self._buffer is not None:
            self._drain()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Talk to no other process from here on: it may be gone."""
        self._trainer = None

    def teardown(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Let go of the trainer and of the tensors."""
        self._trainer = None

    # ---------------------------------------------------------------- watching

    def _begin(self, trainer: Any, pl_module: Any) -> str | None:
        """Begin to watch; return a sentence if this fit is left alone."""
        self._trainer = trainer
        siblings = [own for own in trainer.callbacks if isinstance(own, GrokPredictor)]
        number = siblings.index(self) + 1 if self in siblings else 1
        self._label = "grokpredict" if number == 1 else f"grokpredict-{number}"
        # Every process must ask: it is a broadcast.
        directory = trainer.log_dir if trainer.loggers else None
        if directory is not None and "://" not in str(directory):
            self._directory = Path(directory)
        if trainer.fast_dev_run:
            return "fast_dev_run is on, nothing is looked at"
        state, self._restored = self._restored, None
        self._alone = trainer.world_size == 1
        if state and not state["complete"]:
            return (
                "the checkpoint was written while the processes stood at different steps and "
                "holds the losses of one of them only; nothing is stopped"
            )
        finished = state is not None and state["step"] is None
        if not finished and trainer.global_step != (state["step"] if state else 0):
            return (
                f"this fit goes on from step {trainer.global_step} without the losses of the "
                "steps before, and a run must be watched from its start; nothing is stopped"
            )
        n_seen = int(state["monitor"]["n_seen"]) if state else 0
        budget: int | str
        if state and state["monitor"]["verdicts"]:
            budget = state["monitor"]["budget"]  # one number for all looks
        else:
            budget = read_budget(trainer, pl_module, self.budget, n_seen)
        if isinstance(budget, str):
            return budget
        self._monitor = GrokMonitor(
            self.classifier, budget=budget, max_false_abort=self.max_false_abort
        )
        self._buffer = LossBuffer(
            self.loss_key,
            automatic=bool(pl_module.automatic_optimization),
            step=trainer.global_step,
        )
        if state:
            self._restore(state)
        if finished:
            self._buffer = None
            if self._held is None:
                self._overruled = self.stopped_step
            return self.stopping_reason_message
        self._await_look(self._until_next_look())
        return self._monitor.silence

    def _until_next_look(self) -> int | None:
        """Return how many steps are to come until the next look; None if there is none."""
        monitor = self._monitor
        if monitor is None or monitor.next_horizon is None:
            return None
        return monitor.next_horizon - monitor.n_seen

    def _await_look(self, due: int | None) -> None:
        """Keep ``due`` more losses, or no more."""
        if due is None or self._buffer is None:
            self._buffer = None
        else:
            self._buffer.due = due

    def _look(self, trainer: Any, pl_module: Any) -> None:
        """Look at the run, decide alike in all processes, and act."""
        monitor = self._monitor
        assert monitor is not None
        before, n_seen = len(self.verdicts), monitor.n_seen
        losses = self._reduced(trainer)
        error: str | None = None
        try:
            self._judge(trainer, pl_module, losses)
        except Exception as failure:  # told to the other processes, which wait for the verdict
            error = f"{type(failure).__name__}: {failure}"
            self._log.debug("the look failed", exc_info=failure)
        found = [verdict_to_dict(verdict) for verdict in self.verdicts[before:]]
        # Two machines may differ in the last digit, so the first process decides for all.
        decided = (error, found, self._until_next_look())
        error, found, due = trainer.strategy.broadcast(decided, src=0)
        # A look that failed in this process may have taken none of the losses.
        missed = losses[monitor.n_seen - n_seen :]
        monitor.adopt([*self.verdicts[:before], *(Verdict(**own) for own in found)], missed)
        if error is not None:
            raise RuntimeError(error)
        self._await_look(due)
        for verdict in self.verdicts[before:]:
            self._act(trainer, verdict)

    def _judge(self, trainer: Any, pl_module: Any, losses: list[float]) -> None:
        monitor = self._monitor
        assert monitor is not None
        if monitor.context is None:
            monitor.context = self._context(trainer, pl_module)
        if not monitor.verdicts and not pl_module.automatic_optimization:
            # Only now it is known how many optimiser steps there are to a loss.
            n_seen = monitor.n_seen + len(losses)
            budget = read_budget(trainer, pl_module, self.budget, n_seen)
            if isinstance(budget, int):
                monitor.set_budget(budget)
        self._see_validation(trainer)
        found = monitor.extend(losses)
        missing = self._buffer.missing if self._buffer is not None else 0
        if found and missing and found[-1].action == "abstain":
            reason = f"{missing} steps had no {self.loss_key!r} in what training_step returned"
            monitor.verdicts[-1] = replace(found[-1], reason=reason)

    def _context(self, trainer: Any, pl_module: Any) -> Context:
        """Return the configuration; nothing is known where it cannot be read."""
        assert self._monitor is not None
        try:
            return read_context(trainer, pl_module, self._monitor.budget)
        except Exception as error:  # whatever optimiser or loader a user has: the loss is there
            message = "%s: the configuration cannot be read, only the loss is: %s: %s"
            self._log.warning(message, self._label, type(error).__name__, error)
            return Context()

    def _see_validation(self, trainer: Any) -> None:
        monitor = self._monitor
        assert monitor is not None
        if in_percent(trainer.callback_metrics):
            monitor.saw_percentages()
        monitor.saw_validation(read_validation(trainer, self.classifier.rule, self.val_metric))

    def _reduced(self, trainer: Any) -> list[float]:
        """Return the losses since the last look, the mean over all processes."""
        buffer = self._buffer
        assert buffer is not None
        n_steps = len(buffer)
        try:
            losses = buffer.drain()
        except Exception as error:  # the other processes wait for as many numbers
            self._log.warning("grokpredict could not read the losses: %s", error)
            losses = [math.nan] * n_steps
        return mean_over_processes(trainer, losses)

    # ---------------------------------------------------------------- acting

    def _act(self, trainer: Any, verdict: Verdict) -> None:
        """Stop, warn or go on; tell the loggers."""
        if verdict.action == "abort" and self.action == "stop":
            self._held = trainer.global_step
            self._release(trainer)
            if self._held is not None:
                waits = "; the fit goes on until min_steps and min_epochs are met"
                self._say(trainer, verdict.reason + waits, logging.WARNING)
        elif verdict.action == "abort":
            self.stopping_reason = StoppingReason.WARNED_ONLY
            self._say(trainer, f"would be stopped: {verdict.reason}", logging.WARNING)
        else:
            self._say(trainer, f"{verdict.action}: {verdict.reason}", logging.INFO)
        self._log_metrics(trainer, verdict)
        self._write_record(trainer)

    def _release(self, trainer: Any) -> None:
        """Stop the fit if the trainer may stop and the run has not generalised meanwhile."""
        if not can_stop(trainer):
            return
        decided_at, self._held = self._held, None
        monitor = self._monitor
        assert monitor is not None
        assert decided_at is not None
        try:
            self._see_validation(trainer)
            spared = monitor.generalised
        except Exception as error:  # told to the other processes, which wait for the decision
            spared = f"{type(error).__name__}: {error}"
        spared = trainer.strategy.broadcast(spared, src=0)
        if spared is not None:
            self._say(trainer, f"not stopped: {spared}", logging.WARNING)
            return
        reason = monitor.verdicts[-1].reason
        if decided_at < trainer.global_step:
            # The last look was the last time that the losses were counted.
            monitor.n_seen = round(monitor.n_seen * trainer.global_step / decided_at)
            if 0 <= trainer.max_steps <= trainer.global_step:
                ends = "not stopped, min_steps and min_epochs kept the fit going to its end: "
                self._say(trainer, ends + reason, logging.WARNING)
                self._write_record(trainer)
                return
        trainer.should_stop = True
        self.stopped_step = trainer.global_step
        self.stopping_reason = StoppingReason.WILL_NOT_GENERALISE
        self._say(trainer, f"stopped at step {self.stopped_step}: {reason}", logging.WARNING)
        self._write_record(trainer)

    def _say(self, trainer: Any, message: str, level: int) -> None:
        self.stopping_reason_message = message
        if trainer.is_global_zero:
            self._log.log(level, "%s: %s", self._label, message)

    def _fail(self, trainer: Any, error: Exception) -> None:
        """Leave the run alone after a failure of ours, and say so once.

        Through logging: ``warnings.warn`` would end the run where warnings are errors.
        """
        self._buffer = None
        message = f"failed and leaves this run alone: {type(error).__name__}: {error}"
        self._log.debug("grokpredict failed", exc_info=error)
        self._say(trainer, message, logging.WARNING)

    def _log_metrics(self, trainer: Any, verdict: Verdict) -> None:
        """Send the probability to the trainer's loggers, at the step of the batch's own metrics.

        Not through ``self.log``, which repeats a value until the epoch ends and fills the
        progress bar's tables.
        """
        if verdict.probability is None or verdict.horizon is None or not trainer.is_global_zero:
            return
        metrics = {f"{self._label}/probability": verdict.probability}
        try:
            for logger in trainer.loggers:
                logger.log_metrics(metrics, step=verdict.horizon - 1)
        except Exception as error:  # a logger may be offline; the verdict holds
            self._log.warning("%s: a logger failed: %s", self._label, error)

    def _write_record(self, trainer: Any) -> None:
        """Keep what was decided beside the run's logs, as JSON."""
        if self._directory is None or not trainer.is_global_zero:
            return
        assert self._monitor is not None
        record = {
            "budget": self._monitor.budget,
            "stopped_step": self.stopped_step,
            "stopping_reason": self.stopping_reason.value,
            "message": self.stopping_reason_message,
            "context": (self._monitor.context or Context()).known(),
            "verdicts": [verdict_to_dict(verdict) for verdict in self.verdicts],
        }
        path = self._directory / f"{self._label}.json"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_suffix(".json.partial")
            partial.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
            partial.replace(path)
        except Exception as error:  # in one process only, and the others go on to the next look
            self._log.warning("%s: could not write %s: %s", self._label, path, error)

    # ---------------------------------------------------------------- checkpoints

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed fit needs, in plain Python objects.

        Every process takes part while they stand at the same step. Where they do not, after an
        exception, the losses of the others are lost and the resumed run is left alone.
        """
        monitor = self._monitor
        if monitor is None:
            return {}
        try:
            together = self._drain()
            buffer = self._buffer
            micro = [] if buffer is None or not together else self._shared(buffer.micro)
            return {
                "monitor": monitor.state_dict(),
                "context": (monitor.context or Context()).known(),
                # Up to which step the losses are known; None once no more are kept.
                "step": None if buffer is None else buffer.step,
                "complete": together,
                "micro": micro,
                "divided": 1 if buffer is None else buffer.divided,
                "held": self._held,
                "stopped_step": self.stopped_step,
                "stopping_reason": self.stopping_reason.value,
                "message": self.stopping_reason_message,
            }
        except Exception as error:  # the user's checkpoint must be written all the same
            self._log.warning("%s: its state is not in the checkpoint: %s", self._label, error)
            return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the state for the fit that is about to start."""
        self._restored = dict(state_dict)
        if self._trainer is not None and self._monitor is not None:
            # A tuner that runs in mid-fit restores the checkpoint that it wrote.
            self._restored = None
            self._restore(state_dict)
            self._await_look(self._until_next_look())

    def _restore(self, state: Mapping[str, Any]) -> None:
        monitor, buffer = self._monitor, self._buffer
        assert monitor is not None
        monitor.load_state_dict(state["monitor"])
        monitor.context = Context(**state["context"]) if state["context"] else None
        self._held = state["held"]
        self.stopped_step = state["stopped_step"]
        self.stopping_reason = StoppingReason(state["stopping_reason"])
        self.stopping_reason_message = state["message"]
        if buffer is not None and state["step"] is not None:
            buffer.step = state["step"]
            buffer.micro, buffer.divided = list(state["micro"]), state["divided"]

    def _drain(self) -> bool:
        """Hand the losses so far to the monitor; False if other processes hold a part of them."""
        monitor, trainer = self._monitor, self._trainer
        if self._buffer is None or monitor is None:
            return True
        if self._alone:
            monitor.extend(self._buffer.drain())
            return True
        if len(self._buffer) == 0 and not self._buffer.micro:
            return True
        if trainer is None or trainer.interrupted:
            return False
        if trainer.lightning_module._current_fx_name not in _TOGETHER:
            return False
        monitor.extend(self._reduced(trainer))
        return True

    def _shared(self, micro: list[Any]) -> list[float | None]:
        values = to_floats(micro)
        if self._alone or not values:
            return values
        known = [math.nan if value is None else value for value in values]
        return list(mean_over_processes(self._trainer, known))
