"""Tests that may be looked at after every run: bets against a claim, and the capital they win.

A bet that is fair while the claim holds has a capital whose mean never rises. So by Ville's
inequality it ever reaches 1 / level with at most the probability ``level``, however often one
looks.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence

import numpy as np

from grokpredict.runs.curve import FloatArray
from grokpredict.runs.labels import BoolArray

#: Odds of being lost, as multiples of those claimed, on which the capital is spread evenly.
_ODDS_RATIOS = (1.5, 2.0, 3.0, 5.0, 10.0, 20.0)

#: Slopes of the bets on low ranks, and the share that changes its slope from one run to the next.
_SLOPES = (0.0, 1.0, 2.0)
_JUMP = 0.01

#: A capital that large is proof enough; more would overflow.
_ENOUGH = 1e100

#: Halvings of [0, 1] in which an end of an interval is searched.
_HALVINGS = 40


def capital_against(
    lost: BoolArray, seen: FloatArray, claim: float, *, above: bool = True
) -> FloatArray:
    """Return the capital of bets that another share of good runs is lost than is claimed.

    Parameters
    ----------
    lost : ndarray of bool, shape (n_runs,)
        Of the good runs whose end was seen, in order: whether a verdict would have lost it.
    seen : ndarray, shape (n_runs,)
        With which probability the end of such a run is seen if it is lost, in (0, 1]: the audited
        share where lost runs are stopped, 1 where they are not. The end of others is always seen.
    claim : float
        Share lost, in [0, 1).
    above : bool
        Whether to bet that it is larger, else that it is smaller.

    Returns
    -------
    ndarray, shape (n_runs,)
        After each run, from a capital of 1.

    Notes
    -----
    With odds o of being lost, a good run whose end was seen has the odds o s. A bet on r o is the
    likelihood ratio r^lost (1 + o s) / (1 + r o s), whose mean is 1 under the claim and less where
    the share lies on its other side. The capital is spread over several r (the method of mixtures:
    Waudby-Smith & Ramdas, "Estimating means of bounded random variables by betting", arXiv
    2010.09686; Agrawal & Ramdas, arXiv 2604.20172).

    Examples
    --------
    >>> capital_against(np.array([False, False]), np.ones(2), 0.5, above=False).round(2).tolist()
    [1.63, 2.74]
    """
    odds = claim / (1 - claim)
    # That none is lost is a bet too; that all are would lose everything with the first that is not.
    ratios = np.array(_ODDS_RATIOS if above else [0.0, *(1 / ratio for ratio in _ODDS_RATIOS)])
    with np.errstate(divide="ignore"):
        won = np.where(lost, np.log(ratios)[:, None], 0.0)
    steps = won + np.log1p(odds * seen) - np.log1p(ratios[:, None] * odds * seen)
    held = np.minimum(np.cumsum(steps, axis=1), np.log(_ENOUGH))
    return np.asarray(np.exp(held).mean(axis=0))


def lost_interval(lost: BoolArray, seen: FloatArray, level: float) -> tuple[float, float]:
    """Return the ends of a confidence sequence for the share of good runs that is lost.

    Parameters
    ----------
    lost, seen : ndarray, shape (n_runs,)
        As for :func:`capital_against`.
    level : float
        Probability with which each end is ever on the wrong side of the share.

    Returns
    -------
    tuple of float
        The shares against which no capital has ever reached 1 / level; (0, 1) without a run.
    """
    if not len(lost):
        return 0.0, 1.0

    def refuted(claim: float, above: bool) -> bool:
        return bool(capital_against(lost, seen, claim, above=above).max() >= 1 / level)

    # The more is claimed, the less wins a bet on more, and the more wins a bet on less.
    below = above = (0.0, 1.0)
    for _ in range(_HALVINGS):
        middle = sum(below) / 2
        below = (middle, below[1]) if refuted(middle, True) else (below[0], middle)
        middle = sum(above) / 2
        above = (above[0], middle) if refuted(middle, False) else (middle, above[1])
    return below[0], above[1]


def rank_values(scores: Sequence[float], ties: Sequence[float]) -> FloatArray:
    """Return the rank of each score among those up to it, as a share.

    Parameters
    ----------
    scores : sequence of float, shape (n,)
        In order of arrival.
    ties : sequence of float, shape (n,)
        Random numbers in [0, 1) that place a score among its equals, itself one of them.

    Returns
    -------
    ndarray, shape (n,)
        Independent and uniform on [0, 1] if the scores are exchangeable: conformal p-values.

    Examples
    --------
    >>> rank_values([0.5, 0.2, 0.9], [0.5, 0.5, 0.5]).round(3).tolist()
    [0.5, 0.25, 0.833]
    """
    before: list[float] = []
    found = np.empty(len(scores))
    for i, (score, tie) in enumerate(zip(scores, ties, strict=True)):
        insort(before, score)
        lower = bisect_left(before, score)
        found[i] = (lower + tie * (bisect_right(before, score) - lower)) / (i + 1)
    return found


def capital_on_low_ranks(ranks: FloatArray) -> FloatArray:
    """Return the capital of bets that the newest scores are lower than the earlier ones.

    Parameters
    ----------
    ranks : ndarray, shape (n,)
        Those of :func:`rank_values`.

    Returns
    -------
    ndarray, shape (n,)
        After each score, from a capital of 1.

    Notes
    -----
    The Simple Jumper of Vovk et al., "Retrain or not retrain: conformal test martingales for
    change-point detection", arXiv 2102.10439, algorithm 1, with slopes that bet on one side only.
    It forgets a long quiet time before a change, which a mixture of fixed bets does not.

    Examples
    --------
    >>> capital_on_low_ranks(np.full(20, 0.1)).round(1)[[0, 9, 19]].tolist()
    [1.4, 125.0, 38906.1]
    """
    found = np.empty(len(ranks))
    total, parts = 1.0, [1 / len(_SLOPES)] * len(_SLOPES)
    for i, rank in enumerate(ranks.tolist()):
        moved = _JUMP * total / len(_SLOPES)
        parts = [
            ((1 - _JUMP) * part + moved) * (1 + slope * (0.5 - rank))
            for part, slope in zip(parts, _SLOPES, strict=True)
        ]
        found[i] = total = sum(parts)
        if total > _ENOUGH:
            found[i:] = total
            break
    return found
