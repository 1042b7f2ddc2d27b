"""A sweep as columns: what each run was, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from grokpredict.runs.axes import configuration_columns
from grokpredict.runs.endings import endings
from grokpredict.runs.run import Run


def sweep_columns(runs: Sequence[Run], budget: int | None = None) -> dict[str, list[Any]]:
    """Return one value a run of its name, outcome, length and configuration.

    Parameters
    ----------
    runs : sequence of Run
        Finished or interrupted runs.
    budget : int, optional
        As for :func:`~grokpredict.runs.endings.endings`.

    Returns
    -------
    dict of str to list
        ``run``, ``outcome`` (good, doomed, unknown), ``phase``, ``t1`` to ``t4``, ``budget``,
        ``budget_source``, ``last_step``, ``diverged`` and the configuration; ``hparams.`` is put
        before the name of a hyperparameter that would hide one of these. None where a value is
        not known.
    """
    ends = endings(runs, budget)
    times = [asdict(end.times) for end in ends]
    columns: dict[str, list[Any]] = {
        "run": [run.name for run in runs],
        "outcome": [end.outcome for end in ends],
        "phase": [None if end.phase is None else end.phase.value for end in ends],
        **{name: [time[name] for time in times] for name in ("t1", "t2", "t3", "t4")},
        "budget": [end.budget.steps for end in ends],
        "budget_source": [end.budget.source for end in ends],
        "last_step": [run.last_step for run in runs],
        "diverged": [run.diverged for run in runs],
    }
    for name, column in configuration_columns(runs).items():
        columns[f"hparams.{name}" if name in columns else name] = column
    return columns
