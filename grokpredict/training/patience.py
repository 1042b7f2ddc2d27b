"""Lightning's ``EarlyStopping``, replayed on a finished curve: the rule that people use."""

from __future__ import annotations

import numpy as np

from grokpredict.runs.curve import Curve, FloatArray, IntArray

#: Patience in evaluations, a fifth more each time.
PATIENCES: IntArray = np.unique(np.round(1.2 ** np.arange(40)).astype(np.int64))


def stops_of_patience(curve: Curve, patiences: IntArray, *, maximise: bool) -> FloatArray:
    """Return the step at which ``EarlyStopping`` stops a run, infinite where it does not.

    Parameters
    ----------
    curve : Curve
        The metric.
    patiences : ndarray of int, shape (n_settings,)
        Evaluations without a new best value.
    maximise : bool
        Whether larger is better.
    """
    values = curve.values if maximise else -curve.values
    finite = np.isfinite(values)
    ended = int(np.argmin(finite)) if not finite.all() else len(curve)
    values = values[:ended]
    best = np.r_[-np.inf, np.maximum.accumulate(values)[:-1]] if ended else np.empty(0)
    index = np.arange(ended)
    since = index - np.maximum.accumulate(np.where(values > best, index, -1))
    longest = np.maximum.accumulate(since) if ended else since
    at = np.searchsorted(longest, patiences)
    steps = np.r_[curve.steps.astype(float), np.inf]
    # Where patience does not end, a value that is not finite does; or nothing.
    return np.asarray(steps[np.where(at < ended, at, ended)])
