"""Splits of a sweep into runs to fit to and runs to score, none of them alike."""

from __future__ import annotations

import numpy as np

from grokpredict.runs.labels import BoolArray
from grokpredict.training.outcomes import Runs

#: Parts of a cross-validation, fewer where an outcome has fewer networks or kinds of task.
FOLDS = 5

#: Masks over the runs: which to fit to, and which to score.
Split = tuple[BoolArray, BoolArray]


def network_splits(runs: Runs, seed: int) -> list[Split]:
    """Return splits by fifths; no :attr:`Runs.network` is on both sides of one.

    None where all runs are of one network.
    """
    if np.unique(runs.network).size < 2:
        return []
    from sklearn.model_selection import StratifiedGroupKFold

    good = np.unique(runs.network[runs.generalised]).size
    doomed = np.unique(runs.network[~runs.generalised]).size
    splitter = StratifiedGroupKFold(
        max(2, min(FOLDS, good, doomed)), shuffle=True, random_state=seed
    )
    splits = []
    for _, held in splitter.split(runs.generalised, runs.generalised, runs.network):
        out = np.zeros(len(runs), dtype=np.bool_)
        out[held] = True
        splits.append((~out, out))
    return splits


def kind_splits(runs: Runs) -> list[Split]:
    """Return splits that leave out whole kinds of task, by fifths.

    None where fewer than five kinds have runs of both outcomes: then networks are left out.
    """
    kind, good = runs.kind, runs.generalised
    kinds = np.unique(kind)
    both = [which for which in kinds if 0 < good[kind == which].mean() < 1]
    if len(both) < FOLDS:
        return []
    outs = [np.isin(kind, kinds[part::FOLDS]) for part in range(FOLDS)]
    return [(~out, out) for out in outs]
