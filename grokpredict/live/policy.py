"""When a run is looked at, what its looks read, and what a verdict leads to: decided here alone.

A monitor asks while a run trains; scoring, replays and cross-fitting ask of finished ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from grokpredict.features.metrics import Evaluations
from grokpredict.features.profile import LOOKS, looks_before
from grokpredict.model.classifier import GrokClassifier
from grokpredict.model.looks import settles
from grokpredict.model.reading import Reads
from grokpredict.model.verdict import Verdict
from grokpredict.runs.labels import LabelRule


def ended(verdicts: Sequence[Verdict]) -> bool:
    """Whether an abort was the last look."""
    return bool(verdicts) and verdicts[-1].action == "abort"


def left_alone(rule: LabelRule, value: float | None) -> str | None:
    """Return a sentence if a run has generalised already and so is not judged; else None.

    Parameters
    ----------
    rule : LabelRule
        What it takes.
    value : float or None
        The metric of the rule at the latest evaluation; None if there was none.
    """
    if value is None or not rule.met_by(value):
        return None
    return (
        f"{rule.metric} = {value:.4g} meets {rule.threshold:g}: the run has generalised already "
        "and is left alone."
    )


def metrics_are_read(evaluations: Evaluations, first_look: int) -> bool:
    """Whether looks at windows read the validation metrics of a run.

    The first look decides for all, since one threshold holds for all looks that one model takes:
    they do if there was an evaluation before it.
    """
    return bool(evaluations.before(first_look).steps.size)


@dataclass(frozen=True)
class WindowPolicy:
    """Decides on looks at the first steps of a run, through models of windows.

    Parameters
    ----------
    classifier : GrokClassifier
        Has the horizons, the rule and the models.
    grid : int
        Steps between two losses that a look reads, see :meth:`on`.
    horizons : tuple of int
        Steps after which a run is looked at, ascending.
    """

    classifier: GrokClassifier
    grid: int
    horizons: tuple[int, ...]

    @classmethod
    def on(cls, classifier: GrokClassifier, stride: int) -> WindowPolicy:
        """Return the policy for losses of every ``stride`` steps, on the finest grid that serves.

        Raises
        ------
        UnsuitableRunError
            If the classifier knows neither this grid nor a multiple of it.
        """
        grids = [grid for grid in classifier.strides if grid % stride == 0]
        grid = min(grids, default=stride)
        return cls(classifier, grid, classifier.horizons_on(grid))

    def next_look(self, step: int, budget: int) -> int | None:
        """Return the first horizon after ``step`` and before the budget; None if there is none."""
        return next((horizon for horizon in self.horizons if step < horizon < budget), None)

    def reads_metrics(self, evaluations: Evaluations) -> bool:
        """Whether all looks at this run read its validation metrics."""
        return self.classifier.reads_validation and metrics_are_read(evaluations, self.horizons[0])

    def skipped(self, evaluations: Evaluations, horizon: int) -> str | None:
        """Return a sentence if a look that reads the validation metrics lacks them; else None."""
        if evaluations.serve(horizon):
            return None
        return (
            f"No suitable evaluation in the first {horizon} steps (needs one in the first half "
            "and one in the last quarter); look skipped."
        )

    def left_alone(self, value: float | None) -> str | None:
        """Return a sentence if a run has generalised already; see :func:`left_alone`."""
        return left_alone(self.classifier.rule, value)


@dataclass(frozen=True)
class LookPolicy:
    """Decides on looks at whatever channels a run has, to the end of its budget.

    Parameters
    ----------
    budget : int
        Step by which the run has to generalise.
    """

    budget: int

    def next_look(self, verdicts: Sequence[Verdict]) -> int | None:
        """Return the step of the look after these; None after an abort and after the last."""
        if ended(verdicts) or len(verdicts) >= looks_before(self.budget).size:
            return None
        return int(LOOKS[len(verdicts)])

    def settles(self, reads: Reads) -> bool:
        """Whether all later looks read what this one can."""
        return settles(reads)
