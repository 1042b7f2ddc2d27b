"""The score under which runs may be stopped while few good ones are lost."""

from __future__ import annotations

import numpy as np

from grokpredict.curves import FloatArray

#: Confidence with which the bound on lost runs holds over draws of the calibration runs.
CONFIDENCE = 0.95


def abort_threshold(
    lowest_scores: FloatArray, max_false_abort: float, confidence: float = CONFIDENCE
) -> float | None:
    """Return the score under which runs may be stopped, or None if none may.

    Parameters
    ----------
    lowest_scores : ndarray, shape (n_runs,)
        For each calibration run that generalised, the lowest score at any look before it did.
        The fit must not have seen these runs.
    max_false_abort : float
        Largest share of generalising runs that may be lost, in (0, 1).
    confidence : float
        Probability, over draws of the calibration runs, with which the share stays below that.

    Returns
    -------
    float or None
        An order statistic of the scores: stopping what lies strictly below the k-th smallest
        loses more than ``max_false_abort`` only with the probability that a binomial variable
        with n trials has fewer than k successes, which must be at most ``1 - confidence``. None
        when n is too small even for k = 1.

    Notes
    -----
    Tong, Feng & Li 2018, "Neyman-Pearson classification algorithms and NP receiver operating
    characteristics", Science Advances 4(2), doi:10.1126/sciadv.aao1659. The guarantee holds for
    runs exchangeable with the calibration runs, and for the whole sequence of looks, since the
    score of a run is the lowest that it ever gets.

    Examples
    --------
    >>> abort_threshold(np.linspace(0, 1, 58), 0.05) is None
    True
    >>> abort_threshold(np.linspace(0, 1, 59), 0.05)
    0.0
    """
    check_max_false_abort(max_false_abort)
    from scipy.special import bdtr

    scores = np.sort(np.asarray(lowest_scores, dtype=float))
    ranks = np.arange(scores.size)
    # P(Bin(n, alpha) <= k - 1): the chance that the k-th smallest lies above the alpha-quantile.
    violation = bdtr(ranks, scores.size, max_false_abort)
    allowed = np.flatnonzero(violation <= 1 - confidence)
    return float(scores[allowed[-1]]) if allowed.size else None


def calibration_runs_needed(max_false_abort: float, confidence: float = CONFIDENCE) -> int:
    """Return the fewest generalising calibration runs with which any run may be stopped.

    >>> calibration_runs_needed(0.05)
    59
    """
    check_max_false_abort(max_false_abort)
    return int(np.ceil(np.log(1 - confidence) / np.log1p(-max_false_abort)))


def check_max_false_abort(value: float) -> None:
    """Raise ValueError unless ``value`` is a share strictly between 0 and 1."""
    if not 0 < value < 1:
        raise ValueError(f"max_false_abort must be a share between 0 and 1, got {value}")
