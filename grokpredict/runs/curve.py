"""One channel of a run over optimiser steps, and the windows that can be cut from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from grokpredict._util.errors import GrokpredictError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


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
        If the shapes differ, are not one-dimensional, or the steps do not increase.
    """

    steps: IntArray
    values: FloatArray

    def __post_init__(self) -> None:
        steps = np.array(self.steps, dtype=np.int64)
        values = np.array(self.values, dtype=np.float64)
        if steps.ndim != 1 or steps.shape != values.shape:
            raise ValueError(
                "steps and values of a curve must be one-dimensional and equally long, "
                f"got shapes {steps.shape} and {values.shape}"
            )
        if steps.size and (steps[0] < 0 or np.any(np.diff(steps) <= 0)):
            raise ValueError("steps of a curve must be non-negative and strictly increasing")
        steps.flags.writeable = values.flags.writeable = False
        object.__setattr__(self, "steps", steps)
        object.__setattr__(self, "values", values)

    def __len__(self) -> int:
        return int(self.steps.size)

    def __repr__(self) -> str:
        if not len(self):
            return "<Curve without samples>"
        return f"<Curve of {len(self)} samples, steps {self.steps[0]} to {self.steps[-1]}>"

    @property
    def stride(self) -> int:
        """Steps between two samples, from the first two; 1 for a shorter curve.

        A log that begins with step 0 and goes on with 50, 100, ... has stride 50, and so has
        Lightning's 49, 99, ....
        """
        return int(self.steps[1] - self.steps[0]) if len(self) > 1 else 1


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
    own = curve.stride
    if stride % own:
        raise UnsuitableRunError(
            f"the loss was recorded every {own} steps, which does not divide into a grid of "
            f"{stride}; log it every step, or train a classifier on runs with this grid"
        )
    if horizon < stride:
        raise UnsuitableRunError(
            f"a window of {horizon} steps is shorter than one step of the grid, {stride}"
        )
    need = horizon // stride * (stride // own)
    if len(curve) < need:
        raise UnsuitableRunError(
            f"a window of {horizon} steps needs {need} recorded losses, the run has {len(curve)}"
        )
    steps = curve.steps[:need]
    # 0-based loggers start at 0, 1-based ones at 1, strided ones at one stride or one less.
    if steps[0] > own:
        raise UnsuitableRunError(
            f"the first recorded step is {int(steps[0])}; a run must be logged from its start"
        )
    if np.any(np.diff(steps) != own):
        gap = int(steps[np.flatnonzero(np.diff(steps) != own)[0]])
        raise UnsuitableRunError(
            f"steps must be evenly spaced, after step {gap} they are not; log every {own} steps"
        )
    return stride // own
