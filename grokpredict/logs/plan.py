"""What a configuration says of time: the planned steps or epochs, and the steps of an epoch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from grokpredict.runs.configuration import Configuration, plain_keys
from grokpredict.runs.curve import MAX_STEP

#: Names of the planned optimiser steps; the first that is there counts.
STEP_PLANS = (
    "max_steps",
    "max_train_steps",
    "num_train_steps",
    "num_training_steps",
    "total_training_steps",
    "total_train_steps",
    "n_train_steps",
    "training_steps",
    "train_steps",
    "total_steps",
    "num_steps",
    "n_steps",
    "nsteps",
    "max_iters",
    "max_iter",
    "max_iterations",
    "num_iters",
    "num_iterations",
    "n_iters",
    "n_iterations",
    "total_iters",
    "total_iterations",
    "train_iters",
    "iterations",
    "iters",
    "num_updates",
    "max_updates",
    "total_updates",
    "optimization_steps",
    "num_optimization_steps",
    "max_optimizer_steps",
    "steps",
)

EPOCH_PLANS = (
    "max_epochs",
    "num_epochs",
    "n_epochs",
    "nepochs",
    "epochs",
    "num_train_epochs",
    "total_epochs",
    "train_epochs",
    "training_epochs",
)

_EPOCH_LENGTHS = (
    "steps_per_epoch",
    "iters_per_epoch",
    "iterations_per_epoch",
    "batches_per_epoch",
    "num_steps_per_epoch",
    "n_batches",
    "num_batches",
)

_ACCUMULATIONS = (
    "accumulate_grad_batches",
    "gradient_accumulation_steps",
    "grad_accum_steps",
    "grad_accumulation_steps",
    "accumulation_steps",
    "grad_acc",
    "grad_accum",
)

#: How many steps apart rows may be, where nothing in the log counts them.
_ROW_LENGTHS = (
    "log_every",
    "log_every_n_steps",
    "log_interval",
    "log_freq",
    "log_steps",
    "logging_steps",
    "eval_every",
    "eval_interval",
    "eval_freq",
    "eval_steps",
)


@dataclass(frozen=True)
class Plan:
    """The planned end of a run.

    Attributes
    ----------
    steps : int or None
        In the unit in which the run is read.
    source : str
        Where it comes from.
    notes : tuple of str
        What could not be used, and why.
    """

    steps: int | None
    source: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class EpochLength:
    """Optimiser steps of an epoch, and how they were found."""

    steps: int
    source: str


def number(value: Any) -> float | None:
    """Return a number above zero as people write it into configurations; None for anything else.

    >>> number("1e4"), number("20_000"), number(-1), number("auto")
    (10000.0, 20000.0, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        result = float(value)
    except (ValueError, OverflowError):
        return None
    return result if math.isfinite(result) and 0 < result <= MAX_STEP else None


def epoch_length(hparams: Mapping[str, Any]) -> EpochLength | None:
    """Return how many optimiser steps an epoch has, by a configuration; None if it does not tell.

    Parameters
    ----------
    hparams : mapping
        ``steps_per_epoch`` and its like, else the sizes of training set and batch, with the
        number of batches whose gradients are accumulated.
    """
    lowered = plain_keys(hparams)
    setting = _first(lowered, _EPOCH_LENGTHS)
    if setting is not None:
        return EpochLength(max(int(setting[1]), 1), f"{setting[0]} = {int(setting[1])}")
    if lowered.get("full_batch") is True:
        return EpochLength(1, "full batches")
    configuration = Configuration.from_mapping(hparams)
    if configuration.train_size is None or configuration.batch_size is None:
        return None
    batches = configuration.train_size / configuration.batch_size
    whole = math.floor(batches) if lowered.get("drop_last") is True else math.ceil(batches)
    accumulated = _first(lowered, _ACCUMULATIONS)
    steps = math.ceil(max(whole, 1) / (accumulated[1] if accumulated else 1))
    return EpochLength(
        steps, f"{configuration.train_size} samples in batches of {configuration.batch_size}"
    )


def row_length(hparams: Mapping[str, Any]) -> tuple[str, int] | None:
    """Return after how many steps a configuration says that rows are written, and its name."""
    setting = _first(plain_keys(hparams), _ROW_LENGTHS)
    return (
        None
        if setting is None or setting[1] < 2 or setting[1] % 1
        else (setting[0], int(setting[1]))
    )


def planned(
    hparams: Mapping[str, Any], unit: str, length: EpochLength | None, last_step: int
) -> Plan:
    """Return the planned end of a run.

    Parameters
    ----------
    hparams : mapping
        Its configuration.
    unit : str
        In which the run is read: epochs are planned in epochs, all else in steps.
    length : EpochLength, optional
        Turns epochs into steps.
    last_step : int
        The last that was recorded: what is much shorter is no plan of this run.
    """
    lowered = plain_keys(hparams)
    epochs = _first(lowered, EPOCH_PLANS)
    if unit == "epoch":
        if epochs is None:
            return Plan(None)
        return Plan(int(epochs[1]), f"{epochs[0]} of its configuration, in epochs")
    notes: list[str] = []
    plans: list[tuple[int, str]] = []
    for name, value in _all(lowered, STEP_PLANS):
        if value < 0.98 * last_step:
            notes.append(
                f"{name} = {value:.0f} in the configuration is not taken for the budget, since "
                f"the log goes on to step {last_step}; give --budget"
            )
            continue
        plans.append((int(value), f"{name} of its configuration"))
        break
    if epochs is not None and length is not None:
        total = int(epochs[1] * length.steps)
        if total >= 0.98 * last_step:
            plans.append((total, f"{epochs[0]} x {length.steps} steps ({length.source})"))
    elif epochs is not None and not plans:
        notes.append(
            f"{epochs[0]} = {epochs[1]:.0f} in the configuration is not used as the budget: the "
            "steps of an epoch are not known; give --budget, or steps_per_epoch in the "
            "configuration"
        )
    if not plans:
        return Plan(None, notes=tuple(notes))
    # A trainer that is given both ends at the first.
    steps, source = min(plans)
    return Plan(steps, source)


def _first(lowered: Mapping[str, Any], names: Iterable[str]) -> tuple[str, float] | None:
    return next(iter(_all(lowered, names)), None)


def _all(lowered: Mapping[str, Any], names: Iterable[str]) -> list[tuple[str, float]]:
    """Return the numbers under some names, also in sections, in the order of the names."""
    settings = []
    for name in names:
        values = [lowered[name]] if name in lowered else []
        values += [value for key, value in lowered.items() if key.endswith(f".{name}")]
        numbers = {
            value for value in map(number, values[:1] if name in lowered else values) if value
        }
        if len(numbers) == 1:
            settings.append((name, numbers.pop()))
    return settings
