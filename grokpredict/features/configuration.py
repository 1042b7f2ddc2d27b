"""The configuration of a run as numbers: what the forecasts by curves are compared with.

No classifier reads it. Inside a task it ranks runs well; across tasks it moves whole tasks up and
down (docs/classifier.md).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from grokpredict.runs.configuration import Configuration
from grokpredict.runs.curve import FloatArray

#: After memorisation the weight norm shrinks at the rate learning rate x weight decay (Musat 2025,
#: arXiv 2511.01938), so their product with a number of steps is the dimensionless quantity to know.
CONFIGURATION_COLUMNS = (
    "log10_learning_rate",
    "log10_weight_decay",
    "no_weight_decay",
    "log10_lr_wd_budget",
    "log10_lr_budget",
    "log10_budget",
    "momentum",
    "log10_train_size",
    "log10_batch_over_train_size",
    "log10_parameters_over_train_size",
    "optimizer_adam",
    "optimizer_adamw",
    "optimizer_sgd",
    "optimizer_other",
)

_COUPLED = frozenset({"adam", "nadam", "radam", "adamax", "amsgrad"})
_DECOUPLED = frozenset({"adamw", "nadamw", "fusedadam", "adamw_torch", "adamw8bit"})
_SGD = frozenset({"sgd", "momentum", "nesterov"})


def configuration_columns(
    configurations: Sequence[Configuration], budget: FloatArray
) -> FloatArray:
    """Return :data:`CONFIGURATION_COLUMNS`; NaN where something is not known.

    Parameters
    ----------
    configurations : sequence of Configuration, length n_runs
        What is known of each run before its first step.
    budget : ndarray, shape (n_runs,)
        Step by which each would have to generalise.

    Returns
    -------
    ndarray, shape (n_runs, n_columns)

    Examples
    --------
    >>> configuration = Configuration(learning_rate=1e-3, weight_decay=0.1)
    >>> row = configuration_columns([configuration], np.array([10_000.0]))[0]
    >>> dict(zip(CONFIGURATION_COLUMNS, row.round(3).tolist()))["log10_lr_wd_budget"]
    0.0
    """
    rate, decay, momentum, batch, train, parameters = (
        _numbers([getattr(configuration, name) for configuration in configurations])
        for name in (
            "learning_rate",
            "weight_decay",
            "momentum",
            "batch_size",
            "train_size",
            "n_parameters",
        )
    )
    steps = np.log10(np.asarray(budget, dtype=float))
    log_rate, log_decay, log_train = _log10(rate), _log10(decay), _log10(train)
    kinds = [_kind(configuration.optimizer) for configuration in configurations]
    return np.column_stack(
        [
            log_rate,
            log_decay,
            np.where(np.isnan(decay), np.nan, (decay == 0).astype(float)),
            log_rate + log_decay + steps,
            log_rate + steps,
            steps,
            momentum,
            log_train,
            _log10(batch) - log_train,
            _log10(parameters) - log_train,
            np.array(kinds).reshape(-1, 4),
        ]
    )


def _numbers(values: Sequence[float | None]) -> FloatArray:
    return np.array([np.nan if value is None else value for value in values], dtype=float)


def _log10(values: FloatArray) -> FloatArray:
    """Return the logarithm, NaN for zero, negative and unknown values."""
    return np.log10(np.where(values > 0, values, np.nan))


def _kind(optimizer: str | None) -> list[float]:
    """Return the one-hot kind: the weight decay of Adam is coupled to its steps, AdamW's not."""
    if optimizer is None:
        return [np.nan] * 4
    name = optimizer.lower()
    kinds = [name in _COUPLED, name in _DECOUPLED, name in _SGD]
    return [float(kind) for kind in (*kinds, not any(kinds))]
