"""The data model: a training run is a set of curves over optimiser steps.

A :class:`Run` keeps each channel on the grid it was recorded on: the training loss perhaps at
every step, the validation metrics at every fiftieth. :func:`window` cuts the first steps of many
runs into the array ``(n_runs, n_samples)`` that conditioning and features work on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any

import numpy as np

from grokpredict._util.lazy import reporting
from grokpredict.runs.configuration import Configuration
from grokpredict.runs.curve import Curve, FloatArray, check_window
from grokpredict.runs.watched import Watched

#: Channels that grokpredict knows. ``train_loss`` is in every run, the others may be.
CHANNELS = ("train_loss", "val_loss", "train_acc", "val_acc", "weight_norm", "grad_norm")

#: Hyperparameters that tell repetitions of one configuration apart.
REPETITION_KEYS = frozenset(
    {"seed", "random_seed", "run", "run_id", "run_name", "name", "version", "id"}
)


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
    budget_source : str
        Where ``max_steps`` comes from, such as ``num_steps`` of the configuration.
    step_unit : str
        What the steps count: ``step`` (of the optimiser), else ``epoch``, ``call`` or ``row``.
    notes : tuple of str
        What is not certain about how the run was read, with the remedy; shown with every result.
    watched : Watched, optional
        What the callback saw of it, where it wrote that beside the log.

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
    budget_source: str = ""
    step_unit: str = "step"
    notes: tuple[str, ...] = ()
    watched: Watched | None = None

    def __post_init__(self) -> None:
        if "train_loss" not in self.channels or len(self.channels["train_loss"]) == 0:
            raise ValueError(f"a run must have a training loss, {self.name} has none")
        object.__setattr__(self, "channels", MappingProxyType(dict(self.channels)))
        object.__setattr__(self, "hparams", MappingProxyType(dict(self.hparams)))

    def __reduce__(self) -> tuple[Any, ...]:
        # Runs travel between worker processes, and a mapping proxy cannot be pickled.
        proxied = {"channels": dict(self.channels), "hparams": dict(self.hparams)}
        return Run, tuple(
            proxied.get(attribute.name, getattr(self, attribute.name)) for attribute in fields(self)
        )

    def __repr__(self) -> str:
        budget = "" if self.max_steps is None else f", budget {self.max_steps}"
        channels = ", ".join(self.channels)
        return f"<Run {self.name}: steps 0 to {self.last_step}{budget}; {channels}>"

    def _repr_html_(self) -> str:
        return str(reporting().run_html(self))

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
        settings = {k: v for k, v in self.hparams.items() if str(k).lower() not in REPETITION_KEYS}
        # Not of the name: a sweep that was moved is the same sweep.
        text = json.dumps(_with_text_keys(settings), sort_keys=True, default=str).encode()
        return hashlib.sha256(text if settings else self.loss.values.data).hexdigest()[:16]

    @property
    def diverged(self) -> bool:
        """Whether the training loss ended in NaN or infinity, from which no run comes back."""
        return not bool(np.isfinite(self.loss.values[-1]))


def _with_text_keys(value: Any) -> Any:
    """Return a value whose mappings can be sorted: YAML takes 1 and a date for keys."""
    if isinstance(value, Mapping):
        return {str(key): _with_text_keys(item) for key, item in value.items()}
    return [_with_text_keys(item) for item in value] if isinstance(value, list | tuple) else value


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
    ndarray, shape (n_runs, horizon // stride)

    Raises
    ------
    UnsuitableRunError
        As :func:`check_window`, for the first run that does not fit.
    """
    n_samples = horizon // stride
    losses = np.empty((len(runs), n_samples))
    for row, run in enumerate(runs):
        every = check_window(run.loss, horizon, stride)
        losses[row] = run.loss.values[every - 1 : n_samples * every : every]
    return losses
