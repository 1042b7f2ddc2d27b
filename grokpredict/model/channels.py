"""Which channels a look reads. A threshold is for all looks that read the same."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grokpredict.features.columns import COLUMNS, SPECTRUM, sources
from grokpredict.features.profile import PROFILED
from grokpredict.runs.curve import FloatArray

#: What a look reads of a run: names out of :data:`READABLE`, in that order.
Reads = tuple[str, ...]

#: Channels that a look may read; the spectral signature of the first losses counts as one.
READABLE: Reads = (*PROFILED, SPECTRUM)

#: Channels of the validation set. Without one of them a run is never stopped: on tasks that were
#: not trained on, the ranking by the others is near to chance (docs/classifier.md).
VALIDATION = ("val_loss", "val_acc")

#: For each channel a column that is there wherever the channel is read.
_WITNESS = [COLUMNS.index(f"{channel}_above_low") for channel in PROFILED]
_WITNESS.append(COLUMNS.index("log2_stride"))

#: Which channels each column is made of, shape (n_channels, n_columns).
_SOURCES: NDArray[np.bool_] = np.array(
    [[channel in sources(column) for column in COLUMNS] for channel in READABLE]
)


def all_reads() -> tuple[Reads, ...]:
    """Return every combination of channels that a look may read: the loss, and any others.

    >>> len(all_reads()), all_reads()[0]
    (32, ('train_loss',))
    """
    loss, *others = READABLE
    return tuple(
        (loss, *chosen) for n in range(len(others) + 1) for chosen in combinations(others, n)
    )


def may_stop(reads: Reads) -> bool:
    """Whether looks that read these channels may stop a run at all."""
    return "train_loss" in reads and any(channel in reads for channel in VALIDATION)


def readable(columns: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
    """Return which channels each look can read, shape (n_looks, n_channels).

    Parameters
    ----------
    columns : ndarray, shape (n_looks, n_columns)
        As :meth:`grokpredict.features.recording.Recording.columns`.
    """
    return np.isfinite(columns[:, _WITNESS])


def read_by(columns: NDArray[np.floating[Any]]) -> tuple[Reads, ...]:
    """Return the channels that each look can read, length n_looks."""
    return tuple(
        tuple(channel for channel, there in zip(READABLE, row, strict=True) if there)
        for row in readable(columns).tolist()
    )


def only(columns: NDArray[np.floating[Any]], reads: Reads) -> FloatArray:
    """Return columns of which all that need another channel than ``reads`` are missing."""
    return without(columns, np.array([channel not in reads for channel in READABLE]))


def without(columns: NDArray[np.floating[Any]], channels: NDArray[np.bool_]) -> FloatArray:
    """Return columns without some channels.

    Parameters
    ----------
    columns : ndarray, shape (n_looks, n_columns)
        They stay as they are.
    channels : ndarray of bool, shape (n_channels,) or (n_looks, n_channels)
        Which of :data:`READABLE` are missing, at all looks or at each.
    """
    missing = channels.astype(np.int64) @ _SOURCES.astype(np.int64) > 0
    return np.where(missing, np.nan, columns.astype(np.float64))
