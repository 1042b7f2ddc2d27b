"""The monitor: takes what one run tells as it trains, and looks to the end of its budget.

No framework is needed here; the adapters beside it are thin layers over :class:`GrokMonitor`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grokpredict.features.profile import PROFILED, looks_before
from grokpredict.features.recording import Recording
from grokpredict.live.judging import Judge
from grokpredict.live.ledger import SweepLedger, as_ledger
from grokpredict.live.observed import Observed
from grokpredict.live.policy import LOSS, LookPolicy
from grokpredict.live.record import RunRecord
from grokpredict.model.channels import READABLE, Reads
from grokpredict.model.classifier import GrokClassifier, load_classifier
from grokpredict.model.thresholds import check_max_false_abort
from grokpredict.model.verdict import Verdict, judge

#: Of the state in a checkpoint; that of another version is refused.
STATE_VERSION = 3


class GrokMonitor:
    """Watches one training run and says whether to go on.

    Parameters
    ----------
    classifier : str, Path or GrokClassifier
        ``"default"``, a classifier file, or a classifier.
    budget : int
        Optimiser step by which the run has to generalise; one number for all looks.
    max_false_abort : float
        Largest share of the runs that would generalise that may ever be stopped, with 95 %
        confidence, for runs like the classifier's calibration runs; in expectation where
        :func:`~grokpredict.calibrate` set the thresholds so.
    ledger : str, Path or SweepLedger, optional
        Folder from which the runs of a sweep learn, see :class:`~grokpredict.SweepLedger`: the
        threshold comes from it, and an abort that must not stop the run is a continue. Tell it
        of every evaluation, and call :meth:`finish` at the end.
    name : str, optional
        Of the run in the ledger; a random one by default, which :meth:`state_dict` keeps.
    hparams : mapping, optional
        What was chosen for the run, for the ledger: its seeds are repetitions of what is the same
        otherwise.
    only_warns : str, optional
        Why no abort will stop the run, if none will; the ledger must know. The looks then go on
        after an abort.

    Attributes
    ----------
    observed : Observed
        What the run has told so far.

    Raises
    ------
    ValueError
        If an argument is out of its range. A broken file is a
        :class:`~grokpredict.model.file.ClassifierFileError`, which is a ValueError.

    Notes
    -----
    Looks are after 200 steps, 282, 400, ... at every factor of sqrt 2 up to the budget. The look
    after N steps is taken when something is told of a later step, so that an evaluation after N
    steps counts. A value that is not finite is missing. What is kept of a run is bounded: some
    hundred sums a channel. An abort is the last look, unless it only warns.

    Examples
    --------
    >>> monitor = GrokMonitor(budget=1000)
    >>> verdicts = monitor.extend([1 / step for step in range(1, 402)])
    >>> [(verdict.horizon, verdict.action) for verdict in verdicts]
    [(200, 'continue'), (282, 'continue'), (400, 'continue')]
    """

    def __init__(
        self,
        classifier: str | Path | GrokClassifier = "default",
        *,
        budget: int,
        max_false_abort: float = 0.05,
        ledger: str | Path | SweepLedger | None = None,
        name: str | None = None,
        hparams: Mapping[str, Any] | None = None,
        only_warns: str | None = None,
    ) -> None:
        check_max_false_abort(max_false_abort)
        self.classifier = load_classifier(classifier)
        self.max_false_abort = max_false_abort
        self._verdicts: list[Verdict] = []
        self._n_seen = 0
        self.observed = Observed(self.classifier.rule)
        self._policy = LookPolicy(budget, only_warns is not None)
        self.set_budget(budget)
        self._record: RunRecord | None = None
        if ledger is not None:
            self._record = RunRecord(
                as_ledger(ledger),
                name,
                budget=self.budget,
                max_false_abort=max_false_abort,
                rule=self.classifier.rule,
                calibrations=self.classifier.calibrations,
                configuration=hparams,
                only_warns=only_warns,
            )
        self._judge = Judge(self.classifier, max_false_abort, self._record)

    @property
    def verdicts(self) -> list[Verdict]:
        """One a look, in order; a copy."""
        return list(self._verdicts)

    @property
    def n_seen(self) -> int:
        """Steps made up to the latest training loss, and those of :meth:`trained_on`."""
        return self._n_seen

    @property
    def reads(self) -> Reads | None:
        """Channels that every further look reads; None until that is settled."""
        return self._judge.reads

    @property
    def budget(self) -> int:
        """Optimiser step by which the run has to generalise."""
        return self._policy.budget

    def set_budget(self, budget: int) -> None:
        """Change the budget; only before the first look, it is one number for all of them."""
        if budget < 1:
            raise ValueError(f"the budget must be at least 1 step, got {budget}")
        if self._verdicts:
            raise ValueError("the budget is one number for all looks and the first was taken")
        self._policy = replace(self._policy, budget=int(budget))

    @property
    def next_look(self) -> int | None:
        """Step of the next look; None when there is none, see :attr:`silence`."""
        return self._policy.next_look(self._verdicts)

    @property
    def silence(self) -> str | None:
        """Why there will be no further look; None while there is one."""
        if self.next_look is not None:
            return None
        if self._verdicts:
            return "the last look was taken"
        first = int(looks_before(np.inf)[0])
        return (
            f"The first look is after {first} steps, but the budget of this run is "
            f"{self.budget}; there is no look."
        )

    def prepare(self) -> None:
        """Do once what a look does, so that the first is no slower than the others."""
        if self.next_look is not None:
            recording = Recording()
            for channel in PROFILED:
                recording.take(channel, np.arange(400), np.ones(400))
            row = recording.columns([0], self.budget)[0]
            judge(self.classifier, row, 0, reads=READABLE, budget=self.budget)

    # ---------------------------------------------------------------- what a run tells

    def update(self, loss: float, step: int | None = None) -> Verdict | None:
        """Take the training loss of one step; return the verdict if a look was due before it.

        Parameters
        ----------
        loss : float
            As it is, NaN and infinity included.
        step : int, optional
            Number of the step, from 1; by default the one after the latest. A step up to that is
            known already, and is passed over. At a coarse cadence several looks may be due: the
            verdict is that of the last.
        """
        at = self._n_seen + 1 if step is None else int(step)
        if at <= self._n_seen:
            return None
        self.observed.take(LOSS, np.array([at - 1]), np.array([float(loss)]))
        self._n_seen = at
        verdicts = self._reach(at)
        return verdicts[-1] if verdicts else None

    def extend(self, losses: Sequence[float] | NDArray[np.floating[Any]]) -> list[Verdict]:
        """Take the losses of consecutive steps; return the verdicts of the looks among them.

        Parameters
        ----------
        losses : sequence of float, shape (n,)
            In order, following those that were taken before.
        """
        self._append(losses)
        return self._reach(self._n_seen)

    def saw_validation(self, value: float | None) -> None:
        """Take the latest value of the metric that the classifier's rule names.

        A run that meets the rule at a look has generalised already and is left alone. Once an
        accuracy was above 1, all of this run are percentages: guessing among a hundred classes is
        right in 1 % of the cases. None means that there is no value.
        """
        self.observed.saw_validation(value)

    def saw_evaluation(
        self, loss: float | None, accuracy: float | None, step: int | None = None
    ) -> None:
        """Take validation loss and accuracy of one evaluation; either may be missing.

        Parameters
        ----------
        loss, accuracy : float or None
            As they were logged; see :meth:`saw_validation` for percentages.
        step : int, optional
            Optimiser steps made before it, by default those up to the latest training loss. A
            look that was due before it is taken first.
        """
        self.saw(step, val_loss=loss, val_acc=accuracy)

    def saw(self, step: int | None = None, **values: float | None) -> None:
        """Take one value of each channel that is named, as :meth:`saw_evaluation`."""
        at = self._n_seen if step is None else int(step)
        self._reach(at)
        for channel, value in values.items():
            if value is not None:
                self.observed.take(channel, np.array([at - 1]), np.array([float(value)]))
                if self._record is not None and channel == self.classifier.rule.metric:
                    self._record.evaluated(at, self.observed.as_share(float(value)))

    def trained_on(self, since: int, step: int) -> None:
        """Take note that the run went on from one of the trainer's steps, at the last look."""
        self._n_seen = round(self._n_seen * step / since)

    @property
    def in_ledger(self) -> bool:
        """Whether a ledger waits to hear how the run ends."""
        return self._record is not None

    def finish(self, step: int | None = None, *, diverged: bool = False) -> None:
        """Tell the ledger that the run has ended; without one nothing happens.

        Parameters
        ----------
        step : int, optional
            Optimiser steps made, by default those up to the latest training loss.
        diverged : bool
            Whether its loss is not finite any more.
        """
        if self._record is not None:
            self._record.finish(self._n_seen if step is None else step, diverged=diverged)

    # ---------------------------------------------------------------- looking

    def look(self) -> Verdict:
        """Take the look that is due, at what the run has told so far.

        Raises
        ------
        ValueError
            If there is no further look.
        """
        step = self.next_look
        if step is None:
            raise ValueError("the last look was taken")
        reason = self.observed.generalised
        if reason is not None:
            verdict = Verdict("continue", reason, step, self.budget)
        else:
            verdict = self._judge.look(self.observed.recording, len(self._verdicts), self.budget)
        if self._record is not None:
            verdict = self._record.take(verdict, settled=self.reads is not None)
        self._verdicts.append(verdict)
        return verdict

    def explain(self, reason: str) -> Verdict:
        """Give the last verdict another reason, by one who knows the run better; return it."""
        self._verdicts[-1] = replace(self._verdicts[-1], reason=reason)
        return self._verdicts[-1]

    def adopt(self, verdicts: Sequence[Verdict], losses: Sequence[float] = ()) -> None:
        """Take over the verdicts of another monitor of this run: of several, one decides for all.

        Parameters
        ----------
        verdicts : sequence of Verdict
            One a look, from the first on. They take the place of this monitor's own.
        losses : sequence of float
            Those that the other looked at and this monitor was not given.
        """
        self._append(losses)
        self._verdicts = list(verdicts)
        if self._verdicts:
            self._policy = replace(self._policy, budget=self._verdicts[-1].budget)

    def _append(self, losses: Sequence[float] | NDArray[np.floating[Any]]) -> None:
        values = np.asarray(losses, dtype=float)
        if values.ndim != 1:
            raise ValueError(f"losses must be one-dimensional, got the shape {values.shape}")
        self.observed.take(LOSS, self._n_seen + np.arange(values.size), values)
        self._n_seen += values.size

    def _reach(self, step: int) -> list[Verdict]:
        """Take the looks that were due before a step."""
        verdicts = []
        while (due := self.next_look) is not None and due < step:
            verdicts.append(self.look())
        return verdicts

    # ---------------------------------------------------------------- checkpoints

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs, in plain Python objects."""
        return {
            "version": STATE_VERSION,
            "n_seen": self._n_seen,
            "budget": self.budget,
            **self.observed.state_dict(),
            "reads": None if self.reads is None else list(self.reads),
            "verdicts": [verdict.to_dict() for verdict in self._verdicts],
            "ledger": None if self._record is None else self._record.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another monitor was; the arguments of this one hold from here on.

        Only the budget is that of the other, if a look was taken: it is one number for all looks.

        Raises
        ------
        ValueError
            If another version wrote the state; this monitor stays as it is then.
        """
        check_state(state)
        self._verdicts = [Verdict(**fields_of) for fields_of in state["verdicts"]]
        if self._verdicts:
            self._policy = replace(self._policy, budget=int(state["budget"]))
        self.observed.load_state_dict(state)
        self._judge.reads = None if state["reads"] is None else tuple(state["reads"])
        self._n_seen = int(state["n_seen"])
        if self._record is not None and state["ledger"] is not None:
            self._record.load_state_dict(state["ledger"])


def check_state(state: Mapping[str, Any]) -> None:
    """Raise a ValueError unless this version wrote the state of a monitor."""
    if not isinstance(state, Mapping) or state.get("version") != STATE_VERSION:
        raise ValueError(
            "the state of this run in the checkpoint was written by another version of "
            "grokpredict; the run is trained on without looks"
        )
