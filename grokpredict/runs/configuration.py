"""What is known of a run before its first step, under the names that people use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np


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
