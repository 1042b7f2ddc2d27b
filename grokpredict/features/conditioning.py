"""From raw losses to the oscillation in them: arrays in, arrays out, SciPy only.

Frequencies are in cycles per sample, which is cycles per optimiser step on a grid of stride 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

from grokpredict.runs.curve import FloatArray

#: Fewer samples than this hold no cycle of the slowest oscillation that is looked at.
MIN_SAMPLES = 32

#: A steeper filter rings for longer than a window; a longer piece is the whole of it.
MAX_ORDER = 16
MAX_SEGMENT = 100_000


@dataclass(frozen=True)
class SignalSettings:
    """Every constant of the signal path; a classifier carries the ones it was trained with.

    Parameters
    ----------
    trend_cutoff : float
        Cycles per sample below which the curve counts as trend. 1/32: the lowest frequency of
        which the shortest window, :data:`MIN_SAMPLES`, still holds one cycle.
    smooth_cutoff : float
        Cycles per sample above which the oscillation is smoothed away before Hjorth's
        parameters. 1/4: mini-batch noise is white, and mobility and complexity weight it with the
        second and fourth power of frequency, so without it they would see little else.
    order : int
        Order of both Butterworth filters, which run forwards and backwards, so that the gain at
        the cut-off is one half. 2 rings little at the steep fall with which losses begin.
    noise_floor : float
        Standard deviation, relative to the loss, of the white noise whose moments are added to
        all variances and spectra. 2^-11 is seven times the rounding error of a loss that was
        kept to 12 bits, and stands above that of four significant digits.
    log_floor : float
        Losses below this share of the loss at the start are raised to it before the logarithm.
        1e-8: float32 resolves no less in a sum that began there.
    band_edges : tuple of float, length 4
        Cycles per sample that bound the low, the middle and the high band.
    segment : int
        Longest piece, in samples, of which one spectrum is taken; longer windows are averaged
        over pieces, so that the resolution stays and the tapers stay cheap. 400 is the window
        of Notsawo et al. 2023.
    time_bandwidth : float
        Time half-bandwidth product of the tapers; 2 gives three of them and a resolution of
        2 / segment = 0.005 cycles per sample to either side, a sixth of the lowest band edge.
    """

    trend_cutoff: float = 1 / 32
    smooth_cutoff: float = 1 / 4
    order: int = 2
    noise_floor: float = 2.0**-11
    log_floor: float = 1e-8
    band_edges: tuple[float, float, float, float] = (1 / 32, 1 / 8, 1 / 4, 1 / 2)
    segment: int = 400
    time_bandwidth: float = 2.0

    def __post_init__(self) -> None:
        # JSON gives a list back where a tuple was written.
        object.__setattr__(self, "band_edges", tuple(float(edge) for edge in self.band_edges))
        if not 0 < self.trend_cutoff < self.smooth_cutoff < 0.5:
            raise ValueError(
                "cut-offs must satisfy 0 < trend_cutoff < smooth_cutoff < 0.5 cycles per sample, "
                f"got {self.trend_cutoff} and {self.smooth_cutoff}"
            )
        edges = self.band_edges
        wide = all(high - low >= 1 / MIN_SAMPLES for low, high in pairwise(edges))
        if len(edges) != 4 or not wide or edges[0] < 0 or edges[-1] > 0.5:
            raise ValueError(
                "band_edges must be four frequencies from 0 to 0.5 cycles per sample that rise by "
                f"at least 1/{MIN_SAMPLES}, so that no band of the shortest window is empty, "
                f"got {edges}"
            )
        if not all(isinstance(number, int) for number in (self.order, self.segment)):
            raise ValueError(
                f"order and segment must be whole numbers, got {self.order!r} and {self.segment!r}"
            )
        if not 1 <= self.order <= MAX_ORDER or not MIN_SAMPLES <= self.segment <= MAX_SEGMENT:
            raise ValueError(
                f"order must lie between 1 and {MAX_ORDER} and segment between {MIN_SAMPLES} and "
                f"{MAX_SEGMENT} samples, got {self.order} and {self.segment}"
            )
        if not 1 <= self.time_bandwidth <= MIN_SAMPLES / 4:
            raise ValueError(
                f"time_bandwidth must lie between 1 and {MIN_SAMPLES // 4}, "
                f"got {self.time_bandwidth}"
            )
        if not (0 < self.noise_floor < math.inf and 0 < self.log_floor < math.inf):
            raise ValueError(
                "noise_floor and log_floor must be above 0, or flat curves have no features, "
                f"got {self.noise_floor} and {self.log_floor}"
            )


def low_pass(curves: FloatArray, cutoff: float, order: int = 2) -> FloatArray:
    """Keep what is slower than ``cutoff``, without shifting it in time.

    Parameters
    ----------
    curves : ndarray, shape (..., n_samples)
        Two samples or more. A sample that is not finite makes its whole row NaN.
    cutoff : float
        Cycles per sample at which the gain is one half, in (0, 0.5).
    order : int
        Order of the Butterworth filter that is run forwards and then backwards.

    Returns
    -------
    ndarray, shape (..., n_samples)
        Gain 1 / (1 + (tan(pi f) / tan(pi cutoff))^(2 order)), phase 0 (scipy.signal.butter by
        the bilinear transform, scipy.signal.sosfiltfilt). The ends are continued by point
        reflection over one period of the cut-off, which leaves a straight line as it is.
    """
    from scipy.signal import sosfiltfilt

    curves = np.asarray(curves, dtype=float)
    pad = min(curves.shape[-1] - 1, math.ceil(1 / cutoff))
    finite = np.isfinite(curves).all(axis=-1, keepdims=True)
    slow = sosfiltfilt(_butterworth(order, cutoff), np.where(finite, curves, 0.0), padlen=pad)
    return np.where(finite, slow, np.nan)


@lru_cache(maxsize=16)
def _butterworth(order: int, cutoff: float) -> FloatArray:
    from scipy.signal import butter

    return np.asarray(butter(order, cutoff, fs=1.0, output="sos"))


def detrend(curves: FloatArray, settings: SignalSettings) -> FloatArray:
    """Subtract the straight line and then the low-passed trend.

    Parameters
    ----------
    curves : ndarray, shape (..., n_samples)
        Raw or logarithmic losses. A constant row gives zeros, a row with NaN or infinity NaN.
    settings : SignalSettings
        ``trend_cutoff`` and ``order``.

    Returns
    -------
    ndarray, shape (..., n_samples)
        What is faster than ``trend_cutoff``, in the unit of the loss. Adding a straight line to
        the input changes nothing.

    Notes
    -----
    Notsawo et al. 2023 (arXiv 2306.13253) remove "the non-oscillatory component" with a low-pass
    filter of which they give neither order nor cut-off; both are ours.

    Examples
    --------
    >>> bool(np.allclose(detrend(np.arange(64.0), SignalSettings()), 0))
    True
    """
    curves = np.asarray(curves, dtype=float)
    finite = np.isfinite(curves).all(axis=-1, keepdims=True)
    curves = np.where(finite, curves, 0.0)
    level = curves - _straight_line(curves)
    fast = level - low_pass(level, settings.trend_cutoff, settings.order)
    # A constant would come out as rounding errors of the fit, and their spectrum is not flat.
    flat = np.ptp(curves, axis=-1, keepdims=True) == 0
    return np.where(finite, np.where(flat, 0.0, fast), np.nan)


def _straight_line(curves: FloatArray) -> FloatArray:
    """Return the least-squares line through every row.

    As in scipy.signal.detrend, but with sums along rows only: there a matrix product rounds a row
    differently from batch to batch, and one run must score the same alone and in a sweep.
    """
    n_samples = curves.shape[-1]
    time = np.arange(n_samples) - (n_samples - 1) / 2
    slope = (curves * (time / (time @ time))).sum(axis=-1, keepdims=True)
    return np.asarray(curves.mean(axis=-1, keepdims=True) + slope * time)


def condition(losses: FloatArray, settings: SignalSettings | None = None) -> FloatArray:
    """Return the oscillation of every curve: trend removed, then smoothed.

    Parameters
    ----------
    losses : ndarray, shape (n_runs, n_samples)
        At least :data:`MIN_SAMPLES` samples.
    settings : SignalSettings, optional
        The defaults are those of the classifier that comes with the package.

    Returns
    -------
    ndarray, shape (n_runs, n_samples)
        The band from ``trend_cutoff`` to ``smooth_cutoff``, in the unit of the input. Linear in
        the input; constants and straight lines give zero; a run with a sample that is not
        finite is NaN throughout.

    Raises
    ------
    ValueError
        If the array is not two-dimensional or the window is too short.
    """
    settings = settings or SignalSettings()
    losses = checked_windows(losses)
    return low_pass(detrend(losses, settings), settings.smooth_cutoff, settings.order)


def checked_windows(losses: FloatArray) -> FloatArray:
    """Return ``losses`` as float64, or raise ValueError if their shape will not do."""
    losses = np.asarray(losses, dtype=float)
    if losses.ndim != 2:
        raise ValueError(
            f"losses must have the shape (n_runs, n_samples), got {losses.shape}; "
            "for one run pass losses[None, :]"
        )
    if losses.shape[-1] < MIN_SAMPLES:
        raise ValueError(
            f"a window must hold at least {MIN_SAMPLES} samples, got {losses.shape[-1]}; "
            "log more often or look later"
        )
    return losses
