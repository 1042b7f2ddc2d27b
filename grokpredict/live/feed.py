"""Losses that come with their step: what is logged twice counts once, what is missing is missing.

For the adapters of libraries that tell the step of a result, and for their failures: nothing of
ours ends a user's training or study.
"""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from grokpredict.live.monitor import GrokMonitor
from grokpredict.model.verdict import Verdict

Result = TypeVar("Result")


class Teller:
    """Logs each sentence once, and never raises.

    Parameters
    ----------
    log : logging.Logger
        Where to.
    """

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._said: set[str] = set()

    def warn(self, message: str) -> None:
        """Log a warning, unless it was logged before."""
        if message in self._said:
            return
        self._said.add(message)
        with suppress(Exception):  # a handler or filter of the user's
            self._log.warning("grokpredict: %s", message)

    def failed(self, error: Exception, what: str) -> None:
        """Log that ``what`` is left alone after an error, with the traceback at level debug."""
        with suppress(Exception):
            self.warn(f"{type(error).__name__}: {error}; {what} is left alone")
            self._log.debug("grokpredict: failed", exc_info=error)

    def __getstate__(self) -> dict[str, Any]:
        return {"_log": self._log, "_said": set(self._said)}


def leaves_alone(what: str, answer: Result) -> Callable[[Callable[..., Result]], Any]:
    """Make a method with a ``_teller`` log its errors once and return ``answer`` in their place.

    Parameters
    ----------
    what : str
        What is left alone then: the run, the trial.
    answer : object
        What lets the training go on.
    """

    def wrap(method: Callable[..., Result]) -> Callable[..., Result]:
        @functools.wraps(method)
        def safe(self: Any, *args: Any, **options: Any) -> Result:
            try:
                return method(self, *args, **options)
            except Exception as error:  # a failure of ours must never end a user's run
                self._teller.failed(error, what)
                return answer

        return safe

    return wrap


class Feed:
    """Gives a monitor the losses of one run by their steps.

    Parameters
    ----------
    monitor : GrokMonitor
        With the stride at which losses are logged.
    teller : Teller
        Is told what is missing.
    name : str
        Of the run, for the messages.
    """

    def __init__(self, monitor: GrokMonitor, teller: Teller, name: str) -> None:
        self.monitor = monitor
        self._teller = teller
        self._name = name
        #: Losses up to the last look, by which a run that was set back is known.
        self._losses: list[float] = []
        self._set_back = False

    def take(self, step: int, loss: float) -> Verdict | None:
        """Take the loss after ``step`` optimiser steps; return a verdict if it was time to look.

        Parameters
        ----------
        step : int
            From 1. The same step again is the same loss, logged twice or after a restore; one
            between two multiples of the stride (as the first step's is) is no sample.
        loss : float
            NaN where it is not known.
        """
        monitor = self.monitor
        sample, rest = divmod(step, monitor.stride)
        if rest or step < 1 or self._set_back:
            return None
        if sample <= monitor.n_seen:
            self._compare(sample, loss)
            return None
        if monitor.next_horizon is None:
            self._losses.clear()
            return None
        missing = sample - monitor.n_seen - 1
        if missing:
            self._teller.warn(
                f"{self._name} has no loss of the {missing} steps before step {step}, so the looks "
                "that need them abstain; a run must be watched from its start, at every step"
                + (f" {monitor.stride} apart" if monitor.stride > 1 else "")
            )
        losses = [*[math.nan] * missing, float(loss)]
        self._losses += losses
        verdicts = monitor.extend(losses)
        return verdicts[-1] if verdicts else None

    def _compare(self, sample: int, loss: float) -> None:
        # The latest step again is another log entry, not a run that was set back.
        if sample >= min(self.monitor.n_seen, len(self._losses)):
            return
        before = self._losses[sample - 1]
        if not math.isfinite(before + loss) or math.isclose(before, loss, rel_tol=1e-3):
            return
        self._teller.warn(
            f"{self._name} was set back to step {sample * self.monitor.stride}, with other losses "
            "than before, so it is left alone"
        )
        self._set_back = True
