"""The setting of a rule that other runs choose: what one could have done without hindsight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from grokpredict.evaluation.accounting import NEVER, Finished, Rule, lost_and_saved, most_saving
from grokpredict.training.splits import Split


def set_elsewhere(
    done: Finished, rule: Rule, splits: Sequence[Split], max_false_abort: float
) -> Rule:
    """Return a rule whose setting, as it is, other runs choose.

    Parameters
    ----------
    done : Finished
        The runs.
    rule : Rule
        One that has a setting of its own as it is keeps it.
    splits : sequence of (ndarray of bool, ndarray of bool)
        The runs of each part have the setting that saves most of those outside it and loses no
        more than the bound of them, or that loses least.
    max_false_abort : float
        The bound.
    """
    if rule.as_is is not None or not splits:
        return rule
    as_is = np.full(len(done), NEVER)
    for fit, held in splits:
        others = Finished(done.runs.only(fit), done.spent[fit])
        chosen, _ = most_saving(*lost_and_saved(others, rule.stops[:, fit]), max_false_abort)
        as_is[held] = rule.stops[chosen, held]
    return replace(rule, as_is=as_is)
