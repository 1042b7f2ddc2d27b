"""From samples to the curves of a run: merged, on one grid, accuracies as shares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import numpy as np

from grokpredict.runs.curve import Curve, FloatArray, IntArray, checked_counts
from grokpredict.runs.labels import PERCENT_ABOVE

#: Losses before the even steps begin that are left out: that of step 0 or 1, powers of ten.
_MOST_BEFORE = 4


def curve_of(steps: FloatArray | IntArray, values: FloatArray, channel: str) -> Curve:
    """Make a channel of samples whose steps do not go back.

    Several losses of one optimiser step are those of its micro-batches and are averaged; of
    several evaluations the last one counts.
    """
    if steps.size < 2 or np.all(steps[1:] > steps[:-1]):
        return Curve(cast(IntArray, steps), values)  # whole numbers, which the curve checks
    unique, start, counts = np.unique(checked_counts(steps), return_index=True, return_counts=True)
    if channel == "train_loss":
        return Curve(unique, np.add.reduceat(values, start) / counts)
    return Curve(unique, values[start + counts - 1])


def from_even_steps(loss: Curve) -> tuple[Curve, tuple[str, ...]]:
    """Leave out the losses before the steps are even: 1, 50, 100, ... or 0, 1, 10, 20, ...."""
    if loss.even or len(loss) < 2 * _MOST_BEFORE:
        return loss, ()
    gaps, stride = np.diff(loss.steps), loss.stride
    start = int(np.argmax(gaps == stride))
    regular = gaps[start : start + _MOST_BEFORE]
    if not 0 < start <= _MOST_BEFORE or not np.all(regular == stride) or loss.steps[start] > stride:
        return loss, ()
    # Steps that grow by less than the stride are its start; those of a coarser one are not.
    if np.any(gaps[:start] > stride):
        return loss, ()
    note = (
        f"the losses before step {loss.steps[start]} are not read: they are on no grid with the "
        f"others, which are {stride} steps apart"
    )
    return Curve(loss.steps[start:], loss.values[start:]), (note,)


def in_shares(curves: Mapping[str, Curve], *, percent: bool = False) -> dict[str, Curve]:
    """Make shares of all accuracies if any of them is in percent: a run logs them alike."""
    accuracies = {key: curve for key, curve in curves.items() if key.endswith("_acc")}
    if not percent and not any(map(is_percent, accuracies.values())):
        return dict(curves)
    shares = {key: Curve(curve.steps, curve.values / 100) for key, curve in accuracies.items()}
    return {**curves, **shares}


def is_percent(accuracy: Curve) -> bool:
    """Say whether an accuracy is above what a share can be."""
    finite = np.isfinite(accuracy.values)
    return bool(np.max(accuracy.values, initial=0.0, where=finite) > PERCENT_ABOVE)
