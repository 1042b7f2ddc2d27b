"""The monitor: takes the losses of one run as they come and looks at the horizons.

No framework is needed here; the adapters beside it are thin layers over :class:`GrokMonitor`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grokpredict.features.metrics import Evaluations
from grokpredict.live.policy import WindowPolicy, ended
from grokpredict.model.classifier import GrokClassifier, load_classifier
from grokpredict.model.thresholds import check_max_false_abort
from grokpredict.model.verdict import Verdict, judge
from grokpredict.runs.configuration import Configuration
from grokpredict.runs.labels import PERCENT_ABOVE


class GrokMonitor:
    """Watches one training run and says whether to go on.

    Parameters
    ----------
    classifier : str, Path or GrokClassifier
        ``"default"``, a classifier file, or a classifier.
    budget : int
        Optimiser step by which the run has to generalise; one number for all looks.
    configuration : Configuration, optional
        What is known of the configuration. Without it the loss alone is read.
    max_false_abort : float
        Largest share of the runs that would generalise that may ever be stopped, with 95 %
        confidence, for runs like the classifier's calibration runs.
    stride : int
        Optimiser steps between two losses that the monitor is given. If the classifier does not
        know this grid but a coarser one that it divides, the losses are thinned to that.

    Raises
    ------
    ValueError
        If an argument is out of its range. A grid that the classifier does not know is an
        :class:`~grokpredict.runs.curve.UnsuitableRunError`, a broken file a
        :class:`~grokpredict.model.file.ClassifierFileError`; both are ValueErrors.

    Notes
    -----
    A non-finite loss is kept: the look at the next horizon then abstains. Losses are held only
    until the last look. An abort is the last look; the losses up to it are kept, as
    :meth:`adopt` may overrule it.
    """

    def __init__(
        self,
        classifier: str | Path | GrokClassifier = "default",
        *,
        budget: int,
        configuration: Configuration | None = None,
        max_false_abort: float = 0.05,
        stride: int = 1,
    ) -> None:
        check_max_false_abort(max_false_abort)
        if stride < 1:
            raise ValueError(f"the stride must be at least 1 step, got {stride}")
        self.classifier = load_classifier(classifier)
        self.max_false_abort = max_false_abort
        self.stride = stride
        self._policy = WindowPolicy.on(self.classifier, stride)
        self._configuration = configuration
        self._verdicts: list[Verdict] = []
        self._n_seen = 0
        self._losses: list[float] = []
        self._validation: float | None = None
        self._evaluations: list[tuple[int, float, float]] = []
        #: Whether the validation metrics are read: decided at the first look, for all of them.
        self._validated: bool | None = None
        self._percent = False
        self.set_budget(budget)

    @property
    def verdicts(self) -> list[Verdict]:
        """One a look, in order; a copy."""
        return list(self._verdicts)

    @property
    def n_seen(self) -> int:
        """Losses taken so far, and those of :meth:`trained_on`."""
        return self._n_seen

    @property
    def configuration(self) -> Configuration | None:
        """What is known of the configuration."""
        return self._configuration

    def set_configuration(self, configuration: Configuration | None) -> None:
        """Say what is known of the configuration, for the looks to come."""
        self._configuration = configuration

    @property
    def grid(self) -> int:
        """Optimiser steps between two losses that a look reads."""
        return self._policy.grid

    @property
    def budget(self) -> int:
        """Optimiser step by which the run has to generalise."""
        return self._budget

    def set_budget(self, budget: int) -> None:
        """Change the budget; only before the first look, it is one number for all of them."""
        if budget < 1:
            raise ValueError(f"the budget must be at least 1 step, got {budget}")
        if self._verdicts:
            raise ValueError("the budget is one number for all looks and the first was taken")
        self._budget = int(budget)
        self._advance()

    @property
    def next_horizon(self) -> int | None:
        """Step of the next look; None when there is none, see :attr:`silence`."""
        return self._horizon

    @property
    def silence(self) -> str | None:
        """Why there will be no further look; None while there is one."""
        if self._horizon is not None:
            return None
        if self._verdicts:
            return "the last look was taken"
        first = self._policy.horizons[0]
        if first >= self._budget:
            return (
                f"The first look is after {first} steps, but the budget of this run is "
                f"{self._budget}; there is no look."
            )
        return "the losses of the run's first steps are missing"

    def prepare(self) -> None:
        """Load the libraries that a look needs, so that the first is no slower than the others.

        Without this the first look of a process takes up to some seconds.
        """
        if self._horizon is None:
            return
        grid = self._policy.grid
        samples = np.ones((1, self._horizon // grid))
        self.classifier.look(samples, horizon=self._horizon, stride=grid, budget=self._budget)

    def update(self, loss: float) -> Verdict | None:
        """Take the loss of one step (of every ``stride`` steps); return a verdict at a horizon.

        Parameters
        ----------
        loss : float
            As it is, NaN and infinity included.
        """
        self._n_seen += 1
        if self._horizon is None:
            return None
        self._losses.append(float(loss))
        if self._n_seen < self._due:
            return None
        return self._look()

    def extend(self, losses: Sequence[float] | NDArray[np.floating[Any]]) -> list[Verdict]:
        """Take the losses of many steps; return the verdicts of the horizons among them.

        Parameters
        ----------
        losses : sequence of float, shape (n,)
            In order, following those that were taken before.
        """
        values = np.asarray(losses, dtype=float)
        if values.ndim != 1:
            raise ValueError(f"losses must be one-dimensional, got the shape {values.shape}")
        waiting: list[float] = values.tolist()
        verdicts = []
        while waiting and self._horizon is not None:
            part = waiting[: self._due - self._n_seen]
            waiting = waiting[len(part) :]
            self._n_seen += len(part)
            self._losses.extend(part)
            if self._n_seen == self._due:
                verdicts.append(self._look())
        self._n_seen += len(waiting)
        return verdicts

    def trained_on(self, since: int, step: int) -> None:
        """Take note that the run went on from one of the trainer's steps, at the last look."""
        self._n_seen = round(self._n_seen * step / since)

    def explain(self, reason: str) -> Verdict:
        """Give the last verdict another reason, by one who knows the run better; return it."""
        self._verdicts[-1] = replace(self._verdicts[-1], reason=reason)
        return self._verdicts[-1]

    def saw_validation(self, value: float | None) -> None:
        """Take the latest value of the metric that the classifier's rule names.

        A run that meets the rule at a horizon has generalised already and is left alone. Once an
        accuracy was above 1, all of this run are percentages: guessing among a hundred classes is
        right in 1 % of the cases. None means that there is no value.
        """
        self._validation = None if value is None else float(value)
        self._percent |= value is not None and float(value) > PERCENT_ABOVE

    def saw_evaluation(self, loss: float, accuracy: float, step: int | None = None) -> None:
        """Take the validation loss and accuracy of one evaluation, which a classifier may read.

        Parameters
        ----------
        loss, accuracy : float
            As they were logged; see :meth:`saw_validation` for percentages.
        step : int, optional
            Optimiser steps made before it, by default those of the losses taken so far.
        """
        at = self._n_seen * self.stride if step is None else int(step)
        # The later of two at one step counts.
        while self._evaluations and self._evaluations[-1][0] >= at:
            self._evaluations.pop()
        self._evaluations.append((at, float(loss), float(accuracy)))
        self._percent |= float(accuracy) > PERCENT_ABOVE

    def saw_percentages(self) -> None:
        """Take note that this run's accuracies are percentages, as its training accuracy tells."""
        self._percent = True

    @property
    def generalised(self) -> str | None:
        """A sentence, if the latest validation metric shows that the run has generalised."""
        value = self._validation
        if value is not None and self._percent and self.classifier.rule.metric == "val_acc":
            value /= 100
        return self._policy.left_alone(value)

    def _seen(self) -> Evaluations:
        steps, loss, accuracy = np.array(self._evaluations, dtype=float).reshape(-1, 3).T
        scale = 100.0 if self._percent else 1.0
        return Evaluations.known(steps.astype(np.int64), loss, accuracy / scale)

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs, in plain Python objects."""
        return {
            "losses": list(self._losses),
            "n_seen": self._n_seen,
            "grid": self._policy.grid,
            "budget": self._budget,
            "percent": self._percent,
            "validation": self._validation,
            "evaluations": [list(evaluation) for evaluation in self._evaluations],
            "validated": self._validated,
            "verdicts": [verdict_to_dict(verdict) for verdict in self._verdicts],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another monitor was; the arguments of this one hold from here on.

        Only the budget is that of the other, if a look was taken: it is one number for all looks.
        """
        self._verdicts = [Verdict(**fields_of) for fields_of in state["verdicts"]]
        if self._verdicts:
            self._budget = int(state["budget"])
        self._percent = bool(state["percent"])
        self._validation = state["validation"]
        self._evaluations = [(int(s), float(v), float(a)) for s, v, a in state["evaluations"]]
        self._validated = state["validated"]
        self._n_seen = int(state["n_seen"])
        same_grid = state["grid"] == self._policy.grid
        self._losses = [float(loss) for loss in state["losses"]] if same_grid else []
        self._advance()

    def adopt(self, verdicts: Sequence[Verdict], losses: Sequence[float] = ()) -> None:
        """Take over the verdicts of another monitor of this run: of several, one decides for all.

        Parameters
        ----------
        verdicts : sequence of Verdict
            One a look, from the first on. They take the place of this monitor's own.
        losses : sequence of float
            Those that the other looked at and this monitor was not given.
        """
        self._losses.extend(losses)
        self._n_seen += len(losses)
        self._verdicts = list(verdicts)
        if self._verdicts:
            self._budget = self._verdicts[-1].budget
        self._advance()

    def _advance(self) -> None:
        """Find the next horizon, or let the losses go if there is none."""
        over = ended(self._verdicts)
        whole = len(self._losses) == self._n_seen
        step = self._n_seen * self.stride
        self._horizon = self._policy.next_look(step, self._budget) if whole and not over else None
        self._due = (self._horizon or 0) // self.stride
        if self._horizon is None and not over:
            self._losses = []

    def _look(self) -> Verdict:
        assert self._horizon is not None
        evaluations = self._seen()
        if self._validated is None:
            self._validated = self._policy.reads_metrics(evaluations)
        reason = self.generalised
        if reason is None and self._validated:
            reason = self._policy.skipped(evaluations, self._horizon)
        if reason is not None:
            verdict = Verdict("continue", reason, self._horizon, self._budget)
        else:
            verdict = self._judged(self._horizon, evaluations if self._validated else None)
        self._verdicts.append(verdict)
        self._advance()
        return verdict

    def _judged(self, horizon: int, evaluations: Evaluations | None) -> Verdict:
        grid = self._policy.grid
        # Of each group of samples the last is taken, as runs.run.window does.
        every = grid // self.stride
        samples = self._losses[every - 1 : horizon // grid * every : every]
        return judge(
            self.classifier,
            np.array(samples),
            horizon=horizon,
            stride=grid,
            configuration=self._configuration,
            budget=self._budget,
            max_false_abort=self.max_false_abort,
            evaluations=evaluations,
        )


def verdict_to_dict(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict in plain Python objects, from which ``Verdict(**...)`` makes it again."""
    plain = {field.name: getattr(verdict, field.name) for field in fields(verdict)}
    return {**plain, "features": dict(verdict.features), "reads": list(verdict.reads)}
