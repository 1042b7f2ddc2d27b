"""Values rounded to some bits, and as differences of these bits, so that they compress."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Explicit bits of the mantissa that a bundle keeps: values are right to one part in 2 ** 13.
MANTISSA_BITS = 12

_DROPPED_BITS = 23 - MANTISSA_BITS


def round_mantissa(values: ArrayLike, kept: int = MANTISSA_BITS) -> NDArray[np.float32]:
    """Round to the nearest float32 with so many bits after the leading one.

    Parameters
    ----------
    values : array_like
        Any shape. NaN and infinity stay what they are, what exceeds float32 becomes infinite.
    kept : int
        Bits of the mantissa, from 1 to 22.

    Returns
    -------
    ndarray of float32, same shape
        Relative error at most 2 ** -(kept + 1) for values above 1.2e-38. The zero bits at the end
        are what lets a compressor work on it.

    Examples
    --------
    >>> float(round_mantissa(1 / 3))
    0.33331298828125
    """
    with np.errstate(over="ignore"):
        rounded = np.array(values, dtype=np.float32, order="C")
    flat = rounded.reshape(-1)
    finite = np.isfinite(flat)
    bits = flat.view(np.uint32)[finite]
    dropped = 23 - kept
    half = np.uint32((1 << (dropped - 1)) - 1)
    bits += half + ((bits >> np.uint32(dropped)) & np.uint32(1))
    bits &= np.uint32(0xFFFFFFFF << dropped & 0xFFFFFFFF)
    flat[finite] = bits.view(np.float32)
    return rounded


def deltas_of(rounded: NDArray[np.float32]) -> NDArray[np.int32]:
    """Return what each value adds to the kept bits of the one before it, along the second axis."""
    kept = (rounded.view(np.uint32) >> np.uint32(_DROPPED_BITS)).astype(np.int32)
    deltas: NDArray[np.int32] = np.diff(kept, axis=1, prepend=np.int32(0))
    return deltas


def undo_deltas(deltas: NDArray[Any]) -> NDArray[np.float32]:
    """Return the values of which :func:`deltas_of` made ``deltas``."""
    kept = np.cumsum(deltas, axis=-1, dtype=np.int64).astype(np.uint32)
    values: NDArray[np.float32] = (kept << np.uint32(_DROPPED_BITS)).view(np.float32)
    return values
