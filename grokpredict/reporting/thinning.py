"""Curves with few enough points to be drawn by the thousand."""

from __future__ import annotations

import numpy as np

from grokpredict.runs.curve import Curve, FloatArray, IntArray

#: Points of all curves of a channel together, and the fewest and most of one.
POINTS_IN_ALL = 60_000
FEWEST, MOST = 24, 240


def points_each(n_curves: int) -> int:
    """Return how many points each of so many curves may have.

    >>> points_each(1), points_each(1000), points_each(100_000)
    (240, 60, 24)
    """
    return int(np.clip(POINTS_IN_ALL // max(n_curves, 1), FEWEST, MOST))


def thinned(curve: Curve, points: int) -> tuple[IntArray, FloatArray]:
    """Return samples of a curve, spread evenly over a logarithmic axis.

    Parameters
    ----------
    curve : Curve
        Samples that are not finite are left out.
    points : int
        Most samples to return, at least 2. The first and the last are among them. Of the samples
        that share a place on the axis the last is taken.

    Returns
    -------
    steps : ndarray of int, shape (n,)
    values : ndarray, shape (n,)
    """
    finite = np.flatnonzero(np.isfinite(curve.values))
    if finite.size > points:
        place = np.log(curve.steps[finite] - curve.steps[finite[0]] + 1.0)
        edges = np.linspace(0.0, place[-1], points)
        finite = finite[np.unique(np.searchsorted(place, edges, side="right") - 1)]
    return curve.steps[finite], curve.values[finite]
