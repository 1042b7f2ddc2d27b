"""When a run will generalise: the answer of the same classifier, asked about many budgets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from grokpredict.features.columns import BUDGET_COLUMN, COLUMNS
from grokpredict.model.classifier import GrokClassifier, Looks
from grokpredict.runs.curve import FloatArray, IntArray

#: Probabilities for which steps are given: the middle, and an interval with half of the chance.
QUANTILES = (0.25, 0.5, 0.75)

#: Budgets that are asked about, evenly over their logarithm.
_N_BUDGETS = 33

#: The first of them, in octaves after the look.
_NEAREST = np.log2(1.05)

_BUDGET = COLUMNS.index(BUDGET_COLUMN)


@dataclass(frozen=True, eq=False)
class Steps:
    """Steps by which runs generalise, of P(generalises by T), which never falls as T grows.

    Between two budgets the logarithm of T is interpolated. NaN where a probability is not reached
    by the longest budget that training runs were watched for.

    Attributes
    ----------
    within : ndarray, shape (n_looks, 3)
        The T at which it reaches the probabilities :data:`QUANTILES`.
    if_at_all : ndarray, shape (n_looks, 3)
        The same of P(generalises by T) / P(generalises by the budget), which takes for granted
        that they generalise by the budget of the look.
    """

    within: FloatArray
    if_at_all: FloatArray


def generalisation_steps(classifier: GrokClassifier, looks: Looks, step: IntArray) -> Steps:
    """Return the steps by which runs generalise.

    Parameters
    ----------
    classifier : GrokClassifier
        That took the looks.
    looks : Looks
        Of some runs.
    step : ndarray of int, shape (n_looks,)
        Where each look was.
    """
    longest = np.maximum(classifier.high[_BUDGET], looks.columns[:, _BUDGET])
    share = np.linspace(0, 1, _N_BUDGETS)
    octaves = _NEAREST + share * np.maximum(longest - _NEAREST, 0)[:, None]
    rows = np.repeat(looks.columns, _N_BUDGETS, axis=0)
    rows[:, _BUDGET] = octaves.ravel()
    chance = classifier.trees.probability(rows).reshape(octaves.shape)
    log2_step = np.log2(step)[:, None] + octaves
    return Steps(
        _reached(chance, log2_step, np.ones(len(step))),
        _reached(chance, log2_step, looks.probability),
    )


def _reached(chance: FloatArray, log2_step: FloatArray, whole: FloatArray) -> FloatArray:
    """Return the steps at which probabilities reach the quantiles of ``whole``."""
    steps = np.full((len(chance), len(QUANTILES)), np.nan)
    for i, (of_look, budgets) in enumerate(zip(chance, log2_step, strict=True)):
        for j, quantile in enumerate(np.array(QUANTILES) * whole[i]):
            at = int(np.argmax(of_look >= quantile))
            if not of_look[at] >= quantile:
                continue
            # The first budget above, and the last below; trees make steps in between.
            before = max(at - 1, 0)
            low, high = of_look[before], of_look[at]
            part = (quantile - low) / (high - low) if high > low else 1.0
            steps[i, j] = 2 ** (budgets[before] * (1 - part) + budgets[at] * part)
    return steps
