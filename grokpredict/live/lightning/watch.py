"""One fit under watch: its monitor, the losses not yet given to it, and the other processes."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

from grokpredict.live.configuration import parameter_groups, read_configuration, unwrapped
from grokpredict.live.lightning.guard import FailedEverywhereError, described
from grokpredict.live.lightning.losses import (
    LossBuffer,
    mean_over_processes,
    no_steps,
    to_floats,
)
from grokpredict.live.lightning.report import Report
from grokpredict.live.metrics import find_evaluation, find_validation, in_percent, not_recognised
from grokpredict.live.monitor import GrokMonitor, verdict_to_dict
from grokpredict.live.rates import PeakRate
from grokpredict.live.trainer import optimises, read_budget
from grokpredict.model.verdict import Verdict
from grokpredict.runs.configuration import Configuration
from grokpredict.runs.labels import LabelRule

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


class Watch:
    """Gives the losses of one fit to a monitor, alike in all processes.

    A process in which something fails goes on counting, and has no losses (NaN) from there on:
    the others wait for it at the horizon, and abstain.

    Parameters
    ----------
    trainer, pl_module
        Of either Lightning, at the start of the fit.
    monitor : GrokMonitor
        With the classifier, the budget and the bound of this fit.
    budget : int or None
        The budget that the user gave.
    loss_key : str
        Where the training loss is in what ``training_step`` returns.
    val_metric : str or None
        Name of the validation metric; recognised if None.
    report : Report
        Is told what goes wrong on the side.

    Attributes
    ----------
    monitor : GrokMonitor
        As given.
    buffer : LossBuffer or None
        Losses since the last look; None once no more are wanted.
    rate : PeakRate or None
        What is seen of the learning rate until the configuration is read.
    """

    def __init__(
        self,
        trainer: Any,
        pl_module: Any,
        monitor: GrokMonitor,
        *,
        budget: int | None,
        loss_key: str,
        val_metric: str | None,
        report: Report,
    ) -> None:
        self.monitor = monitor
        self._automatic = optimises(pl_module)
        self._first_step = int(trainer.global_step)
        self.buffer: LossBuffer | None = LossBuffer(
            loss_key, automatic=self._automatic, step=self._first_step
        )
        self.rate = _rate_of(trainer)
        self._budget = budget
        self._loss_key = loss_key
        self._val_metric = val_metric
        self._report = report
        self._trainer: Any = trainer
        self._alone = trainer.world_size == 1
        self._broken = False
        self._unrecognised: str | None = None
        loop = trainer.fit_loop.epoch_loop
        # What ``trainer.global_step`` reads, ten times faster.
        self._count: Any = (
            loop.automatic_optimization.optim_progress.optimizer.step.total
            if self._automatic
            else loop.manual_optimization.optim_step_progress.total
        )

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the trainer and the optimiser, which live in this process only."""
        return {**self.__dict__, "_trainer": None, "_count": None, "rate": None}

    @property
    def in_fit(self) -> bool:
        """Whether the fit is still going on, as far as this process was told."""
        return self._trainer is not None

    def take(self, trainer: Any, outputs: Any) -> bool:
        """Keep the loss of a batch; return whether it is time to look."""
        buffer = self.buffer
        assert buffer is not None
        step: int = self._count.completed
        if self.rate is not None and step != buffer.step:
            self.rate.see()
        return buffer.take(outputs, step, trainer.accumulate_grad_batches)

    def let_go(self) -> None:
        """Let go of the trainer; nothing is asked of the other processes from here on."""
        self._trainer = None

    def give_up(self, error: Exception) -> None:
        """Watch no more after a failure; where other processes wait, go on counting."""
        if self._alone or isinstance(error, FailedEverywhereError):
            self.buffer = None
        self.rate = None
        self._broken = True

    def until_next_look(self) -> int | None:
        """Return how many steps are to come until the next look; None if there is none."""
        if self.monitor.next_horizon is None:
            return None
        return self.monitor.next_horizon - self.monitor.n_seen

    def await_look(self, due: int | None) -> None:
        """Keep ``due`` more losses, or no more."""
        if due is None or self.buffer is None:
            self.buffer = None
        else:
            self.buffer.due = due

    def why_no_look(self) -> str | None:
        """Return why a fit that has ended was never looked at; None if it was."""
        buffer, monitor = self.buffer, self.monitor
        if monitor.verdicts or buffer is None:
            return None
        if buffer.step == self._first_step and buffer.micro:
            return no_steps(len(buffer.micro))
        if monitor.next_horizon is None:
            return None
        return (
            f"the fit ended after {monitor.n_seen} steps, before the first look after "
            f"{monitor.next_horizon}"
        )

    # ---------------------------------------------------------------- looking

    def look(self, trainer: Any) -> list[Verdict]:
        """Look at the run and return the verdicts, the same in all processes.

        Raises
        ------
        FailedEverywhereError
            In all processes, if the look failed in the first.
        """
        monitor = self.monitor
        before, n_seen = list(monitor.verdicts), monitor.n_seen
        losses = self._reduced(trainer)
        error: str | None = None
        found: list[dict[str, Any]] = []
        due: int | None = None
        try:
            self._judge(trainer, losses)
            found = [verdict_to_dict(verdict) for verdict in monitor.verdicts[len(before) :]]
            due = self.until_next_look()
        except Exception as failure:  # told to the other processes, which wait for the verdict
            error = described(failure)
            self._report.trace("the look failed", failure)
        # Two machines may differ in the last digit, so the first process decides for all.
        error, found, due = trainer.strategy.broadcast((error, found, due), src=0)
        self.await_look(due)
        verdicts = [Verdict(**fields) for fields in found]
        try:
            # A look that failed in this process may have taken none of the losses.
            monitor.adopt([*before, *verdicts], losses[monitor.n_seen - n_seen :])
        except Exception as failure:  # the verdict holds, and the others act on it
            self._report.note(f"could not take over the verdict: {described(failure)}")
            self._broken = True
        if error is not None:
            raise FailedEverywhereError(error)
        return verdicts

    def _judge(self, trainer: Any, losses: list[float]) -> None:
        monitor = self.monitor
        if monitor.configuration is None:
            monitor.set_configuration(self._configuration(trainer))
            self.rate = None
        if not monitor.verdicts and not self._automatic:
            # Only now it is known how many optimiser steps there are to a loss.
            n_seen = monitor.n_seen + len(losses)
            budget = read_budget(trainer, self._automatic, self._budget, n_seen)
            if isinstance(budget, int):
                monitor.set_budget(budget)
        self.see_validation(trainer)
        found = monitor.extend(losses)
        missing = self.buffer.missing if self.buffer is not None else 0
        if found and missing and found[-1].action == "abstain":
            reason = f"{missing} steps had no {self._loss_key!r} in what training_step returned"
            monitor.explain(reason)

    def _configuration(self, trainer: Any) -> Configuration:
        """Return the configuration; nothing is known where it cannot be read."""
        try:
            configuration = read_configuration(trainer, trainer.lightning_module, self.rate)
        except Exception as error:  # whatever optimiser or loader a user has: the loss is there
            self._report.note(
                f"the configuration cannot be read, only the loss is: {described(error)}"
            )
            return Configuration()
        if self.rate is not None and self.rate.peak and configuration.learning_rate is None:
            self._report.note(
                f"the learning rate is {self.rate.peak:g} and rises by a schedule that does not "
                "tell its peak, so the looks do without it",
                logging.INFO,
            )
        return configuration

    # ---------------------------------------------------------------- validation

    def validated(self, trainer: Any) -> None:
        """Take the metrics of a validation that has ended; say once if none is known."""
        metrics, rule, name = trainer.callback_metrics, self._rule, self._val_metric
        value = self.see_validation(trainer)
        unknown = value is None or (name is not None and name not in metrics)
        if unknown and self._unrecognised is None:
            remedy = f"give GrokPredictor(val_metric=...) the name of the {rule.metric}"
            if value is not None:
                remedy += "; another is read meanwhile"
            self._unrecognised = not_recognised(metrics, rule, name, remedy)
            self._report.note(self._unrecognised, every_process=False)
        named = name if rule.metric == "val_acc" else None
        evaluation = find_evaluation(metrics, named)
        if self.buffer is not None and evaluation is not None:
            self.monitor.saw_evaluation(*evaluation, self.monitor.n_seen + len(self.buffer))

    def see_validation(self, trainer: Any) -> float | None:
        """Tell the monitor the latest validation metric, and return it; None if there is none."""
        metrics = trainer.callback_metrics
        if in_percent(metrics):
            self.monitor.saw_percentages()
        value = find_validation(metrics, self._rule, self._val_metric)
        if value is not None:  # right after a resume there is none, and the last one counts
            self.monitor.saw_validation(value)
        return value

    def spared(self, trainer: Any) -> str | None:
        """Return why a run that is to be stopped is not; None if it is."""
        value = self.see_validation(trainer)
        if value is None and self._unrecognised is not None and self._val_metric is not None:
            return self._unrecognised
        return self.monitor.generalised

    @property
    def _rule(self) -> LabelRule:
        return self.monitor.classifier.rule

    # ---------------------------------------------------------------- losses of all processes

    def drain(self) -> bool:
        """Hand the losses so far to the monitor; False if other processes hold a part of them."""
        buffer, trainer = self.buffer, self._trainer
        if buffer is None or (len(buffer) == 0 and not buffer.micro):
            return True
        if not self._alone:
            if trainer is None or trainer.interrupted:
                return False
            if trainer.lightning_module._current_fx_name not in _TOGETHER:
                return False
        self.monitor.extend(self._reduced(trainer))
        return True

    def _reduced(self, trainer: Any) -> list[float]:
        """Return the losses since the last look, the mean over all processes."""
        buffer = self.buffer
        assert buffer is not None
        n_steps = len(buffer)
        try:
            losses = buffer.drain()
        except Exception as error:  # the other processes wait for as many numbers
            self._report.note(f"could not read the losses: {described(error)}")
            losses = []
        if self._broken or len(losses) != n_steps:
            losses = [math.nan] * n_steps
        return losses if self._alone else mean_over_processes(trainer, losses)

    def _shared(self, micro: list[Any]) -> list[float | None]:
        try:
            values = to_floats(micro)
        except Exception as error:  # likewise
            self._report.note(f"could not read the losses: {described(error)}")
            values = [None] * len(micro)
        if self._alone or not values:
            return values
        known = [math.nan if value is None else value for value in values]
        return list(mean_over_processes(self._trainer, known))

    # ---------------------------------------------------------------- checkpoints

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed fit needs of the losses and the looks, in plain Python objects.

        Every process takes part while they stand at the same step. Where they do not, after an
        exception, the losses of the others are lost and the resumed run is left alone.
        """
        together = self.drain()
        buffer = self.buffer
        return {
            "monitor": self.monitor.state_dict(),
            "configuration": (self.monitor.configuration or Configuration()).known(),
            # Up to which step the losses are known; None once no more are kept.
            "step": None if buffer is None else buffer.step,
            "complete": together,
            "micro": [] if buffer is None or not together else self._shared(buffer.micro),
            "divided": 1 if buffer is None else buffer.divided,
            "rate": None if self.rate is None else self.rate.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where the fit was that wrote ``state``."""
        monitor, buffer = self.monitor, self.buffer
        monitor.load_state_dict(state["monitor"])
        monitor.set_configuration(
            Configuration(**state["configuration"]) if state["configuration"] else None
        )
        if state["step"] is None:
            self.buffer = None
        elif buffer is not None:
            buffer.step = state["step"]
            buffer.micro, buffer.divided = list(state["micro"]), state["divided"]
        if self.rate is not None and state["rate"] is not None:
            self.rate.load_state_dict(state["rate"])
        self.await_look(self.until_next_look())


