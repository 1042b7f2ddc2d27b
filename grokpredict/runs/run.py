"""The data model: a training run is a set of curves over optimiser steps.

A :class:`Run` keeps each channel on the grid it was recorded on: the training loss perhaps at
every step, the validation metrics at every fiftieth. :func:`window` cuts the first steps of many
runs into the array ``(n_runs, n_channels, n_steps)`` that conditioning and features work on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

Key = TypeVar("Key")

#: Channels that grokpredict knows. ``train_loss`` is in every run, the others may be.
CHANNELS = ("train_loss", "val_loss", "train_acc", "val_acc", "weight_norm", "grad_norm")

#: Hyperparameters that tell repetitions of one configuration apart.
REPETITION_KEYS = frozenset(
    {"seed", "random_seed", "run", "run_id", "run_name", "name", "version", "id"}
)


class UnsuitableRunError(ValueError):
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

    @property
    def stride(self) -> int:
        """Steps between two samples, from the first two; 1 for a shorter curve.

        A log that begins with step 0 and goes on with 50, 100, ... has stride 50, and so has
        Lightning's 49, 99, ....
        """
        return int(self.steps[1] - self.steps[0]) if len(self) > 1 else 1


@dataclass(frozen=True)
class Configuration:
    """What is known of a run before its first step; None where it is not known.

    Parameters
    ----------
    optimizer : str, optional
        Lower-case name: ``"adamw"``, ``"adam"``, ``"sgd"``, ``"lion"``, ....
    learning_rate, weight_decay : float, optional
        As the optimiser was given them; the peak rate where there is a schedule.
    momentum : float, optional
        SGD's momentum, or the first beta of Adam's family.
    batch_size, train_size : int, optional
        Samples per optimiser step and in the training set.
    n_parameters : int, optional
        Trainable parameters.
    """

    optimizer: str | None = None
    learning_rate: float | None = None
    weight_decay: float | None = None
    momentum: float | None = None
    batch_size: int | None = None
    train_size: int | None = None
    n_parameters: int | None = None

    @classmethod
    def from_mapping(cls, hparams: Mapping[str, Any]) -> Configuration:
        """Pick the fields out of a run's hyperparameters, under the names that people use."""
        found: dict[str, Any] = {}
        lowered = {str(key).lower().replace("-", "_"): value for key, value in hparams.items()}
        for name, aliases in _CONFIGURATION_ALIASES.items():
            for alias in (name, *aliases):
                value = _plain(lowered.get(alias), name)
                if value is not None:
                    found[name] = value
                    break
        return cls(**found)

    def known(self) -> dict[str, Any]:
        """Return the fields that are not None."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: value for name, value in values.items() if value is not None}


_CONFIGURATION_ALIASES: dict[str, tuple[str, ...]] = {
    "optimizer": ("optimiser", "optim", "optimizer_name"),
    "learning_rate": ("lr", "max_lr", "base_lr", "peak_lr"),
    "weight_decay": ("wd", "weightdecay", "l2"),
    "momentum": ("beta1", "beta_1", "adam_beta1", "betas"),
    "batch_size": ("batchsize", "bs", "train_batch_size"),
    "train_size": ("n_train", "num_train", "train_samples", "train_set_size"),
    "n_parameters": ("num_parameters", "n_params", "num_params", "parameters"),
}


def _plain(value: Any, name: str) -> Any:
    """Return ``value`` as what the field ``name`` holds, or None if it is nothing of the kind."""
    if name == "optimizer":
        return value.rsplit(".", 1)[-1].lower() if isinstance(value, str) and value else None
    if name == "momentum" and isinstance(value, (list, tuple)) and value:
        value = value[0]  # Adam's betas, of which the first is the momentum
    if isinstance(value, bool) or value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    # Nothing is learned at a rate of 0 or below, which stands for "automatic".
    if not np.isfinite(number) or (name == "learning_rate" and number <= 0):
        return None
    if name in ("batch_size", "train_size", "n_parameters"):
        # A train_size of 0.3 is a share of the data, which tells no number of samples; 0 and -1
        # commonly stand for "all" or "automatic".
        return int(number) if number.is_integer() and number >= 1 else None
    return number


@dataclass(frozen=True, eq=False)
class Run:
    """One training run as it was logged.

    Parameters
    ----------
    channels : mapping of str to Curve
        Must hold ``train_loss``.
    configuration : Configuration
        Optimiser, learning rate and so on, as far as they are known.
    hparams : mapping
        The whole configuration as it was logged. Runs that differ in nothing but
        :data:`REPETITION_KEYS` are repetitions of one configuration.
    max_steps : int, optional
        Steps for which the run was planned, its budget.
    name : str
        Shown to people: a path, or a path and a row.

    Raises
    ------
    ValueError
        If there is no training loss.
    """

    channels: Mapping[str, Curve]
    configuration: Configuration = field(default_factory=Configuration)
    hparams: Mapping[str, Any] = field(default_factory=dict)
    max_steps: int | None = None
    name: str = "run"

    def __post_init__(self) -> None:
        if "train_loss" not in self.channels or len(self.channels["train_loss"]) == 0:
            raise ValueError(f"a run must have a training loss, {self.name} has none")
        object.__setattr__(self, "channels", MappingProxyType(dict(self.channels)))
        object.__setattr__(self, "hparams", MappingProxyType(dict(self.hparams)))

    def __reduce__(self) -> tuple[Any, ...]:
        # Runs travel between worker processes, and a mapping proxy cannot be pickled.
        parts = (
            dict(self.channels),
            self.configuration,
            dict(self.hparams),
            self.max_steps,
            self.name,
        )
        return Run, parts

    @property
    def loss(self) -> Curve:
        """The training loss."""
        return self.channels["train_loss"]

    @property
    def last_step(self) -> int:
        """The last optimiser step at which anything was recorded."""
        return max(int(curve.steps[-1]) for curve in self.channels.values() if len(curve))

    @property
    def configuration_key(self) -> str:
        """Digest of the hyperparameters without the seed; of the loss where there are none."""
        told = {k: v for k, v in self.hparams.items() if str(k).lower() not in REPETITION_KEYS}
        # Not of the name: a sweep that was moved is the same sweep.
        known = json.dumps(told, sort_keys=True, default=str).encode()
        return hashlib.sha256(known if told else self.loss.values.tobytes()).hexdigest()[:16]

    @property
    def diverged(self) -> bool:
        """Whether the training loss ended in NaN or infinity, from which no run comes back."""
        return not bool(np.isfinite(self.loss.values[-1]))


@dataclass(frozen=True)
class LeftOut:
    """A run that was not used, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Findings:
    """What was met while a sweep was read; the findings of two parts add up.

    Attributes
    ----------
    formats : mapping of str to int
        Runs by the format that they were read from.
    columns : mapping of (str, str) to int
        Runs by channel and the column that was taken for it; ``"step"`` counts as a channel.
    remarks : mapping of str to (int, str)
        What a user should know of the data: how many runs it is true of, and the name of one.
    """

    formats: Mapping[str, int] = field(default_factory=dict)
    columns: Mapping[tuple[str, str], int] = field(default_factory=dict)
    remarks: Mapping[str, tuple[int, str]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the findings as what :func:`json.dumps` takes."""
        columns: dict[str, dict[str, int]] = {}
        for (channel, column), number in self.columns.items():
            columns.setdefault(channel, {})[column] = number
        remarks = [
            {"runs": number, "path": example, "remark": text}
            for text, (number, example) in self.remarks.items()
        ]
        return {"formats": dict(self.formats), "columns": columns, "remarks": remarks}

    def __add__(self, other: Findings) -> Findings:
        remarks = dict(self.remarks)
        for text, (number, example) in other.remarks.items():
            before, first = remarks.get(text, (0, example))
            remarks[text] = (before + number, first)
        return Findings(
            _sums(self.formats, other.formats), _sums(self.columns, other.columns), remarks
        )


def _sums(one: Mapping[Key, int], other: Mapping[Key, int]) -> dict[Key, int]:
    return {key: one.get(key, 0) + other.get(key, 0) for key in {**one, **other}}


@dataclass(frozen=True, eq=False)
class Sweep:
    """Runs that were read, those that were left out, and what was met on the way."""

    runs: Sequence[Run]
    left_out: Sequence[LeftOut] = ()
    findings: Findings = Findings()

    def __len__(self) -> int:
        return len(self.runs)


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


def window(runs: Sequence[Run], horizon: int, stride: int = 1) -> FloatArray:
    """Cut the first ``horizon`` steps of the training loss out of every run.

    Parameters
    ----------
    runs : sequence of Run
        Finer grids are thinned: of each ``stride`` steps the last is taken, as Lightning's
        ``log_every_n_steps`` does.
    horizon, stride : int
        Steps that the window spans, and between two samples of it.

    Returns
    -------
    ndarray, shape (n_runs, 1, horizon // stride)
        Channel 0 is the training loss.

    Raises
    ------
    UnsuitableRunError
        As :func:`check_window`, for the first run that does not fit.
    """
    n_samples = horizon // stride
    epochs = np.empty((len(runs), 1, n_samples))
    for row, run in enumerate(runs):
        every = check_window(run.loss, horizon, stride)
        epochs[row, 0] = run.loss.values[every - 1 : n_samples * every : every]
    return epochs
