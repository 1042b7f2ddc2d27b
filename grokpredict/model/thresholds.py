"""The score under which runs may be stopped while few good ones are lost."""

from __future__ import annotations

import numpy as np

from grokpredict.runs.curve import FloatArray, IntArray

#: Confidence with which the bound on lost runs holds over draws of the calibration runs.
CONFIDENCE = 0.95

#: Tail fraction used to estimate the correlation within a network.
_TAIL = 0.1


def abort_threshold(lowest_scores: FloatArray, max_false_abort: float) -> float | None:
    """Return the score under which runs may be stopped, or None if none may.

    Parameters
    ----------
    lowest_scores : ndarray, shape (n_runs,)
        For each calibration run that generalised, the lowest score at any look before it did.
        The fit must not have seen these runs.
    max_false_abort : float
        Largest share of generalising runs that may be lost, in (0, 1).

    Returns
    -------
    float or None
        An order statistic of the scores: stopping what lies strictly below the k-th smallest
        loses more than ``max_false_abort`` only with the probability that a binomial variable
        with n trials has fewer than k successes, which must be at most 1 - :data:`CONFIDENCE`. None
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
    allowed = np.flatnonzero(violation <= 1 - CONFIDENCE)
    return float(scores[allowed[-1]]) if allowed.size else None


def expected_threshold(lowest_scores: FloatArray, max_false_abort: float) -> float | None:
    """Return the score under which runs may be stopped in expectation, or None if none may.

    Parameters
    ----------
    lowest_scores : ndarray, shape (n_runs,)
        As for :func:`abort_threshold`.
    max_false_abort : float
        Largest share of generalising runs that may be lost, in (0, 1).

    Returns
    -------
    float or None
        The k-th smallest score, with the rank k = floor(share (n + 1)) of a conformal quantile:
        over draws of the calibration runs and of one more, that one lies strictly below it with a
        probability of at most k / (n + 1). None when n is too small even for k = 1.

    Notes
    -----
    Vovk, Gammerman & Shafer 2005, "Algorithmic Learning in a Random World". The bound is for the
    mean over sweeps; of a single one it may lose more, with 95 % confidence only what
    :func:`abort_threshold` allows.

    Examples
    --------
    >>> expected_threshold(np.linspace(0, 1, 18), 0.05) is None
    True
    >>> expected_threshold(np.linspace(0, 1, 19), 0.05)
    0.0
    """
    check_max_false_abort(max_false_abort)
    scores = np.sort(np.asarray(lowest_scores, dtype=float))
    rank = _rank_in_expectation(scores.size, max_false_abort)
    return float(scores[rank - 1]) if rank else None


def _rank_in_expectation(n: int, max_false_abort: float) -> int:
    # 0.29 * 100 is 28.999999999999996.
    return int(np.floor(max_false_abort * (n + 1) + 1e-9))


def independent_scores(
    lowest_scores: FloatArray, configuration: IntArray, network: IntArray
) -> FloatArray:
    """Thin clustered scores to their effective sample size.

    Parameters
    ----------
    lowest_scores : ndarray, shape (n_runs,)
        As for :func:`abort_threshold`.
    configuration : ndarray of int, shape (n_runs,)
        Of the repetitions of one configuration only the lowest score counts.
    network : ndarray of int, shape (n_runs,)
        Configurations of one network resemble each other.

    Returns
    -------
    ndarray, shape (n_independent,)
        Ascending. All scores, if no two configurations share a network; else as many quantiles of
        them as n over the design effect 1 + (m - 1) rho, with m the number of configurations that
        a configuration's network has on average and rho the intraclass correlation of being in
        the lowest tenth. The lowest score is among them.

    Notes
    -----
    Kish 1965, "Survey Sampling"; that a binomial bound holds for clustered samples with the
    effective number in place of n: Korn & Graubard 1998, "Confidence intervals for proportions
    with small expected number of positive counts estimated from survey data", Survey Methodology
    24(2). What correlates is the event of being lost; a tenth is more than is usually allowed to
    be, so that its correlation, which grows with the share, is rather too large than too small.

    Examples
    --------
    >>> independent_scores(np.array([0.3, 0.2, 0.9]), np.array([0, 0, 1]), np.array([0, 0, 1]))
    array([0.2, 0.9])
    """
    _, first, number = np.unique(configuration, return_index=True, return_inverse=True)
    scores = np.full(first.size, np.inf)
    np.minimum.at(scores, number, lowest_scores)
    effect = _design_effect(scores, network[first])
    scores.sort()
    places = np.arange(max(1, int(scores.size / effect))) * effect
    return np.asarray(scores[places.astype(int)] if scores.size else scores)


def _design_effect(scores: FloatArray, cluster: IntArray) -> float:
    """Return by how much clusters inflate the variance of the share in the tail, at least 1."""
    sizes = np.unique(cluster, return_counts=True)[1]
    n, k = scores.size, sizes.size
    if k < 2 or k == n:
        return 1.0
    _, number = np.unique(cluster, return_inverse=True)
    tail = (scores <= np.quantile(scores, _TAIL)).astype(float)
    means = np.bincount(number, tail) / sizes
    between = float(np.sum(sizes * (means - tail.mean()) ** 2)) / (k - 1)
    within = float(np.sum((tail - means[number]) ** 2)) / (n - k)
    usual = (n - np.sum(sizes**2) / n) / (k - 1)
    spread = between + (usual - 1) * within
    correlation = max(0.0, (between - within) / spread) if spread > 0 else 0.0
    return 1.0 + float(np.sum(sizes**2) / n - 1) * correlation


def calibration_runs_needed(max_false_abort: float) -> int:
    """Return the fewest generalising calibration runs with which any run may be stopped.

    >>> calibration_runs_needed(0.05)
    59
    """
    check_max_false_abort(max_false_abort)
    return int(np.ceil(np.log(1 - CONFIDENCE) / np.log1p(-max_false_abort)))


def runs_needed_in_expectation(max_false_abort: float) -> int:
    """Return the fewest calibration runs with which :func:`expected_threshold` is not None.

    >>> runs_needed_in_expectation(0.05), runs_needed_in_expectation(0.1)
    (19, 9)
    """
    check_max_false_abort(max_false_abort)
    return int(np.ceil(1 / max_false_abort - 1e-9)) - 1


def check_max_false_abort(value: float) -> None:
    """Raise ValueError unless ``value`` is a share strictly between 0 and 1."""
    if not 0 < value < 1:
        raise ValueError(f"max_false_abort must be a share between 0 and 1, got {value}")
