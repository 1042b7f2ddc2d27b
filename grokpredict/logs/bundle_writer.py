"""Writing a bundle; see :mod:`grokpredict.logs.bundle` for what is in one."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from grokpredict._util.atomic import replacing
from grokpredict.logs.mantissa import MANTISSA_BITS, deltas_of, round_mantissa
from grokpredict.runs.run import CHANNELS

_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


def write_bundle(
    path: str | os.PathLike[str],
    *,
    channels: Mapping[str, tuple[ArrayLike, ArrayLike]],
    n_steps: ArrayLike | None = None,
    hparams: Sequence[Mapping[str, Any]] | None = None,
    names: Sequence[str] | None = None,
    compact: bool = False,
    bits: int = MANTISSA_BITS,
) -> None:
    """Write runs into one compressed file, wholly or not at all.

    Parameters
    ----------
    path : path-like
        Replaced in one go once everything is on disk.
    channels : mapping of str to (steps, values)
        Steps of shape (n,), values of shape (n_runs, n), padded with NaN. Values are stored as
        :func:`~grokpredict.logs.mantissa.round_mantissa` leaves them.
    n_steps : array_like of int, shape (n_runs,), optional
        Optimiser steps that each run made. Padding begins at that step for the training loss,
        which belongs to the update that would follow, and after it for the other channels.
    hparams : sequence of mapping, optional
        The configuration of each run; ``max_steps`` in it is the planned budget.
    names : sequence of str, optional
        A name for each run.
    compact : bool
        Store differences, at no further loss; about a third of the size for smooth losses.
    bits : int
        Bits of the mantissa that are kept, at most
        :data:`~grokpredict.logs.mantissa.MANTISSA_BITS`.

    Raises
    ------
    ValueError
        If a channel is unknown, ``train_loss`` is missing or shapes do not agree.
    """
    if not 1 <= bits <= MANTISSA_BITS:
        raise ValueError(f"bits must be from 1 to {MANTISSA_BITS}, got {bits}")
    arrays = _members(channels, n_steps, hparams, names, bits)
    if compact:
        for name in channels:
            arrays[f"{name}_delta"] = deltas_of(arrays.pop(name))
    with replacing(Path(path)) as file, zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            # A fixed date makes equal runs equal files.
            member = zipfile.ZipInfo(f"{name}.npy", date_time=_ZIP_EPOCH)
            member.compress_type = zipfile.ZIP_LZMA
            with archive.open(member, "w", force_zip64=True) as out:
                np.lib.format.write_array(cast(Any, out), array, allow_pickle=False)


def _members(
    channels: Mapping[str, tuple[ArrayLike, ArrayLike]],
    n_steps: ArrayLike | None,
    hparams: Sequence[Mapping[str, Any]] | None,
    names: Sequence[str] | None,
    bits: int,
) -> dict[str, NDArray[Any]]:
    if "train_loss" not in channels:
        raise ValueError("a bundle must hold train_loss, got " + (", ".join(channels) or "nothing"))
    arrays: dict[str, NDArray[Any]] = {}
    n_runs = np.asarray(channels["train_loss"][1]).shape[0]
    for name, (steps, values) in channels.items():
        if name not in CHANNELS:
            raise ValueError(f"a channel must be one of {', '.join(CHANNELS)}, got {name!r}")
        grid, table = np.asarray(steps, dtype=np.int64), np.asarray(values)
        if grid.ndim != 1 or table.shape != (n_runs, grid.size):
            raise ValueError(
                f"{name} must have shape (n_runs, n_steps) = ({n_runs}, {grid.size}), "
                f"got {table.shape}"
            )
        arrays[name] = round_mantissa(table, bits)
        arrays[f"{name}_steps"] = grid
    if n_steps is not None:
        arrays["n_steps"] = np.asarray(n_steps, dtype=np.int64)
    if hparams is not None:
        lines = [json.dumps(dict(settings), default=_jsonable) for settings in hparams]
        arrays["hparams"] = np.array(lines, dtype=np.str_)
    if names is not None:
        arrays["names"] = np.array(list(names), dtype=np.str_)
    for name in ("n_steps", "hparams", "names"):
        if name in arrays and arrays[name].shape != (n_runs,):
            raise ValueError(f"{name} must have shape ({n_runs},), got {arrays[name].shape}")
    return arrays


def _jsonable(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else str(value)
