"""The threshold that built-in runs and a user's finished runs set together, and its guarantee."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from grokpredict.model.thresholds import (
    abort_threshold,
    calibration_runs_needed,
    expected_threshold,
    runs_needed_in_expectation,
)
from grokpredict.runs.curve import FloatArray

#: How a bound on lost runs holds. ``"confidence"``: with 95 % confidence, for runs like the user's.
#: ``"expectation"``: in the mean over sweeps like the user's. ``"built-in"``: for tasks that differ
#: from the built-in ones no more than these differ from each other.
Guarantee = Literal["confidence", "expectation", "built-in"]

#: Which of the two a user wants from their own runs, once these are enough.
Wanted = Literal["expectation", "confidence"]

#: Chance that more than the bound is lost, given what the built-in kinds of task lost and what the
#: user's runs would have. Chosen on kinds of data/sweeps left out (docs/calibrate.md).
RISK = 0.1

#: Fewest kinds of task, and good configurations of each, that tell how tasks differ.
LEAST_KINDS, LEAST_OF_KIND = 5, 5

#: Runs that the built-in kinds may count for, at least and at most.
_PRIOR_RUNS = (0.5, 200.0)


def joined_threshold(
    built_in: float | None,
    by_kind: Sequence[FloatArray],
    scores: FloatArray,
    max_false_abort: float,
    wanted: Wanted = "expectation",
) -> float | None:
    """Return the probability below which a user's runs may be stopped; None if none may.

    Parameters
    ----------
    built_in : float or None
        Threshold of the classifier as it was trained.
    by_kind : sequence of ndarray
        Lowest scores of good configurations for each kind of task that the fit left out, ascending.
    scores : ndarray, shape (n,)
        The same for the user's independent good configurations.
    max_false_abort : float
        Largest share of good runs that may be lost, in (0, 1).
    wanted : {"expectation", "confidence"}
        How the bound is to hold.

    Returns
    -------
    float or None
        Without scores, ``built_in``. With enough of them for a bound of their own, the threshold
        that they set alone: in expectation, or with 95 % confidence where that is wanted and they
        are enough. With fewer, the lower of two: :func:`posterior_threshold` (``built_in`` where
        the kinds are too few for one) and the user's lowest score; None without anything built in.

    Notes
    -----
    The lowest score of n runs loses 1 / (n + 1) of the next ones in expectation, whatever the
    built-in runs are like. Bashari et al. 2025, "Statistical inference leveraging synthetic data
    with distribution-free guarantees", arXiv 2509.20345, hold a pooled threshold in the same way.
    """
    if not scores.size:
        return built_in
    which = guarantee(scores.size, max_false_abort, wanted)
    if which == "confidence":
        return abort_threshold(scores, max_false_abort)
    if which == "expectation":
        return expected_threshold(scores, max_false_abort)
    pooled = posterior_threshold(by_kind, scores, max_false_abort)
    if pooled is None:
        pooled = built_in
    return None if pooled is None else min(pooled, float(scores.min()))


def posterior_threshold(
    by_kind: Sequence[FloatArray], scores: FloatArray, max_false_abort: float
) -> float | None:
    """Return the largest threshold that loses more than the bound with a chance of :data:`RISK`.

    Parameters
    ----------
    by_kind, scores, max_false_abort
        As for :func:`joined_threshold`.

    Returns
    -------
    float or None
        One of the scores. None where fewer than :data:`LEAST_KINDS` kinds have
        :data:`LEAST_OF_KIND` good configurations.

    Notes
    -----
    The shares that a threshold loses of the kinds are taken for draws from a beta distribution, of
    which the user's task is one more draw (fitted by moments: Kleinman 1973, "Proportions with
    extraneous variance", JASA 68, doi:10.1080/01621459.1973.10481332); the user's good
    configurations, lost and not, update it.
    """
    kinds = [kind for kind in by_kind if kind.size >= LEAST_OF_KIND]
    if len(kinds) < LEAST_KINDS:
        return None
    from scipy.special import betainc

    own = np.sort(scores)
    limits = np.unique(np.concatenate([*kinds, own]))
    sizes = np.array([kind.size for kind in kinds])
    lost = np.array([np.searchsorted(kind, limits) for kind in kinds]) / sizes[:, None]
    mean = lost.mean(axis=0)
    noise = mean * (1 - mean) * np.mean(1 / sizes)
    spread = np.maximum(lost.var(axis=0, ddof=1) - noise, 1e-6)
    runs = np.clip(mean * (1 - mean) / spread - 1, *_PRIOR_RUNS)
    k = np.searchsorted(own, limits)
    # A beta distribution has no share of exactly 0 or 1.
    a, b = runs * mean + k + 1e-9, runs * (1 - mean) + own.size - k + 1e-9
    over = np.maximum.accumulate(1 - betainc(a, b, max_false_abort))
    allowed = np.flatnonzero(over <= RISK)
    return float(limits[allowed[-1]]) if allowed.size else 0.0


def guarantee(n_good: int, max_false_abort: float, wanted: Wanted = "expectation") -> Guarantee:
    """Return how the bound holds with so many independent good configurations of a user.

    >>> [guarantee(n, 0.05) for n in (18, 19, 59)]
    ['built-in', 'expectation', 'expectation']
    >>> [guarantee(n, 0.05, "confidence") for n in (18, 19, 58, 59)]
    ['built-in', 'expectation', 'expectation', 'confidence']
    """
    if wanted == "confidence" and n_good >= calibration_runs_needed(max_false_abort):
        return "confidence"
    return "expectation" if n_good >= runs_needed_in_expectation(max_false_abort) else "built-in"


def promise(n_good: int, max_false_abort: float, wanted: Wanted = "expectation") -> str:
    """Return in words what a threshold is set to lose at most, and of whose runs.

    Parameters
    ----------
    n_good : int
        Independent good configurations of the user; 0 where only the built-in ones set it.
    max_false_abort : float
        The bound.
    wanted : {"expectation", "confidence"}
        How it is to hold.

    Examples
    --------
    >>> promise(31, 0.05)
    'set to lose at most 5 % of good runs like yours, in expectation, from 31 of them'
    >>> promise(12, 0.05)
    'set to lose at most 5 % of good runs, from 12 of yours and the built-in ones'
    >>> promise(0, 0.05)
    'set to lose at most 5 % of good runs like the built-in ones'
    """
    share = f"{100 * max_false_abort:.4g} %"
    which = guarantee(n_good, max_false_abort, wanted)
    if which == "built-in":
        whose = f", from {n_good} of yours and the built-in ones" if n_good else None
        return f"set to lose at most {share} of good runs{whose or ' like the built-in ones'}"
    how = "in expectation" if which == "expectation" else "with 95 % confidence"
    return f"set to lose at most {share} of good runs like yours, {how}, from {n_good} of them"
