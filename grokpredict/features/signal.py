"""The spectral signature of the first losses of a run: arrays in, arrays out, SciPy and MNE only.

That of Notsawo et al. 2023 (arXiv 2306.13253): Hjorth's parameters and the spectral energy of the
conditioned loss, on the loss and on its logarithm. docs/features.md lists every number with
formula, unit and source.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

from grokpredict.features.conditioning import (
    MIN_SAMPLES,
    SignalSettings,
    checked_windows,
    detrend,
    low_pass,
)
from grokpredict.runs.curve import FloatArray

__all__ = [
    "MIN_SAMPLES",
    "Hjorth",
    "band_energy",
    "extract",
    "feature_names",
    "hjorth",
    "spectrum",
]

_NAMES = (
    "loss_activity",
    "loss_mobility",
    "loss_complexity",
    "loss_energy",
    "relative_activity",
    "relative_energy_low",
    "relative_energy_middle",
    "relative_energy_high",
    "log_activity",
    "log_mobility",
    "log_complexity",
    "log_energy",
    "log_energy_low",
    "log_energy_middle",
    "log_energy_high",
)
#: Samples of which the median magnitude is the loss at the start.
_FEW = 5

#: Samples that one pass works on: 1 MB, times about two dozen intermediate arrays.
_CHUNK = 2**17


def feature_names() -> tuple[str, ...]:
    """Return the names of the columns of :func:`extract`.

    >>> feature_names()[:3]
    ('loss_activity', 'loss_mobility', 'loss_complexity')
    """
    return _NAMES


@dataclass(frozen=True, eq=False)
class Hjorth:
    """Hjorth's parameters, one of each per row.

    Hjorth 1970, EEG Clin. Neurophysiol. 29:306, doi:10.1016/0013-4694(70)90143-4.

    Attributes
    ----------
    activity : ndarray
        Variance, m0; the unit of the signal squared.
    mobility : ndarray
        sqrt(m2 / m0), a mean frequency in radians per sample as far as it is low.
    complexity : ndarray
        sqrt(m4 / m2) / mobility, 1 for a pure sine and larger for all else.
    """

    activity: FloatArray
    mobility: FloatArray
    complexity: FloatArray


def hjorth(signal: FloatArray) -> Hjorth:
    """Return Hjorth's parameters by the variances of the signal and its differences.

    Parameters
    ----------
    signal : ndarray, shape (..., n_samples)
        Three samples or more, usually conditioned.

    Returns
    -------
    Hjorth
        With dx the first difference: activity = var(x), mobility = sqrt(var(dx) / var(x)),
        complexity = mobility(dx) / mobility(x); variances have the divisor n. A flat row has
        activity 0 and NaN else, since it has no frequency. A row with NaN or infinity is NaN.

    Raises
    ------
    ValueError
        If there are fewer than three samples.

    Examples
    --------
    >>> wave = hjorth(np.sin(0.3 * np.arange(4000)))
    >>> round(float(wave.activity), 3), round(float(wave.mobility / (2 * np.sin(0.15))), 3)
    (0.5, 1.0)
    """
    signal = _finite_rows(signal)
    slope = np.diff(signal, axis=-1)
    return _hjorth(signal.var(axis=-1), slope.var(axis=-1), np.diff(slope, axis=-1).var(axis=-1))


def _finite_rows(signal: FloatArray) -> FloatArray:
    signal = np.asarray(signal, dtype=float)
    if signal.shape[-1] < 3:
        raise ValueError(f"Hjorth's parameters need three samples, got {signal.shape[-1]}")
    return np.where(np.isfinite(signal).all(axis=-1, keepdims=True), signal, np.nan)


def _hjorth(m0: FloatArray, m2: FloatArray, m4: FloatArray) -> Hjorth:
    with np.errstate(invalid="ignore", divide="ignore"):
        mobility = np.sqrt(m2 / m0)
        return Hjorth(np.asarray(m0), mobility, np.sqrt(m4 / m2) / mobility)


def spectrum(signal: FloatArray, settings: SignalSettings) -> tuple[FloatArray, FloatArray]:
    """Return the multitaper power spectral density (Thomson 1982, doi:10.1109/PROC.1982.12433).

    Parameters
    ----------
    signal : ndarray, shape (n_rows, n_samples)
        Finite. The mean of every piece is subtracted.
    settings : SignalSettings
        ``segment`` and ``time_bandwidth``.

    Returns
    -------
    frequencies : ndarray, shape (n_frequencies,)
        Cycles per sample, 0 to 1/2.
    density : ndarray, shape (n_rows, n_frequencies)
        One-sided, signal squared per (cycle per sample): its sum times the spacing is the
        variance, and white noise of variance s^2 has density 2 s^2. As
        mne.time_frequency.psd_array_multitaper, but for its tapers, which that computes at every
        call. A window longer than ``segment`` is cut into the fewest pieces that cover it,
        evenly placed, and their spectra are averaged.
    """
    from scipy.fft import rfft, rfftfreq

    n_rows, n_samples = signal.shape
    length = min(n_samples, settings.segment)
    starts = np.linspace(0, n_samples - length, math.ceil(n_samples / length)).round().astype(int)
    pieces = np.stack([signal[:, start : start + length] for start in starts], axis=1)
    tapers, weights = _tapers(length, settings.time_bandwidth)
    # What a one-sided density has once only: frequency 0, and 1/2 where there is one.
    once = [0, -1] if length % 2 == 0 else [0]
    frequencies = rfftfreq(length)
    density = np.empty((n_rows * starts.size, frequencies.size))
    for row, piece in enumerate(pieces.reshape(-1, length)):
        spectra = rfft((piece - piece.mean()) * tapers)
        spectra[:, once] /= math.sqrt(2.0)
        spectra *= weights
        density[row] = (spectra * spectra.conj()).real.sum(axis=0)
    density *= 2 / (weights * weights).sum(axis=0)
    return frequencies, density.reshape(n_rows, starts.size, -1).mean(axis=1)


@lru_cache(maxsize=64)
def _tapers(length: int, time_bandwidth: float) -> tuple[FloatArray, FloatArray]:
    """Return Slepian's tapers with a concentration above 0.9, and their weights in a column."""
    from mne.time_frequency import dpss_windows

    # By way of the bandwidth, as there: it rounds.
    half_width = 2 * time_bandwidth / length * length / 2
    tapers, concentration = dpss_windows(length, half_width, int(2 * half_width), sym=False)
    weights = np.sqrt(concentration)[:, None]
    tapers.flags.writeable = weights.flags.writeable = False
    return tapers, weights


