"""One fit under watch: its monitor, the losses not yet given to it, and the other processes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from grokpredict.live.lightning.losses import LossBuffer, mean_over_processes, to_floats
from grokpredict.live.lightning.report import Report
from grokpredict.live.monitor import GrokMonitor, verdict_to_dict
from grokpredict.live.trainer import (
    find_evaluation,
    in_percent,
    read_budget,
    read_context,
    read_validation,
)
from grokpredict.model.verdict import Verdict
from grokpredict.runs.configuration import Configuration

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
        self.buffer: LossBuffer | None = LossBuffer(
            loss_key,
            automatic=bool(pl_module.automatic_optimization),
            step=trainer.global_step,
        )
        self._budget = budget
        self._loss_key = loss_key
        self._val_metric = val_metric
        self._report = report
        self._trainer: Any = trainer
        self._alone = trainer.world_size == 1
        self._automatic = bool(pl_module.automatic_optimization)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the trainer, which lives in this process only."""
        return {**self.__dict__, "_trainer": None}

    @property
    def in_fit(self) -> bool:
        """Whether the fit is still going on, as far as this process was told."""
        return self._trainer is not None

    def steps_made(self, trainer: Any) -> int:
        """Return ``trainer.global_step``, ten times faster where Lightning optimises."""
        if self._automatic:
            loop = trainer.fit_loop.epoch_loop
            return int(loop.automatic_optimization.optim_progress.optimizer_steps)
        return int(trainer.global_step)

    def let_go(self) -> None:
        """Let go of the trainer; nothing is asked of the other processes from here on."""
        self._trainer = None

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

    # ---------------------------------------------------------------- looking

    def look(self, trainer: Any, pl_module: Any) -> list[Verdict]:
        """Look at the run and return the verdicts, the same in all processes.

        Raises
        ------
        RuntimeError
            In all processes, if the look failed in the first.
        """
        monitor = self.monitor
        before, n_seen = list(monitor.verdicts), monitor.n_seen
        losses = self._reduced(trainer)
        error: str | None = None
        try:
            self._judge(trainer, pl_module, losses)
        except Exception as failure:  # told to the other processes, which wait for the verdict
            error = f"{type(failure).__name__}: {failure}"
            self._report.trace("the look failed", failure)
        found = [verdict_to_dict(verdict) for verdict in monitor.verdicts[len(before) :]]
        # Two machines may differ in the last digit, so the first process decides for all.
        decided = (error, found, self.until_next_look())
        error, found, due = trainer.strategy.broadcast(decided, src=0)
        verdicts = [Verdict(**own) for own in found]
        # A look that failed in this process may have taken none of the losses.
        monitor.adopt([*before, *verdicts], losses[monitor.n_seen - n_seen :])
        if error is not None:
            raise RuntimeError(error)
        self.await_look(due)
        return verdicts

    def _judge(self, trainer: Any, pl_module: Any, losses: list[float]) -> None:
        monitor = self.monitor
        if monitor.configuration is None:
            monitor.configuration = self._context(trainer, pl_module)
        if not monitor.verdicts and not pl_module.automatic_optimization:
            # Only now it is known how many optimiser steps there are to a loss.
            n_seen = monitor.n_seen + len(losses)
            budget = read_budget(trainer, pl_module, self._budget, n_seen)
            if isinstance(budget, int):
                monitor.set_budget(budget)
        self.see_validation(trainer)
        found = monitor.extend(losses)
        missing = self.buffer.missing if self.buffer is not None else 0
        if found and missing and found[-1].action == "abstain":
            reason = f"{missing} steps had no {self._loss_key!r} in what training_step returned"
            monitor.verdicts[-1] = replace(found[-1], reason=reason)

    def _context(self, trainer: Any, pl_module: Any) -> Configuration:
        """Return the configuration; nothing is known where it cannot be read."""
        try:
            return read_context(trainer, pl_module, self.monitor.budget)
        except Exception as error:  # whatever optimiser or loader a user has: the loss is there
            self._report.note(
                "the configuration cannot be read, only the loss is: "
                f"{type(error).__name__}: {error}"
            )
            return Configuration()

    def see_evaluation(self, trainer: Any) -> None:
        """Tell the monitor the validation loss and accuracy of an evaluation that has ended."""
        named = self._val_metric if self.monitor.classifier.rule.metric == "val_acc" else None
        found = find_evaluation(trainer.callback_metrics, named)
        if self.buffer is not None and found is not None:
            self.monitor.saw_evaluation(*found, self.monitor.n_seen + len(self.buffer))

    def see_validation(self, trainer: Any) -> None:
        """Tell the monitor the latest validation metric."""
        if in_percent(trainer.callback_metrics):
            self.monitor.saw_percentages()
        rule = self.monitor.classifier.rule
        self.monitor.saw_validation(read_validation(trainer, rule, self._val_metric))

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
            self._report.note(f"could not read the losses: {error}")
            losses = [math.nan] * n_steps
        return losses if self._alone else mean_over_processes(trainer, losses)

    def _shared(self, micro: list[Any]) -> list[float | None]:
        values = to_floats(micro)
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
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where the fit was that wrote ``state``."""
        monitor, buffer = self.monitor, self.buffer
        monitor.load_state_dict(state["monitor"])
        monitor.configuration = (
            Configuration(**state["configuration"]) if state["configuration"] else None
        )
        if state["step"] is None:
            self.buffer = None
        elif buffer is not None:
            buffer.step = state["step"]
            buffer.micro, buffer.divided = list(state["micro"]), state["divided"]
        self.await_look(self.until_next_look())


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
    trainer: Any, pl_module: Any, budget: int | None, state: Mapping[str, Any] | None
) -> int | str:
    """Return the budget, or a sentence if it is not known; it is one number for all looks.

    Parameters
    ----------
    trainer, pl_module
        Of either Lightning, at the start of the fit.
    budget : int or None
        The budget that the user gave.
    state : mapping or None
        As :func:`why_not_watched`.
    """
    if state and state["monitor"]["verdicts"]:
        return int(state["monitor"]["budget"])
    n_seen = int(state["monitor"]["n_seen"]) if state else 0
    return read_budget(trainer, pl_module, budget, n_seen)
