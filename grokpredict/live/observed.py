"""What one run has told so far, in the channels that its looks read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from grokpredict.features.profile import PROFILED
from grokpredict.features.recording import ACCURACIES, Recording
from grokpredict.live.policy import left_alone
from grokpredict.runs.curve import FloatArray, IntArray
from grokpredict.runs.labels import PERCENT_ABOVE, LabelRule


class Observed:
    """Keeps what a run tells, bounded however long it is, and knows whether it has generalised.

    Parameters
    ----------
    rule : LabelRule
        What counts as generalised.

    Attributes
    ----------
    recording : Recording
        Sums of the channels.
    """

    def __init__(self, rule: LabelRule) -> None:
        self.recording = Recording()
        self._rule = rule
        self._latest_step = dict.fromkeys(PROFILED, -1)
        self._validation: float | None = None

    def take(self, channel: str, steps: IntArray, values: FloatArray) -> None:
        """Take samples of a channel, as they are logged.

        Parameters
        ----------
        channel : str
            Its name, as in :data:`grokpredict.runs.run.CHANNELS`; one that is not read is let go.
        steps : ndarray of int, shape (n,)
            Optimiser steps, from 0, increasing; one up to the channel's latest is passed over.
        values : ndarray, shape (n,)
            Accuracies as shares of 1, or all of the run as percentages.
        """
        if channel not in PROFILED:
            return
        later = steps > self._latest_step[channel]
        if not later.any():
            return
        steps, values = steps[later], values[later]
        self._latest_step[channel] = int(steps[-1])
        self.recording.take(channel, steps, values)

    def saw_validation(self, value: float | None) -> None:
        """Take the latest value of the metric that the rule names; None if there is none.

        Once an accuracy was above 1, all of this run are percentages: guessing among a hundred
        classes is right in 1 % of the cases.
        """
        self._validation = None if value is None else float(value)
        self.recording.percent |= value is not None and float(value) > PERCENT_ABOVE

    def saw_percentages(self) -> None:
        """Take note that this run's accuracies are percentages."""
        self.recording.percent = True

    @property
    def generalised(self) -> str | None:
        """A sentence, if the latest validation metric shows that the run has generalised."""
        value = self._validation
        return left_alone(self._rule, None if value is None else self.as_share(value))

    def as_share(self, value: float) -> float:
        """Return a value of the metric that the rule names, which may be a percentage."""
        percent = self.recording.percent and self._rule.metric in ACCURACIES
        return value / 100 if percent else value

    def state_dict(self) -> dict[str, Any]:
        """Return all of it in plain Python objects."""
        return {
            "recording": self.recording.state(),
            "last": dict(self._latest_step),
            "validation": self._validation,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from :meth:`state_dict`."""
        self.recording.restore(state["recording"])
        self._latest_step = {name: int(state["last"][name]) for name in PROFILED}
        self._validation = state["validation"]
