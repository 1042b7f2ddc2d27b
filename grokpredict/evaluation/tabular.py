"""Scores and evaluations as columns: what tables of pandas and of the command line hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from grokpredict.model.verdict import Verdict

if TYPE_CHECKING:
    from grokpredict.evaluation.result import Evaluation
    from grokpredict.evaluation.scoring import Score


def stopped_at(verdict: Verdict) -> int | None:
    """Return the step at which a verdict stops its run; None if it does not."""
    return verdict.horizon if verdict.action == "abort" else None


def score_columns(scores: Sequence[Score]) -> dict[str, list[Any]]:
    """Return one value a run of its last verdict; ``stopped`` is the step of an abort."""
    verdicts = [score.verdict for score in scores]
    return {
        "run": [score.path for score in scores],
        "verdict": [verdict.action for verdict in verdicts],
        "probability": [verdict.probability for verdict in verdicts],
        "threshold": [verdict.threshold for verdict in verdicts],
        "step": [verdict.horizon for verdict in verdicts],
        "stopped": [stopped_at(verdict) for verdict in verdicts],
        "budget": [verdict.budget for verdict in verdicts],
        "budget_source": [score.budget_source for score in scores],
        "looks": [len(score.looks) for score in scores],
        "reason": [verdict.reason for verdict in verdicts],
    }


def evaluation_columns(evaluation: Evaluation) -> dict[str, list[Any]]:
    """Return one value for each rule and each way to choose its setting.

    ``chosen`` is ``as it is``, ``to lose no more`` (than the classifier, in hindsight) or ``within
    the bound``; the other columns are the fields of an
    :class:`~grokpredict.evaluation.accounting.Account`.
    """
    rows = [
        (chosen, account)
        for chosen, accounts in (
            ("as it is", evaluation.as_is),
            ("to lose no more", evaluation.matched),
            ("within the bound", evaluation.at_bound),
        )
        for account in accounts
    ]
    columns: dict[str, list[Any]] = {
        "chosen": [chosen for chosen, _ in rows],
        "rule": [account.rule for _, account in rows],
        "setting": [account.setting for _, account in rows],
    }
    for name in ("lost", "saved"):
        shares = [getattr(account, name) for _, account in rows]
        columns[name] = [share.value for share in shares]
        columns[f"{name}_low"] = [share.low for share in shares]
        columns[f"{name}_high"] = [share.high for share in shares]
    for name in ("n_lost", "n_good", "cut", "saved_of_all", "matched"):
        columns[name] = [getattr(account, name) for _, account in rows]
    return columns
