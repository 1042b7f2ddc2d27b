"""What became of the runs of a sweep: budget, outcome and phase of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from grokpredict.runs.budget import Budget, budgets_of
from grokpredict.runs.labels import Outcome, Phase, PhaseTimes, outcome, phase, phase_times
from grokpredict.runs.run import Run


@dataclass(frozen=True)
class Ending:
    """What became of one run.

    Attributes
    ----------
    budget : Budget
        The step by which it had to generalise.
    generalised : bool or None
        Whether it did by its budget; None where it was not watched for so long, or was planned
        for fewer steps (censored), or has no validation metric.
    times : PhaseTimes
        t1 to t4.
    phase : Phase or None
        At its budget; None where nothing tells.
    """

    budget: Budget
    generalised: bool | None
    times: PhaseTimes
    phase: Phase | None

    @property
    def outcome(self) -> str:
        """``"good"``, ``"doomed"``, or ``"unknown"``."""
        return {True: "good", False: "doomed", None: "unknown"}[self.generalised]


@dataclass(frozen=True)
class _Planned:
    name: str
    planned: int | None
    budget_source: str
    last_step: int
    outcome: Outcome | None


def endings(runs: Sequence[Run], budget: int | None = None) -> list[Ending]:
    """Return what became of each run.

    Parameters
    ----------
    runs : sequence of Run
        Finished or interrupted runs.
    budget : int, optional
        Step by which they had to generalise; for each what it was planned for by default, or
        the longest run in its folder where the logs do not tell.
    """
    planned = [
        _Planned(run.name, run.max_steps, run.budget_source, run.last_step, outcome(run))
        for run in runs
    ]
    return [
        _ending(run, plan, limit)
        for run, plan, limit in zip(runs, planned, budgets_of(planned, budget), strict=True)
    ]


def _ending(run: Run, plan: _Planned, limit: Budget) -> Ending:
    times = phase_times(run)
    # Of runs planned for fewer steps only the good ones could be known, which would flatter.
    if plan.outcome is None or limit.steps > (plan.planned or limit.steps):
        return Ending(limit, None, times, None)
    return Ending(limit, plan.outcome.by(limit.steps), times, phase(run, limit.steps))
