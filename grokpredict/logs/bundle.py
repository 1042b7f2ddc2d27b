"""The bundle: many runs in one ``.npz`` file that numpy alone can read.

======================  ================  =======================================================
``train_loss``          (n_runs, n)       NaN-padded at the end
``train_loss_steps``    (n,)              optional, 0, 1, 2, ... without it
``val_acc``, ...        (n_runs, m)       likewise, with ``val_acc_steps``, for every other channel
``n_steps``             (n_runs,)         optional: optimiser steps that each run made
``hparams``             (n_runs,) text    optional: one JSON object a run
``names``               (n_runs,) text    optional
======================  ================  =======================================================

A file with one run may hold one-dimensional arrays.

A *compact* bundle, for publishing, holds in place of ``train_loss`` an array
``train_loss_delta`` of int32: the differences along the steps between the bits that
:func:`~grokpredict.logs.mantissa.round_mantissa` keeps. A smooth loss shrinks to a third of its
size. Numpy alone gets it back:
``(np.cumsum(delta, axis=1).astype(np.uint32) << 11).view(np.float32)``.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grokpredict._util.npz import NUMBERS, read_arrays
from grokpredict._util.opening import unpacked_limit
from grokpredict.logs.arrays import MAX_RUNS, sweep_of_arrays
from grokpredict.logs.assembly import make_run
from grokpredict.logs.columns import Columns
from grokpredict.logs.curves import in_shares, is_percent
from grokpredict.logs.errors import LogError, refusing
from grokpredict.logs.hparams import hparams_beside
from grokpredict.logs.mantissa import undo_deltas
from grokpredict.logs.source import opened
from grokpredict.runs.curve import Curve
from grokpredict.runs.run import CHANNELS, Run
from grokpredict.runs.sweep import LeftOut, Sweep

NAME = "bundle"

#: Arrays of a file: those of a bundle, and some that are not read.
MAX_ARRAYS = 1000


def recognises(path: Path) -> bool:
    """Say whether a file in a sweep folder is one of these, by its name."""
    return path.suffix.lower() == ".npz"


def read(path: Path, columns: Columns) -> Sweep:
    """Read all runs of a file: of a bundle, or of arrays with names and steps of their own."""
    arrays = _load(path)
    if _is_bundle(arrays):
        return _read(path, arrays, columns)
    return sweep_of_arrays(arrays, columns, hparams_beside(path), str(path))


def _is_bundle(arrays: Mapping[str, NDArray[Any]]) -> bool:
    """Say whether a file keeps to the names above, and says which step its losses are of."""
    return "train_loss" in arrays and any(
        name in arrays for name in ("train_loss_steps", "n_steps", "hparams", "names")
    )


def read_bundle(path: str | os.PathLike[str]) -> Sweep:
    """Read every run of a bundle.

    Parameters
    ----------
    path : path-like
        An ``.npz`` file. Nothing in it is executed.

    Returns
    -------
    Sweep
        The runs in the order of the file; runs that cannot be used are in ``left_out``.

    Raises
    ------
    LogError
        If the file cannot be read, or its arrays do not fit together.
    """
    return _read(path, _load(path), Columns())


def _read(
    path: str | os.PathLike[str], arrays: Mapping[str, NDArray[Any]], columns: Columns
) -> Sweep:
    if "train_loss" not in arrays:
        raise LogError(f"a bundle must hold an array train_loss, {path} holds {_listed(arrays)}")
    n_runs, n_losses = np.atleast_2d(arrays["train_loss"]).shape[-2:]
    if n_runs > MAX_RUNS or n_losses < 2:
        raise LogError(
            f"a bundle may hold {MAX_RUNS} runs of two losses or more, {path} holds {n_runs} "
            f"of {n_losses}"
        )
    tables = {name: _table(path, arrays, name, n_runs) for name in CHANNELS if name in arrays}
    n_steps = _column(path, arrays, "n_steps", n_runs)
    hparams = _column(path, arrays, "hparams", n_runs)
    names = _column(path, arrays, "names", n_runs)
    percent = any(
        is_percent(Curve(table[0], row))
        for key, table in tables.items()
        if key.endswith("_acc")
        for row in table[1]
    )
    runs: list[Run] = []
    left_out: list[LeftOut] = []
    for row in range(n_runs):
        name = f"{path}[{row if names is None else names[row]}]"
        try:
            configuration = {} if hparams is None else _parse(str(hparams[row]))
            end = None if n_steps is None else int(n_steps[row])
            # The evaluation after the last update carries that update's number.
            ends = {key: end if end is None or key == "train_loss" else end + 1 for key in tables}
            curves = {key: _cut(*table, row, ends[key]) for key, table in tables.items()}
            curves = {
                key: curve if key == "train_loss" else _made_only(curve)
                for key, curve in curves.items()
            }
            shares = in_shares(curves, percent=percent)
            runs.append(make_run(shares, {**configuration, **columns.hparams}, name))
        except ValueError as error:
            left_out.append(LeftOut(name, str(error)))
    return Sweep(runs, left_out)


def _load(path: str | os.PathLike[str]) -> dict[str, NDArray[Any]]:
    with opened(Path(path)) as file:
        if not zipfile.is_zipfile(file):
            raise LogError(f"a bundle must be an .npz file that numpy can read, {path} is not")
        limit = unpacked_limit(os.fstat(file.fileno()).st_size)
        arrays: dict[str, NDArray[Any]] = {}
        with refusing(f"{path} cannot be read as an .npz bundle"):
            arrays |= read_arrays(
                file, max_bytes=limit, max_members=MAX_ARRAYS, kinds=f"{NUMBERS}U"
            )
    for name in CHANNELS:
        deltas = arrays.pop(f"{name}_delta", None)
        if deltas is not None and deltas.dtype.kind == "i" and name not in arrays:
            arrays[name] = undo_deltas(deltas)
    return arrays


def _table(
    path: str | os.PathLike[str], arrays: Mapping[str, NDArray[Any]], name: str, n_runs: int
) -> tuple[NDArray[np.int64], NDArray[Any]]:
    values = np.atleast_2d(arrays[name])
    if values.ndim != 2 or values.shape[0] != n_runs or values.dtype.kind not in "fiu":
        raise LogError(
            f"{name} in {path} must be numbers of shape ({n_runs}, n), "
            f"got {arrays[name].dtype} of shape {arrays[name].shape}"
        )
    losses = arrays["train_loss"]
    if f"{name}_steps" not in arrays and values.shape[1] != losses.shape[-1]:
        raise LogError(
            f"a channel must be as long as its steps, in {path} {name} has {values.shape[1]} "
            f"values a run beside {losses.shape[-1]} losses; put its steps beside it as "
            f"{name}_steps"
        )
    steps = arrays.get(f"{name}_steps", np.arange(values.shape[1]))
    if steps.shape != (values.shape[1],):
        raise LogError(
            f"{name}_steps in {path} must have shape ({values.shape[1]},), got {steps.shape}"
        )
    if not np.array_equal(steps, np.floor(steps)) or (
        steps.size and (steps[0] < 0 or np.any(np.diff(steps) <= 0))
    ):
        raise LogError(f"{name}_steps in {path} must be whole numbers from 0 up that increase")
    return steps.astype(np.int64), values


def _column(
    path: str | os.PathLike[str], arrays: Mapping[str, NDArray[Any]], name: str, n_runs: int
) -> NDArray[Any] | None:
    if name not in arrays:
        return None
    column = np.atleast_1d(arrays[name])
    kinds = "iu" if name == "n_steps" else "U"
    if column.shape != (n_runs,) or column.dtype.kind not in kinds:
        kind = "whole numbers" if name == "n_steps" else "text"
        raise LogError(
            f"{name} in {path} must be {kind} of shape ({n_runs},), "
            f"got {column.dtype} of shape {column.shape}"
        )
    return column


def _cut(steps: NDArray[np.int64], values: NDArray[Any], row: int, end: int | None) -> Curve:
    line = values[row]
    if end is not None:
        n = int(np.searchsorted(steps, end))
    else:
        present = np.flatnonzero(~np.isnan(line))
        n = int(present[-1]) + 1 if present.size else 0
    return Curve(steps[:n], line[:n])


def _made_only(curve: Curve) -> Curve:
    """Leave out the evaluations that were not made."""
    present = ~np.isnan(curve.values)
    return curve if present.all() else Curve(curve.steps[present], curve.values[present])


def _parse(line: str) -> dict[str, Any]:
    try:
        settings = json.loads(line) if line else {}
    except json.JSONDecodeError as error:
        raise LogError(f"its hparams are not JSON: {error}") from error
    if not isinstance(settings, dict):
        raise LogError(f"its hparams must be a JSON object, got {line[:40]!r}")
    return settings


def _listed(arrays: Mapping[str, NDArray[Any]]) -> str:
    return ", ".join(arrays) or "nothing"
