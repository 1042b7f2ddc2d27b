"""The shape of a loss curve on a logarithmic axis: levels, slopes, falls, roughness, spikes.

All functions take ``log_loss``, the decimal logarithm of the loss with the shape
``(n_rows, n_samples)``, finite and at least 32 samples long, and return one number a row. None of
them changes when the loss is multiplied by a constant, except the two levels.
"""

from __future__ import annotations

import math

import numpy as np

from grokpredict.runs.curve import FloatArray

#: Samples of which the median is the loss at the start, and over which short means are taken.
FEW = 5

#: A rise by this much, in decades, within :data:`FEW` samples is a spike: the loss doubles.
SPIKE = math.log10(2.0)


def shape_features(log_loss: FloatArray, noise_floor: float) -> dict[str, FloatArray]:
    """Return all features of the shape by name.

    Parameters
    ----------
    log_loss : ndarray, shape (n_rows, n_samples)
        log10 of the loss.
    noise_floor : float
        Standard deviation of the measurement noise of ``log_loss``, in decades.

    Returns
    -------
    dict of str to ndarray, shape (n_rows,)
        docs/features.md gives every formula.
    """
    start = np.median(log_loss[:, :FEW], axis=1)
    end = end_level(log_loss)
    smooth = short_mean(log_loss)
    n_samples = log_loss.shape[1]
    return {
        "start_level": start,
        "end_level": end,
        "drop": start - end,
        "slope_half": slope(log_loss, 0.5),
        "slope_quarter": slope(log_loss, 0.25),
        "loglog_slope": loglog_slope(log_loss, 1.0),
        "loglog_slope_half": loglog_slope(log_loss, 0.5),
        "curvature": curvature(log_loss),
        "fall_2": fall(smooth, start - math.log10(2.0), n_samples),
        "fall_10": fall(smooth, start - 1.0, n_samples),
        "fall_100": fall(smooth, start - 2.0, n_samples),
        "rebound": end - smooth.min(axis=1),
        "up_share": up_share(log_loss, noise_floor),
        **roughness(log_loss, noise_floor),
        **spikes(log_loss),
    }


def end_level(log_loss: FloatArray) -> FloatArray:
    """Return the median over the last 5 % of the window, and over five samples at least."""
    last = max(FEW, math.ceil(log_loss.shape[1] / 20))
    return np.asarray(np.median(log_loss[:, -last:], axis=1))


def short_mean(log_loss: FloatArray) -> FloatArray:
    """Return the running mean over :data:`FEW` samples, shape (n_rows, n_samples - FEW + 1)."""
    return np.asarray(sum(_shifted(log_loss)) / FEW)


def _shifted(curves: FloatArray) -> list[FloatArray]:
    """Return the windows of :data:`FEW` samples as that many shifted views, which is fast."""
    width = curves.shape[1] - FEW + 1
    return [curves[:, first : first + width] for first in range(FEW)]


def slope(log_loss: FloatArray, share: float) -> FloatArray:
    """Return the least-squares slope over the last ``share`` of the window.

    In decades per window, so that a straight line has one slope on every grid.
    """
    last = round(log_loss.shape[1] * share)
    time = np.arange(last) / log_loss.shape[1]
    return _regress(log_loss[:, -last:], time)


def loglog_slope(log_loss: FloatArray, share: float) -> FloatArray:
    """Return the least-squares slope against log10 of the time, over the last ``share``.

    In decades per decade: loss proportional to t^-p gives -p on every grid whose first sample
    is one stride after the start.
    """
    n_samples = log_loss.shape[1]
    last = round(n_samples * share)
    return _regress(log_loss[:, -last:], np.log10(np.arange(n_samples - last, n_samples) + 1.0))


def _regress(values: FloatArray, on: FloatArray) -> FloatArray:
    centred = on - on.mean()
    return _weigh(values, centred / (centred @ centred))


def _weigh(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the weighted sum of every row; a matrix product would round by batch."""
    return np.asarray((values * weights).sum(axis=1))


def curvature(log_loss: FloatArray) -> FloatArray:
    """Return c of the least-squares fit a + b u + c (3 u^2 - 1) / 2 with u from -1 to 1.

    In decades: above zero where the fall slows down.
    """
    u = np.linspace(-1, 1, log_loss.shape[1])
    basis = np.stack([np.ones_like(u), u, (3 * u**2 - 1) / 2])
    return _weigh(log_loss, np.asarray(np.linalg.pinv(basis)[:, 2], dtype=float))


def fall(smooth: FloatArray, level: FloatArray, n_samples: int) -> FloatArray:
    """Return log10 of the share of the window after which the curve is at ``level``.

    Parameters
    ----------
    smooth : ndarray, shape (n_rows, n_samples - FEW + 1)
        Running mean, which a single low sample does not decide.
    level : ndarray, shape (n_rows,)
        In decades.
    n_samples : int
        Samples of the window.

    Returns
    -------
    ndarray, shape (n_rows,)
        0, the whole window, where it is never reached.
    """
    reached = smooth <= level[:, None]
    centre = reached.argmax(axis=1) + FEW // 2 + 1
    return np.where(reached.any(axis=1), np.log10(centre / n_samples), 0.0)


def up_share(log_loss: FloatArray, noise_floor: float) -> FloatArray:
    """Return the share of steps by which the loss rose, by more than measurement noise does.

    Three standard deviations of the difference of two samples, sqrt(2) times the noise floor.
    """
    return np.asarray((np.diff(log_loss, axis=1) > 3 * math.sqrt(2) * noise_floor).mean(axis=1))


def roughness(log_loss: FloatArray, noise_floor: float) -> dict[str, FloatArray]:
    """Return log10 of the deviation of first differences in the last quarter, and its change.

    The change is last quarter minus first quarter, in decades. Both variances carry the
    variance of the difference of the measurement noise, 2 ``noise_floor``^2.
    """
    steps = np.diff(log_loss, axis=1)
    quarter = steps.shape[1] // 4
    floor = 2 * noise_floor**2
    first = np.log10(steps[:, :quarter].var(axis=1) + floor) / 2
    last = np.log10(steps[:, -quarter:].var(axis=1) + floor) / 2
    return {"roughness": last, "roughness_change": last - first}


def spikes(log_loss: FloatArray) -> dict[str, FloatArray]:
    """Return how often and how far the loss rises within few samples.

    Slingshots, Thilak et al. 2022 (arXiv 2206.04817). ``spike_rate``: times per 100 samples that
    the rise over the lowest of the :data:`FEW` samples before begins to exceed :data:`SPIKE`.
    ``spike_size``: the largest such rise in decades, 0 if there is none.
    """
    lowest = np.minimum.reduce(_shifted(log_loss[:, :-1]))
    rise = log_loss[:, FEW:] - lowest
    above = rise > SPIKE
    begins = above[:, 0].astype(float) + (above[:, 1:] & ~above[:, :-1]).sum(axis=1)
    return {
        "spike_rate": 100 * begins / log_loss.shape[1],
        "spike_size": np.maximum(rise.max(axis=1), 0.0),
    }
