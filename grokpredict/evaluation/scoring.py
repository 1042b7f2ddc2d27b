"""Scoring a logged run: every look that a monitor would have taken while it trained."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grokpredict._util.lazy import reporting
from grokpredict.features.profile import FIRST_LOOK
from grokpredict.live.logged import looks_at
from grokpredict.logs import Columns, PathLike, read_run
from grokpredict.model.channels import READABLE
from grokpredict.model.classifier import GrokClassifier, load_classifier
from grokpredict.model.verdict import Verdict, summary
from grokpredict.runs.budget import budget_of
from grokpredict.runs.run import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from grokpredict.reporting import ScoreDisplay


@dataclass(frozen=True)
class Score:
    """What a classifier says about one logged run.

    Attributes
    ----------
    path : str
        Name of the run.
    steps : int
        Optimiser steps that the recorded training losses span.
    verdict : Verdict
        That of the last look; an abstention where there was none.
    looks : tuple of Verdict
        One for each look that the run reached, until one said abort.
    budget_source : str
        Where the budget comes from.
    notes : tuple of str
        What is not certain about how the run was read, with the remedy.
    run : Run or None
        The run, for its curves.
    """

    path: str
    steps: int
    verdict: Verdict
    looks: tuple[Verdict, ...]
    budget_source: str = ""
    notes: tuple[str, ...] = ()
    run: Run | None = field(default=None, repr=False, compare=False)

    def __repr__(self) -> str:
        return f"<Score of {self.path}: {summary(self.verdict)}>"

    def to_dict(self) -> dict[str, Any]:
        """Return the score as what :func:`json.dumps` takes."""
        return {
            "path": self.path,
            "steps": self.steps,
            "horizon": self.verdict.horizon,
            "budget": self.verdict.budget,
            "budget_source": self.budget_source,
            "notes": list(self.notes),
            **_short(self.verdict),
            "features": _finite(self.verdict.features),
            "looks": [{"horizon": look.horizon, **_short(look)} for look in self.looks],
        }

    def _repr_html_(self) -> str:
        return str(reporting().score_html(self))

    def plot(self, ax: Axes | None = None) -> ScoreDisplay:
        """Draw the curves of the run and P at each look; needs matplotlib.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Two panels are drawn within its bounds; in a new figure by default.
        """
        display: ScoreDisplay = reporting().plot_score(self, ax)
        return display


def score(
    run: Run | PathLike,
    classifier: str | Path | GrokClassifier = "default",
    *,
    columns: Columns | None = None,
    budget: int | None = None,
    max_false_abort: float = 0.05,
) -> Score:
    """Look at a logged run as a monitor would have while it trained.

    Parameters
    ----------
    run : Run or path-like
        A run, or the path of one, at any cadence.
    classifier : str, Path or GrokClassifier
        ``"default"``, a classifier file, or a classifier.
    columns : Columns, optional
        Names of columns, where they are not recognised, and what is known of the configuration
        besides. Only for a path.
    budget : int, optional
        Step by which the run has to generalise, by default the steps that it was planned for,
        else as :func:`~grokpredict.runs.budget.budget_of` says.
    max_false_abort : float
        Largest share of the runs that would generalise that may be stopped.

    Returns
    -------
    Score
        A run that is too short for a look is an abstention with its reason. Without a validation
        loss or accuracy there is a probability, and a built-in classifier never says abort.

    Raises
    ------
    LogError
        If the path cannot be read or holds more than one run.
    ClassifierFileError
        If the classifier file cannot be used.
    """
    if not isinstance(run, Run):
        run = read_run(run, columns)
    classifier = load_classifier(classifier)
    found = budget_of(run, budget)
    looked_at = _scored(run, classifier, found.steps, max_false_abort)
    return replace(looked_at, budget_source=found.source, notes=run.notes, run=run)


def _scored(run: Run, classifier: GrokClassifier, budget: int, max_false_abort: float) -> Score:
    loss = run.loss
    steps = int(loss.steps[-1] - loss.steps[0]) + loss.stride
    looks = looks_at(run, classifier, budget=budget, max_false_abort=max_false_abort)
    if looks:
        return Score(run.name, steps, looks[-1], tuple(looks))
    reason = (
        f"The run has {run.last_step + 1} steps, but the first look is after {FIRST_LOOK}; train "
        "it that far."
        if budget > FIRST_LOOK
        else f"The first look is after {FIRST_LOOK} steps, but the budget of this run is {budget}; "
        "there is no look."
    )
    return Score(run.name, steps, Verdict("abstain", reason, None, budget), ())


def _short(verdict: Verdict) -> dict[str, Any]:
    return {
        "probability": verdict.probability,
        "threshold": verdict.threshold,
        "reads": list(verdict.reads),
        "missing": [name for name in READABLE if name not in verdict.reads],
        "every": verdict.every,
        "verdict": verdict.action,
        "reason": verdict.reason,
        "even_step": verdict.even_step,
        "early_step": verdict.early_step,
        "median_step": verdict.median_step,
        "late_step": verdict.late_step,
    }


def _finite(features: Mapping[str, float]) -> dict[str, float | None]:
    # JSON has no NaN.
    return {name: value if math.isfinite(value) else None for name, value in features.items()}