def _rate_of(trainer: Any) -> PeakRate | None:
    """Begin to see the learning rate of the first optimiser, where that is a torch one."""
    optimizer = unwrapped(trainer.optimizers[0]) if trainer.optimizers else None
    if not parameter_groups(optimizer):
        return None
    rate = PeakRate(optimizer)
    rate.see()
    return rate


#: What the callback's part of a checkpoint holds.
_STATE: Mapping[str, type | tuple[type, ...]] = {
    "monitor": dict,
    "configuration": dict,
    "step": (int, type(None)),
    "complete": bool,
    "micro": list,
    "divided": int,
    "rate": (dict, type(None)),
    "held": (int, type(None)),
    "stopped_step": (int, type(None)),
    "overruled": (int, type(None)),
    "aborted": (int, type(None)),
    "stopping_reason": str,
    "max_false_abort": float,
    "message": (str, type(None)),
}


def check_state(state: Any) -> None:
    """Raise a ValueError if the callback's part of a checkpoint is not as it was written."""
    if isinstance(state, dict) and state:
        wrong = [name for name, kind in _STATE.items() if not isinstance(state.get(name), kind)]
    else:
        wrong = [] if state == {} else ["all of it"]
    if wrong:
        raise ValueError(
            f"the checkpoint's part of grokpredict cannot be read ({', '.join(wrong)}); it was "
            "written by another version, or damaged"
        )