def band_energy(
    frequencies: FloatArray, density: FloatArray, low: float, high: float
) -> FloatArray:
    """Return the energy per sample between two frequencies.

    Parameters
    ----------
    frequencies : ndarray, shape (n_frequencies,)
        Cycles per sample, evenly spaced.
    density : ndarray, shape (n_rows, n_frequencies)
        One-sided, as :func:`spectrum` gives it.
    low, high : float
        Cycles per sample; ``low`` belongs to the band, ``high`` only if it is 1/2.

    Returns
    -------
    ndarray, shape (n_rows,)
        Sum of the density times its spacing; signal squared. The energy of Notsawo et al. 2023
        is this times the number of samples, which would make windows incomparable.
    """
    first = np.searchsorted(frequencies, low)
    last = frequencies.size if high >= 0.5 else np.searchsorted(frequencies, high)
    return np.asarray(density[:, first:last].sum(axis=1) * (frequencies[1] - frequencies[0]))


def extract(losses: FloatArray, settings: SignalSettings | None = None) -> FloatArray:
    """Return the spectral signature of raw losses.

    Parameters
    ----------
    losses : ndarray, shape (n_runs, n_samples)
        As they were logged, at least :data:`MIN_SAMPLES` samples. Conditioning happens in here.
    settings : SignalSettings, optional
        The defaults are those of the classifier that comes with the package.

    Returns
    -------
    ndarray, shape (n_runs, n_features)
        Columns as :func:`feature_names`. Finite for every run whose samples all are, flat,
        negative and denormal ones too; NaN throughout for every other run. A row does not
        depend on the other rows.

    Raises
    ------
    ValueError
        If the array is not two-dimensional or the window is too short.
    """
    settings = settings or SignalSettings()
    losses = checked_windows(losses)
    n_runs, n_samples = losses.shape
    features = np.full((n_runs, len(_NAMES)), np.nan)
    usable = np.flatnonzero(np.isfinite(losses).all(axis=1))
    rows = max(1, _CHUNK // n_samples)
    for first in range(0, usable.size, rows):
        chosen = usable[first : first + rows]
        features[chosen] = _rows(losses[chosen], settings)
    return features


def _rows(losses: FloatArray, settings: SignalSettings) -> FloatArray:
    """Return the features of finite curves, shape (n_rows, n_samples) -> (n_rows, n_names)."""
    scale = loss_scale(losses)
    relative = losses / scale[:, None]
    log_loss = log10_loss(losses, settings.log_floor)
    size = np.sqrt((relative**2).mean(axis=1))
    floor = settings.noise_floor * np.where(size > 0, size, 1.0)
    log_floor = settings.noise_floor / math.log(10.0)

    # Both in one call: half of what one run costs is windows and filters, whatever the rows.
    noise = np.concatenate([floor, np.full_like(floor, log_floor)])
    both = _signature(np.concatenate([relative, log_loss]), noise, settings)
    features = {f"relative_{name}": values[: len(losses)] for name, values in both.items()}
    features |= {f"log_{name}": values[len(losses) :] for name, values in both.items()}
    features["loss_activity"] = features["relative_activity"] + 2 * np.log10(scale)
    features["loss_energy"] = features["relative_energy"] + 2 * np.log10(scale)
    features["loss_mobility"] = features["relative_mobility"]
    features["loss_complexity"] = features["relative_complexity"]
    return np.stack([features[name] for name in _NAMES], axis=1)


def _signature(
    curves: FloatArray, noise: FloatArray, settings: SignalSettings
) -> dict[str, FloatArray]:
    """Return the spectral signature of curves under white noise of deviation ``noise``.

    White noise of variance s^2 has the moments s^2, 2 s^2 and 6 s^2 and the density 2 s^2.
    Variances and densities of independent signals add, so these are what it would add on average.
    """
    fast = detrend(curves, settings)
    smooth = low_pass(fast, settings.smooth_cutoff, settings.order)
    slope = np.diff(smooth, axis=1)
    noise = noise**2
    parameters = _hjorth(
        smooth.var(axis=1) + noise,
        slope.var(axis=1) + 2 * noise,
        np.diff(slope, axis=1).var(axis=1) + 6 * noise,
    )
    frequencies, density = spectrum(fast, settings)
    density = density + 2 * noise[:, None]
    edges = settings.band_edges
    energies = [band_energy(frequencies, density, *band) for band in pairwise(edges)]
    return {
        "activity": np.log10(parameters.activity),
        "mobility": parameters.mobility,
        "complexity": parameters.complexity,
        "energy": np.log10(sum(energies)),
        "energy_low": np.log10(energies[0]),
        "energy_middle": np.log10(energies[1]),
        "energy_high": np.log10(energies[2]),
    }


def loss_scale(losses: FloatArray) -> FloatArray:
    """Return the mean magnitude of every curve, 1 for a curve of zeros; shape (n_rows,).

    A curve divided by it stays below its number of samples, so that no square overflows.
    """
    largest = np.abs(losses).max(axis=1)
    largest = np.where(largest > 0, np.maximum(largest, np.finfo(float).tiny), 1.0)
    mean = np.abs(losses / largest[:, None]).mean(axis=1)
    return np.where(mean > 0, np.maximum(largest * mean, np.finfo(float).tiny), 1.0)


def log10_loss(losses: FloatArray, floor: float) -> FloatArray:
    """Return log10 of losses of which none lies below ``floor`` times the loss at the start.

    The start is the median magnitude of the first five samples, or where that is 0 the mean
    magnitude of the curve. So zero and slightly negative losses, which rounding makes of tiny
    ones, count as the floor.
    """
    start = np.median(np.abs(losses[:, :_FEW]), axis=1)
    start = np.where(start > 0, start, loss_scale(losses))
    lowest = np.maximum(floor * start, np.finfo(float).tiny)
    return np.asarray(np.log10(np.maximum(losses, lowest[:, None])))
