"""How a run that trains will be labelled, from one evaluation after another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from grokpredict.runs.labels import LabelRule, Outcome


class OutcomeSoFar:
    """Follows a label rule through the evaluations of one run, and keeps four numbers of it.

    Parameters
    ----------
    rule : LabelRule
        What it takes to have generalised.

    Notes
    -----
    As :func:`grokpredict.runs.labels.outcome` of the finished run, except that the last gap between
    two evaluations stands for the median one.
    """

    def __init__(self, rule: LabelRule) -> None:
        self.rule = rule
        #: Step of the latest evaluation, and the steps since the one before.
        self._step: int | None = None
        self._gap = 1
        #: Evaluations in a row, up to the latest, that meet the rule, and the step of the first.
        self._in_a_row = 0
        self._first: int | None = None
        #: Step at which the run has generalised, once that is certain.
        self.t4: int | None = None

    def take(self, step: int, value: float) -> None:
        """Take the metric of an evaluation; one at the same step or before is not counted again."""
        if self._step is not None:
            if step <= self._step:
                return
            self._gap = step - self._step
        self._step = step
        if not self.rule.met_by(value):
            self._in_a_row, self._first = 0, None
            return
        self._first = step if self._first is None else self._first
        self._in_a_row += 1
        if self.t4 is None and self._in_a_row > self.rule.hold:
            self.t4 = self._first

    def so_far(self) -> Outcome | None:
        """Return what is certain while the run goes on; None if it was never evaluated."""
        if self._step is None:
            return None
        if self.t4 is not None:
            return Outcome(self.t4, self.t4)
        # An evaluation that meets the rule and was not confirmed ends what is known before it.
        return Outcome(None, self._step + self._gap if self._first is None else self._first - 1)

    def at_end(self) -> Outcome | None:
        """Return what is known if the run ends here, where fewer evaluations confirm the rule."""
        if self._first is not None and self._in_a_row >= min(self.rule.hold + 1, 2):
            t4 = self._first if self.t4 is None else self.t4
            return Outcome(t4, t4)
        return self.so_far()

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs, in plain Python objects."""
        return {name: getattr(self, name) for name in _STATE}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where the run was that made ``state``."""
        for name in _STATE:
            setattr(self, name, state[name])


_STATE = ("_step", "_gap", "_in_a_row", "_first", "t4")
