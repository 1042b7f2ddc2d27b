"""Columns besides those of the loss: grid, budget and configuration, as numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from grokpredict.runs.configuration import Configuration
from grokpredict.runs.curve import FloatArray

#: The window that the loss features were computed on.
GRID_TERMS = ("log10_horizon", "log10_stride")

#: The step by which the run would have to generalise.
BUDGET_TERMS = ("log10_budget", "log10_budget_over_horizon")

#: Of the configuration, what shows that a run is a stranger and is not read: of new networks it
#: told nothing (docs/classifier.md).
SIZE_TERMS = ("log10_batch_over_train_size", "log10_parameters_over_train_size")

#: The configuration. After memorisation the weight norm shrinks at the rate
#: learning rate x weight decay (Musat 2025, arXiv 2511.01938), so their product with a number of
#: steps is the dimensionless quantity to know.
CONTEXT_TERMS = (
    "log10_learning_rate",
    "log10_weight_decay",
    "no_weight_decay",
    "log10_lr_wd_budget",
    "log10_lr_budget",
    "log10_lr_wd_horizon",
    "momentum",
    "log10_train_size",
    "optimizer_adam",
    "optimizer_adamw",
    "optimizer_sgd",
    "optimizer_other",
    *SIZE_TERMS,
)

#: What those are made of that are read.
CONTEXT_FIELDS = ("optimizer", "learning_rate", "weight_decay", "momentum", "train_size")

#: Terms that grow with the budget. P may not fall along them, or it could fall with the budget.
GROWING_TERMS = frozenset(
    {"log10_budget", "log10_budget_over_horizon", "log10_lr_wd_budget", "log10_lr_budget"}
)

_COUPLED = frozenset({"adam", "nadam", "radam", "adamax", "amsgrad"})
_DECOUPLED = frozenset({"adamw", "nadamw", "fusedadam", "adamw_torch", "adamw8bit"})
_SGD = frozenset({"sgd", "momentum", "nesterov"})


def has_context(configuration: Configuration | None, required: Sequence[str] = ()) -> bool:
    """Whether enough is known to use the classifier that also reads the configuration.

    Parameters
    ----------
    configuration : Configuration or None
        What is known.
    required : sequence of str
        Fields that must be known besides learning rate or weight decay: those that every training
        run knew. A model has not learned what it means that one of them is missing.
    """
    if configuration is None or (
        configuration.learning_rate is None and configuration.weight_decay is None
    ):
        return False
    return all(getattr(configuration, name) is not None for name in required)


def grid_and_budget(horizon: int, stride: int, budget: FloatArray) -> FloatArray:
    """Return :data:`GRID_TERMS` and :data:`BUDGET_TERMS`, shape (n_runs, 4)."""
    log_budget = np.log10(budget)
    terms = np.empty((log_budget.size, 4))
    terms[:, 0] = np.log10(horizon)
    terms[:, 1] = np.log10(stride)
    terms[:, 2] = log_budget
    terms[:, 3] = log_budget - np.log10(horizon)
    return terms


def context_terms(
    configurations: Sequence[Configuration | None], horizon: int, budget: FloatArray
) -> FloatArray:
    """Return :data:`CONTEXT_TERMS`, shape (n_runs, n_terms); NaN where something is not known.

    Examples
    --------
    >>> known = Configuration(learning_rate=1e-3, weight_decay=0.1)
    >>> terms = context_terms([known], 400, [10_000.0])
    >>> dict(zip(CONTEXT_TERMS, terms[0].round(3).tolist()))["log10_lr_wd_budget"]
    0.0
    """
    known = [configuration or Configuration() for configuration in configurations]
    rate, decay, momentum, batch, train, parameters = (
        _column([getattr(configuration, name) for configuration in known])
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
    none = np.where(np.isnan(decay), np.nan, (decay == 0).astype(float))
    columns = [
        log_rate,
        log_decay,
        none,
        log_rate + log_decay + steps,
        log_rate + steps,
        log_rate + log_decay + np.log10(horizon),
        momentum,
        log_train,
    ]
    family = np.array([_family(configuration.optimizer) for configuration in known]).reshape(-1, 4)
    sizes = [_log10(batch) - log_train, _log10(parameters) - log_train]
    return np.column_stack([*columns, family, *sizes])


def _column(values: Sequence[float | None]) -> FloatArray:
    return np.array([np.nan if value is None else value for value in values], dtype=float)


def _log10(values: FloatArray) -> FloatArray:
    """Return the logarithm, NaN for zero, negative and unknown values."""
    return np.log10(np.where(values > 0, values, np.nan))


def _family(optimizer: str | None) -> tuple[float, float, float, float]:
    """Return the one-hot family: the weight decay of Adam is coupled to its steps, AdamW's not."""
    if optimizer is None:
        return (np.nan,) * 4
    name = optimizer.lower()
    kinds = (name in _COUPLED, name in _DECOUPLED, name in _SGD)
    return (*map(float, kinds), float(not any(kinds)))  # type: ignore[return-value]