def why_not_watched(trainer: Any, state: Mapping[str, Any] | None) -> str | None:
    """Return why this fit cannot be watched; None if it can.

    Parameters
    ----------
    trainer
        Of either Lightning, at the start of the fit.
    state : mapping or None
        The callback's part of the checkpoint that the fit goes on from, if it does.
    """
    if trainer.fast_dev_run:
        return "fast_dev_run is on, nothing is looked at"
    if state and not state["complete"]:
        return (
            "the checkpoint was written while the processes stood at different steps and "
            "holds the losses of one of them only; nothing is stopped"
        )
    if state and state["step"] is None:
        if state["monitor"]["verdicts"]:
            return None
        return (
            "this fit goes on from one whose losses were not kept, so nothing is looked at; "
            f"of that one it was said: {state['message'] or 'nothing'}"
        )
    if trainer.global_step != (state["step"] if state else 0):
        return (
            f"this fit goes on from step {trainer.global_step} without the losses of the "
            "steps before, and a run must be watched from its start; nothing is stopped"
        )
    return None


def planned_budget(
    trainer: Any, automatic: bool, budget: int | None, state: Mapping[str, Any] | None
) -> int | str:
    """Return the budget, or a sentence if it is not known; it is one number for all looks.

    Parameters
    ----------
    trainer
        Of either Lightning, at the start of the fit.
    automatic : bool
        Whether Lightning optimises.
    budget : int or None
        The budget that the user gave.
    state : mapping or None
        As :func:`why_not_watched`.
    """
    if state and state["monitor"]["verdicts"]:
        return int(state["monitor"]["budget"])
    n_seen = int(state["monitor"]["n_seen"]) if state else 0
    return read_budget(trainer, automatic, budget, n_seen)
