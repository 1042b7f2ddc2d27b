"""Classifiers to calculate by hand: P rises with one column of a look, by steps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from grokpredict.features.columns import BUDGET_COLUMN, COLUMNS
from grokpredict.model.calibration import Calibration
from grokpredict.model.channels import Reads, all_reads
from grokpredict.model.classifier import GrokClassifier
from grokpredict.model.trees import Trees


def stairs(column: str, edges: Sequence[float], odds: float) -> Trees:
    """Trees whose log-odds are ``odds`` for each edge that the column is above, minus the others.

    A column that is missing is below.
    """
    n = len(edges)
    root = 3 * np.arange(n)
    leaf = np.tile([False, True, True], n)
    own = np.arange(3 * n)
    return Trees(
        root=root,
        feature=np.where(leaf, 0, COLUMNS.index(column)),
        threshold=np.where(leaf, 0.0, np.repeat(edges, 3)),
        left=np.where(leaf, own, own + 1),
        right=np.where(leaf, own, own + 2),
        missing_left=~leaf,
        value=np.tile([0.0, -odds, odds], n),
        baseline=np.zeros(1),
    )


def looking(
    column: str,
    edges: Sequence[float],
    *,
    odds: float = 1.0,
    scores: np.ndarray | None = None,
    stops: Iterable[Reads] | None = None,
    reach: float = 1e9,
) -> GrokClassifier:
    """A classifier that reads one column.

    Parameters
    ----------
    column, edges, odds
        As for :func:`stairs`.
    scores : ndarray, optional
        Of good runs: 70 times 0.5 by default, which is enough for a bound of 0.05 and not of 0.04.
    stops : iterable of Reads, optional
        Channels with a threshold, by default all.
    reach : float
        Columns beyond it are strange.
    """
    calibration = Calibration(np.full(70, 0.5) if scores is None else scores)
    wide = np.full(len(COLUMNS), reach)
    wide[COLUMNS.index(BUDGET_COLUMN)] = min(reach, 12.0)
    return GrokClassifier(
        stairs(column, edges, odds),
        dict.fromkeys(all_reads() if stops is None else stops, calibration),
        -wide,
        wide,
    )
