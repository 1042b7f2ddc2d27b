"""Which values of a log are values: what is missing, and what is an evaluation repeated."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from grokpredict.runs.curve import FloatArray, IntArray

#: The rows in which a channel has a value, and the values.
Samples = tuple[IntArray, FloatArray]

#: A channel with fewer values is not searched for repetitions, and is left at least as many.
FEWEST = 20

VALIDATION = ("val_acc", "val_loss")


def without_missing(samples: Mapping[str, Samples], n_rows: int) -> dict[str, Samples]:
    """Drop the NaNs that mean "nothing was measured here".

    Parameters
    ----------
    samples : mapping of str to (rows, values)
        By channel.
    n_rows : int
        Of the log.

    Returns
    -------
    dict
        A NaN is missing in a row in which another channel has a number. In the training loss
        only if the loss goes on later, or if what is in the last rows are evaluations, which the
        loss never shared a row with: NaN in the loss up to the end is divergence.
    """
    if not any(np.isnan(values).any() for _, values in samples.values()):
        return dict(samples)
    has = {channel: _mask(*sample, n_rows) for channel, sample in samples.items()}
    kept = {}
    for channel, (rows, values) in samples.items():
        others = np.zeros(n_rows, dtype=np.bool_)
        for other, mask in has.items():
            if other != channel:
                others |= mask
        missing = np.isnan(values) & others[rows]
        if channel == "train_loss":
            missing &= ~_diverged(rows, has)
        kept[channel] = (rows[~missing], values[~missing])
    return kept


def _mask(
    rows: IntArray, values: FloatArray, n_rows: int
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    mask = np.zeros(n_rows, dtype=np.bool_)
    mask[rows[~np.isnan(values)]] = True
    return mask


def _diverged(rows: IntArray, has: Mapping[str, np.ndarray]) -> np.ndarray:
    """Mark the rows from which on the loss is no number any more."""
    loss = has["train_loss"]
    finite = np.flatnonzero(loss)
    end = rows > (finite[-1] if finite.size else -1)
    apart = np.zeros(loss.size, dtype=np.bool_)
    for channel, mask in has.items():
        if channel != "train_loss" and not np.any(mask & loss):
            apart |= mask
    last = rows[end]
    return end & (not bool(np.all(apart[last])))


def evaluations_once(
    samples: Mapping[str, Samples], every: int | None
) -> tuple[dict[str, Samples], tuple[str, ...]]:
    """Count an evaluation once that is repeated on every row until the next one.

    Parameters
    ----------
    samples : mapping of str to (rows, values)
        By channel.
    every : int, optional
        After how many rows the configuration says that evaluations were made.

    Returns
    -------
    samples : dict
        Of validation channels that are there in almost every row of the loss and only ever change
        every k rows, one row in k is kept.
    notes : tuple of str

    Notes
    -----
    A metric of a run that does nothing, or has generalised, is constant too. So k is the greatest
    common divisor of the distances between changes of all validation channels, of which there
    must be two, and no channel is left with fewer than :data:`FEWEST` values.
    """
    n_losses = samples["train_loss"][0].size
    dense = {
        channel: samples[channel]
        for channel in VALIDATION
        if channel in samples and samples[channel][0].size >= max(0.9 * n_losses, 2 * FEWEST)
    }
    if not dense:
        return dict(samples), ()
    rows = next(iter(dense.values()))[0]
    dense = {
        channel: sample for channel, sample in dense.items() if np.array_equal(sample[0], rows)
    }
    changes = np.unique(
        np.concatenate([1 + np.flatnonzero(_differs(v)) for _, v in dense.values()])
    )
    k = _period(changes, rows.size, every)
    if k < 2:
        return dict(samples), ()
    phase = int(changes[0]) % k if changes.size else 0
    kept = np.unique(np.r_[0, np.arange(phase, rows.size, k)])
    once = {channel: (rows[kept], values[kept]) for channel, (_, values) in dense.items()}
    names = " and ".join(once)
    return {**samples, **once}, (
        f"each value of {names} is repeated for {k} rows until the next evaluation: counted once",
    )


def _differs(values: FloatArray) -> np.ndarray:
    same = (values[1:] == values[:-1]) | (np.isnan(values[1:]) & np.isnan(values[:-1]))
    return np.asarray(~same)


def _period(changes: IntArray, size: int, every: int | None) -> int:
    """Return after how many rows a value may change."""
    most = size // FEWEST
    period = math.gcd(*np.diff(changes).tolist()) if changes.size > 1 else every or 1
    if changes.size == 1 and int(changes[0]) % period:
        return 1
    while period > most:
        # The largest divisor that leaves enough values.
        period = next((d for d in range(most, 1, -1) if period % d == 0), 1)
    return period
