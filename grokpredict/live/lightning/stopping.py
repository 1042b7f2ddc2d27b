"""Ending a fit: at once, or when the trainer's ``min_steps`` and ``min_epochs`` allow it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from grokpredict.live.guard import described
from grokpredict.live.lightning.agreement import Ending
from grokpredict.live.lightning.report import Report
from grokpredict.live.lightning.watch import Watch
from grokpredict.live.trainer import can_stop


class StoppingReason(Enum):
    """Why a run was stopped, or was not."""

    NOT_STOPPED = "not stopped"
    WILL_NOT_GENERALISE = "will not generalise within the budget"
    WARNED_ONLY = "will not generalise within the budget, but action is 'warn'"


class Stop:
    """Whether one fit is to end, and has ended.

    Attributes
    ----------
    step : int or None
        ``global_step`` at which the fit was stopped.
    reason : StoppingReason
        Whether and why.
    held : int or None
        ``global_step`` of an abort that waits for ``min_steps`` and ``min_epochs``.
    overruled : int or None
        ``global_step`` at which the run was stopped before it was resumed all the same.
    """

    def __init__(self, report: Report) -> None:
        self.step: int | None = None
        self.reason = StoppingReason.NOT_STOPPED
        self.held: int | None = None
        self.overruled: int | None = None
        self._report = report

    def ending(self, trainer: Any, watch: Watch) -> Ending:
        """Decide what becomes of an abort; the first process does, for all of them.

        Nothing is stopped before the trainer may stop, nor a run that has generalised meanwhile.
        """
        # After a resume it may be an earlier look that said so, and only warned then.
        reason = next(look.reason for look in watch.monitor.verdicts if look.action == "abort")
        if not can_stop(trainer):
            waits = "; the fit goes on until min_steps and min_epochs are met"
            return Ending("wait", reason + waits)
        try:
            spared = watch.validation.spared(trainer)
        except Exception as error:  # whether it has generalised is not known
            spared = described(error)
        if spared is not None:
            return Ending("go on", f"not stopped: {spared}")
        step = int(trainer.global_step)
        if self.held is not None and self.held < step and 0 <= trainer.max_steps <= step:
            ends = "not stopped, min_steps and min_epochs kept the fit going to its end: "
            return Ending("go on", ends + reason)
        return Ending("stop", f"stopped at step {step}: {reason}")

    def carried_out(self, trainer: Any, watch: Watch, ending: Ending) -> bool:
        """Take note of an ending, and say it; return whether it is news."""
        step = int(trainer.global_step)
        decided_at = step if self.held is None else self.held
        if self.held is not None and ending.kind == "wait":
            return False
        self.held = decided_at if ending.kind == "wait" else None
        self._report.say(ending.message, logging.WARNING)
        if ending.kind == "stop":
            self.step = step
            self.reason = StoppingReason.WILL_NOT_GENERALISE
            # The last look was the last time that the losses were counted.
            watch.monitor.trained_on(decided_at, step)
        return True

    def warn(self, reason: str) -> None:
        """Take note of an abort that only warns."""
        self.reason = StoppingReason.WARNED_ONLY
        self._report.say(f"would be stopped: {reason}", logging.WARNING)

    def save(self, trainer: Any) -> None:
        """Save a checkpoint of a fit that is to end, and say how it goes on; all processes do.

        Without the checkpoint it does not end.
        """
        path = Path(trainer.default_root_dir) / f"grokpredict-step={self.step}.ckpt"
        failure = None
        try:
            trainer.save_checkpoint(path)
        except Exception as error:  # a full disk, a value of the user's that cannot be saved
            failure = described(error)
        failure = trainer.strategy.broadcast(failure, src=0)
        if failure is not None:
            trainer.should_stop = False
            self.step, self.reason = None, StoppingReason.NOT_STOPPED
            message = f"not stopped: the checkpoint cannot be saved: {failure}"
        else:
            resume = f"To overrule it: trainer.fit(model, ckpt_path={str(path)!r})"
            message = f"{self._report.message} {resume}"
        self._report.say(message, logging.WARNING)

    def resume(self, action: str, *, stricter: bool, step: int) -> None:
        """Go on after a resume, under arguments that may have been changed.

        A run that was stopped and goes on has been overruled. An abort that only warned is acted
        on once the action is another; one that waits is dropped once it is ``"warn"``, or once
        ``max_false_abort`` is stricter.
        """
        if self.step is not None:
            self.overruled, self.step = self.step, None
            self.reason = StoppingReason.NOT_STOPPED
        elif stricter:
            self.held, self.reason = None, StoppingReason.NOT_STOPPED
        elif action == "warn" and self.held is not None:
            self.held, self.reason = None, StoppingReason.WARNED_ONLY
        elif action != "warn" and self.reason is StoppingReason.WARNED_ONLY:
            self.held, self.reason = step, StoppingReason.NOT_STOPPED

    @property
    def overruling(self) -> str | None:
        """A sentence, if a run that was stopped goes on."""
        if self.overruled is None:
            return None
        return f"was stopped at step {self.overruled} before and now goes on unwatched"

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed fit needs, in plain Python objects."""
        return {
            "held": self.held,
            "stopped_step": self.step,
            "overruled": self.overruled,
            "stopping_reason": self.reason.value,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where the fit was that wrote ``state``."""
        self.held = state["held"]
        self.step = state["stopped_step"]
        self.overruled = state["overruled"]
        self.reason = StoppingReason(state["stopping_reason"])
