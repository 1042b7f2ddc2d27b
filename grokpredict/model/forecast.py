"""When a run will generalise: the answer of the same models, asked about many budgets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from grokpredict.features.columns import BUDGET_COLUMN, COLUMNS
from grokpredict.features.configuration import GROWING_TERMS
from grokpredict.features.window import WINDOW_COLUMNS
from grokpredict.model.classifier import GrokClassifier, Looks
from grokpredict.model.looks import LookModel, Seen
from grokpredict.runs.curve import FloatArray

#: Probabilities whose steps are told: the middle, and an interval as likely left as kept to.
QUANTILES = (0.25, 0.5, 0.75)

_HORIZON, _BUDGET = (WINDOW_COLUMNS.index(f"log10_{name}") for name in ("horizon", "budget"))

#: All terms that depend on the budget are its logarithm and a constant.
_GROWING = [WINDOW_COLUMNS.index(name) for name in sorted(GROWING_TERMS)]

#: Budgets that are asked about, evenly over their logarithm.
_N_BUDGETS = 33

#: The first of them, as a multiple of the horizon.
_NEAREST = 1.05


@dataclass(frozen=True, eq=False)
class Steps:
    """Steps by which runs generalise, of P(generalises by T), which never falls as T grows.

    Between two budgets the logarithm of T is interpolated. NaN where a probability is not reached
    by the longest budget that training runs were watched for, and where the loss is not finite.

    Attributes
    ----------
    within : ndarray, shape (n_runs, 3)
        The T at which it reaches the probabilities :data:`QUANTILES`.
    if_at_all : ndarray, shape (n_runs, 3)
        The same of P(generalises by T) / P(generalises by the budget), which takes for granted
        that they generalise by the budget of the look.
    """

    within: FloatArray
    if_at_all: FloatArray


def generalisation_steps(classifier: GrokClassifier, looks: Looks) -> Steps:
    """Return the steps by which runs generalise.

    Parameters
    ----------
    classifier : GrokClassifier
        That took the looks.
    looks : Looks
        Of some runs.
    """
    horizon, budget = looks.features[:, _HORIZON], looks.features[:, _BUDGET]
    longest = max(float(classifier.familiar.budget_high[0]), float(budget.max(initial=0.0)))
    share = np.linspace(0, 1, _N_BUDGETS)
    first = horizon + np.log10(_NEAREST)
    asked = first[:, None] + share * np.maximum(longest - first, 0)[:, None]
    rows = np.repeat(looks.features, _N_BUDGETS, axis=0)
    rows[:, _GROWING] += (asked - budget[:, None]).reshape(-1, 1)
    chance = classifier.probability(rows, np.repeat(looks.reader, _N_BUDGETS)).reshape(asked.shape)
    return _steps(chance, asked, looks.probability)


def look_steps(model: LookModel, seen: Seen, step: int, budget: int) -> Steps:
    """Return the same of one look at whatever channels a run has.

    Parameters
    ----------
    model : LookModel
        That took the look.
    seen : Seen
        Of one look.
    step, budget : int
        Where it was, and the budget that it was asked about.
    """
    column = COLUMNS.index(BUDGET_COLUMN)
    longest = max(float(model.high[column]) * np.log10(2), np.log10(budget / step))
    asked = np.log10(step) + np.linspace(np.log10(_NEAREST), longest, _N_BUDGETS)
    rows = np.repeat(seen.columns, _N_BUDGETS, axis=0)
    rows[:, column] = (asked - np.log10(step)) / np.log10(2)
    chance = model.trees.probability(rows)[None]
    return _steps(chance, asked[None], seen.probability)


def _steps(chance: FloatArray, asked: FloatArray, whole: FloatArray) -> Steps:
    return Steps(_reached(chance, asked, np.ones(len(asked))), _reached(chance, asked, whole))


def _reached(chance: FloatArray, asked: FloatArray, whole: FloatArray) -> FloatArray:
    """Return the steps at which probabilities reach the quantiles of ``whole``."""
    found = np.full((len(asked), len(QUANTILES)), np.nan)
    for i, (own, steps) in enumerate(zip(chance, asked, strict=True)):
        for j, quantile in enumerate(np.array(QUANTILES) * whole[i]):
            at = int(np.argmax(own >= quantile))
            if not own[at] >= quantile:
                continue
            # The first budget above, and the last below; trees make steps in between.
            low, high = own[max(at - 1, 0)], own[at]
            part = (quantile - low) / (high - low) if high > low else 1.0
            found[i, j] = 10 ** (steps[max(at - 1, 0)] * (1 - part) + steps[at] * part)
    return found
