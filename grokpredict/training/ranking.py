"""How well scores rank the runs that generalise above the others, with intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from grokpredict.runs.curve import FloatArray, IntArray
from grokpredict.runs.labels import BoolArray

#: Resamples of the cluster bootstrap.
RESAMPLES = 1000

#: An area or its interval means something with so many runs of each outcome.
MIN_RUNS = 5

#: Resamples that are computed at once, so that memory stays bounded.
_CHUNK = 50


@dataclass(frozen=True)
class Interval:
    """A figure and its 95 % bootstrap interval; None where there was too little to compute it."""

    value: float | None
    low: float | None
    high: float | None


def auroc(generalised: BoolArray, score: FloatArray) -> float:
    """Return the area under the receiver operating characteristic.

    Parameters
    ----------
    generalised : ndarray of bool, shape (n_runs,)
        Whether the run generalised.
    score : ndarray, shape (n_runs,)
        Finite scores; ties count one half.

    Returns
    -------
    float
        The chance that a run that generalises has the higher score; NaN if a class is missing.

    Examples
    --------
    >>> auroc(np.array([True, False, True]), np.array([0.9, 0.1, 0.1]))
    0.75
    """
    return float(aurocs(np.asarray(generalised), np.asarray(score), np.ones((1, len(score))))[0])


def enough(generalised: BoolArray) -> bool:
    """Return whether there are :data:`MIN_RUNS` of each outcome."""
    return min(int(generalised.sum()), int((~generalised).sum())) >= MIN_RUNS


def aurocs(generalised: BoolArray, score: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the area for each row of weights, how often each run counts.

    ``weights`` has the shape (n_resamples, n_runs).
    """
    if not len(score):
        return np.full(len(weights), np.nan)
    order = np.argsort(score, kind="stable")
    ordered = score[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    good = np.add.reduceat((weights * generalised)[:, order], starts, axis=1)
    doomed = np.add.reduceat((weights * ~generalised)[:, order], starts, axis=1)
    below = np.cumsum(doomed, axis=1) - doomed / 2
    pairs = good.sum(axis=1) * doomed.sum(axis=1)
    won = (good * below).sum(axis=1)
    areas = np.full(len(weights), np.nan)
    np.divide(won, pairs, out=areas, where=pairs > 0)
    return areas


def auroc_intervals(
    generalised: BoolArray,
    scores: FloatArray,
    cluster: IntArray,
    rng: np.random.Generator,
) -> tuple[list[Interval], list[Interval]]:
    """Return the area of each score, and of each score its lead over the last one.

    Parameters
    ----------
    generalised : ndarray of bool, shape (n_runs,)
        Whether the run generalised.
    scores : ndarray, shape (n_scores, n_runs)
        The last row is the baseline.
    cluster : ndarray of int, shape (n_runs,)
        Runs of one cluster are drawn together: they are not independent.
    rng : numpy.random.Generator
        Source of the resamples.

    Returns
    -------
    areas, leads : list of Interval, length n_scores
        Percentile intervals; the leads are paired, each resample computes both areas. Without a
        value where there are not :func:`enough` runs.
    """
    if not enough(generalised):
        none = [Interval(None, None, None)] * len(scores)
        return none, none
    _, own_cluster = np.unique(cluster, return_inverse=True)
    n_clusters = int(own_cluster.max(initial=-1)) + 1
    drawn = []
    for start in range(0, RESAMPLES, _CHUNK):
        size = min(_CHUNK, RESAMPLES - start)
        counts = rng.multinomial(n_clusters, np.full(n_clusters, 1 / n_clusters), size)
        weights = counts[:, own_cluster].astype(float)
        drawn.append(np.stack([aurocs(generalised, score, weights) for score in scores]))
    resampled = np.concatenate(drawn, axis=1)
    points = np.array([auroc(generalised, score) for score in scores])
    return (
        [_interval(point, sample) for point, sample in zip(points, resampled, strict=True)],
        [
            _interval(point - points[-1], sample - resampled[-1])
            for point, sample in zip(points, resampled, strict=True)
        ],
    )


def _interval(point: float, resampled: NDArray[np.float64]) -> Interval:
    kept = resampled[np.isfinite(resampled)]
    if not np.isfinite(point) or not kept.size:
        return Interval(None, None, None)
    low, high = np.quantile(kept, [0.025, 0.975])
    return Interval(float(point), float(low), float(high))
