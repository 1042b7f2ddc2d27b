"""Runs as arrays: a dictionary of lists in JSON, the arrays of an ``.npz`` file, ``.npy`` files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grokpredict.logs.columns import CHANNEL_NAMES, KNOWN_NAMES, Columns, normalised, split_of
from grokpredict.logs.errors import LogError
from grokpredict.logs.from_table import sweep_of_table
from grokpredict.logs.hparams import unnested
from grokpredict.logs.plan import row_length
from grokpredict.logs.table import Table, constant
from grokpredict.runs.configuration import plain_keys
from grokpredict.runs.run import Run
from grokpredict.runs.sweep import Findings, LeftOut, Sweep

#: Runs of a file; those of a sweep are spread over several, so that one fits in memory.
MAX_RUNS = 250_000

#: Words of an array that holds steps.
_COUNTS = re.compile(r"^(steps?|iters?|iterations?|epochs?)$")

#: Arrays with fewer values are settings, such as Adam's two betas.
_FEWEST = 3

Array = NDArray[Any]


def is_curve(value: Any) -> bool:
    """Say whether a value of a JSON document is a list of numbers, one after the other."""
    if not isinstance(value, list) or len(value) < _FEWEST:
        return False
    return all(item is None or type(item) in (int, float) for item in value) or is_pairs(value)


def is_pairs(value: Sequence[Any]) -> bool:
    """Say whether a list holds pairs of a step and a value."""
    return all(
        isinstance(item, list)
        and len(item) == 2
        and all(type(number) in (int, float) for number in item)
        for item in value
    )


def has_loss(names: Sequence[str], columns: Columns) -> bool:
    """Say whether one of some arrays is the training loss."""
    return columns.loss in names or any(
        normalised(name) in KNOWN_NAMES["train_loss"] for name in names
    )


def sweep_of_arrays(
    arrays: Mapping[str, Any],
    columns: Columns,
    hparams: Mapping[str, Any],
    name: str,
    remarks: Sequence[str] = (),
) -> Sweep:
    """Make a run, or several, of named arrays.

    Parameters
    ----------
    arrays : mapping of str to sequence or ndarray
        One-dimensional, or with a first axis of runs; what is no array is a setting. A channel
        takes its steps from ``NAME_steps``, then from ``val_steps`` or ``train_steps``, then from
        ``steps`` or ``epochs``, where these are as long as it is.
    columns, hparams, name, remarks
        As for :func:`~grokpredict.logs.from_table.sweep_of_table`.

    Raises
    ------
    LogError
        If a channel is of another length than the steps.
    """
    flat, others = _curves_and_settings(arrays)
    configuration = {**unnested(others), **hparams}
    many = {key for key, curves in flat.items() if curves.ndim == 2 and not _is_axis(key)}
    if not many:
        table = _table(flat, columns, configuration, name)
        return sweep_of_table(table[0], columns, configuration, name, (*remarks, *table[1]))
    runs: list[Run] = []
    left_out: list[LeftOut] = []
    findings = Findings()
    for label, curves, settings in _rows(flat, many, name):
        where = f"{name}[{label}]"
        try:
            table = _table(curves, columns, configuration, where)
            sweep = sweep_of_table(
                table[0], columns, {**configuration, **settings}, where, (*remarks, *table[1])
            )
        except LogError as error:
            left_out.append(LeftOut(where, str(error)))
            continue
        runs += sweep.runs
        left_out += sweep.left_out
        findings += sweep.findings
    return Sweep(runs, left_out, findings)


def _curves_and_settings(arrays: Mapping[str, Any]) -> tuple[dict[str, Array], dict[str, Any]]:
    """Return the curves, in which objects are taken apart, and all else."""
    flat: dict[str, Array] = {}
    others: dict[str, Any] = {}
    for key, value in arrays.items():
        if isinstance(value, dict):
            inner, rest = _curves_and_settings(value)
            # {"train": {"loss": [...]}, "test": {"loss": [...]}}
            before = f"{key}/" if split_of(key) else ""
            flat.update({f"{before}{name}": array for name, array in inner.items()})
            if rest:
                others[key] = rest
        elif isinstance(value, np.ndarray) and value.dtype.kind in "fiub" and value.ndim in (1, 2):
            flat[key] = value
        elif isinstance(value, np.ndarray):
            others[key] = value.item() if value.ndim == 0 else value.tolist()
        elif isinstance(value, list) and is_curve(value):
            if is_pairs(value):
                steps, values = zip(*value, strict=True)
                flat[f"{key}_steps"] = np.array(steps, dtype=float)
                flat[key] = np.array(values, dtype=float)
            else:
                flat[key] = np.array(
                    [np.nan if array is None else array for array in value], dtype=float
                )
        else:
            others[key] = value
    return flat, others


def _rows(
    flat: Mapping[str, Array], many: set[str], name: str
) -> Iterator[tuple[str, dict[str, Array], dict[str, Any]]]:
    """Yield the arrays of each run of two-dimensional ones."""
    axes = {array.size for key, array in flat.items() if _is_axis(key) and array.ndim == 1}
    turned = {
        key: flat[key].T
        if flat[key].shape[0] in axes and flat[key].shape[1] not in axes
        else flat[key]
        for key in many
    }
    numbers = {array.shape[0] for array in turned.values()}
    if len(numbers) > 1:
        shapes = ", ".join(f"{key} {flat[key].shape}" for key in sorted(many))
        raise LogError(f"arrays must hold equally many runs, those of {name} have shapes {shapes}")
    (n_runs,) = numbers
    if n_runs > MAX_RUNS or min(table.shape[1] for table in turned.values()) < 2:
        raise LogError(
            f"an array may hold {MAX_RUNS} runs of two values or more, one of {name} has the "
            f"shape {next(iter(turned.values())).shape}"
        )
    shared = {key: array for key, array in flat.items() if _is_axis(key)}
    settings = {
        key: array
        for key, array in flat.items()
        if key not in many and key not in shared and array.size == n_runs
    }
    for i in range(n_runs):
        axes_of_run = {key: array[i] if array.ndim == 2 else array for key, array in shared.items()}
        array = {**axes_of_run, **{key: table[i] for key, table in turned.items()}}
        yield str(i), array, {key: column[i].item() for key, column in settings.items()}


def _is_axis(name: str) -> bool:
    return bool(_COUNTS.match(normalised(name).rpartition("_")[2]))


def _table(
    flat: Mapping[str, Array], columns: Columns, hparams: Mapping[str, Any], name: str
) -> tuple[Table, list[str]]:
    """Lay the channels over one axis; a row for each step of any."""
    axes = {key: array for key, array in flat.items() if _is_axis(key) or key == columns.step}
    channels = columns.channels([key for key in flat if key not in axes], name)
    losses = flat[channels["train_loss"]]
    placed: dict[str, tuple[str | None, Array]] = {}
    notes: list[str] = []
    for channel, key in channels.items():
        axis = _axis_of(channel, key, flat[key].size, axes, columns)
        steps = None if axis is None else axes[axis]
        if axis is None and (axes or flat[key].size != losses.size):
            steps, note = _by_cadence(key, flat[key].size, losses.size, axes, hparams, name)
            notes.append(note)
        placed[key] = (axis, np.arange(flat[key].size) if steps is None else steps)
    counts = {_unit(axis) for axis, _ in placed.values()}
    if len(counts) > 1:
        raise LogError(
            f"all channels must have steps in one unit, those of {name} have {sorted(counts)}"
        )
    return _laid_out(placed, flat, counts.pop(), columns), notes


def _unit(axis: str | None) -> str:
    if axis is None:
        return ""
    return "epoch" if "epoch" in normalised(axis) else "step"


def _axis_of(
    channel: str, key: str, size: int, axes: Mapping[str, Array], columns: Columns
) -> str | None:
    """Return the array with the steps of a channel."""
    split = split_of(normalised(key).partition("_")[0]) or channel.partition("_")[0]
    kinds = {"val": ("val", "test"), "test": ("test", "val")}.get(split, ("train",))

    def rank(axis: str) -> int:
        words = normalised(axis).split("_")
        if axis == columns.step or "_".join(words[:-1]) == normalised(key):
            return 0
        if len(words) == 1:
            return 2
        return 1 if words[0] in kinds else 3

    fitting = [axis for axis, steps in axes.items() if steps.size == size and rank(axis) < 3]
    if not fitting and len(axes) == 1:
        # There is but one axis, whatever it is called: {"train_loss", "eval_epochs"}.
        fitting = [axis for axis, steps in axes.items() if steps.size == size]
    return min(fitting, key=lambda axis: (rank(axis), _unit(axis) == "epoch"), default=None)


def _by_cadence(
    key: str,
    size: int,
    n_losses: int,
    axes: Mapping[str, Array],
    hparams: Mapping[str, Any],
    name: str,
) -> tuple[Array, str]:
    """Return the steps of evaluations whose cadence the configuration tells."""
    every = row_length({k: value for k, value in plain_keys(hparams).items() if "eval" in k})
    if not axes and every is not None and abs(size - -(-n_losses // every[1])) <= 1:
        return np.arange(size) * every[1], f"{key} is there every {every[1]} steps, by {every[0]}"
    raise LogError(
        f"a channel must be as long as its steps, in {name} {key} has {size} values beside "
        f"{n_losses} losses; put its steps beside it as {key}_steps"
    )


def _laid_out(
    placed: Mapping[str, tuple[str | None, Array]],
    flat: Mapping[str, Array],
    unit: str,
    columns: Columns,
) -> Table:
    steps = [axis for _, axis in placed.values()]
    same = all(np.array_equal(axis, steps[0]) for axis in steps)
    every = steps[0] if same else np.unique(np.concatenate(steps))
    cells: dict[str, list[Any]] = {}
    if unit:
        cells[columns.step or unit] = every.tolist()
    for key, (_, axis) in placed.items():
        column: list[Any] = flat[key].tolist()
        if not same:
            spread: list[Any] = [None] * every.size
            for i, value in zip(np.searchsorted(every, axis).tolist(), column, strict=True):
                spread[i] = value
            column = spread
        cells[key] = column
    return Table(
        cells, lambda row: row + 1, {k: v for k, v in constant(cells).items() if k not in placed}
    )


def any_channel(names: Sequence[str]) -> bool:
    """Say whether one of some names is a channel."""
    return any(normalised(name) in CHANNEL_NAMES for name in names)
