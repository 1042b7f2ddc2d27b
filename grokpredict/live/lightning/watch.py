"""One fit under watch: its monitor, what is not yet given to it, and the other processes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from grokpredict.live.guard import FailedEverywhereError, described
from grokpredict.live.lightning.agreement import Answer, Ending, agreed
from grokpredict.live.lightning.losses import LossBuffer, no_steps
from grokpredict.live.lightning.report import Report
from grokpredict.live.lightning.sampling import Samples
from grokpredict.live.lightning.shared_losses import SharedLosses
from grokpredict.live.lightning.validation import Validation
from grokpredict.live.monitor import GrokMonitor
from grokpredict.live.trainer import optimises, read_budget
from grokpredict.model.verdict import Verdict

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

#: Losses that wait on their device at most; looks are further apart in a long run.
MOST_WAITING = 4096


class Watch:
    """Gives the losses of one fit to a monitor, alike in all processes.

    A process in which something fails goes on counting, and has no losses (NaN) from there on:
    the others wait for it at the look.

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
        Losses since the monitor was last given some; None once no more are wanted.
    validation : Validation
        Takes the metrics of validations.
    waits : bool
        Whether an abort waits until the trainer may stop.
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
        self.validation = Validation(monitor, val_metric, report)
        self.waits = False
        self._automatic = optimises(pl_module)
        self._first_step = int(trainer.global_step)
        self.buffer: LossBuffer | None = LossBuffer(
            loss_key, automatic=self._automatic, step=self._first_step
        )
        self._samples = Samples(trainer, pl_module)
        self._budget = budget
        self._loss_key = loss_key
        self._report = report
        self._trainer: Any = trainer
        self._alone = trainer.world_size == 1
        self._shared = SharedLosses(report, alone=self._alone)
        self._sample_at: float = math.inf
        loop = trainer.fit_loop.epoch_loop
        # What ``trainer.global_step`` reads, ten times faster.
        self._count: Any = (
            loop.automatic_optimization.optim_progress.optimizer.step.total
            if self._automatic
            else loop.manual_optimization.optim_step_progress.total
        )
        self.await_look()

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the trainer, which lives in this process only."""
        return {**self.__dict__, "_trainer": None, "_count": None}

    @property
    def in_fit(self) -> bool:
        """Whether the fit is still going on, as far as this process was told."""
        return self._trainer is not None

    @property
    def step(self) -> int:
        """Steps made so far, in losses."""
        if self.buffer is not None:
            return self.monitor.n_seen + len(self.buffer)
        # After the last look nobody counts losses. Where Lightning optimises, each is a step.
        counts = self._automatic and self._count is not None
        return int(self._count.completed) if counts else self.monitor.n_seen

    def take(self, trainer: Any, outputs: Any) -> bool:
        """Keep the loss of a batch; return whether it is time to look."""
        buffer = self.buffer
        assert buffer is not None
        due = buffer.take(outputs, self._count.completed, trainer.accumulate_grad_batches)
        if len(buffer.steps) >= self._sample_at:
            self._sample(trainer)
        return due

    def _sample(self, trainer: Any) -> None:
        """Take the samples that are due; never raise, for the others count on this step."""
        self._sample_at = math.inf
        try:
            self._samples.take(trainer, self.step)
            self._await_sample()
        except Exception as error:  # whatever a device raises: the looks do without the norm
            self._report.trace("the weight norm cannot be read", error)

    def let_go(self) -> None:
        """Let go of the trainer; nothing is asked of the other processes from here on."""
        self._trainer = None

    def give_up(self, error: Exception) -> None:
        """Watch no more after a failure; where other processes wait, go on counting."""
        if self._alone or isinstance(error, FailedEverywhereError):
            self.buffer = None
            self.waits = False
        self._shared.broken = True

    def until_next_look(self) -> int | None:
        """Return after how many steps to look, or to empty the buffer; None for never.

        The look after N steps is taken after N + 1: a validation after N steps counts.
        """
        look = self.monitor.next_look
        return None if look is None else min(look + 1 - self.monitor.n_seen, MOST_WAITING)

    def await_look(self) -> None:
        """Keep losses until the next look, or no more."""
        due = self.until_next_look()
        if due is None or self.buffer is None:
            self.buffer = None
        else:
            self.buffer.due = due
            self._await_sample()

    def _await_sample(self) -> None:
        self._sample_at = self._samples.next_after(self.step) - self.monitor.n_seen

    def why_no_look(self) -> str | None:
        """Return why a fit that has ended was never looked at; None if it was."""
        buffer, monitor = self.buffer, self.monitor
        if monitor.verdicts or buffer is None:
            return None
        if buffer.step == self._first_step and buffer.micro:
            return no_steps(len(buffer.micro))
        if monitor.next_look is None:
            return None
        return (
            f"the fit ended after {monitor.n_seen} steps, before the first look after "
            f"{monitor.next_look}"
        )

    def outcome(self, trainer: Any, stopped: bool) -> dict[str, float]:
        """Return how the fit ended, as numbers: whether it was stopped, and has generalised.

        The latest validation tells; without a metric that is recognised nobody knows.
        """
        try:
            value = self.validation.see(trainer)
        except Exception as error:  # a metric of the user's; what was decided stays
            self._report.trace("the validation metrics cannot be read", error)
            value = None
        outcome = {"stopped": float(stopped)}
        if value is not None:
            outcome["generalised"] = float(self.monitor.observed.generalised is not None)
        return outcome

    # ---------------------------------------------------------------- looking

    def look(self, trainer: Any, ending: Callable[[], Ending | None]) -> Answer:
        """Look at the run, and end it where that is decided: alike in all processes.

        Parameters
        ----------
        trainer
            Of the fit.
        ending : callable
            Decides what becomes of an abort.

        Raises
        ------
        FailedEverywhereError
            In all processes, if the look failed in the first.
        """
        monitor = self.monitor
        before, n_seen = monitor.verdicts, monitor.n_seen
        assert self.buffer is not None
        losses = self._shared.losses(trainer, self.buffer)

        def decide() -> Answer:
            self._judge(trainer, losses)
            verdicts = monitor.verdicts[len(before) :]
            aborted = bool(verdicts) and verdicts[-1].action == "abort"
            return Answer(
                verdicts=tuple(verdict.to_dict() for verdict in verdicts),
                due=self.until_next_look(),
                ending=ending() if aborted else None,
            )

        answer = agreed(trainer, decide, self._report)
        self._carry_out(trainer, answer)
        if self.buffer is not None:
            self.buffer.due = answer.due or 0
        try:
            verdicts = [Verdict(**fields) for fields in answer.verdicts]
            # A look that failed in this process may have taken none of the losses.
            monitor.adopt([*before, *verdicts], losses[monitor.n_seen - n_seen :])
            self._await_sample()
        except Exception as failure:  # the answer holds, and the others act on it
            self._report.note(f"could not take over the verdict: {described(failure)}")
            self._shared.broken = True
        if answer.due is None:
            self.buffer = None
        if answer.error is not None:
            raise FailedEverywhereError(answer.error)
        return answer

    def wait(self, trainer: Any, ending: Callable[[], Ending | None]) -> Answer:
        """Ask again what becomes of an abort that waits: alike in all processes.

        Raises
        ------
        FailedEverywhereError
            In all processes, if that failed in the first.
        """
        answer = agreed(trainer, lambda: Answer(ending=ending()), self._report)
        self._carry_out(trainer, answer)
        if answer.error is not None:
            raise FailedEverywhereError(answer.error)
        return answer

    def _carry_out(self, trainer: Any, answer: Answer) -> None:
        """End the fit, or wait, before anything else that may fail in one process only."""
        kind = None if answer.ending is None else answer.ending.kind
        self.waits = kind == "wait"
        if kind == "stop":
            trainer.should_stop = True

    def _judge(self, trainer: Any, losses: list[float]) -> None:
        monitor = self.monitor
        if not monitor.verdicts and not self._automatic:
            # Only now it is known how many optimiser steps there are to a loss.
            n_seen = monitor.n_seen + len(losses)
            budget = read_budget(trainer, self._automatic, self._budget, n_seen)
            if isinstance(budget, int):
                monitor.set_budget(budget)
        self.validation.see(trainer)
        self._samples.give(monitor)
        verdicts = monitor.extend(losses)
        missing = self.buffer.missing if self.buffer is not None else 0
        if verdicts and missing and verdicts[-1].probability is None:
            reason = f"{missing} steps had no {self._loss_key!r} in what training_step returned"
            monitor.explain(reason)

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
        losses = self._shared.losses(trainer, buffer)
        self._samples.give(self.monitor)
        self.monitor.extend(losses)
        self._await_sample()
        return True

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
            # Up to which step the losses are known; None once no more are kept.
            "step": None if buffer is None else buffer.step,
            "complete": together,
            "micro": []
            if buffer is None or not together
            else self._shared.micro(self._trainer, buffer),
            "divided": 1 if buffer is None else buffer.divided,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where the fit was that wrote ``state``."""
        self.monitor.load_state_dict(state["monitor"])
        buffer = self.buffer
        if state["step"] is None:
            self.buffer = None
        elif buffer is not None:
            buffer.step = state["step"]
            buffer.micro, buffer.divided = list(state["micro"]), state["divided"]
        self.await_look()
