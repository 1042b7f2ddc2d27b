"""What a classifier reads of a look: numbers out of the profiles of its channels, and its spectrum.

All are differences of levels, times before the look, or levels themselves, so that they mean the
same at every cadence, step and budget. docs/features.md lists them.
"""

from __future__ import annotations

import numpy as np

from grokpredict.features.profile import N_LEVELS, PER_OCTAVE, PROFILED
from grokpredict.features.signal import feature_names
from grokpredict.runs.curve import FloatArray, IntArray

#: Channels of which the level itself is read. A norm's depends on the size of the network.
_LEVELLED = ("train_loss", "val_loss", "train_acc", "val_acc")

#: Of each channel; docs/features.md gives the formulas.
_OF_A_CHANNEL = (
    "change",
    "change_before",
    "change_octave",
    "change_early",
    "above_low",
    "low_when",
    "below_high",
    "high_when",
    "roughness",
    "rise",
)

#: Of two channels, or of one alone.
_BETWEEN = ("loss_gap", "loss_gap_before", "acc_gap", "over_start", "fitted_for")

#: What the spectral signature of the first losses counts as among the channels.
SPECTRUM = "spectrum"

#: Of the first losses: their spectral signature, and the steps between two of them.
SIGNATURE: tuple[str, ...] = (*feature_names(), "log2_stride")

#: The column that grows with the budget. P may not fall along it.
BUDGET_COLUMN = "budget_left"

COLUMNS: tuple[str, ...] = (
    *(f"{channel}_level" for channel in _LEVELLED),
    *(f"{channel}_{name}" for channel in PROFILED for name in _OF_A_CHANNEL),
    *_BETWEEN,
    *SIGNATURE,
    BUDGET_COLUMN,
)

#: What each pair of channels is compared by; the other columns are of the channel that they name.
_PAIRS = {
    "loss_gap": ("train_loss", "val_loss"),
    "loss_gap_before": ("train_loss", "val_loss"),
    "acc_gap": ("train_acc", "val_acc"),
    "over_start": ("train_loss", "val_loss"),
    "fitted_for": ("train_acc",),
}

#: Levels (see PLACES) at which changes begin and end: now, 1/2, 1, 2 and 4 octaves before.
_NOW, _LAST, _OCTAVE, _TWO, _FOUR = 0, 2, 4, 8, 16

#: Of so many levels the roughness is taken, and this much is added to it before the logarithm.
_ROUGH, _SMOOTH = 8, 1e-4

#: Log-odds of a training accuracy that counts as fitted: 98.8 %.
_FITTED = 1.9

_TRAIN_LOSS, _VAL_LOSS, _TRAIN_ACC, _VAL_ACC = range(4)


def columns(
    levels: FloatArray, signature: FloatArray, step: IntArray | FloatArray, budget: FloatArray
) -> FloatArray:
    """Return the columns of some looks.

    Parameters
    ----------
    levels : ndarray, shape (n_looks, n_channels, N_LEVELS)
        As :func:`grokpredict.features.profile.profiles`.
    signature : ndarray, shape (n_looks, n_numbers)
        In the order of :data:`SIGNATURE`.
    step, budget : ndarray, shape (n_looks,)
        Step of each look, and the step by which the run would have to generalise.

    Returns
    -------
    ndarray, shape (n_looks, n_columns)
        Columns as :data:`COLUMNS`; NaN where a channel is missing or reaches not far enough back.

    Examples
    --------
    >>> flat, none = np.zeros((1, 5, 24)), np.full((1, len(SIGNATURE)), np.nan)
    >>> columns(flat, none, np.array([400]), np.array([1600.0]))[0, -1].item()
    2.0
    """
    n = len(levels)
    of_channels = np.empty((n, len(PROFILED), len(_OF_A_CHANNEL)))
    for channel in range(len(PROFILED)):
        of_channels[:, channel] = _of_a_channel(levels[:, channel])
    return np.column_stack(
        [
            levels[:, : len(_LEVELLED), _NOW],
            of_channels.reshape(n, len(PROFILED) * len(_OF_A_CHANNEL)),
            _between(levels),
            signature,
            budget_left(step, budget),
        ]
    )


def sources(column: str) -> tuple[str, ...]:
    """Return the channels without which a column is missing; :data:`SPECTRUM` counts as one.

    >>> sources("val_loss_level"), sources("loss_gap"), sources("log_mobility")
    (('val_loss',), ('train_loss', 'val_loss'), ('spectrum',))
    """
    if column in SIGNATURE:
        return (SPECTRUM,)
    of_one = tuple(channel for channel in PROFILED if column.startswith(f"{channel}_"))
    return _PAIRS.get(column, of_one)


def budget_left(step: IntArray | FloatArray, budget: FloatArray) -> FloatArray:
    """Return :data:`BUDGET_COLUMN`: octaves from the look to the budget."""
    return np.asarray(np.log2(np.asarray(budget, dtype=float) / step))


def _of_a_channel(levels: FloatArray) -> FloatArray:
    """Return :data:`_OF_A_CHANNEL`, shape (n_looks, N_LEVELS) -> (n_looks, n_names)."""
    now = levels[:, _NOW]
    reached = np.isfinite(levels)
    low = np.where(reached, levels, np.inf)
    high = np.where(reached, levels, -np.inf)
    # From the oldest level on: how far the channel has risen above its least so far.
    least = np.minimum.accumulate(low[:, ::-1], axis=1)[:, ::-1]
    rise = np.where(reached, levels - np.where(reached, least, 0.0), -np.inf).max(axis=1)
    seen = np.isfinite(now)
    bends = np.abs(levels[:, : _ROUGH - 2] - 2 * levels[:, 1 : _ROUGH - 1] + levels[:, 2:_ROUGH])
    bent = np.isfinite(bends)
    bend = np.where(bent, bends, 0.0).sum(axis=1) / np.maximum(bent.sum(axis=1), 1)
    of_channel = np.column_stack(
        [
            now - levels[:, _LAST],
            levels[:, _LAST] - levels[:, _OCTAVE],
            levels[:, _OCTAVE] - levels[:, _TWO],
            levels[:, _TWO] - levels[:, _FOUR],
            now - low.min(axis=1),
            low.argmin(axis=1) / PER_OCTAVE,
            high.max(axis=1) - now,
            high.argmax(axis=1) / PER_OCTAVE,
            np.where(bent.any(axis=1), np.log10(bend + _SMOOTH), np.nan),
            rise,
        ]
    )
    of_channel[~seen] = np.nan
    return of_channel


def _between(profiles: FloatArray) -> FloatArray:
    """Return :data:`_BETWEEN`."""
    train_loss, val_loss = profiles[:, _TRAIN_LOSS], profiles[:, _VAL_LOSS]
    train_acc = profiles[:, _TRAIN_ACC]
    start = np.where(np.isfinite(train_loss), train_loss, -np.inf).max(axis=1)
    start = np.where(np.isfinite(start), start, np.nan)
    fitted = np.where(np.isfinite(train_acc), train_acc, -np.inf) >= _FITTED
    since = np.where(fitted.all(axis=1), N_LEVELS, (~fitted).argmax(axis=1)) / PER_OCTAVE
    return np.column_stack(
        [
            val_loss[:, _NOW] - train_loss[:, _NOW],
            val_loss[:, _TWO] - train_loss[:, _TWO],
            train_acc[:, _NOW] - profiles[:, _VAL_ACC, _NOW],
            val_loss[:, _NOW] - start,
            np.where(np.isfinite(train_acc[:, _NOW]), since, np.nan),
        ]
    )
