"""One channel of a run over optimiser steps, and the windows that can be cut from it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from grokpredict._util.errors import GrokpredictError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


#: Steps whose differences are taken at a time.
_PIECE = 65_536

#: Steps beyond this are no steps, and a float64 does not hold them.
MAX_STEP = 2**53


class UnsuitableRunError(GrokpredictError):
    """A run that cannot be looked at, with the reason as its message."""


@dataclass(frozen=True, eq=False)
class Curve:
    """One channel of a run.

    Parameters
    ----------
    steps : ndarray of int64, shape (n,)
        Optimiser steps at which the channel was recorded, strictly increasing.
    values : ndarray of float64, shape (n,)
        What was recorded there. NaN and infinity are allowed: runs diverge.

    Raises
    ------
    ValueError
        If the shapes differ, are not one-dimensional, or :func:`checked_steps` refuses the steps.
    """

    steps: IntArray
    values: FloatArray

    def __post_init__(self) -> None:
        steps = checked_steps(self.steps)
        values = _unchanging(self.values)
        if steps.ndim != 1 or steps.shape != values.shape:
            raise ValueError(
                "steps and values of a curve must be one-dimensional and equally long, "
                f"got shapes {steps.shape} and {values.shape}"
            )
        steps.flags.writeable = values.flags.writeable = False
        object.__setattr__(self, "steps", steps)
        object.__setattr__(self, "values", values)

    def __len__(self) -> int:
        return int(self.steps.size)

    def __repr__(self) -> str:
        if not len(self):
            return "<Curve without samples>"
        return f"<Curve of {len(self)} samples, steps {self.steps[0]} to {self.steps[-1]}>"

    def latest(self, step: int) -> float | None:
        """Return the last value recorded before ``step``; None if there is none."""
        before = int(np.searchsorted(self.steps, step))
        return float(self.values[before - 1]) if before else None

    @property
    def stride(self) -> int:
        """Steps between two samples: the most frequent difference; 1 for a shorter curve.

        A log that begins with step 0 and goes on with 50, 100, ... has stride 50, and so have
        Lightning's 49, 99, ... and 1, 50, 100, .... Of equally frequent ones the smallest counts.
        """
        return self._cadence[0]

    @property
    def even(self) -> bool:
        """Whether all samples are one stride apart."""
        return self._cadence[1]

    @cached_property
    def _cadence(self) -> tuple[int, bool]:
        if len(self) < 2:
            return 1, True
        first = int(self.steps[1] - self.steps[0])
        # Piece by piece: the differences of twenty million steps take 160 MB.
        starts = range(0, len(self) - 1, _PIECE)
        if all(np.all(np.diff(self.steps[i : i + _PIECE + 1]) == first) for i in starts):
            return first, True
        values, counts = np.unique(np.diff(self.steps), return_counts=True)
        return int(values[np.argmax(counts)]), False


def _unchanging(values: ArrayLike) -> FloatArray:
    """Return values as an array that nobody else writes to, without a copy where it is one."""
    if isinstance(values, np.ndarray) and values.dtype == np.float64:
        alone = values.base is None and not values.flags.writeable
        return values if alone else values.copy()
    return np.array(values, dtype=np.float64)


def checked_counts(steps: ArrayLike) -> IntArray:
    """Return steps in any order as whole numbers: the one place where their size is checked.

    Parameters
    ----------
    steps : array_like, shape (n,)
        Whole numbers from 0 to :data:`MAX_STEP`.

    Raises
    ------
    ValueError
        If they are not, with the first that is wrong.
    """
    limits = "a step must be a whole number from 0 up to 2 ** 53"
    try:
        given = np.asarray(steps)
    except OverflowError as error:
        raise ValueError(f"{limits}, one is greater") from error
    if not given.size:
        return given.astype(np.int64)
    if given.dtype.kind == "O":  # whole numbers beyond what any array holds
        raise ValueError(f"{limits}, one is no such number")
    if given.dtype.kind not in "iuf":
        raise ValueError(f"{limits}, got {given.dtype}")
    if given.min() >= 0 and given.max() <= MAX_STEP:
        counts = given.astype(np.int64)
        if given.dtype.kind != "f" or np.array_equal(counts, given):
            return counts
    wrong = ~((given >= 0) & (given <= MAX_STEP) & (given == np.floor(given)))
    raise ValueError(f"{limits}, got {given[wrong][0]}")


def checked_steps(steps: ArrayLike) -> IntArray:
    """Return steps as :func:`checked_counts`, which increase.

    Raises
    ------
    ValueError
        Also where they do not, with the first that does not.
    """
    given = checked_counts(steps)
    if given.ndim != 1:
        return given
    back = np.flatnonzero(given[1:] <= given[:-1])
    if back.size:
        raise ValueError(f"steps must increase, after {given[back[0]]} comes {given[back[0] + 1]}")
    return given


def serves(curve: Curve, horizon: int, stride: int) -> bool:
    """Whether :func:`check_window` lets a window be cut."""
    try:
        check_window(curve, horizon, stride)
    except UnsuitableRunError:
        return False
    return True


def check_window(curve: Curve, horizon: int, stride: int) -> int:
    """Return how many samples of ``curve`` make one sample of a grid, or say why it cannot be.

    Parameters
    ----------
    curve : Curve
        The channel as it was recorded.
    horizon : int
        Steps that the window spans.
    stride : int
        Steps between two samples of the window.

    Returns
    -------
    int
        Every how many samples of ``curve`` one is taken.

    Raises
    ------
    UnsuitableRunError
        If the curve is too short, lacks its start, has gaps, or is on a coarser or another grid.
    """
    cadence = curve.stride
    if stride % cadence:
        raise UnsuitableRunError(
            f"the loss was recorded every {cadence} steps, which does not divide into a grid of "
            f"{stride}; log it every step, or train a classifier on runs with this grid"
        )
    if horizon < stride:
        raise UnsuitableRunError(
            f"a window of {horizon} steps is shorter than one step of the grid, {stride}"
        )
    need = horizon // stride * (stride // cadence)
    if len(curve) < need:
        raise UnsuitableRunError(
            f"a window of {horizon} steps needs {need} recorded losses, the run has {len(curve)}"
        )
    steps = curve.steps[:need]
    # 0-based loggers start at 0, 1-based ones at 1, strided ones at one stride or one less.
    if steps[0] > cadence:
        raise UnsuitableRunError(
            f"the first recorded step is {int(steps[0])}; a run must be logged from its start"
        )
    if np.any(np.diff(steps) != cadence):
        gap = int(steps[np.flatnonzero(np.diff(steps) != cadence)[0]])
        raise UnsuitableRunError(
            f"steps must be evenly spaced, after step {gap} they are not; log every {cadence} steps"
        )
    return stride // cadence
