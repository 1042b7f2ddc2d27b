"""A channel as some levels, evenly spaced in log time, whatever the cadence of its log.

Looks are at every factor of sqrt 2 from step 200 on. Between two of them lie two *bins*, a quarter
octave each, and a profile is the level of a channel in the last 24 bins: six octaves back from
the look. Bins do not move from look to look, so what a live run has to keep of a channel is one
sum a bin, and the profiles of a finished run take one pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from grokpredict.runs.curve import Curve, FloatArray, IntArray

#: Channels with a profile, in the order of its rows. The gradient norm was tried and added nothing
#: to the others (docs/classifier.md).
PROFILED = ("train_loss", "val_loss", "train_acc", "val_acc", "weight_norm")

#: The first look, in steps; the others are at every factor of sqrt 2.
FIRST_LOOK = 200

#: Bins to an octave, bins in a profile, and bins from one look to the next.
PER_OCTAVE = 4
N_LEVELS = 24
BINS_A_LOOK = PER_OCTAVE // 2

#: Octaves from the first look to the last, which is at 2^24 steps and more.
_OCTAVES = 17

#: Samples that a look needs of a channel, the last of them after the look before.
MIN_SAMPLES = 6

#: Losses are compared between these; below lies rounding, above divergence.
LOWEST_LOSS, HIGHEST_LOSS = 1e-7, 1e4

#: An accuracy this near to 0 or 1 is not told from it.
ACCURACY_MARGIN = 1e-3

_BINS = N_LEVELS + PER_OCTAVE * _OCTAVES

#: Bin i holds the samples after ``EDGES[i]`` and up to ``EDGES[i + 1]`` updates.
EDGES: IntArray = np.floor(
    FIRST_LOOK * 2.0 ** ((np.arange(_BINS + 1) - N_LEVELS) / PER_OCTAVE) + 1e-9
).astype(np.int64)

#: Steps of all looks there can be, ascending.
LOOKS: IntArray = EDGES[N_LEVELS::BINS_A_LOOK]

#: Where the levels of a profile are, in octaves before the look: the middle of each bin.
PLACES: FloatArray = (np.arange(N_LEVELS) + 0.5) / PER_OCTAVE


def looks_before(budget: float) -> IntArray:
    """Return the steps of the looks at a run with this budget, shape (n_looks,).

    >>> looks_before(1000).tolist()
    [200, 282, 400, 565, 800]
    """
    return LOOKS[: np.searchsorted(LOOKS, budget)]


def _log_loss(values: FloatArray) -> FloatArray:
    return np.asarray(np.log10(np.clip(values, LOWEST_LOSS, HIGHEST_LOSS)))


def _log_odds(values: FloatArray) -> FloatArray:
    share = np.clip(values, 0.0, 1.0)
    return np.asarray(np.log10((share + ACCURACY_MARGIN) / (1 - share + ACCURACY_MARGIN)))


def _log_norm(values: FloatArray) -> FloatArray:
    return np.asarray(np.log10(np.clip(values, 1e-12, 1e12)))


#: What a level is of: decades of a loss or a norm, decimal log-odds of an accuracy.
_SCALES: dict[str, Callable[[FloatArray], FloatArray]] = {
    "train_loss": _log_loss,
    "val_loss": _log_loss,
    "train_acc": _log_odds,
    "val_acc": _log_odds,
    "weight_norm": _log_norm,
}


@dataclass(frozen=True, eq=False)
class Bins:
    """One channel of one run, summed up bin by bin; empty bins are left out.

    Attributes
    ----------
    index : ndarray of int, shape (n,)
        Bins with a sample, ascending.
    count : ndarray of int, shape (n,)
        Finite samples in each.
    when : ndarray, shape (n,)
        Mean of the binary logarithm of the updates made before each sample.
    level : ndarray, shape (n,)
        Mean of the channel on its scale: decades of a loss or a norm, decimal log-odds of an
        accuracy.
    """

    index: IntArray
    count: IntArray
    when: FloatArray
    level: FloatArray

    @classmethod
    def of(cls, channel: str, curve: Curve) -> Bins:
        """Sum a channel up; samples of the first three steps or not finite are missing.

        >>> bins = Bins.of("val_acc", Curve(np.arange(0, 400, 50), np.full(8, 0.5)))
        >>> int(bins.count.sum()), bins.level.tolist()
        (7, [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
        """
        sums = Sums(channel)
        sums.take(curve.steps, curve.values)
        return sums.bins()

    def levels(self, looks: Sequence[int]) -> FloatArray:
        """Return the levels that looks see, the latest first.

        Parameters
        ----------
        looks : sequence of int
            Numbers of looks, 0 for the one at :data:`FIRST_LOOK`.

        Returns
        -------
        ndarray, shape (n_looks, N_LEVELS)
            Levels at :data:`PLACES` before each look, by straight lines between the bins that have
            samples. After the last of them the level holds; before the first it is NaN, but for a
            bin's width. NaN throughout where a look sees fewer than :data:`MIN_SAMPLES` samples,
            or none after the look before.
        """
        numbers = np.asarray(looks, dtype=np.int64)
        if not self.index.size:
            return np.full((numbers.size, N_LEVELS), np.nan)
        end = N_LEVELS + BINS_A_LOOK * numbers
        n = np.searchsorted(self.index, end)
        last = np.maximum(n - 1, 0)
        enough = np.cumsum(self.count)[last] >= MIN_SAMPLES
        seen = (n > 0) & (self.index[last] >= end - BINS_A_LOOK) & enough
        asked = np.log2(LOOKS[numbers])[:, None] - PLACES
        levels = np.interp(asked, self.when, self.level)
        # A look does not see the bins after it.
        levels = np.where(asked > self.when[last][:, None], self.level[last][:, None], levels)
        levels[asked < self.when[0] - 1 / PER_OCTAVE] = np.nan
        levels[~seen] = np.nan
        return np.asarray(levels)


class Sums:
    """One channel of a run as it trains: the sums of its bins, and no more.

    Samples are added one after the other, so that a live run and its finished log give the same
    :class:`Bins` to the last digit, however many samples come at a time.

    Parameters
    ----------
    channel : str
        One of :data:`PROFILED`.

    Examples
    --------
    >>> live = Sums("val_loss")
    >>> for step in range(49, 400, 50):
    ...     live.take(np.array([step]), np.array([1.0]))
    >>> live.bins().count.tolist()
    [1, 1, 1, 1, 1, 1, 2]
    """

    def __init__(self, channel: str) -> None:
        self._scale = _SCALES[channel]
        self._count = np.zeros(_BINS, dtype=np.int64)
        self._when = np.zeros(_BINS)
        self._level = np.zeros(_BINS)

    def take(self, steps: IntArray, values: FloatArray) -> None:
        """Take samples that follow those before; one that is not finite is missing.

        Parameters
        ----------
        steps : ndarray of int, shape (n,)
            Optimiser steps, increasing.
        values : ndarray, shape (n,)
            As they were logged.
        """
        updates = steps + 1
        place = np.searchsorted(EDGES, updates, side="left") - 1
        kept = np.isfinite(values) & (place >= 0) & (place < _BINS)
        place = place[kept]
        self._count += np.bincount(place, minlength=_BINS)
        np.add.at(self._when, place, np.log2(updates[kept]))
        np.add.at(self._level, place, self._scale(values[kept]))

    def bins(self) -> Bins:
        """Return what has been summed up so far."""
        index = np.flatnonzero(self._count)
        count = self._count[index]
        return Bins(index, count, self._when[index] / count, self._level[index] / count)

    def state(self) -> dict[str, list[float]]:
        """Return the sums in plain Python objects, for :meth:`restore`."""
        index = np.flatnonzero(self._count)
        sums = (index, self._count[index], self._when[index], self._level[index])
        names = ("index", "count", "when", "level")
        return {name: array.tolist() for name, array in zip(names, sums, strict=True)}

    def restore(self, state: Mapping[str, Sequence[float]]) -> None:
        """Go on from the sums of :meth:`state`."""
        index = np.asarray(state["index"], dtype=np.int64)
        for total, name in (
            (self._count, "count"),
            (self._when, "when"),
            (self._level, "level"),
        ):
            total[:] = 0
            total[index] = state[name]


def profiles(channels: Mapping[str, Bins], looks: Sequence[int]) -> FloatArray:
    """Return the profiles of one run at some looks.

    Parameters
    ----------
    channels : mapping of str to Bins
        The run's channels, as many as there are.
    looks : sequence of int
        Numbers of looks.

    Returns
    -------
    ndarray, shape (n_looks, n_channels, N_LEVELS)
        Channels as :data:`PROFILED`; NaN throughout where a look sees too little of one.
    """
    levels = np.full((len(looks), len(PROFILED), N_LEVELS), np.nan)
    for row, channel in enumerate(PROFILED):
        if channel in channels:
            levels[:, row] = channels[channel].levels(looks)
    return levels
