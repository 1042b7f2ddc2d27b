"""A window as one row of numbers: the loss, its grid, the budget, validation, configuration."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from grokpredict.features.configuration import (
    BUDGET_TERMS,
    CONTEXT_TERMS,
    GRID_TERMS,
    context_terms,
    grid_and_budget,
)
from grokpredict.features.metrics import METRIC_TERMS
from grokpredict.features.signal import feature_names
from grokpredict.runs.configuration import Configuration
from grokpredict.runs.curve import FloatArray

#: Names of the columns; docs/features.md lists them.
WINDOW_COLUMNS: tuple[str, ...] = (
    *feature_names(),
    *GRID_TERMS,
    *BUDGET_TERMS,
    *METRIC_TERMS,
    *CONTEXT_TERMS,
)

_ENDS = np.cumsum(
    [len(part) for part in (feature_names(), GRID_TERMS, BUDGET_TERMS, METRIC_TERMS, CONTEXT_TERMS)]
).tolist()

#: Where each kind of them is.
LOSS, GRID, BUDGET, METRICS, CONFIGURATION = map(slice, [0, *_ENDS], _ENDS)


def window_rows(
    loss: FloatArray,
    horizon: int,
    stride: int,
    budgets: FloatArray,
    metrics: FloatArray,
    configurations: Sequence[Configuration | None],
) -> FloatArray:
    """Return the columns of windows on one grid.

    Parameters
    ----------
    loss : ndarray, shape (n_windows, n_features)
        Of :func:`grokpredict.features.signal.extract`.
    horizon, stride : int
        Steps that a window spans, and between two samples of it.
    budgets : ndarray, shape (n_windows,)
        Step by which each run would have to generalise.
    metrics : ndarray, shape (n_windows, n_metric_terms)
        Of :func:`grokpredict.features.metrics.metric_terms`.
    configurations : sequence of (Configuration or None)
        What is known of each run.

    Returns
    -------
    ndarray, shape (n_windows, n_columns)
        In the order of :data:`WINDOW_COLUMNS`; NaN where something is not known.
    """
    return np.column_stack(
        [
            loss,
            grid_and_budget(horizon, stride, budgets),
            metrics,
            context_terms(configurations, horizon, budgets),
        ]
    )
