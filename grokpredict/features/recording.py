"""What is kept of one run: the sums of its channels, and its first losses for their spectrum.

A live run and its finished log give the same columns to the last bit, and what is kept is bounded
however long the run is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from grokpredict.features.columns import SIGNATURE, columns
from grokpredict.features.profile import BINS_A_LOOK, LOOKS, N_LEVELS, PROFILED, Sums, profiles
from grokpredict.features.signal import extract
from grokpredict.runs.curve import Curve, FloatArray, IntArray
from grokpredict.runs.labels import PERCENT_ABOVE

#: Windows of the spectral signature, in samples. A look reads the longest that there is.
WINDOWS = (200, 400, 800, 1600)

#: Channels that may be percentages.
ACCURACIES = ("train_acc", "val_acc")

#: Losses that are kept: the longest window, and one before it that may be off the grid.
KEPT = WINDOWS[-1] + 1


class Recording:
    """One run as it trains.

    Samples of a channel must follow those before; samples of different channels may come in any
    order. A sample belongs to its own step and a look reads what lies before its own, so samples
    may be taken before or after the look between them.

    Attributes
    ----------
    percent : bool
        Whether this run's accuracies are percentages: one of them was above 1. Guessing among a
        hundred classes is right in 1 % of the cases, so the first ones do not tell.

    Examples
    --------
    >>> recording = Recording()
    >>> recording.take("train_loss", np.arange(400), 1 / (1 + np.arange(400)))
    >>> recording.columns([2], budget=1600)[0, -1].item()  # octaves from step 400 to the budget
    2.0
    """

    def __init__(self) -> None:
        self.percent = False
        self._sums = {channel: Sums(channel) for channel in PROFILED}
        #: The same of a hundredth of each accuracy, for a run of which they are percentages.
        self._hundredths = {channel: Sums(channel) for channel in ACCURACIES}
        self._steps: IntArray = np.empty(0, dtype=np.int64)
        self._losses: FloatArray = np.empty(0)
        #: Signatures that were computed, by the number of samples; None where there is no window.
        self._signatures: dict[int, FloatArray] = {}

    @classmethod
    def of(cls, channels: Mapping[str, Curve]) -> Recording:
        """Record the channels of a finished run; those that no look reads are let go."""
        recording = cls()
        for channel, curve in channels.items():
            recording.take(channel, curve.steps, curve.values)
        return recording

    def take(self, channel: str, steps: IntArray, values: FloatArray) -> None:
        """Take samples of a channel; channels that no look reads are let go.

        Parameters
        ----------
        channel : str
            Its name, as in :data:`grokpredict.runs.run.CHANNELS`.
        steps : ndarray of int, shape (n,)
            Optimiser steps, increasing.
        values : ndarray, shape (n,)
            Accuracies as shares of 1, or all of the run as percentages. What is not finite is
            missing.
        """
        if channel not in self._sums:
            return
        self._sums[channel].take(steps, values)
        if channel in self._hundredths:
            self._hundredths[channel].take(steps, values / 100)
            self.percent |= bool(np.any(values > PERCENT_ABOVE))
        room = KEPT - self._steps.size
        if channel == "train_loss" and room > 0:
            self._steps = np.append(self._steps, steps[:room])
            self._losses = np.append(self._losses, values[:room])

    def columns(self, looks: Sequence[int], budget: float) -> FloatArray:
        """Return what a classifier reads of some looks.

        Parameters
        ----------
        looks : sequence of int
            Numbers of looks; look i is at ``LOOKS[i]``.
        budget : float
            Step by which the run has to generalise.

        Returns
        -------
        ndarray, shape (n_looks, n_columns)
            In the order of :data:`~grokpredict.features.columns.COLUMNS`; NaN where something is
            missing.
        """
        steps = LOOKS[np.asarray(looks, dtype=np.int64)]
        return columns(
            self.levels(looks), self.signature(looks), steps, np.full(len(steps), budget)
        )

    def levels(self, looks: Sequence[int]) -> FloatArray:
        """Return the profiles of all channels, shape (n_looks, n_channels, N_LEVELS)."""
        return profiles({channel: sums.bins() for channel, sums in self._kept().items()}, looks)

    def n_samples(self, channel: str, look: int) -> int:
        """Return how many samples of a channel a look can see."""
        bins = self._kept()[channel].bins()
        return int(bins.count[bins.index < N_LEVELS + BINS_A_LOOK * look].sum())

    def _kept(self) -> dict[str, Sums]:
        return {**self._sums, **self._hundredths} if self.percent else self._sums

    def signature(self, looks: Sequence[int]) -> FloatArray:
        """Return the spectral signature that each look reads, shape (n_looks, n_numbers).

        Returns
        -------
        ndarray
            In the order of :data:`~grokpredict.features.columns.SIGNATURE`. Of the first 200,
            400, 800 or 1 600 losses, as many as there are by the look; later looks read that
            of the longest. NaN where fewer are on an even grid from the start of the run on, or
            one is not finite.
        """
        numbers = np.full((len(looks), len(SIGNATURE)), np.nan)
        ends = self._windows()
        for row, look in enumerate(looks):
            by_then = [n for n, end in ends.items() if end <= LOOKS[look]]
            if by_then:
                numbers[row] = self._signature(by_then[-1])
        return numbers

    def _signature(self, n: int) -> FloatArray:
        if n not in self._signatures:
            compute_signatures([self], (n,))
        return self._signatures[n]

    def _windows(self) -> dict[int, int]:
        """Return the windows that are whole, by their samples: updates made by their ends."""
        first, stride = self._grid()
        if not stride:
            return {}
        steps, losses = self._steps[first:], self._losses[first:]
        good = np.isfinite(losses)
        good[1:] &= np.diff(steps) == stride
        n_good = int(np.argmin(good)) if not good.all() else good.size
        return {n: int(steps[n - 1]) + 1 for n in WINDOWS if n <= n_good}

    def _grid(self) -> tuple[int, int]:
        """Return the first sample on the grid, and the steps between two; 0 where there is none.

        A log that begins with step 0 or 1 and goes on with 50, 100, ... has its grid from the
        second sample on. One that begins later than a stride lacks its start.
        """
        gaps = np.diff(self._steps[:3])
        if gaps.size < 2:
            return 0, 0
        first = int(gaps[0] != gaps[1])
        return (first, int(gaps[1])) if self._steps[first] <= gaps[1] else (0, 0)

    def state(self) -> dict[str, Any]:
        """Return all that is kept in plain Python objects, for :meth:`restore`."""
        return {
            "percent": self.percent,
            "sums": {channel: sums.state() for channel, sums in self._sums.items()},
            "hundredths": {channel: sums.state() for channel, sums in self._hundredths.items()},
            "steps": self._steps.tolist(),
            "losses": [loss if np.isfinite(loss) else None for loss in self._losses.tolist()],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from :meth:`state`; KeyError, TypeError, ValueError or IndexError if it is none."""
        for channel, sums in self._sums.items():
            sums.restore(state["sums"][channel])
        for channel, sums in self._hundredths.items():
            sums.restore(state["hundredths"][channel])
        self.percent = bool(state["percent"])
        self._steps = np.asarray(state["steps"], dtype=np.int64)
        self._losses = np.asarray(state["losses"], dtype=float)  # None is NaN
        if not self._steps.shape == self._losses.shape <= (KEPT,):
            raise ValueError(f"a recording keeps {KEPT} losses at most, with their steps")
        self._signatures = {}


def compute_signatures(recordings: Sequence[Recording], windows: Sequence[int] = WINDOWS) -> None:
    """Compute the signatures of many runs at once, which costs a third of one after the other."""
    for n in windows:
        whole = [recording for recording in recordings if n in recording._windows()]
        if not whole:
            continue
        grids = [recording._grid() for recording in whole]
        losses = np.stack(
            [one._losses[first : first + n] for one, (first, _) in zip(whole, grids, strict=True)]
        )
        log2_stride = np.log2([stride for _, stride in grids])
        numbers = np.column_stack([extract(losses), log2_stride])
        for recording, row in zip(whole, numbers, strict=True):
            recording._signatures[n] = row
